"""A multinomial logistic head on frozen vectors, with soft targets and weights.

L-BFGS whose first Hessian guess is Böhning's (1992) bound ``(X'WX) / 2 + l2``: with it a fit takes
some fifteen passes over the data, whatever the number of classes. Used for cross-fitted beliefs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MEMORY = 8
_Objective = Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True, slots=True)
class Head:
    """``coefficients`` (d + 1, C), the last row being the bias."""

    coefficients: Floats

    def logits(self, vectors: NDArray[np.floating]) -> Floats:
        """Return unnormalised log-probabilities (n, C); a row of zeros gets the bias alone."""
        weights = self.coefficients[:-1].astype(np.float32)
        return np.asarray(np.asarray(vectors, np.float32) @ weights + self.coefficients[-1], float)

    def probabilities(self, vectors: NDArray[np.floating]) -> Floats:
        """Return class probabilities (n, C)."""
        return softmax(self.logits(vectors))


def softmax(logits: Floats) -> Floats:
    """Normalise rows of logits (n, C)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def fit_head(
    vectors: NDArray[np.floating],
    targets: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    *,
    l2: float = 1e-4,
    start: Head | None = None,
    iterations: int = 60,
    tolerance: float = 2e-5,
) -> Head:
    """Minimise ``sum(w CE(target, softmax)) / sum(w) + l2/2 |W|^2`` (the bias is not penalised).

    ``vectors`` (n, d), ``targets`` (n, C) rows summing to 1, ``weights`` (n,). ``start`` is a warm
    start. Stops when no gradient component exceeds ``tolerance``.
    """
    n, d = np.shape(vectors)
    classes = np.shape(targets)[1]
    if n == 0:
        return Head(np.zeros((d + 1, classes)))
    x = np.ones((n, d + 1), np.float32)
    x[:, :d] = vectors
    t = np.asarray(targets, np.float32)
    w = np.ones(n) if weights is None else np.asarray(weights, float)
    w = (w / w.sum()).astype(np.float32)
    penalty = np.full((d + 1, 1), l2)
    penalty[-1] = 1e-7
    bound: Floats = 0.5 * np.asarray((x * w[:, None]).T @ x, float)
    bound[np.diag_indices(d + 1)] += penalty[:, 0]
    inverse: Floats = np.asarray(np.linalg.inv(bound), float)

    def evaluate(coefficients: Floats) -> tuple[float, Floats]:
        logits = x @ coefficients.astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0]) * t.sum(axis=1) - np.einsum("ij,ij->i", t, logits)
        value = float(losses @ w) + 0.5 * float((penalty * coefficients**2).sum())
        exponentials /= sums
        exponentials -= t
        exponentials *= w[:, None]
        return value, np.asarray(x.T @ exponentials, float) + penalty * coefficients

    current = np.zeros((d + 1, classes)) if start is None else start.coefficients.copy()
    return Head(_minimise(evaluate, current, inverse, iterations, tolerance))


def _minimise(
    evaluate: _Objective, current: Floats, inverse: Floats, iterations: int, tolerance: float
) -> Floats:
    """Run L-BFGS (Nocedal 1980) from the Hessian guess ``inverse``, backtracking along the line."""
    value, gradient = evaluate(current)
    steps: list[tuple[Floats, Floats, float]] = []
    for _ in range(iterations):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = gradient.copy()
        factors = []
        for step, change, rho in reversed(steps):
            factor = rho * float((step * direction).sum())
            direction -= factor * change
            factors.append(factor)
        direction = inverse @ direction
        for (step, change, rho), factor in zip(steps, reversed(factors), strict=True):
            direction += step * (factor - rho * float((change * direction).sum()))
        slope = float((gradient * direction).sum())
        length = 1.0
        while length > 1e-4:
            candidate = current - length * direction
            new_value, new_gradient = evaluate(candidate)
            if new_value <= value - 1e-4 * length * slope:
                break
            length *= 0.5
        else:
            break
        step, change = candidate - current, new_gradient - gradient
        curvature = float((step * change).sum())
        if curvature > 1e-12:
            steps = [*steps[-(_MEMORY - 1) :], (step, change, 1.0 / curvature)]
        current, value, gradient = candidate, new_value, new_gradient
    return current


def assign_folds(ids: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Deal ids to folds at random; an id's fold does not depend on the order of ``ids``."""
    order = np.argsort(ids, kind="stable")
    fold = np.empty(len(ids), np.int64)
    shuffled = np.random.default_rng([seed, 0xF0]).permutation(len(ids))
    fold[order[shuffled]] = np.arange(len(ids)) % max(1, folds)
    return fold


def cross_fit(
    vectors: NDArray[np.floating],
    targets: NDArray[np.floating],
    weights: NDArray[np.floating],
    fold: NDArray[np.int64],
    *,
    l2: float = 1e-4,
    starts: list[Head] | None = None,
) -> tuple[Floats, list[Head]]:
    """Return each row's logits (n, C) from a head that did not see the row, and the heads.

    ``fold`` (n,) names each row's fold; rows of weight 0 are scored but not learned from.
    """
    logits = np.zeros(np.shape(targets))
    heads = []
    for k in range(int(fold.max(initial=-1)) + 1):
        held = fold == k
        learn = ~held & (np.asarray(weights) > 0)
        head = fit_head(
            vectors[learn],
            targets[learn],
            np.asarray(weights)[learn],
            l2=l2,
            start=None if starts is None else starts[k],
        )
        logits[held] = head.logits(vectors[held])
        heads.append(head)
    return logits, heads
