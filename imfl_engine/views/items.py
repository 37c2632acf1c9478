"""Items as a person meets them: waiting, in a list, and in full."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from imfl_engine.types import Item, LabelEvent


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
