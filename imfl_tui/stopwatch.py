"""How long the person has looked at the item in view: it counts against the minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

from imfl_engine.types import LONGEST_THOUGHT


class Stopwatch:
    """Seconds on one item; begins anew with every other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._item_id: int | None = None
        self._since = clock()

    def start(self) -> None:
        """Begin anew: an item is shown, or the person is back from elsewhere."""
        self._since = self._clock()

    def watch(self, item_id: int) -> None:
        """Begin anew if this is another item than before."""
        if item_id != self._item_id:
            self._item_id = item_id
            self.start()

    @property
    def seconds(self) -> float:
        """The time on the item so far, at most `LONGEST_THOUGHT`."""
        return min(max(self._clock() - self._since, 0.0), LONGEST_THOUGHT)
