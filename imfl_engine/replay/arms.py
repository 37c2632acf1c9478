"""The grammar of arms: words joined by ``+`` in any order; what is not named takes the default.

::

    query      eeq | eeq-split | eeq-cover | random | uncertainty | diverse
    loss       label-model | two-mean | small-loss | reweight
    schedule   variable | equal | geometric | one-batch
    retrieval  similar | random-shots | fixed-shots | zero-shot
    training   retrain | continue
    fidelity   human-N | llm-N       one kind of label only; random query unless one is named
    imfl-paper                       the paper's literal system: eeq-split+two-mean+continue
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from imfl_engine.errors import UsageError
from imfl_engine.settings import (
    LossName,
    QueryName,
    RetrievalName,
    RoutingName,
    ScheduleName,
    Settings,
    TrainingMode,
    parse_settings,
)

_WORDS: dict[str, str] = {
    **dict.fromkeys(get_args(QueryName), "query"),
    **dict.fromkeys(get_args(LossName), "loss"),
    **dict.fromkeys(get_args(ScheduleName), "schedule"),
    **dict.fromkeys(get_args(RetrievalName), "retrieval"),
    **dict.fromkeys(get_args(TrainingMode), "training"),
}
_FIDELITIES = ("human", "llm")
_PAPER = {"query": "eeq-split", "loss": "two-mean", "training": "continue"}

PAPER_ARMS: tuple[str, ...] = (
    "eeq",
    "random",
    "eeq-split+two-mean",
    "random+two-mean",
    "human-200",
    "human-200+eeq",
    "human-1000",
    "human-1000+eeq",
    "llm-1000+zero-shot",
    "eeq+equal",
    "eeq+random-shots",
    "eeq+equal+random-shots",
    "eeq+one-batch",
    "eeq+one-batch+random-shots",
)
"""The systems of the poster's first two tables, with our defaults and as the paper has them."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One system to run. ``human`` and ``llm`` are budgets; None leaves them to the replay."""

    name: str
    query: QueryName = "eeq"
    loss: LossName = "label-model"
    schedule: ScheduleName = "variable"
    retrieval: RetrievalName = "similar"
    training: TrainingMode = "retrain"
    routing: RoutingName = "planned"
    human: int | None = None
    llm: int | None = None

    def settings(self, base: Settings, seed: int) -> Settings:
        """Return ``base`` changed to this arm and ``seed``."""
        values: dict[str, Any] = base.model_dump(mode="python")
        values["seed"] = seed
        values["query"] |= {
            "strategy": self.query,
            "schedule": self.schedule,
            "routing": self.routing,
        }
        values["retrieval"]["method"] = self.retrieval
        values["training"] |= {"loss": self.loss, "mode": self.training}
        if self.human is not None:
            values["budget"]["human"] = self.human
        if self.llm is not None:
            values["budget"]["llm"] = self.llm
        if values["budget"]["llm"] == 0:
            values["annotator"]["spec"] = "none"
        return parse_settings(values)


def parse_arm(text: str) -> Arm:
    """Parse one arm. Raises `UsageError` naming the word that is wrong."""
    name = text.strip()
    chosen: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in name.split("+"))):
        for kind, value in _meaning(word, name).items():
            if kind in chosen:
                raise UsageError(
                    f"The arm '{name}' names two of the same kind: '{chosen[kind]}' and '{value}'.",
                    "Name at most one query, loss, schedule, retrieval and training.",
                )
            chosen[kind] = value
    if not chosen:
        raise UsageError(f"'{text}' is no arm.", "Write for example eeq+two-mean or human-200.")
    if chosen.get("human") == 0 or chosen.get("llm") == 0:
        chosen.setdefault("query", "random")
        if chosen["query"] == "random":
            # rounds make no difference to random picks but cost a training each
            chosen.setdefault("schedule", "one-batch")
        if chosen.get("human") == 0:
            chosen.setdefault("loss", "two-mean")
    return Arm(name=name, **chosen)


def _meaning(word: str, arm: str) -> dict[str, Any]:
    if word == "imfl-paper":
        return dict(_PAPER)
    if word == "routed":
        return {"routing": "gain"}
    if word in _WORDS:
        return {_WORDS[word]: word}
    fidelity, _, count = word.rpartition("-")
    if fidelity in _FIDELITIES and count.isdecimal() and int(count) > 0:
        other = "llm" if fidelity == "human" else "human"
        return {fidelity: int(count), other: 0}
    known = ", ".join([*_WORDS, "routed", "human-N", "llm-N", "imfl-paper"])
    raise UsageError(f"'{word}' in the arm '{arm}' is unknown.", f"Known words: {known}.")


def parse_arms(texts: str | Iterable[str]) -> tuple[Arm, ...]:
    """Parse arms given as a list or separated by commas; ``poster`` means all of `PAPER_ARMS`."""
    parts = texts.split(",") if isinstance(texts, str) else list(texts)
    names: list[str] = []
    for part in filter(None, (part.strip() for part in parts)):
        names.extend(PAPER_ARMS if part == "poster" else [part])
    if not names:
        raise UsageError("No arm was named.", "Write for example --arms eeq,random,human-200.")
    return tuple(parse_arm(name) for name in dict.fromkeys(names))
