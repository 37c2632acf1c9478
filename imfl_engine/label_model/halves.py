"""A second opinion for the label model: two models, each of the half of the labels it scores not.

The head of the label model sees frozen vectors only. A fine-tuned model knows more, yet says back
what it was taught; so each half of the items is scored by a model that learned from the other half
(cross-fitting, as Northcutt et al. 2021 do to find label errors). To keep the score of a human label
honest, the targets of the other half are made without the human labels of this one, which would
reach it through the posteriors of its neighbours, and without what earlier models said, which were
trained on them. What is left is that the LLM may have been shown them as examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.evidence import Evidence
from imfl_engine.label_model.head import assign_folds
from imfl_engine.label_model.training_set import TrainingSet, subset, training_set

HALVES = 2
_SALT = 0x2D


@dataclass(frozen=True, slots=True)
class Half:
    """``learn`` is what a model is trained on; ``held`` (m,) the rows of the evidence it scores."""

    learn: TrainingSet
    held: NDArray[np.intp]


def halves(evidence: Evidence, *, classes: int, seed: int) -> Iterator[Half]:
    """Yield both halves; each costs one fit of the label model. Deterministic for ``seed``."""
    fold = assign_folds(evidence.ids, HALVES, seed + _SALT)
    for half in range(HALVES):
        held = fold == half
        hidden = replace(
            evidence,
            human=np.where(held, -1, evidence.human),
            confirmed=evidence.confirmed_mask & ~held,
            model_probabilities=None,
        )
        built = training_set("label-model", hidden, None, classes, seed)
        yield Half(subset(built, ~np.isin(built.ids, evidence.ids[held])), np.flatnonzero(held))
