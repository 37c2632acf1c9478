"""The query strategies by name: which items go to the human, which to the LLM.

*eeq*, the default, gives the human uncertain items of which no two are alike: of the
``candidate_factor`` x B_H most uncertain (at most half of the sub-sample), the nearest to each of
B_H k-means centres; the LLM gets the nearest to each of B_G centres of the rest, or of its least
sure part once the LLM is known to say something. *eeq-split* is the paper's two stages as we read
them: the B_H most uncertain, then k-means of the rest. *eeq-cover* clusters once with B_H + B_G
centres and gives the most uncertain representatives to the human.
*random*, *uncertainty* (the most uncertain to the human, the next ones to the LLM) and *diverse*
(k-means representatives dealt out at random) are the baselines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imfl_engine.query.diversity import cluster, representatives
from imfl_engine.query.scores import uncertainty as score_uncertainty
from imfl_engine.settings import QueryName, UncertaintyName

Ids = NDArray[np.int64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """The picked ids in the order they should be shown, each with its uncertainty and why.

    ``scores`` is empty without a model.
    """

    human: Ids
    llm: Ids
    scores: dict[int, float] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Rows are sorted by id, so nothing below can depend on the order of the input."""

    vectors: NDArray[np.float32] | None
    scores: NDArray[np.float64] | None
    n: int
    human: int
    llm: int
    rng: np.random.Generator
    factor: int
    llm_share: float


_Picks = tuple[Rows, Rows, str, str]
_UNCERTAIN = "the model is unsure"
_UNCERTAIN_DIVERSE = "the model is unsure, and it is unlike the other picks"
_DIVERSE = "it stands for a group of similar items"
_RANDOM = "it was drawn at random"


def _by_uncertainty(problem: _Problem) -> Rows:
    assert problem.scores is not None
    return np.lexsort((np.arange(problem.n), -problem.scores)).astype(np.int64)


def _rest(n: int, taken: Rows) -> Rows:
    free = np.ones(n, bool)
    free[taken] = False
    return np.flatnonzero(free)


def _draw(problem: _Problem, rows: Rows, k: int) -> Rows:
    return problem.rng.permutation(rows)[:k]


def _spread(problem: _Problem, rows: Rows, k: int) -> Rows:
    """Pick ``k`` of ``rows`` near the centres of ``k`` groups; at random without vectors."""
    if k <= 0 or not len(rows):
        return np.zeros(0, np.int64)
    if len(rows) <= k:
        return rows
    if problem.vectors is None:
        return _draw(problem, rows, k)
    chosen = problem.vectors[rows]
    return rows[representatives(cluster(chosen, k, problem.rng), k, chosen)]


def _random(problem: _Problem) -> _Picks:
    drawn = _draw(problem, np.arange(problem.n), problem.human + problem.llm)
    return drawn[: problem.human], drawn[problem.human :], _RANDOM, _RANDOM


def _cold(problem: _Problem) -> _Picks:
    """Without a model nothing is uncertain: a random batch for the human, diverse for the LLM."""
    human = _draw(problem, np.arange(problem.n), problem.human)
    return human, _spread(problem, _rest(problem.n, human), problem.llm), _RANDOM, _DIVERSE


def _uncertainty(problem: _Problem) -> _Picks:
    order = _by_uncertainty(problem)
    end = problem.human + problem.llm
    return order[: problem.human], order[problem.human : end], _UNCERTAIN, _UNCERTAIN


def _diverse(problem: _Problem) -> _Picks:
    rows = _spread(problem, np.arange(problem.n), problem.human + problem.llm)
    rows = problem.rng.permutation(rows)
    return rows[: problem.human], rows[problem.human :], _DIVERSE, _DIVERSE


