"""The progress of a slice, placed in the whole."""

from __future__ import annotations

import pytest

from imfl_engine.events import Progress
from imfl_engine.loop.context import within


@pytest.mark.parametrize(
    ("event", "before", "expected"),
    [
        (Progress("embed", 50, 100, "items", 5.0), 0, (50, 35.0)),  # 350 are left, not 50
        (Progress("embed", 50, 100, "items", 5.0), 300, (350, 5.0)),
        (Progress("embed", 100, 100, "items", 0.0), 100, (200, None)),
        (Progress("embed", 100, 100, "items", 0.0), 300, (400, 0.0)),
        (Progress("embed", 10, 100), 0, (10, None)),
    ],
)
def test_the_time_left_is_that_of_all_slices(
    event: Progress, before: int, expected: tuple[int, float | None]
) -> None:
    found = within(event, before, 400)
    assert (found.done, found.eta_seconds) == expected
    assert (found.job, found.total, found.unit) == ("embed", 400, "items")
