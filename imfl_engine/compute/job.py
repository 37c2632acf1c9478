"""A job as the child's handlers see it: where events go, and when to stop.

Imports no torch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imfl_engine.compute.wire import pack_event
from imfl_engine.events import JobKind, Progress

PROGRESS_SECONDS = 0.25
PRIOR_SHARE = 0.05
"""What the pace of work before counts, as a share of the work at hand."""


class Cancelled(Exception):
    """The client no longer wants the job."""


class Job:
    """One running job; ``send`` writes a message to the client."""

    def __init__(self, number: int, folder: Path, send: Callable[[dict[str, Any]], None]) -> None:
        self.number = number
        self.folder = folder
        self.cancelled = threading.Event()
        self._send = send
        self._last_progress = float("-inf")

    def check(self) -> None:
        """Raise `Cancelled` if the client has asked for it; call this between steps."""
        if self.cancelled.is_set():
            raise Cancelled

    def emit(self, event: Any) -> None:
        """Send an event to the client."""
        self._send({"job": self.number, **pack_event(event, self.folder)})

    def may_report(self, *, last: bool = False) -> bool:
        """Whether a progress event may be sent now: at most four a second, and always the last."""
        now = time.monotonic()
        if not last and now - self._last_progress < PROGRESS_SECONDS:
            return False
        self._last_progress = now
        return True


class ProgressMeter:
    """Emits `Progress` with an ETA that follows the work's cost rather than its count.

    Items differ in length, so ``total_cost`` is the sum of the costs of all batches (padded
    tokens, say) and the rest takes ``elapsed · rest / done``. The first batch is left out of the
    rate because it also pays for the warm-up.
    """

    def __init__(
        self,
        job: Job,
        kind: JobKind,
        total: int,
        total_cost: float,
        *,
        unit: str = "items",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job = job
        self._kind: JobKind = kind
        self._total = total
        self._unit = unit
        self._done = 0
        self.eta = EtaEstimate(total_cost, clock=clock)

    def advance(self, items: int, cost: float) -> None:
        """Count a finished batch and report, if it is time to."""
        self._done += items
        self.eta.advance(cost)
        if self._job.may_report(last=self._done >= self._total):
            self._job.emit(
                Progress(self._kind, self._done, self._total, self._unit, self.eta.seconds())
            )


class EtaEstimate:
    """Seconds left, from costs: work done since the first batch sets the pace.

    ``prior`` is the pace of work like this one before, in seconds for a unit of cost; it counts as much
    as `PRIOR_SHARE` of the whole, so that the first batches do not decide alone.
    """

    def __init__(
        self,
        total: float,
        *,
        prior: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = max(total, 1e-9)
        self._prior = prior
        self._clock = clock
        self._started = clock()
        self._first: tuple[float, float] | None = None
        self._done = 0.0
        self._now = self._started

    def advance(self, cost: float) -> None:
        """Count ``cost`` as done now."""
        self._done += cost
        self._now = self._clock()
        if self._first is None:
            self._first = (self._done, self._now)

    def seconds(self) -> float | None:
        """Seconds left, or None while there is nothing to estimate from."""
        pace = self.pace()
        return None if pace is None else max(0.0, self._total - self._done) * pace

    def pace(self) -> float | None:
        """Seconds for a unit of cost, None while nothing is known."""
        if self._first is None:
            return self._prior
        done, since = self._first
        work, seconds = self._done - done, self._now - since
        if self._prior is not None:
            weight = PRIOR_SHARE * self._total
            return (seconds + weight * self._prior) / (work + weight)
        if work > 0 and seconds > 0:
            return seconds / work
        return (self._now - self._started) / self._done if self._done else None
