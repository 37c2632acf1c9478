"""Representative items: k-means in the embedding space, and the item nearest to each centre.

k-means++ with a few candidates per step (Arthur and Vassilvitskii 2007) and Lloyd's iterations, all
in float32 matrix products over blocks of rows, so that memory stays a small multiple of the input.
A large input is first clustered on a random part of itself; the full set then needs few iterations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_BLOCK = 8192
_SEED_SAMPLE = 6000
_SEED_SAMPLE_PER_CENTRE = 24


@dataclass(frozen=True, slots=True)
class Clusters:
    """``centres`` (k, d); for each of the n rows its centre and squared distance; their sum."""

    centres: Vectors
    assignment: NDArray[np.int64]
    distances: NDArray[np.float32]

    @property
    def objective(self) -> float:
        """The sum of squared distances to the assigned centres, which k-means minimises."""
        return float(self.distances.sum(dtype=np.float64))


def cluster(
    vectors: Vectors,
    k: int,
    rng: np.random.Generator,
    *,
    iterations: int = 60,
    tolerance: float = 1e-4,
) -> Clusters:
    """Cluster rows of ``vectors`` (n, d) into at most ``min(k, n)`` groups.

    Stops after ``iterations`` or when the objective falls by less than ``tolerance`` of itself.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    n = len(vectors)
    k = min(k, n)
    if k <= 0:
        nothing = np.zeros((0, vectors.shape[1]), np.float32)
        return Clusters(nothing, np.zeros(n, np.int64), np.zeros(n, np.float32))
    part = max(_SEED_SAMPLE, _SEED_SAMPLE_PER_CENTRE * k)
    if n > 2 * part:
        sample = vectors[np.sort(rng.choice(n, size=part, replace=False))]
        centres = _lloyd(sample, _plus_plus(sample, k, rng), iterations, tolerance).centres
        return _lloyd(vectors, centres, 4, tolerance * 10)
    return _lloyd(vectors, _plus_plus(vectors, k, rng), iterations, tolerance)


def _plus_plus(vectors: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """Choose ``k`` rows as first centres: each the best of a few drawn by squared distance."""
    n = len(vectors)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    trials = min(4, 2 + int(np.log(k)))  # more gain little (0.3 %) and cost most of the time
    chosen = np.empty(k, np.int64)
    chosen[0] = rng.integers(n)
    first = vectors[chosen[0]]
    nearest = np.maximum(squares - 2.0 * (vectors @ first) + first @ first, 0.0)
    for step in range(1, k):
        cumulated = np.cumsum(nearest, dtype=np.float64)
        if cumulated[-1] <= 1e-9:  # every row coincides with a centre already
            rest = np.setdiff1d(np.arange(n), chosen[:step])
            chosen[step:] = rest[: k - step]
            break
        draws = rng.random(trials) * cumulated[-1]
        candidates = np.minimum(np.searchsorted(cumulated, draws), n - 1)
        distances = vectors[candidates] @ vectors.T
        distances *= -2.0
        distances += squares
        distances += squares[candidates][:, None]
        np.maximum(distances, 0.0, out=distances)
        np.minimum(distances, nearest, out=distances)
        best = int(np.argmin(distances.sum(axis=1)))
        chosen[step] = candidates[best]
        nearest = distances[best]
    return vectors[chosen].copy()


def _assign(vectors: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest centre of each row and the squared distance to it."""
    n = len(vectors)
    assignment = np.empty(n, np.int64)
    distances = np.empty(n, np.float32)
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    transposed = np.ascontiguousarray(centres.T)
    for start in range(0, n, _BLOCK):
        block = vectors[start : start + _BLOCK]
        closeness = block @ transposed
        closeness -= half
        best = closeness.argmax(axis=1)
        assignment[start : start + _BLOCK] = best
        squares = np.einsum("ij,ij->i", block, block)
        distances[start : start + _BLOCK] = squares - 2.0 * closeness[np.arange(len(block)), best]
    return assignment, np.maximum(distances, 0.0)


def _means(
    vectors: Vectors, assignment: NDArray[np.int64], k: int
) -> tuple[Vectors, NDArray[np.int64]]:
    """Return each group's mean (zero where empty) and its size."""
    sums = np.zeros((k, vectors.shape[1]), np.float32)
    sizes = np.bincount(assignment, minlength=k)
    order = np.argsort(assignment, kind="stable")
    filled = np.flatnonzero(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes[filled])[:-1]])
    for row, start in zip(filled, starts, strict=True):
        members = order[start : start + sizes[row]]
        sums[row] = vectors[members].sum(axis=0)
    return sums / np.maximum(sizes, 1).astype(np.float32)[:, None], sizes


def _lloyd(vectors: Vectors, centres: Vectors, iterations: int, tolerance: float) -> Clusters:
    assignment, distances = _assign(vectors, centres)
    objective = float(distances.sum(dtype=np.float64))
    for _ in range(iterations):
        moved, sizes = _means(vectors, assignment, len(centres))
        empty = np.flatnonzero(sizes == 0)
        if len(empty):  # an empty group restarts at the rows that are worst served
            worst = np.argsort(-distances, kind="stable")[: len(empty)]
            moved[empty] = vectors[worst]
        new_assignment, new_distances = _assign(vectors, moved)
        new_objective = float(new_distances.sum(dtype=np.float64))
        if new_objective > objective:
            break
        gain = objective - new_objective
        centres, assignment, distances, objective = (
            moved,
            new_assignment,
            new_distances,
            new_objective,
        )
        if gain <= tolerance * objective:
            break
    return Clusters(centres, assignment, distances)


def representatives(clusters: Clusters, k: int, vectors: Vectors) -> NDArray[np.int64]:
    """Return ``min(k, n)`` distinct row numbers: of each group the row nearest to its centre.

    Where groups are fewer than ``k`` (duplicates in the input), the rows farthest from what is
    chosen fill up. Largest groups come first, ties by row.
    """
    n = len(vectors)
    k = min(k, n)
    order = np.lexsort((np.arange(n), clusters.distances, clusters.assignment))
    groups, first = np.unique(clusters.assignment[order], return_index=True)
    sizes = np.bincount(clusters.assignment, minlength=len(clusters.centres))[groups]
    chosen = order[first][np.lexsort((order[first], -sizes))][:k]
    if len(chosen) < k:
        taken = np.zeros(n, bool)
        taken[chosen] = True
        rest = np.flatnonzero(~taken)
        rest = rest[np.lexsort((rest, -clusters.distances[rest]))]
        chosen = np.concatenate([chosen, rest[: k - len(chosen)]])
    return chosen.astype(np.int64)
