"""What goes into the label model and what comes out: aligned arrays, one row an item."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every item with a human or an LLM label.

    ``ids`` (n,); ``vectors`` float32 (n, d) unit length, a row that is not finite meaning none;
    ``human`` and ``llm`` (n,) label indices, -1 for none; ``llm_log_probabilities`` (n, C) natural
    logs, rows that are not finite meaning none; ``control`` (n,) marks the random slice of human
    labels; ``model_probabilities`` (n, C) is what the last round's model said before anybody
    labelled; ``confirmed`` (n,) marks LLM labels a person accepted; ``measured`` (n,) those that were
    asked for to be compared with a person's, None for all with both; ``option_counts`` (n,) is set for
    multiple choice only, where label k means the item's own option k.
    """

    ids: Ids
    vectors: NDArray[np.float32] | None
    human: Labels
    llm: Labels
    llm_log_probabilities: Floats | None = None
    control: NDArray[np.bool_] | None = None
    model_probabilities: Floats | None = None
    confirmed: NDArray[np.bool_] | None = None
    measured: NDArray[np.bool_] | None = None
    option_counts: Labels | None = None

    @property
    def size(self) -> int:
        """The number of items."""
        return len(self.ids)

    @property
    def control_mask(self) -> NDArray[np.bool_]:
        """``control``, all False when there is none."""
        return np.zeros(self.size, bool) if self.control is None else self.control.astype(bool)

    @property
    def confirmed_mask(self) -> NDArray[np.bool_]:
        """``confirmed``, all False when there is none."""
        return np.zeros(self.size, bool) if self.confirmed is None else self.confirmed.astype(bool)

    @property
    def pairs(self) -> NDArray[np.bool_]:
        """The items that a person and the LLM have labelled, chosen for neither's answer.

        The corrections of a review are not among them: they were looked at for being risky.
        """
        both = (self.human >= 0) & (self.llm >= 0)
        return np.asarray(both if self.measured is None else both & self.measured)

    @property
    def llm_alone(self) -> NDArray[np.bool_]:
        """The LLM labels of items without one of the person's own, kept ones included."""
        return np.asarray((self.llm >= 0) & (self.human < 0))

    @property
    def in_doubt(self) -> NDArray[np.bool_]:
        """The LLM labels that no person has looked at."""
        return np.asarray(self.llm_alone & ~self.confirmed_mask)

    def take(self, rows: NDArray[Any]) -> Evidence:
        """Return the evidence of some rows, by index or mask."""
        return replace(
            self,
            ids=np.asarray(self.ids)[rows],
            human=np.asarray(self.human)[rows],
            llm=np.asarray(self.llm)[rows],
            vectors=_take(self.vectors, rows),
            llm_log_probabilities=_take(self.llm_log_probabilities, rows),
            control=_take(self.control, rows),
            model_probabilities=_take(self.model_probabilities, rows),
            confirmed=_take(self.confirmed, rows),
            measured=_take(self.measured, rows),
            option_counts=_take(self.option_counts, rows),
        )


def _take(values: NDArray[Any] | None, rows: NDArray[Any]) -> NDArray[Any] | None:
    return None if values is None else np.asarray(values)[rows]


@dataclass(frozen=True, slots=True)
class LabelModelOptions:
    """The constants of the fit; the decisions log says how the defaults were chosen."""

    iterations: int = 3
    """Rounds of expectation and maximisation after the start from human labels alone."""
    folds: int = 4
    """Parts of the human labels; each is hidden once from everything, to see what the rest knows."""
    inner_folds: int = 3
    """Parts of the LLM labels; an item's own label never scores it."""
    l2: float = 1e-4
    """Ridge penalty of the head per mean loss."""
    human_reliability: float = 1.0
    """Probability that a human label is right; the rest goes to the other classes evenly."""
    soft_counts: float = 0.5
    """Weight of an LLM item's posterior in the confusion counts, against 1 for a pair."""
    prior_strength: float = 4.0
    """Pseudo-counts of each confusion row."""


@dataclass(frozen=True, slots=True)
class LabelModel:
    """The fitted noise model, rows as in the evidence.

    ``posterior`` (n, C) is the belief about the truth, where a human said as certain as that is
    taken to be; ``likelihood`` (n, C) how likely what was said is under each class, rows scaled to
    sum to 1, which leaves the belief to whoever learns from it; ``unaided`` (n, C) what is believed
    without the LLM's label; ``p_wrong`` (n,) the risk of each LLM label, nan without one;
    ``confusion`` (C, C) is P(LLM says column | truth row), None for multiple choice or without LLM
    labels; ``llm_accuracy`` the modelled share of right LLM labels; ``expected_errors`` the
    expected number of wrong ones among those no person has looked at; ``information`` the share of
    the doubt about those that the LLM's labels resolve, nan where there are none.
    """

    ids: Ids
    posterior: Floats
    likelihood: Floats
    unaided: Floats
    p_wrong: Floats
    confusion: Floats | None
    llm_accuracy: float
    expected_errors: float
    information: float
