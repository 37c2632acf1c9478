"""The review queue: LLM labels, most likely wrong first, and how many errors to expect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.evidence import Evidence, LabelModel


def unreviewed(evidence: Evidence) -> NDArray[np.bool_]:
    """Mark the LLM labels that no person has looked at (n,)."""
    return np.asarray((evidence.llm >= 0) & (evidence.human < 0) & ~evidence.confirmed_mask)


def order_by_risk(evidence: Evidence, model: LabelModel) -> NDArray[np.int64]:
    """Return the ids to review, riskiest first, ties by id."""
    rows = np.flatnonzero(unreviewed(evidence))
    order = np.lexsort((evidence.ids[rows], -model.p_wrong[rows]))
    return np.asarray(evidence.ids[rows[order]], np.int64)


def expected_in_next(evidence: Evidence, model: LabelModel, k: int = 20) -> float:
    """Return the expected number of errors among the next ``k`` of the queue."""
    risks = np.sort(model.p_wrong[unreviewed(evidence)])[::-1]
    return float(risks[:k].sum())


def below(evidence: Evidence, model: LabelModel, risk: float) -> NDArray[np.int64]:
    """Return the ids of unreviewed LLM labels with a risk strictly below ``risk``, sorted."""
    rows = unreviewed(evidence) & (model.p_wrong < risk)
    return np.sort(evidence.ids[rows])


def worst_pair(evidence: Evidence) -> tuple[int, int, int, int] | None:
    """Return the commonest mistake of the LLM on human-labelled items.

    As (truth, LLM label, times, human labels of that truth the LLM has seen); None without a
    mistake.
    """
    pairs = (evidence.human >= 0) & (evidence.llm >= 0)
    truth, said = evidence.human[pairs], evidence.llm[pairs]
    wrong = truth != said
    if not wrong.any():
        return None
    kinds, counts = np.unique(np.stack([truth[wrong], said[wrong]]), axis=1, return_counts=True)
    best = int(np.argmax(counts))
    y, label = (int(v) for v in kinds[:, best])
    return y, label, int(counts[best]), int((truth == y).sum())
