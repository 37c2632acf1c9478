"""Which human labels choose the best epoch."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.label_model import Evidence, TrainingSet
from imfl_engine.loop.holding_out import validation_rows

COUNT = 200
HUMAN = np.where(np.arange(COUNT) < 100, 0, -1)
CONTROL = np.arange(COUNT) < 60
EVIDENCE = Evidence(np.arange(COUNT), None, HUMAN, np.ones(COUNT, np.int64), control=CONTROL)
BUILT = TrainingSet(
    np.arange(COUNT)[::-1].copy(), np.ones((COUNT, 1), np.float32), np.ones(COUNT, np.float32)
)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_the_human_labels_is_held_out_and_never_the_control_slice(share: float) -> None:
    for seed in range(20):
        held = BUILT.ids[validation_rows(EVIDENCE, BUILT, share, seed)]
        assert len(held) == int(share * 40)
        assert (HUMAN[held] >= 0).all()
        assert not CONTROL[held].any()


def test_the_draw_follows_the_seed() -> None:
    first, again, other = (validation_rows(EVIDENCE, BUILT, 0.5, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_nothing_is_held_out_unless_it_is_asked_for() -> None:
    assert not validation_rows(EVIDENCE, BUILT, 0.0, 0).any()
