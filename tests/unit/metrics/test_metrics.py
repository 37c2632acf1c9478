"""Figures agree with scikit-learn, and intervals with their meaning."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine import metrics


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=400)
    logits = 2.0 * np.eye(3)[truth] + 1.5 * rng.normal(size=(400, 3))
    return truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_an_evaluation_agrees_with_scikit_learn(scored):
    theirs = pytest.importorskip("sklearn.metrics")
    truth, probabilities = scored
    predicted = probabilities.argmax(axis=1)
    result = metrics.evaluate(truth, probabilities, ["a", "b", "c"], scope="test", round_number=2)
    assert result.accuracy.value == pytest.approx(theirs.accuracy_score(truth, predicted))
    assert result.macro_f1.value == pytest.approx(
        theirs.f1_score(truth, predicted, average="macro")
    )
    assert np.array_equal(result.confusion, theirs.confusion_matrix(truth, predicted))
    assert [c.recall for c in result.classes] == pytest.approx(
        list(theirs.recall_score(truth, predicted, average=None))
    )
    assert result.macro_f1.low < result.macro_f1.value < result.macro_f1.high
    assert sum(b.count for b in result.calibration) == 400


def test_calibrated_probabilities_have_a_small_calibration_error():
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1.0, size=20_000)
    truth = (rng.random(20_000) > sure).astype(int)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    _, error = metrics.calibration(truth, probabilities)
    _, overconfident = metrics.calibration(truth, np.eye(2)[np.zeros(20_000, int)])
    assert error < 0.02
    assert overconfident > 0.2


def test_the_bootstrap_interval_covers_the_true_macro_f1():
    rng = np.random.default_rng(2)
    rates = np.array([[0.5, 0.1], [0.1, 0.3]])
    covered = 0
    for seed in range(60):
        counts = rng.multinomial(300, rates.ravel()).reshape(2, 2)
        interval = metrics.macro_f1(counts, seed=seed)
        covered += interval.low <= (2 * 0.5 / 1.2 + 2 * 0.3 / 0.8) / 2 <= interval.high
    assert covered >= 52


def test_nothing_to_measure_is_said_not_guessed():
    result = metrics.evaluate(
        np.zeros(0, int), np.zeros((0, 2)), ["a", "b"], scope="test", round_number=1
    )
    assert result.accuracy.n == 0
    assert result.calibration == ()
