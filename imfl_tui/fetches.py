"""Which of several fetches of a list may show what it found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Fetches:
    """Fetches of one list, of which the newest counts; its worker may be cancelled at any time."""

    def __init__(self) -> None:
        self._newest = 0
        self._running: int | None = None

    @property
    def running(self) -> bool:
        """Whether the newest fetch is under way."""
        return self._running is not None

    @contextmanager
    def one(self) -> Iterator[int]:
        """Count a fetch as the newest within the block; gives its number for `is_newest`."""
        self._newest += 1
        mine = self._running = self._newest
        try:
            yield mine
        finally:
            if self._running == mine:
                self._running = None

    def is_newest(self, number: int) -> bool:
        """Whether no other fetch has begun since."""
        return number == self._newest
