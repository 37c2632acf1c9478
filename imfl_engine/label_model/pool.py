"""Log-linear pooling: what each source of belief is worth, learned from items of known truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ITEMS_PER_VARIANCE = 150.0
LEAST_VARIANCE, MOST_VARIANCE = 0.25, 1.5
"""Of the prior. Without the upper bound the fit may end at an LLM that is never wrong."""


def fit_exponents(
    features: Floats,
    truth: NDArray[np.int64],
    start: Floats,
    *,
    signed: NDArray[np.bool_] | None = None,
    iterations: int = 25,
) -> Floats:
    """Maximise ``sum_i log q_i(truth_i)`` with ``q_i(y) ~ exp(theta . features[i, y])``.

    ``features`` (n, C, k) log-probabilities, ``truth`` (n,), ``start`` (k,) being also the mean of
    the normal prior that decides where data are few: its variance grows with n, because with few
    items what one source seems to be worth is mostly chance (see the decisions log). The problem is
    convex; Newton's method. Exponents below zero are set to zero: no source is believed in reverse.
    """
    theta = start.copy()
    n = len(features)
    if not n:
        return theta
    positive = np.ones(len(start), bool) if signed is None else ~signed
    at_truth = features[np.arange(n), truth]
    precision = np.eye(len(start)) / min(max(n / ITEMS_PER_VARIANCE, LEAST_VARIANCE), MOST_VARIANCE)
    for _ in range(iterations):
        logits = features @ theta
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
        means = np.einsum("nc,nck->nk", q, features)
        gradient = (means - at_truth).sum(axis=0) + precision @ (theta - start)
        centred = features - means[:, None, :]
        hessian = np.einsum("nc,nck,ncl->kl", q, centred, centred, optimize=True) + precision
        step = np.linalg.solve(hessian, gradient)
        theta = theta - np.clip(step, -0.5, 0.5)
        theta = np.where(positive, np.maximum(theta, 0.0), theta)
        if np.abs(step).max() < 1e-4:
            break
    return theta
