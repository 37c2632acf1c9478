"""How long a TRAIN step of several fine-tunes will still take: what they tell, and what is between them.

A fine-tune says what is left of it and what those that follow will take. Before its first step a model
is made ready, after its last one it is written and reads; the label model is fitted once more before the
final one. What the first fine-tune needed for that, the next will.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from imfl_engine.events import TrainingProgress

READING_SPEED = 3.0
"""A model reads about this many times as fast as it is trained."""


class TimeLeft:
    """Is told what happens, in order, and says how many seconds are left of the whole step.

    ``reads`` are the items that each model but the final one reads after its training, and
    ``fit_seconds`` what a fit of the label model takes. ``clock`` counts seconds.
    """

    def __init__(
        self,
        reads: Sequence[int],
        *,
        fit_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reads = reads
        self._fit_seconds = fit_seconds
        self._clock = clock
        self._now = -1
        self._asked = self._told = clock()
        self._until_first_step: float | None = None
        self._after_last_step: float | None = None

    def begin(self) -> None:
        """The next fine-tune is asked for."""
        self._now += 1
        self._asked = self._clock()
        self._until_first_step = None

    def training(self, event: TrainingProgress) -> float | None:
        """Seconds left of the step, None while the fine-tune knows nothing yet."""
        self._told = self._clock()
        if self._until_first_step is None:
            self._until_first_step = self._told - self._asked
        if event.eta_seconds is None:
            return None
        to_read = self._reads[self._now :]
        return (
            event.eta_seconds
            + event.later_seconds
            + self._until_first_step * len(to_read)
            + sum(self._afterwards(items, event.samples_per_second) for items in to_read)
            + self._fit_seconds
        )

    def end(self) -> None:
        """The model is written and has read."""
        self._after_last_step = self._clock() - self._told

    def _afterwards(self, items: int, samples_per_second: float) -> float:
        """Seconds from a fine-tune's last step until its model has read ``items``."""
        if self._after_last_step is not None:
            return self._after_last_step
        return items / (READING_SPEED * samples_per_second) if samples_per_second else 0.0
