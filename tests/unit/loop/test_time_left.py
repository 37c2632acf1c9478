"""The time left of a step of several fine-tunes, by a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from imfl_engine.events import TrainingProgress
from imfl_engine.loop.time_left import TimeLeft


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


START, STEP, READING, FIT = 3.0, 0.5, 4.0, 7.0
STEPS = (40, 40, 90)
"""Two halves and the training they are for."""


def run(pace: float = STEP) -> list[tuple[float, float, float]]:
    """(share of the whole step that is done, seconds told, seconds it took) at every step of the halves."""
    clock = Clock()
    time_left = TimeLeft([60, 60], fit_seconds=FIT, clock=clock)
    told = []
    for number, steps in enumerate(STEPS[:2]):
        time_left.begin()
        clock.now += START
        for step in range(1, steps + 1):
            clock.now += pace
            event = TrainingProgress(
                step,
                steps,
                step / steps,
                0.5,
                60 / (3 * READING),
                (steps - step) * pace,
                "cpu",
                later_seconds=sum(STEPS[number + 1 :]) * pace,
            )
            told.append((clock.now, time_left.training(event)))
        clock.now += READING
        time_left.end()
    end = clock.now + FIT + START + STEPS[2] * pace
    return [(at / end, left or 0.0, end - at) for at, left in told]


def test_it_is_the_time_of_all_that_follows() -> None:
    found = run()
    assert found[0][0] < 0.1
    for done, told, took in found:
        if done >= 0.1:
            assert told == pytest.approx(took, rel=0.02)


def test_reading_takes_what_it_took_once_that_is_known() -> None:
    clock = Clock()
    time_left = TimeLeft([60, 60], clock=clock)
    event = TrainingProgress(1, 2, 0.5, 0.5, 60.0, 10.0, "cpu", later_seconds=20.0)
    time_left.begin()
    assert time_left.training(event) == pytest.approx(30 + 2 * 60 / 180)
    clock.now = 50.0
    time_left.end()
    time_left.begin()
    clock.now = 52.0
    assert time_left.training(event) == pytest.approx(30 + 2 + 50)


def test_nothing_is_told_before_the_fine_tune_knows() -> None:
    time_left = TimeLeft([60, 60], clock=Clock())
    time_left.begin()
    assert time_left.training(TrainingProgress(1, 9, 0.1, 0.5, 60.0, None, "cpu")) is None
