"""The nouns of the engine: items, labels, replies, steps.

All are frozen values; identity is always ``item_id`` (an integer the store assigns), never a
position. ``key`` is the identity a person's own files use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

TaskKind = Literal["classification", "multiple-choice"]
Split = Literal["pool", "test"]


@dataclass(frozen=True, slots=True)
class Item:
    """One text to be labelled.

    ``options`` is empty for classification; for multiple choice it holds this item's own answers,
    and labels are the option letters ``A``, ``B``, … (see `option_letter`).
    """

    item_id: int
    key: str
    text: str
    context: str | None = None
    options: tuple[str, ...] = ()
    gold: str | None = None
    split: Split = "pool"
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item as a reader delivers it, before the store has given it an ``item_id``."""

    text: str
    key: str | None = None
    context: str | None = None
    options: tuple[str, ...] = ()
    label: str | None = None
    split: Split = "pool"
    meta: dict[str, Any] = field(default_factory=dict)


LONGEST_THOUGHT = 180.0
"""Seconds counted for one item at most; a coffee is not paid from the minutes."""


def option_letter(index: int) -> str:
    """The label of a multiple-choice item's option: 0 is ``A``; beyond ``Z`` comes ``AA``."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


class Action(StrEnum):
    """What a person can do to an item; each is one row of the append-only event log."""

    LABEL = "label"
    SKIP = "skip"
    ACCEPT = "accept"  # keeps the LLM's label after looking at it
    ACCEPT_BULK = "accept_bulk"  # keeps it unseen, below a risk
    REJECT = "reject"  # neither this LLM label nor another: the item leaves the training set
    FLAG = "flag"
    UNFLAG = "unflag"
    NOTE = "note"
    UNDO = "undo"


class Origin(StrEnum):
    """Where an event was made."""

    BATCH = "batch"
    REVIEW = "review"
    EXPLORE = "explore"
    IMPORT = "import"
    GOLD = "gold"  # a batch answered from the gold column


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """One row of the event log."""

    event_id: int
    item_id: int
    action: Action
    label: str | None
    round: int
    origin: Origin
    annotator: str
    seconds: float | None
    comment: str | None
    undoes: int | None
    created_at: datetime


class ReplyStatus(StrEnum):
    """How an annotation request ended; only the first two carry a label."""

    OK = "ok"
    REPAIRED = "repaired"
    INVALID = "invalid"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"

    @property
    def has_label(self) -> bool:
        """Whether a reply of this status carries a usable label."""
        return self in (ReplyStatus.OK, ReplyStatus.REPAIRED)

    @property
    def is_final(self) -> bool:
        """Whether asking again is pointless: failures of transport are asked again, answers are not."""
        return self not in (ReplyStatus.RATE_LIMITED, ReplyStatus.FAILED)


class Purpose(StrEnum):
    """Why the LLM is asked about an item."""

    ANNOTATE = "annotate"  # the label enters the training set
    CALIBRATE = "calibrate"  # an item a human has labelled: measures the LLM, never trains
    CONTROL = "control"  # a control item asked about again: measures what a later round buys


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A human-labelled item shown to the LLM as an example."""

    item: Item
    label: str
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class AnnotationRequest:
    """One item to be labelled by an annotator, with its demonstrations, most similar last."""

    item: Item
    round: int
    purpose: Purpose
    demonstrations: tuple[Demonstration, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What an annotator answered about one item, and what it cost.

    ``log_probabilities`` maps label names to natural-log probabilities where the annotator has
    them. Tokens are counts, ``cost_usd`` US dollars, ``seconds`` wall time of the request.
    ``messages`` is the exact prompt (JSON) and ``raw`` the exact text of the answer; both are kept
    so that any label can be explained.
    """

    item_id: int
    round: int
    purpose: Purpose
    status: ReplyStatus
    label: str | None
    annotator: str
    prompt_hash: str
    confidence: float | None = None
    log_probabilities: dict[str, float] | None = None
    raw: str | None = None
    messages: str | None = None
    error: str | None = None
    demonstration_ids: tuple[int, ...] = ()
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    attempts: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; ``n`` is the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int


class StepKind(StrEnum):
    """The steps of a round, in order. The names are also those of ``run --until``."""

    START = "start"  # draw the round's sub-sample of the pool
    EMBED = "embed"
    SCORE = "score"  # last round's model on the sub-sample
    SELECT = "select"
    LABEL = "label"  # the only step that needs a person
    ANNOTATE = "annotate"
    TRAIN = "train"
    EVALUATE = "evaluate"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop does next, derived from the store. ``done`` of ``total`` items are through."""

    kind: StepKind
    round: int
    done: int = 0
    total: int = 0
    reason: str = ""

    @property
    def needs_person(self) -> bool:
        """Whether the engine cannot do this step by itself."""
        return self.kind is StepKind.LABEL
