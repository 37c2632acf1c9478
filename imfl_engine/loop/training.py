"""TRAIN: the label model, the training set it makes, and the fine-tune."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from imfl_engine import label_model
from imfl_engine.compute.wire import TrainingJob
from imfl_engine.events import Event, ModelReady, Notice
from imfl_engine.label_model import Evidence, LabelModel, TrainingSet
from imfl_engine.loop.context import LoopContext, model_input
from imfl_engine.store import items, labels, replies, rounds, vectors
from imfl_engine.store.database import Connection
from imfl_engine.types import Purpose, StepKind

_REVIEWED = ("accept",)
_LEFT_OUT = ("reject", "skip")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence of a project so far and the class names its label indices refer to."""

    evidence: Evidence
    classes: tuple[str, ...]
    newest_decision: int
    """The last event of the person that is in it."""


async def gather(context: LoopContext) -> Gathered:
    """Read every label so far into the label model's arrays; embeddings must be there."""
    classes = await context.class_names()
    index = {name: position for position, name in enumerate(classes)}
    (
        human,
        annotated,
        calibrated,
        actions,
        control,
        newest_decision,
        lacking,
    ) = await context.database.read(
        lambda con: (
            labels.human_labels(con),
            replies.latest(con, Purpose.ANNOTATE),
            replies.latest(con, Purpose.CALIBRATE),
            labels.decided_actions(con),
            rounds.control_ids(con),
            labels.newest_decision(con),
            set(vectors.missing(con, context.settings.embedder, rounds.labelled_ids(con))),
        )
    )
    # An item that was measured again, by another annotator, counts with that measurement.
    measured = {item_id: reply for item_id, reply in calibrated.items() if item_id in human}
    llm = {
        item_id: reply
        for item_id, reply in (annotated | measured).items()
        if reply.label in index and actions.get(item_id) not in _LEFT_OUT
    }
    # What the person labelled while the step embeds has to wait for the next round.
    ids = sorted((human.keys() | llm.keys()) - lacking)
    count = len(ids)
    log_probabilities = np.full((count, len(classes)), np.nan)
    for row, item_id in enumerate(ids):
        reply = llm.get(item_id)
        if reply is not None and reply.log_probabilities:
            for name, value in reply.log_probabilities.items():
                if name in index:
                    log_probabilities[row, index[name]] = value
    evidence = Evidence(
        ids=np.asarray(ids, dtype=np.int64),
        vectors=await context.vectors_of(ids) if ids else None,
        human=np.asarray([index.get(human.get(i, ""), -1) for i in ids], dtype=np.int64),
        llm=np.asarray(
            [index[llm[i].label or ""] if i in llm else -1 for i in ids], dtype=np.int64
        ),
        llm_log_probabilities=log_probabilities if np.isfinite(log_probabilities).any() else None,
        control=np.asarray([i in control for i in ids], dtype=bool),
        model_probabilities=await _earlier_predictions(context, ids, len(classes)),
        confirmed=np.asarray([actions.get(i) in _REVIEWED for i in ids], dtype=bool),
        option_counts=await _option_counts(context, ids),
    )
    return Gathered(evidence, classes, newest_decision)


