"""How good a model is on labelled items: accuracy, macro-F1, classes, calibration, intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.control import wilson
from imfl_engine.types import Interval
from imfl_engine.views import CalibrationBin, ClassScore, Evaluation

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]


def confusion_counts(truth: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Count truth i predicted as j in a (C, C) array."""
    cells = np.asarray(truth, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(truth: Labels, predicted: Labels) -> Interval:
    """Return the share of equal labels with its Wilson interval."""
    return wilson(float(np.sum(np.asarray(truth) == np.asarray(predicted))), len(truth))


def _f1(confusion: Floats) -> Floats:
    """F1 per class over the last two axes; 0 where a class was neither there nor predicted."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.asarray(np.divide(2.0 * right, total, out=np.zeros_like(total), where=total > 0))


def macro_f1(confusion: NDArray[np.integer], *, seed: int = 0, draws: int = 500) -> Interval:
    """Return the mean F1 of the classes that occur in the truth, with a bootstrap 95 % interval.

    Resampling the items of a confusion matrix (C, C) is drawing its cells from a multinomial, so
    ``draws`` replicates cost one array operation.
    """
    counts = np.asarray(confusion, float)
    n = int(counts.sum())
    present = counts.sum(axis=1) > 0
    if not n:
        return Interval(float("nan"), 0.0, 1.0, 0)
    value = float(_f1(counts)[present].mean())
    rng = np.random.default_rng([seed, 0xF1])
    sampled = rng.multinomial(n, (counts / n).ravel(), size=draws).astype(float)
    scores = _f1(sampled.reshape(draws, *counts.shape))
    # a class that a replicate happens to lack says nothing about the model
    seen = sampled.reshape(draws, *counts.shape).sum(axis=2) > 0
    means = (scores * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(value, float(min(low, value)), float(max(high, value)), n)


def calibration(
    truth: Labels, probabilities: Floats, bins: int = 10
) -> tuple[tuple[CalibrationBin, ...], float]:
    """Return equal-width confidence bins that hold items, and the expected calibration error.

    The error is the mean gap between confidence and accuracy, weighted by count (Guo et al. 2017).
    """
    n = len(truth)
    if not n:
        return (), float("nan")
    confidence = np.asarray(probabilities, float).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == np.asarray(truth)
    which = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    filled = []
    error = 0.0
    for b in np.unique(which):
        members = which == b
        count = int(members.sum())
        sure, correct = float(confidence[members].mean()), float(right[members].mean())
        filled.append(CalibrationBin(b / bins, (b + 1) / bins, sure, correct, count))
        error += count / n * abs(sure - correct)
    return tuple(filled), error


def class_scores(confusion: NDArray[np.integer], labels: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return precision, recall, F1 and support of every label, zero where undefined."""
    counts = np.asarray(confusion, float)
    right = np.diag(counts)
    predicted, support = counts.sum(axis=0), counts.sum(axis=1)
    f1 = _f1(counts)
    return tuple(
        ClassScore(
            label,
            float(right[i] / predicted[i]) if predicted[i] else 0.0,
            float(right[i] / support[i]) if support[i] else 0.0,
            float(f1[i]),
            int(support[i]),
        )
        for i, label in enumerate(labels)
    )


def evaluate(
    truth: Labels,
    probabilities: NDArray[np.floating],
    labels: Sequence[str],
    *,
    scope: str,
    round_number: int,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities (n, C) against label indices (n,); ``labels`` names the C classes.

    ``scope`` says what was measured on ("test", "control", a file name).
    """
    values = np.asarray(probabilities, float)
    truth = np.asarray(truth, np.int64)
    predicted = values.argmax(axis=1) if len(values) else np.zeros(0, np.int64)
    counts = confusion_counts(truth, predicted, len(labels))
    bins, error = calibration(truth, values)
    support = counts.sum(axis=1)
    commonest = int(support.argmax())
    return Evaluation(
        scope=scope,
        accuracy=accuracy(truth, predicted),
        macro_f1=macro_f1(counts, seed=seed),
        classes=class_scores(counts, labels),
        labels=tuple(labels),
        confusion=tuple(tuple(int(v) for v in row) for row in counts),
        calibration=bins,
        expected_calibration_error=error,
        majority=(labels[commonest], float(support[commonest] / max(1, len(truth)))),
        round=round_number,
    )
