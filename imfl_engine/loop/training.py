"""TRAIN: the label model, the training set it makes, and the fine-tune."""

from __future__ import annotations

import asyncio
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
from imfl_engine.label_model import Evidence, LabelModel, LabelModelOptions, TrainingSet
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.evidence import Gathered, gather
from imfl_engine.loop.fine_tune import fine_tune
from imfl_engine.loop.holding_out import validation_rows, without_measured_items
from imfl_engine.loop.second_opinion import (
    HeldOut,
    is_believable,
    is_wanted,
    remove_halves,
    second_opinion,
)
from imfl_engine.settings import Settings
from imfl_engine.store import predictions, rounds, selections
from imfl_engine.store.database import Connection
from imfl_engine.types import StepKind

NOT_BELIEVED = (
    "The second opinion is not heard: it trusts the LLM more than your own labels allow.",
    "That happens where the LLM makes the same mistake on similar items.",
)

SAYS_NOTHING = (
    "The LLM's labels say nothing that yours do not: the model is trained on yours alone.",
    "A better LLM, clearer guidelines or more examples may help. Its labels stay in the export.",
)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What is known about the labels before a training; the last thing `_fit_labels` yields."""

    gathered: Gathered
    model: LabelModel | None
    """None while there are no LLM labels."""
    answer_weights: NDArray[np.float64] | None
    """What each label of the LLM counts beside a human one; None: as much."""


async def train(
    context: LoopContext, round: int, *, last: bool, upcoming: Sequence[int] = ()
) -> AsyncGenerator[Event, None]:
    """Fit the label model, build the training set and fine-tune the target on it.

    ``last`` says that no round follows; ``upcoming`` are the items that the next round will score,
    which the new model begins with while its checkpoint is written.
    """
    started = time.monotonic()
    fitted: _Fitted | None = None
    async with aclosing(_fit_labels(context, round, last=last)) as found:
        async for event in found:
            if isinstance(event, _Fitted):
                fitted = event
            else:
                yield event
    assert fitted is not None, "fitting the labels ends with what it found"
    training_set, previous = await _training_set(context, fitted, round)
    if len(training_set.ids) == 0:
        yield Notice("warning", f"Round {round} has nothing to train on.")
        await _complete(context, round, {}, fitted)
        return
    settings, evidence = context.settings, fitted.gathered.evidence
    details = _counted(training_set, fitted)
    training = fine_tune(
        context,
        context.model_folder(round),
        training_set,
        fitted.gathered.classes,
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
    matrix = scored.matrix
    if matrix is not None:
        await context.database.write(
            lambda con: predictions.replace(con, round, list(upcoming), matrix)
        )


async def _fit_labels(
    context: LoopContext, round: int, *, last: bool
) -> AsyncGenerator[Event | _Fitted, None]:
    """Fit the label model, with the second opinion where it is wanted and its risks are believable."""
    gathered = await gather(context)
    await asyncio.to_thread(remove_halves, context.files)
    started = time.monotonic()
    model = await _fit(context, gathered) if (gathered.evidence.llm >= 0).any() else None
    fit_seconds = time.monotonic() - started
    weights = _answer_weights(context.settings, model)
    if weights is not None and _mean_weight(gathered.evidence, weights) == 0:
        yield Notice("info", *SAYS_NOTHING)
    elif is_wanted(context.settings, gathered, last=last):
        planned, _ = await _training_set(context, _Fitted(gathered, model, weights), round)
        asked = second_opinion(
            context, gathered, round, then=len(planned.ids), fit_seconds=fit_seconds
        )
        async with aclosing(asked) as opinions:
            async for opinion in opinions:
                if not isinstance(opinion, HeldOut):
                    yield opinion
                    continue
                informed = gathered.with_opinion(opinion.probabilities)
                heard = await _fit(context, informed)
                if is_believable(informed.evidence, heard):
                    gathered, model = informed, heard
                else:
                    yield Notice("info", *NOT_BELIEVED)
    yield _Fitted(gathered, model, weights)


async def _training_set(
    context: LoopContext, fitted: _Fitted, round: int
) -> tuple[TrainingSet, Path | None]:
    """Return what to train on, and the model to go on from; None: the target as it was published."""
    training = context.settings.training
    built = await asyncio.to_thread(
        label_model.training_set,
        training.loss,
        fitted.gathered.evidence,
        fitted.model,
        len(fitted.gathered.classes),
        context.settings.seed,
        answer_weights=fitted.answer_weights,
    )
    built = await without_measured_items(context, built)
    previous = None
    if training.mode == "continue":
        newest = await context.newest_model()
        previous = newest[1] if newest else None
        built = await _of_this_round(context, built, round)
    if training.class_weights == "balanced" and context.settings.task.kind == "classification":
        built = label_model.balanced(built)
    return built, previous


def _counted(training_set: TrainingSet, fitted: _Fitted) -> dict[str, Any]:
    """Return what is trained on in numbers, for the record of the step."""
    evidence = fitted.gathered.evidence
    llm_alone = evidence.llm_alone
    return {
        "examples": len(training_set.ids),
        "examples_by_llm": int(np.isin(training_set.ids, evidence.ids[llm_alone]).sum()),
        "human": int((evidence.human >= 0).sum()),
        "llm": int(llm_alone.sum()),
        "llm_weight": _mean_weight(evidence, fitted.answer_weights),
    }


def _answer_weights(settings: Settings, fitted: LabelModel | None) -> NDArray[np.float64] | None:
    """Return what the LLM's labels count in this training; see `label_model.worth`."""
    training = settings.training
    if fitted is None or training.target == "probe" or training.loss != "label-model":
        return None
    return label_model.answer_weights(fitted.answer_information)