def _eeq(problem: _Problem) -> _Picks:
    # The half: with few items to choose from, all of them are candidates and uncertainty is lost.
    wide = min(problem.factor * problem.human, problem.n // 2)
    order = _by_uncertainty(problem)
    candidates = order[: max(problem.human, wide)]
    human = _spread(problem, np.sort(candidates), problem.human)
    rest = order[~np.isin(order, human)]
    least_sure = rest[: max(problem.llm, math.ceil(problem.llm_share * len(rest)))]
    llm = _spread(problem, np.sort(least_sure), problem.llm)
    llm_why = _DIVERSE if len(least_sure) == len(rest) else _UNCERTAIN_DIVERSE
    return human, llm, _UNCERTAIN_DIVERSE, llm_why


def _eeq_split(problem: _Problem) -> _Picks:
    human = _by_uncertainty(problem)[: problem.human]
    llm = _spread(problem, _rest(problem.n, human), problem.llm)
    return human, llm, _UNCERTAIN, _DIVERSE


def _eeq_cover(problem: _Problem) -> _Picks:
    assert problem.scores is not None
    rows = _spread(problem, np.arange(problem.n), problem.human + problem.llm)
    rows = rows[np.lexsort((rows, -problem.scores[rows]))]
    reason = "the least sure of the group centres"
    return rows[: problem.human], rows[problem.human :], reason, _DIVERSE


_STRATEGIES: dict[str, Callable[[_Problem], _Picks]] = {
    "eeq": _eeq,
    "eeq-split": _eeq_split,
    "eeq-cover": _eeq_cover,
    "random": _random,
    "uncertainty": _uncertainty,
    "diverse": _diverse,
}
_MODEL_FREE = frozenset({"random", "diverse"})


def select(
    strategy: QueryName,
    *,
    ids: Ids,
    vectors: NDArray[np.float32] | None,
    probabilities: NDArray[np.floating] | None,
    human: int,
    llm: int,
    seed: int,
    uncertainty: UncertaintyName = "least-confidence",
    candidate_factor: int = 12,
    llm_share: float = 1.0,
) -> Selection:
    """Pick ``human`` and ``llm`` of the unlabelled ``ids``, disjoint, both before anything is
    labelled.

    ``vectors`` (n, d) and ``probabilities`` (n, C) are in the order of ``ids``. The answer depends
    on the set of ids and ``seed`` alone, not on their order. Without ``probabilities`` (the cold
    start) a strategy that needs a model draws the human batch at random and the LLM's by k-means;
    without ``vectors`` a spread becomes a random draw. When the ids run short the human is served
    first. *eeq* spreads the LLM's batch over the ``llm_share`` of the rest that the model is least sure of.
    """
    ids = np.asarray(ids, dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if len(ids) > 1 and (ids[1:] == ids[:-1]).any():
        raise ValueError("an id occurs twice")
    n = len(ids)
    human = max(0, min(human, n))
    llm = max(0, min(llm, n - human))
    scores = None
    if probabilities is not None:
        scores = score_uncertainty(np.asarray(probabilities)[order], uncertainty)
    problem = _Problem(
        None if vectors is None else _tidy(vectors, order),
        scores,
        n,
        human,
        llm,
        np.random.default_rng([seed, 0xE0]),
        candidate_factor,
        llm_share,
    )
    if scores is None and strategy not in _MODEL_FREE:
        human_rows, llm_rows, human_why, llm_why = _cold(problem)
    else:
        human_rows, llm_rows, human_why, llm_why = _STRATEGIES[strategy](problem)
    picked = np.concatenate([human_rows, llm_rows])
    reasons = {int(i): human_why for i in ids[human_rows]}
    reasons |= {int(i): llm_why for i in ids[llm_rows]}
    known = {} if scores is None else {int(ids[r]): float(scores[r]) for r in picked}
    return Selection(ids[human_rows], ids[llm_rows], known, reasons)


def _tidy(vectors: NDArray[np.float32], order: Rows) -> NDArray[np.float32]:
    """Sort the rows and put items without a vector (not finite) at the origin."""
    rows = np.asarray(vectors, dtype=np.float32)[order]
    bad = ~np.isfinite(rows).all(axis=1)
    rows[bad] = 0.0
    return rows
