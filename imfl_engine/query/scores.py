"""How unsure a model is of each item."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imfl_engine.settings import UncertaintyName

Floats = NDArray[np.float64]


def _least_confidence(probabilities: Floats) -> Floats:
    return np.asarray(1.0 - probabilities.max(axis=1))


def _margin(probabilities: Floats) -> Floats:
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.asarray(1.0 - (top[:, 1] - top[:, 0]))


def _entropy(probabilities: Floats) -> Floats:
    logs = np.log(np.clip(probabilities, 1e-12, 1.0))
    return np.asarray(-(probabilities * logs).sum(axis=1))


_MEASURES: dict[str, Callable[[Floats], Floats]] = {
    "least-confidence": _least_confidence,
    "margin": _margin,
    "entropy": _entropy,
}


def uncertainty(
    probabilities: NDArray[np.floating], name: UncertaintyName = "least-confidence"
) -> Floats:
    """Score each row of ``probabilities`` (n, C); higher is less sure.

    Least confidence is ``1 - max p``, margin ``1 - (first - second)``, entropy in nats (Settles
    2009, section 3.1). A row with a value that is not finite has not been scored; it gets the mean
    of the others, so that it is neither sought nor avoided.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if not len(values):
        return np.zeros(0)
    scored = np.isfinite(values).all(axis=1)
    scores = np.zeros(len(values))
    if scored.any():
        scores[scored] = _MEASURES[name](values[scored])
        scores[~scored] = scores[scored].mean()
    return scores
