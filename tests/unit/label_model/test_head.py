"""The logistic head finds the optimum, and cross-fitting never lets an item score itself."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.label_model import CrossFit, fit_head
from imfl_engine.label_model.head import assign_folds


@pytest.mark.parametrize("classes", [3, 5])
def test_the_head_is_scikit_learns_logistic_regression(classes):
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=300)
    x = rng.normal(size=(classes, 10))[labels] + rng.normal(size=(300, 10))
    x = x.astype(np.float32)
    head = fit_head(x, np.eye(classes)[labels], l2=1e-2)
    theirs = linear.LogisticRegression(C=1 / (300 * 1e-2), max_iter=2000, tol=1e-8).fit(x, labels)
    assert np.abs(head.probabilities(x) - theirs.predict_proba(x)).max() < 5e-3


def test_weights_count_like_copies():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    targets = rng.dirichlet(np.ones(3), size=40)
    weighted = fit_head(x, targets, np.where(np.arange(40) < 10, 2.0, 1.0), l2=1e-2)
    copied = fit_head(np.vstack([x, x[:10]]), np.vstack([targets, targets[:10]]), l2=1e-2)
    assert np.allclose(weighted.probabilities(x), copied.probabilities(x), atol=2e-3)


def test_no_rows_give_a_head_that_knows_nothing():
    head = fit_head(np.zeros((0, 4)), np.zeros((0, 3)))
    assert np.allclose(head.probabilities(np.ones((2, 4))), 1 / 3)


def test_random_labels_cannot_be_predicted_by_cross_fitting():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 150)).astype(np.float32)  # enough room to learn by heart
    labels = rng.integers(2, size=200)
    fold = assign_folds(np.arange(200), 5, 0)
    logits = CrossFit(x, np.ones(200), fold).logits(np.eye(2)[labels])
    assert (logits.argmax(axis=1) == labels).mean() < 0.65


def test_folds_are_even_and_follow_the_id():
    ids = np.arange(103) * 7
    fold = assign_folds(ids, 5, 3)
    order = np.random.default_rng(0).permutation(103)
    assert np.bincount(fold).max() - np.bincount(fold).min() <= 1
    assert assign_folds(ids[order], 5, 3).tolist() == fold[order].tolist()
