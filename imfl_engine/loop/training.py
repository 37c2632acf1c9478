"""TRAIN: the label model, the training set it makes, and the fine-tune."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np

from imfl_engine import label_model
from imfl_engine.events import Event, ModelReady, Notice
from imfl_engine.label_model import LabelModel, LabelModelOptions, TrainingSet
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


async def train(context: LoopContext, round: int, *, last: bool) -> AsyncGenerator[Event, None]:
    """Fit the label model, build the training set and fine-tune the target on it.

    ``last`` says that no round follows.
    """
    started = time.monotonic()
    settings = context.settings
    gathered = await gather(context)
    await asyncio.to_thread(remove_halves, context.files)
    fitted: LabelModel | None = None
    if (gathered.evidence.llm >= 0).any():
        fitted = await _fit(context, gathered)
    weight = _llm_weight(settings, fitted)
    if weight == 0:
        yield Notice("info", *SAYS_NOTHING)
    elif is_wanted(settings, gathered, last=last):
        async with aclosing(second_opinion(context, gathered, round)) as opinions:
            async for opinion in opinions:
                if not isinstance(opinion, HeldOut):
                    yield opinion
                    continue
                informed = gathered.with_opinion(opinion.probabilities)
                heard = await _fit(context, informed)
                if is_believable(informed.evidence, heard):
                    gathered, fitted = informed, heard
                else:
                    yield Notice("info", *NOT_BELIEVED)
    evidence, classes = gathered.evidence, gathered.classes
    training_set = await asyncio.to_thread(
        label_model.training_set,
        settings.training.loss,
        evidence,
        fitted,
        len(classes),
        settings.seed,
        llm_weight=weight,
    )
    training_set = await without_measured_items(context, training_set)
    previous: Path | None = None
    if settings.training.mode == "continue":
        training_set = await _of_this_round(context, training_set, round)
        newest = await context.newest_model()
        previous = newest[1] if newest else None
    if len(training_set.ids) == 0:
        yield Notice("warning", f"Round {round} has nothing to train on.")
        await _complete(context, round, {}, gathered, fitted)
        return
    llm_alone = (evidence.llm >= 0) & (evidence.human < 0)
    details: dict[str, Any] = {
        "examples": len(training_set.ids),
        "examples_by_llm": int(np.isin(training_set.ids, evidence.ids[llm_alone]).sum()),
        "human": int((evidence.human >= 0).sum()),
        "llm": int(llm_alone.sum()),
        "llm_weight": weight,
    }
    training = fine_tune(
        context,
        context.model_folder(round),
        training_set,
        classes,
        validation=validation_rows(
            evidence, training_set, settings.training.validation_share, settings.seed
        ),
        start_from=previous,
    )
    ready: ModelReady | None = None
    async with aclosing(training) as events:
        async for event in events:
            if isinstance(event, ModelReady):
                ready = event
                details |= {"device": event.device, "seconds": time.monotonic() - started}
                details["samples_per_second"] = event.samples_per_second
            yield event
    assert ready is not None, "a training that ends without an error ends with its model"
    await _complete(context, round, details, gathered, fitted)


def _llm_weight(settings: Settings, fitted: LabelModel | None) -> float:
    """Return what an LLM label counts in this training; see `label_model.worth`."""
    training = settings.training
    if fitted is None or training.target == "probe" or training.loss != "label-model":
        return 1.0
    return label_model.llm_weight(fitted.llm_information)


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
    context: LoopContext,
    round: int,
    details: dict[str, Any],
    gathered: Gathered,
    fitted: LabelModel | None,
) -> None:
    details = details | summary(gathered, fitted)
    details["newest_decision"] = gathered.newest_decision

    def save(con: Connection) -> None:
        if fitted is not None:
            predictions.replace_posteriors(
                con,
                round,
                [int(item_id) for item_id in fitted.ids],
                fitted.posterior.astype(np.float32),
                fitted.p_wrong,
            )
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
