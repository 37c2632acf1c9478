"""TRAIN: the label model, the training set it makes, and the fine-tune."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imfl_engine import label_model
from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import ProbabilityChunk
from imfl_engine.events import Event, ModelReady, Notice
from imfl_engine.label_model import LabelModel, TrainingSet
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.evidence import Gathered, fit_labels, gather, rows_of
from imfl_engine.loop.fine_tune import fine_tune
from imfl_engine.loop.holding_out import measured_items, validation_rows
from imfl_engine.settings import Settings
from imfl_engine.store import predictions, rounds, selections
from imfl_engine.store.database import Connection
from imfl_engine.types import StepKind

SAYS_NOTHING = (
    "The LLM's labels say too little that yours do not: the model is trained on yours alone.",
    "A better LLM, clearer guidelines or more examples may help. Its labels stay in the export.",
)

NEARLY_AS_MANY = 0.75
"""The share of a round's examples that the model before must have learned from to be heard."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What is known about the labels before a training."""

    gathered: Gathered
    model: LabelModel
    worthless: bool
    """Whether the LLM's labels say nothing and are left out; see `label_model.worth`."""


async def train(
    context: LoopContext, round: int, *, upcoming: Sequence[int] = (), last: bool = False
) -> AsyncGenerator[Event, None]:
    """Fit the label model, build the training set and fine-tune the target on it.

    In the ``last`` round a fine-tune has a prior (``training.prior``), see `_believed_before`.
    ``upcoming`` are the items that the next round will score, which the new model begins with while its
    checkpoint is written.
    """
    started = time.monotonic()
    gathered = await gather(context)
    model = await fit_labels(context, gathered)
    fitted = _Fitted(gathered, model, _is_worthless(context.settings, model))
    if fitted.worthless:
        yield Notice("info", *SAYS_NOTHING)
    training_set, previous = await _training_set(context, fitted, round, last)
    if len(training_set.ids) == 0:
        yield Notice("warning", f"Round {round} has nothing to train on.")
        await _complete(context, round, {}, fitted)
        return
    settings, evidence = context.settings, gathered.evidence
    details = _counted(training_set, fitted)
    training = fine_tune(
        context,
        context.model_folder(round),
        training_set,
        gathered.classes,
        validation=validation_rows(
            evidence, training_set, settings.training.validation_share, settings.seed
        ),
        start_from=previous,
        then_predict=await context.items_of(upcoming),
    )
    scored = Collected(len(upcoming))
    async with aclosing(training) as events:
        async for told in events:
            if isinstance(told, ProbabilityChunk):
                scored.put(told)
                continue
            if isinstance(told, ModelReady):
                details |= {"device": told.device, "seconds": time.monotonic() - started}
                details["samples_per_second"] = told.samples_per_second
                await _complete(context, round, details, fitted)
            yield told
    assert "device" in details, "a training that ends without an error has told of its model"
    matrix = scored.whole
    if matrix is not None:
        await context.database.write(
            lambda con: predictions.replace(con, round, list(upcoming), matrix)
        )


async def _training_set(
    context: LoopContext, fitted: _Fitted, round: int, last: bool
) -> tuple[TrainingSet, Path | None]:
    """Return what to train on, and the model to go on from; None: the target as it was published."""
    training = context.settings.training
    evidence = fitted.gathered.evidence
    learned = ~np.isin(evidence.ids, await measured_items(context))
    previous = None
    if training.mode == "continue":
        newest = await context.newest_model()
        previous = newest[1] if newest else None
        learned &= np.isin(evidence.ids, await _chosen_in(context, round))
    classes = len(fitted.gathered.classes)
    believed = None
    if last and training.prior and training.by_likelihood and training.mode == "retrain":
        believed = await _believed_before(context, evidence.ids[learned], classes, round)
    built = await asyncio.to_thread(
        label_model.training_set,
        training.loss,
        evidence.take(learned),
        fitted.model,
        classes,
        context.settings.seed,
        fine_tune=training.target != "probe",
        without_llm=fitted.worthless,
        believed=believed,
    )
    if training.class_weights == "balanced" and context.settings.task.kind == "classification":
        built = label_model.balanced(built)
    return built, previous


async def _believed_before(
    context: LoopContext, ids: NDArray[np.int64], classes: int, round: int
) -> NDArray[np.float64] | None:
    """Return what the model before ``round`` says of ``ids`` (n, ``classes``), nan where it says nothing.

    It has read them: what this round labelled to choose it, the rest to be measured. None where it had
    learned from less than `NEARLY_AS_MANY` of them: students do not get better than a weak teacher, which
    is also why the rounds on the way do without (see the decisions log).
    """
    done = await context.database.read(lambda con: rounds.completed(con, kind=StepKind.TRAIN))
    before = [step.details.get("examples", 0) for step in done if step.round < round]
    if not before or before[-1] < NEARLY_AS_MANY * len(ids):
        return None
    asked = [int(item_id) for item_id in ids]
    said = await context.database.read(lambda con: predictions.before_round(con, round, asked))
    return rows_of(asked, said, classes) if said else None


def _counted(training_set: TrainingSet, fitted: _Fitted) -> dict[str, Any]:
    """Return what is trained on in numbers, for the record of the step."""
    evidence = fitted.gathered.evidence
    llm_alone = evidence.llm_alone
    return {
        "examples": len(training_set.ids),
        "examples_by_llm": int(np.isin(training_set.ids, evidence.ids[llm_alone]).sum()),
        "human": int((evidence.human >= 0).sum()),
        "llm": int(llm_alone.sum()),
        "llm_weight": 0.0 if fitted.worthless else 1.0,
    }


def _is_worthless(settings: Settings, fitted: LabelModel) -> bool:
    return settings.training.by_likelihood and label_model.say_nothing(fitted.information)


async def _chosen_in(context: LoopContext, round: int) -> list[int]:
    """The paper's continued training sees only what the round labelled (round 1 after round 0)."""
    chosen = await context.database.read(lambda con: selections.selected(con, round=round))
    return sorted({selected.item_id for selected in chosen})


async def _complete(
    context: LoopContext, round: int, details: dict[str, Any], fitted: _Fitted
) -> None:
    gathered, model = fitted.gathered, fitted.model
    by_llm = bool((gathered.evidence.llm >= 0).any())
    if by_llm:
        details = details | summary(gathered, model)
    details["newest_decision"] = gathered.newest_decision

    def save(con: Connection) -> None:
        if by_llm:
            predictions.replace_posteriors(con, round, model.ids, model.posterior, model.p_wrong)
        predictions.forget(con, round)
        rounds.complete(con, round, StepKind.TRAIN, float(details.get("seconds", 0.0)), details)

    await context.database.write(save)


def summary(gathered: Gathered, fitted: LabelModel) -> dict[str, Any]:
    """Return what the label model found about the LLM's labels, for the record of the step."""
    worst = label_model.worst_pair(gathered.evidence)
    if worst is not None:
        truth, said, times, of = worst
        worst_named = (gathered.classes[truth], gathered.classes[said], times, of)
    return {
        "llm_accuracy": fitted.llm_accuracy,
        "expected_errors": fitted.expected_errors,
        "information": fitted.information if math.isfinite(fitted.information) else None,
        "confusion": None if fitted.confusion is None else fitted.confusion.tolist(),
        "worst_pair": worst_named if worst is not None else None,
    }
