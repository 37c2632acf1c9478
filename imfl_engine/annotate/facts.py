"""What was found out about a model at an address, so that it is asked once and not once a process."""

from __future__ import annotations

from dataclasses import dataclass

LASTS_SECONDS = 7 * 86_400.0
"""A server may have learned a part since that it once refused; after so long it is asked again."""


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What an endpoint takes, what it adds, and how it counts. ``asked_at`` is seconds since 1970.

    ``refused`` are the optional parts to leave out of a request; None stands for what nothing is
    known about. ``counted`` prompt tokens were billed where we had guessed ``guessed``,
    ``cached`` of them at the price of cached ones.
    """

    asked_at: float
    refused: tuple[str, ...] = ()
    output_name: str | None = None
    output_tokens: int | None = None
    window: int | None = None
    most_room: int | None = None
    hidden_input: int = 0
    guessed: int = 0
    counted: int = 0
    cached: int = 0

    def holds(self, now: float) -> bool:
        """Whether it is recent enough to be relied on."""
        return 0.0 <= now - self.asked_at < LASTS_SECONDS
