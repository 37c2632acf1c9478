"""What a screen or a command shows: immutable snapshots computed by the store and the loop.

Nothing here is stored; a caller asks `Project` for a fresh one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from imfl_engine.types import Interval, Item, LabelEvent, Step


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """One cell of the round gauge. Round 0 is the first random batch; screens fold it into 1."""

    round: int
    human_planned: int
    human_done: int
    llm_planned: int
    llm_done: int
    state: Literal["done", "now", "planned"]


LEAST_USD = 1e-9
"""US dollars; below it is what sums of floats leave behind."""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """Spent against the limits; money in US dollars, time in minutes of the person.

    ``money_lost`` is the part of ``money_reserved`` that may have been billed without an answer.
    """

    human_done: int
    human_limit: int
    llm_done: int
    llm_limit: int
    money_spent: float
    money_reserved: float
    """Open or possibly billed: all that counts against the limit besides what is spent."""
    money_limit: float | None
    minutes_spent: float
    minutes_limit: float | None
    money_lost: float = 0.0

    @property
    def money_under_way(self) -> float:
        """What requests under way may cost; what sums of floats leave behind is nothing."""
        under_way = self.money_reserved - self.money_lost
        return under_way if under_way >= LEAST_USD else 0.0

    @property
    def money_left(self) -> float | None:
        """What may still be spent; None without a limit."""
        if self.money_limit is None:
            return None
        return max(0.0, self.money_limit - self.money_spent - self.money_reserved)

    @property
    def minutes_left(self) -> float | None:
        """What the person may still take; None without a limit."""
        if self.minutes_limit is None:
            return None
        return max(0.0, self.minutes_limit - self.minutes_spent)


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
class CostEstimate:
    """The price of a coming run; the interval is low to high, never a single false number.

    Money and minutes are no more than the limits leave.
    """

    calls: int
    input_tokens_low: int
    input_tokens_high: int
    output_tokens_low: int
    output_tokens_high: int
    money_low: float | None
    money_high: float | None
    minutes_of_person: float
    price_known: bool
    price_source: str
    round: int | None = None
    """The round whose labels the LLM is asked for; None where it is asked for none."""
    stops_at_money_limit: bool = False
    """Whether the calls may cost more than the limit leaves: they end there."""
    stops_at_time_limit: bool = False
    """Whether the labels would take the person longer than the limit leaves."""
    money_limit_reached: bool = False
    """Whether the LLM is asked for nothing because the money is spent."""


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


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the model or the LLM says about an item."""

    label: str
    confidence: float | None
    probabilities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SimilarItem:
    """A labelled item near the one on the screen; ``similarity`` is a cosine, where it is known."""

    item_id: int
    text: str
    label: str
    similarity: float | None


@dataclass(frozen=True, slots=True)
class QueueItem:
    """An item waiting for the person, with why it was picked."""

    item: Item
    round: int
    rank: int
    total: int
    reason: str
    control: bool
    model: Opinion | None
    llm: Opinion | None
    flagged: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One LLM label in the review queue. ``risk`` is the probability that it is wrong."""

    item_id: int
    text: str
    llm_label: str
    risk: float | None
    round: int
    status: Literal["unreviewed", "accepted", "corrected"]


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


@dataclass(frozen=True, slots=True)
class ItemDetail:
    """One item with everything known about it."""

    item: Item
    label: str | None
    source: str | None
    history: tuple[LabelEvent, ...]
    model: Opinion | None
    llm: Opinion | None
    risk: float | None
    reason: str
    round: int | None
    control: bool
    demonstrations: tuple[SimilarItem, ...]
    messages: str | None
    raw_reply: str | None
    reply_status: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    flagged: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One row of Explore."""

    item_id: int
    key: str
    text: str
    label: str | None
    source: str | None
    round: int | None
    gold: str | None
    model_label: str | None


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """What Explore shows; None or empty means no restriction."""

    text: str = ""
    label: str | None = None
    source: Literal["human", "llm", "llm_reviewed", "model", "unlabelled"] | None = None
    round: int | None = None
    disagreement: bool = False
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One row of the per-class table."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions with a confidence in [low, high): how sure, and how often right."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model measured on labelled items. ``confusion[i][j]`` counts truth i predicted as j."""

    scope: str
    accuracy: Interval
    macro_f1: Interval
    classes: tuple[ClassScore, ...]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]
    expected_calibration_error: float
    majority: tuple[str, float]
    round: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. ``test`` of the ``added`` items are in the test set.

    ``duplicates`` counts rows whose content or id was there already.
    """

    added: int
    duplicates: int
    empty: int
    labels_imported: int
    unknown_labels: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    examples: tuple[str, ...] = ()
    test: int = 0