async def _earlier_predictions(
    context: LoopContext, ids: list[int], classes: int
) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return what the last model said about each item before anybody labelled it; nan without."""
    matrix = np.full((len(ids), classes), np.nan)
    row_of = {item_id: row for row, item_id in enumerate(ids)}
    chosen = await context.database.read(rounds.selections)
    by_round: dict[int, list[int]] = {}
    for selected in chosen:
        if selected.item_id in row_of:
            by_round.setdefault(selected.round, []).append(selected.item_id)
    for round_, members in by_round.items():
        found = await context.database.read(
            partial(vectors.predictions_before, round=round_, ids=members)
        )
        for item_id, probabilities in found.items():
            row = matrix[row_of[item_id]]
            row[:] = 0.0  # an item imported since may have more options than any had then
            row[: len(probabilities)] = probabilities
    return matrix if np.isfinite(matrix).any() else None


async def _option_counts(
    context: LoopContext, ids: list[int]
) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    if context.settings.task.kind == "classification":
        return None
    found = await context.items_of(ids)
    return np.asarray([len(item.options) for item in found], dtype=np.int64)


async def train(context: LoopContext, round: int) -> AsyncGenerator[Event, None]:
    """Fit the label model, build the training set and fine-tune the target on it."""
    settings = context.settings
    gathered = await gather(context)
    evidence, classes = gathered.evidence, gathered.classes
    fitted: LabelModel | None = None
    if (evidence.llm >= 0).any():
        fitted = await asyncio.to_thread(
            label_model.fit, evidence, classes=len(classes), seed=settings.seed
        )
    training_set = await asyncio.to_thread(
        label_model.training_set,
        settings.training.loss,
        evidence,
        fitted,
        len(classes),
        settings.seed,
    )
    training_set = await _without_measured_items(context, training_set)
    if settings.training.mode == "continue":
        training_set = await _of_this_round(context, training_set, round)
    if len(training_set.ids) == 0:
        yield Notice("warning", f"Round {round} has nothing to train on.")
        await _complete(context, round, {}, gathered, fitted)
        return
    details: dict[str, Any] = {
        "examples": len(training_set.ids),
        "human": int((evidence.human >= 0).sum()),
        "llm": int(((evidence.llm >= 0) & (evidence.human < 0)).sum()),
    }
    ready: ModelReady | None = None
    job = await _job(context, round, training_set, evidence, classes)
    async with aclosing(context.compute.train(job)) as events:
        async for event in events:
            if isinstance(event, ModelReady):
                ready = event
                details |= {"device": event.device, "seconds": event.seconds}
                details["samples_per_second"] = event.samples_per_second
            yield event
    assert ready is not None, "a training that ends without an error ends with its model"
    await _complete(context, round, details, gathered, fitted)


async def _without_measured_items(context: LoopContext, built: TrainingSet) -> TrainingSet:
    """Leave the control slice out when the model has nothing else to be measured on."""
    tested = await context.database.read(
        lambda con: items.ids_of_split(con, "test", with_gold=True)
    )
    if tested:
        return built
    control = await context.database.read(rounds.control_ids)
    return _subset(built, lambda item_id: item_id not in control)


async def _of_this_round(context: LoopContext, built: TrainingSet, round: int) -> TrainingSet:
    """The paper's continued training sees only what the round labelled (round 1 after round 0)."""
    chosen = await context.database.read(lambda con: rounds.selections(con, round=round))
    wanted = {selected.item_id for selected in chosen}
    return _subset(built, lambda item_id: item_id in wanted)


def _subset(built: TrainingSet, wanted: Callable[[int], bool]) -> TrainingSet:
    mask = np.asarray([wanted(int(item_id)) for item_id in built.ids], dtype=bool)
    weights = built.weights[mask]
    if weights.size:
        weights = weights / weights.mean()
    return TrainingSet(built.ids[mask], built.targets[mask], weights.astype(np.float32))


async def _job(
    context: LoopContext,
    round: int,
    built: TrainingSet,
    evidence: Evidence,
    classes: tuple[str, ...],
) -> TrainingJob:
    settings = context.settings
    ids = [int(item_id) for item_id in built.ids]
    found = await context.items_of(ids)
    previous = await context.newest_model() if settings.training.mode == "continue" else None
    features = await context.vectors_of(ids) if settings.training.target == "probe" else None
    return TrainingJob(
        folder=context.model_folder(round),
        inputs=[model_input(item) for item in found],
        targets=built.targets,
        weights=built.weights,
        labels=classes,
        kind=settings.task.kind,
        target=settings.training.target,
        validation=_validation(evidence, built, settings.training.validation_share, settings.seed),
        seed=settings.seed,
        epochs=settings.training.epochs,
        learning_rate=settings.training.learning_rate,
        batch_size=settings.training.batch_size,
        max_length=settings.training.max_length,
        features=features,
        start_from=previous[1] if previous else None,
        embedder=settings.embedder,
        frozen_layers=settings.training.frozen_layers,
    )


def _validation(
    evidence: Evidence, built: TrainingSet, share: float, seed: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Draw the validation share of the human labels, leaving the control slice alone."""
    mask = np.zeros(len(built.ids), dtype=bool)
    eligible = evidence.ids[(evidence.human >= 0) & ~evidence.control_mask]
    rows = np.flatnonzero(np.isin(built.ids, eligible))
    size = int(share * rows.size)
    if size:
        mask[np.random.default_rng([seed, 0x7A]).choice(rows, size, replace=False)] = True
    return mask


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
            vectors.replace_posteriors(
                con,
                round,
                [int(item_id) for item_id in fitted.ids],
                fitted.posterior.astype(np.float32),
                [None if np.isnan(risk) else float(risk) for risk in fitted.p_wrong],
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