def _mean_weight(evidence: Evidence, answer_weights: NDArray[np.float64] | None) -> float:
    """Return what an LLM label counts in the mean."""
    answers = evidence.llm[evidence.llm_alone]
    if answer_weights is None or not len(answers):
        return 1.0
    return float(answer_weights[answers].mean())


async def _fit(context: LoopContext, gathered: Gathered) -> LabelModel:
    return await asyncio.to_thread(
        label_model.fit,
        gathered.evidence,
        classes=len(gathered.classes),
        seed=context.settings.seed,
        options=LabelModelOptions(human_reliability=context.settings.training.human_reliability),
    )


async def _of_this_round(context: LoopContext, built: TrainingSet, round: int) -> TrainingSet:
    """The paper's continued training sees only what the round labelled (round 1 after round 0)."""
    chosen = await context.database.read(lambda con: selections.selected(con, round=round))
    wanted = {selected.item_id for selected in chosen}
    return label_model.subset(built, np.isin(built.ids, sorted(wanted)))


async def _complete(
    context: LoopContext, round: int, details: dict[str, Any], fitted: _Fitted
) -> None:
    model = fitted.model
    details = details | summary(fitted.gathered, model)
    details["newest_decision"] = fitted.gathered.newest_decision

    def save(con: Connection) -> None:
        if model is not None:
            predictions.replace_posteriors(
                con,
                round,
                [int(item_id) for item_id in model.ids],
                model.posterior.astype(np.float32),
                model.p_wrong,
            )
        predictions.forget(con, round)
        rounds.complete(con, round, StepKind.TRAIN, float(details.get("seconds", 0.0)), details)

    await context.database.write(save)


def summary(gathered: Gathered, fitted: LabelModel | None) -> dict[str, Any]:
    """Return what the label model found, for the record of the step."""
    if fitted is None:
        return {}
    worst = label_model.worst_pair(gathered.evidence)
    if worst is not None:
        truth, said, times, of = worst
        worst_named = (gathered.classes[truth], gathered.classes[said], times, of)
    return {
        "llm_accuracy": fitted.llm_accuracy,
        "expected_errors": fitted.expected_errors,
        "confusion": None if fitted.confusion is None else fitted.confusion.tolist(),
        "worst_pair": worst_named if worst is not None else None,
    }
