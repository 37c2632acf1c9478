"""Where a project stands: rounds, labels, and how far the LLM is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from imfl_engine.types import Interval, Step
from imfl_engine.views.budget import BudgetUse


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """One cell of the round gauge. Round 0 is the first random batch; screens fold it into 1."""

    round: int
    human_planned: int
    human_done: int
    llm_planned: int
    llm_done: int
    state: Literal["done", "now", "planned"]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The model after a round, measured on the test set or, without one, on the control slice.

    ``human``, ``llm``, ``cost_usd`` and ``minutes`` (of the person) count from the beginning;
    ``seconds`` are those of this round's training. ``llm_weight`` is 0 where the LLM's labels were left
    out of it, else 1.
    """

    round: int
    accuracy: Interval
    macro_f1: float
    scope: Literal["test", "control"]
    human: int
    llm: int
    seconds: float
    cost_usd: float
    minutes: float = 0.0
    llm_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often a label was given, by whom."""

    label: str
    human: int
    llm: int


@dataclass(frozen=True, slots=True)
class LlmTrust:
    """What is known about the LLM's labels.

    ``accuracy`` comes from the random control slice only. Of its ``labels`` a person looked at
    ``reviewed``, of which ``kept`` stand and ``found_wrong`` do not; ``expected_errors`` is the sum
    of the risks of the others. ``worst_pair`` is (truth, LLM label, times, of).
    """

    accuracy: Interval | None
    expected_errors: float | None
    labels: int
    reviewed: int
    kept: int
    found_wrong: int
    worst_pair: tuple[str, str, int, int] | None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything Home shows and ``status --json`` prints."""

    path: Path
    step: Step
    rounds: tuple[RoundProgress, ...]
    budget: BudgetUse
    curve: tuple[CurvePoint, ...]
    majority: tuple[str, float] | None
    label_counts: tuple[LabelCount, ...]
    trust: LlmTrust
    pool_size: int
    test_size: int
    task_kind: str
    labels: tuple[str, ...]
    annotator: str
    target: str
    advice: str = ""
    gold_available: bool = False
    imported: int = 0
    """Human labels that were made elsewhere; only those of a batch count against the budget."""
    replies: dict[str, int] = field(default_factory=dict)
    """What became of the items the LLM was asked about for training, by `ReplyStatus`; without those
    that the person had to label in its place."""
    unanswered: int = 0
    """Items that the LLM was asked about, or should have been, and that got no answer at all."""
    offered: int = 0
    offered_total: int = 0
    """Items that the LLM gave no label for and that wait for the person after the last round, and
    how many they were with those decided on since; both 0 before."""
    next_human: int = 0
    next_llm: int = 0
    """What the round after the one under way will ask for; both 0 where none follows."""
    money_spent_up: bool = False
    """Whether the money limit has stopped the LLM, and has not been raised since."""
    minutes_spent_up: bool = False
    """Whether the person's minutes are spent: the batch gives them no more items."""
