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
Single = NDArray[np.float32]
_MEMORY = 6
_Objective = Callable[[Single], tuple[float, Single]]


@dataclass(frozen=True, slots=True)
class Head:
    """``coefficients`` (d + 1, C), the last row being the bias."""

    coefficients: Single

    def logits(self, vectors: NDArray[np.floating]) -> Floats:
        """Return unnormalised log-probabilities (n, C); a row of zeros gets the bias alone."""
        weights, bias = self.coefficients[:-1], self.coefficients[-1]
        return np.asarray(np.asarray(vectors, np.float32) @ weights + bias, float)

    def probabilities(self, vectors: NDArray[np.floating]) -> Floats:
        """Return class probabilities (n, C)."""
        return softmax(self.logits(vectors))


def softmax(logits: Floats) -> Floats:
    """Normalise rows of logits (n, C)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


class Design:
    """Vectors, weights and penalty of a fit, with what can be computed before the targets are
    known.

    Refitting with other targets (as expectation-maximisation does) reuses it. ``vectors`` (n, d),
    ``weights`` (n,), n > 0.
    """

    def __init__(
        self, vectors: NDArray[np.floating], weights: NDArray[np.floating] | None, l2: float
    ) -> None:
        n, d = np.shape(vectors)
        self.x = np.ones((n, d + 1), np.float32)
        self.x[:, :d] = vectors
        share = np.ones(n) if weights is None else np.asarray(weights, float)
        self.weights = (share / share.sum()).astype(np.float32)
        self.penalty = np.full((d + 1, 1), l2, np.float32)
        self.penalty[-1] = 1e-7
        scaled = self.x * np.sqrt(self.weights)[:, None]
        bound = 0.5 * np.asarray(scaled.T @ scaled, float)
        bound[np.diag_indices(d + 1)] += self.penalty[:, 0]
        self.inverse: Single = np.asarray(np.linalg.inv(bound), np.float32)

    def fit(
        self,
        targets: NDArray[np.floating],
        *,
        start: Head | None = None,
        iterations: int = 60,
        tolerance: float = 2e-5,
    ) -> Head:
        """Fit to ``targets`` (n, C) until no gradient component exceeds ``tolerance``."""
        x, w, penalty = self.x, self.weights, self.penalty
        t = np.asarray(targets, np.float32)
        mass = t.sum(axis=1)

        def evaluate(coefficients: Single) -> tuple[float, Single]:
            logits = x @ coefficients
            logits -= logits.max(axis=1, keepdims=True)
            exponentials = np.exp(logits)
            sums = exponentials.sum(axis=1)
            losses = np.log(sums) * mass - np.einsum("ij,ij->i", t, logits)
            value = float(losses @ w) + 0.5 * float((penalty * coefficients**2).sum(dtype=float))
            exponentials *= (w / sums)[:, None]
            exponentials -= t * w[:, None]
            return value, np.asarray(x.T @ exponentials + penalty * coefficients, np.float32)

        zeros = np.zeros((x.shape[1], t.shape[1]), np.float32)
        begin = zeros if start is None else start.coefficients
        return Head(_minimise(evaluate, begin, self.inverse, iterations, tolerance))


def fit_head(
    vectors: NDArray[np.floating],
    targets: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    *,
    l2: float = 1e-4,
) -> Head:
    """Minimise ``sum(w CE(target, softmax)) / sum(w) + l2/2 |W|^2`` (the bias is not penalised).

    ``vectors`` (n, d), ``targets`` (n, C) rows summing to 1, ``weights`` (n,). With no rows the
    head knows nothing: every class is as likely.
    """
    n, d = np.shape(vectors)
    if n == 0:
        return Head(np.zeros((d + 1, np.shape(targets)[1]), np.float32))
    return Design(vectors, weights, l2).fit(targets)


def _minimise(
    evaluate: _Objective, start: Single, inverse: Single, iterations: int, tolerance: float
) -> Single:
    """Run L-BFGS (Nocedal 1980) from the Hessian guess ``inverse``, backtracking along the line."""
    current = start
    value, gradient = evaluate(current)
    steps: list[tuple[Single, Single, float]] = []
    scale = 1.0
    for _ in range(iterations):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = gradient.copy()
        factors = []
        for step, change, rho in reversed(steps):
            factor = rho * _dot(step, direction)
            direction -= np.float32(factor) * change
            factors.append(factor)
        direction = np.float32(scale) * (inverse @ direction)
        for (step, change, rho), factor in zip(steps, reversed(factors), strict=True):
            direction += np.float32(factor - rho * _dot(change, direction)) * step
        slope = _dot(gradient, direction)
        length = 1.0
        while length > 1e-3:
            candidate = current - np.float32(length) * direction
            new_value, new_gradient = evaluate(candidate)
            if new_value <= value - 1e-4 * length * slope:
                break
            length *= 0.5
        else:
            break  # float32 has no finer step to offer
        step, change = candidate - current, new_gradient - gradient
        curvature = _dot(step, change)
        if curvature > 1e-12:
            steps = [*steps[-(_MEMORY - 1) :], (step, change, 1.0 / curvature)]
            # the bound overestimates the curvature by far once classes are many or sure
            scale = curvature / _dot(change, inverse @ change)
        current, value, gradient = candidate, new_value, new_gradient
    return current


def _dot(a: Single, b: Single) -> float:
    return float(np.dot(a.ravel(), b.ravel()))


def assign_folds(ids: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Deal ids to folds at random; an id's fold does not depend on the order of ``ids``."""
    order = np.argsort(ids, kind="stable")
    fold = np.empty(len(ids), np.int64)
    shuffled = np.random.default_rng([seed, 0xF0]).permutation(len(ids))
    fold[order[shuffled]] = np.arange(len(ids)) % max(1, folds)
    return fold


class CrossFit:
    """Heads that never score what they learned from; refitted cheaply when the targets change.

    ``fold`` (n,) names each row's part, -1 for a row that is in every head and needs no score from
    one that left it out (it gets the mean of all). Rows of weight 0 are scored but not learned from.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        weights: NDArray[np.floating],
        fold: NDArray[np.int64],
        *,
        l2: float = 1e-4,
    ) -> None:
        self._vectors = np.asarray(vectors, np.float32)
        self._fold = fold
        self._parts: list[tuple[NDArray[np.bool_], Design | None]] = []
        self._heads: list[Head | None] = []
        for k in range(max(0, int(fold.max(initial=-1))) + 1):
            learn = (fold != k) & (np.asarray(weights) > 0)
            design = None
            if learn.any():
                design = Design(self._vectors[learn], np.asarray(weights)[learn], l2)
            self._parts.append((learn, design))
            self._heads.append(None)

    def logits(
        self, targets: NDArray[np.floating], *, iterations: int = 20, tolerance: float = 1e-4
    ) -> Floats:
        """Refit to ``targets`` (n, C) and return each row's held-out logits (n, C)."""
        values = np.asarray(targets)
        result = np.zeros(values.shape)
        everywhere = self._fold < 0
        for k, (learn, design) in enumerate(self._parts):
            if design is None:
                continue
            head = design.fit(
                values[learn], start=self._heads[k], iterations=iterations, tolerance=tolerance
            )
            self._heads[k] = head
            held = self._fold == k
            result[held] = head.logits(self._vectors[held])
            result[everywhere] += head.logits(self._vectors[everywhere]) / len(self._parts)
        return result
