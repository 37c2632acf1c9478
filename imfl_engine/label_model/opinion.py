"""What a freshly trained model says of the LLM's labels, heard by the label model.

A model trained on the likelihood of what was said (see `training_set`) does not learn the LLM's labels
by heart, and knows more of the texts than a head on frozen vectors does. So it tells the wrong labels
from the right ones better than the head, also those it was trained on. What it cannot say is how many
are wrong: no human label is hidden from it. That number stays the label model's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.evidence import Evidence, LabelModel
from imfl_engine.label_model.head import softmax

POWER = 0.35
"""Of the trained model's belief and of the label model's own, which are both surer than they are right
and know much the same; see the decisions log."""
_FLOOR = 1e-6
_FURTHEST = 30.0
_STEPS = 60
_LARGEST = 700.0


def informed(
    model: LabelModel, evidence: Evidence, probabilities: NDArray[np.floating]
) -> LabelModel:
    """Return ``model`` with what ``probabilities`` (n, C) add for the labels in doubt.

    Rows as in the evidence; those of other items are not looked at, and one that is not finite adds
    nothing. The sum of the risks, the expected number of errors, stays what it was.
    """
    rows = np.flatnonzero(evidence.in_doubt & np.isfinite(probabilities).all(axis=1))
    if not len(rows):
        return model
    says, label = np.asarray(probabilities, float)[rows], evidence.llm[rows]
    logits = (
        POWER * np.log(np.maximum(says, _FLOOR))
        + POWER * np.log(np.maximum(model.unaided[rows], _FLOOR))
        + np.log(np.maximum(model.likelihood[rows], _FLOOR))
    )
    logits[model.unaided[rows] == 0.0] = -np.inf  # an option that an item lacks
    chosen = np.arange(len(rows)), label
    others = logits.copy()
    others[chosen] = -np.inf
    odds = logits[chosen] - np.logaddexp.reduce(others, axis=1)
    logits[chosen] += _constant(odds, float(model.p_wrong[rows].sum()))
    posterior, p_wrong = model.posterior.copy(), model.p_wrong.copy()
    posterior[rows] = softmax(logits)
    p_wrong[rows] = 1.0 - posterior[rows, label]
    return replace(model, posterior=posterior, p_wrong=p_wrong)


def _constant(odds: NDArray[np.float64], errors: float) -> float:
    """Return what to add to the log-odds (m,) of being right for the expected errors to be ``errors``."""
    low, high = -_FURTHEST, _FURTHEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (1.0 / (1.0 + np.exp(np.minimum(odds + middle, _LARGEST)))).sum() > errors:
            low = middle
        else:
            high = middle
    return (low + high) / 2
