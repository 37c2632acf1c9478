"""Batches that do not fit the memory are halved; what never fits is an error in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from imfl_engine.compute.job import EtaEstimate
from imfl_engine.compute.memory import Pieces, is_out_of_memory
from imfl_engine.errors import OutOfMemory


class SmallDevice:
    """A device that holds ``room`` rows."""

    name = "A small device"

    def __init__(self, room: int) -> None:
        self.room = room
        self.released = 0

    def release(self) -> None:
        self.released += 1

    def compute(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return rows * 10


def run(device: Any, count: int) -> dict[int, int]:
    pieces = Pieces(device).compute(np.arange(count), device.compute)
    return {
        int(row): int(value) for rows, got in pieces for row, value in zip(rows, got, strict=True)
    }


def test_a_batch_that_does_not_fit_is_done_in_halves() -> None:
    device = SmallDevice(3)
    assert run(device, 10) == {row: row * 10 for row in range(10)}
    assert device.released > 0


def test_batches_after_one_that_did_not_fit_begin_with_its_parts() -> None:
    device = SmallDevice(3)
    pieces = Pieces(device)  # type: ignore[arg-type]
    list(pieces.compute(np.arange(12), device.compute))
    refused = device.released
    found = list(pieces.compute(np.arange(12), device.compute))
    assert device.released == refused
    assert np.concatenate([rows for rows, _ in found]).tolist() == list(range(12))


def test_a_single_row_that_does_not_fit_is_an_error_in_words() -> None:
    with pytest.raises(OutOfMemory, match="A small device has not enough memory"):
        run(SmallDevice(0), 4)


def test_other_errors_are_not_taken_for_memory() -> None:
    def fail(rows: np.ndarray) -> np.ndarray:
        raise RuntimeError("shape mismatch")

    device = SimpleNamespace(name="x", release=lambda: None)
    with pytest.raises(RuntimeError, match="shape"):
        list(Pieces(device).compute(np.arange(3), fail))  # type: ignore[arg-type]
    assert is_out_of_memory(MemoryError())


def test_the_eta_follows_the_cost_and_not_the_count() -> None:
    now = 0.0
    eta = EtaEstimate(110.0, clock=lambda: now)
    assert eta.seconds() is None
    now = 5.0  # the first batch also pays for the warm-up
    eta.advance(10.0)
    now = 7.0
    eta.advance(20.0)
    assert eta.seconds() == pytest.approx(80 * 2 / 20)
    now = 15.0
    eta.advance(80.0)
    assert eta.seconds() == 0.0


def test_the_pace_of_work_before_keeps_the_first_batches_from_deciding_alone() -> None:
    now = 0.0
    eta = EtaEstimate(1000.0, prior=0.1, clock=lambda: now)
    assert eta.seconds() == pytest.approx(100.0)
    now = 9.0  # a batch that pays for the warm-up
    eta.advance(10.0)
    assert eta.seconds() == pytest.approx(99.0)
    now = 12.0  # one that is three times as slow as before
    eta.advance(10.0)
    assert eta.seconds() == pytest.approx(980 * (3 + 5) / 60)
    now = 192.0  # and so are all
    eta.advance(600.0)
    assert eta.seconds() == pytest.approx(380 * 0.3, rel=0.06)
