"""The LLM's labels in the order of their risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One LLM label in the review queue. ``risk`` is the probability that it is wrong."""

    item_id: int
    text: str
    llm_label: str
    risk: float | None
    round: int
    status: Literal["unreviewed", "accepted", "corrected"]


@dataclass(frozen=True, slots=True)
class LabelsBelow:
    """The unreviewed LLM labels below a ``risk``, and how many of them should be wrong."""

    risk: float
    count: int
    expected_errors: float


REVIEW_AHEAD = 20
"""The review queue says how many errors its next so many labels should hold."""


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """A page of the queue, riskiest first, with the totals above it."""

    rows: tuple[ReviewRow, ...]
    offset: int
    total: int
    unreviewed: int
    expected_errors: float | None
    """Among the unreviewed ones."""
    reviewed: int
    found_wrong: int
    expected_in_next: float | None
    """Expected errors among the next `REVIEW_AHEAD` of the queue."""
