"""Weights of training sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imfl_engine.label_model import TrainingSet, balanced


def made(targets: np.ndarray, weights: np.ndarray) -> TrainingSet:
    return TrainingSet(np.arange(len(targets)), targets.astype(np.float32), weights)


@given(arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 4)), st.integers(0, 99))
def test_balanced_classes_count_the_same(classes: np.ndarray, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.2, 2.0, len(classes)).astype(np.float32)
    built = balanced(made(np.eye(6)[classes], weights))
    totals = np.bincount(classes, weights=built.weights, minlength=6)
    present = totals[np.unique(classes)]
    assert np.allclose(present, present.mean(), rtol=1e-4)
    assert np.isclose(built.weights.mean(), 1, rtol=1e-4)


def test_balancing_keeps_the_proportions_within_a_class() -> None:
    built = balanced(made(np.eye(2)[[0, 0, 1]], np.array([1.0, 3.0, 1.0], np.float32)))
    assert np.isclose(built.weights[1] / built.weights[0], 3)


def test_nothing_to_train_on_stays_nothing() -> None:
    assert len(balanced(made(np.zeros((0, 3)), np.zeros(0, np.float32))).ids) == 0
