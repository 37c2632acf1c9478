"""What a running job tells its caller; every long method of `Project` is an iterator of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imfl_engine.types import Reply, ReplyStatus, Step

JobKind = Literal["import", "embed", "score", "annotate", "train", "evaluate", "predict", "export"]


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` ``unit``; ``eta_seconds`` is None until there is enough to estimate from."""

    job: JobKind
    done: int
    total: int
    unit: str = "items"
    eta_seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The loop begins a step."""

    step: Step


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step is done and its result is on disk."""

    step: Step


@dataclass(frozen=True, slots=True)
class Annotated:
    """One reply, already committed, with the state of the whole run (money in US dollars)."""

    reply: Reply
    done: int
    total: int
    in_flight: int
    retries: int
    statuses: Mapping[ReplyStatus, int]
    """How many replies ended how, of those that are ``done``; a status that none has is left out."""
    spent_usd: float
    reserved_usd: float
    """Open or possibly billed: all that counts against the limit besides what is spent."""
    limit_usd: float | None
    per_minute: float
    eta_seconds: float | None
    lost_usd: float = 0.0
    """The part of ``reserved_usd`` that was possibly billed for answers that never came."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """One optimiser step (or a few): ``loss`` is the mean since the last event."""

    step: int
    total: int
    epoch: float
    loss: float
    samples_per_second: float
    eta_seconds: float | None
    device: str
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ValidationMeasured:
    """The validation share of the human labels, after an epoch."""

    step: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class ModelReady:
    """A checkpoint is complete in its final folder."""

    folder: Path
    seconds: float
    device: str
    samples_per_second: float


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should read once: a fallback, a truncated text, a budget reached."""

    level: Literal["info", "warning", "error"]
    text: str
    hint: str = ""


Event = (
    Progress
    | StepStarted
    | StepFinished
    | Annotated
    | TrainingProgress
    | ValidationMeasured
    | ModelReady
    | Notice
)
