"""Which human-labelled items the annotator is shown: pure functions of arrays and a seed.

Design 1 of the paper (Zhang et al. 2023): examples come only from human labels and are the most
similar ones by cosine of sentence embeddings. The order matters to a language model, which gives
the text next to its question the most weight, so *similar* returns the most similar last.

An item never retrieves itself, which is what makes asking the annotator about the human-labelled
items a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imfl_engine.settings import RetrievalName

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Retrieved = list[tuple[int, float]]

BLOCK = 2048
"""Queries scored at once: bounds the similarity matrix to BLOCK x humans."""


def retrieve(
    query_vectors: Vectors,
    query_ids: Sequence[int] | Ids,
    human_ids: Sequence[int] | Ids,
    human_vectors: Vectors,
    human_labels: Sequence[str],
    method: RetrievalName = "similar",
    shots: int = 5,
    seed: int = 0,
) -> list[Retrieved]:
    """For each query, at most ``shots`` (human id, cosine similarity), the last nearest the item.

    ``query_vectors`` (q, d) and ``human_vectors`` (h, d) have unit norm. The answer for a query
    depends neither on the other queries nor on the order of the humans. ``human_labels`` (h,)
    makes *fixed-shots* cover every label before it repeats one.

    *similar*: the nearest, most similar last. *random-shots*: another draw for each item.
    *fixed-shots*: one draw for all items. *zero-shot*: none.
    """
    queries = np.asarray(query_ids, dtype=np.int64)
    humans = np.asarray(human_ids, dtype=np.int64)
    if len(query_vectors) != len(queries):
        raise ValueError(f"{len(queries)} query ids but {len(query_vectors)} query vectors")
    if not len(humans) == len(human_vectors) == len(human_labels):
        raise ValueError("human ids, vectors and labels differ in length")
    if method == "zero-shot" or shots <= 0 or not len(humans) or not len(queries):
        return [[] for _ in queries]
    # Sorting by id first makes every later tie and draw independent of the order given.
    order = np.argsort(humans, kind="stable")
    humans, vectors = humans[order], np.asarray(human_vectors, dtype=np.float32)[order]
    labels = [human_labels[int(index)] for index in order]
    found: list[Retrieved] = []
    fixed = _spread(labels, seed) if method == "fixed-shots" else None
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        cosine = np.asarray(query_vectors[block], dtype=np.float32) @ vectors.T
        for query, row in zip(queries[block], cosine, strict=True):
            if method == "similar":
                chosen = _nearest(row, humans, int(query), shots)
            else:
                ranks = fixed if fixed is not None else _draw(len(humans), seed, int(query))
                chosen = [int(i) for i in ranks if humans[i] != query][:shots]
            found.append([(int(humans[i]), float(row[i])) for i in chosen])
    return found


def _nearest(row: Vectors, humans: Ids, query: int, shots: int) -> list[int]:
    """Indices of the ``shots`` highest of ``row`` but the query's own, ascending."""
    wanted = min(len(row), shots + 1)
    top = np.argpartition(-row, wanted - 1)[:wanted]
    # Rounded, because the last bits of a matrix product depend on the size of the block.
    threshold = np.round(row[top].min(), 6)
    candidates = np.flatnonzero(np.round(row, 6) >= threshold)
    ranked = candidates[np.lexsort((humans[candidates], -np.round(row[candidates], 6)))]
    best = [int(i) for i in ranked if humans[i] != query][:shots]
    return best[::-1]


def _draw(count: int, seed: int, query: int) -> NDArray[np.int64]:
    """A permutation that belongs to this item alone."""
    return np.random.default_rng([seed & 0xFFFFFFFF, query & 0xFFFFFFFF]).permutation(count)


def _spread(labels: Sequence[str], seed: int) -> list[int]:
    """A permutation in which every label comes once before any comes twice."""
    shuffled = np.random.default_rng([seed & 0xFFFFFFFF]).permutation(len(labels))
    seen: dict[str, int] = {}
    turns = []
    for place, index in enumerate(shuffled):
        label = labels[int(index)]
        seen[label] = seen.get(label, 0) + 1
        turns.append((seen[label], place, int(index)))
    return [index for _, _, index in sorted(turns)]
