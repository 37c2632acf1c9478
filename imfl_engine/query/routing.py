"""Routing: the human's labels go where they are expected to gain most, labelled by the LLM or not.

A human label costs the same wherever it goes; what it gains is the doubt it removes. For an item
nobody has labelled that is the model's uncertainty, for one the LLM has labelled the uncertainty of
the label model's posterior ``Q``: where ``Q`` is sure that the LLM is wrong, the training targets
are right already and a correction gains little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imfl_engine.query.strategies import Selection, select
from imfl_engine.settings import QueryName

_IN_DOUBT = "the LLM's label of it is in doubt"


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that may be picked: ``ids`` (n,), ``vectors`` (n, d), ``probabilities`` (n, C)."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    probabilities: NDArray[np.floating[Any]]


def route(
    strategy: QueryName,
    unlabelled: Candidates,
    llm_labelled: Candidates,
    *,
    human: int,
    llm: int,
    seed: int,
    **options: Any,
) -> Selection:
    """Pick the human batch among both kinds of items, then the LLM's among the unlabelled rest.

    ``probabilities`` are the model's for ``unlabelled`` and the label model's posterior for
    ``llm_labelled``. ``options`` are those of `select`, which says how ``strategy`` picks.
    """
    both = select(
        strategy,
        ids=np.concatenate([unlabelled.ids, llm_labelled.ids]),
        vectors=np.concatenate([unlabelled.vectors, llm_labelled.vectors]),
        probabilities=np.concatenate([unlabelled.probabilities, llm_labelled.probabilities]),
        human=human,
        llm=0,
        seed=seed,
        **options,
    )
    rest = ~np.isin(unlabelled.ids, both.human)
    others = select(
        strategy,
        ids=unlabelled.ids[rest],
        vectors=unlabelled.vectors[rest],
        probabilities=unlabelled.probabilities[rest],
        human=0,
        llm=llm,
        seed=seed,
        **options,
    )
    doubted = np.intersect1d(both.human, llm_labelled.ids)
    reasons = both.reasons | {int(item_id): _IN_DOUBT for item_id in doubted} | others.reasons
    return Selection(both.human, others.llm, both.scores | others.scores, reasons)
