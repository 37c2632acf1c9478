"""EVALUATE: the new model on the test set, on what was annotated, and on the stop set."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import ProbabilityChunk
from imfl_engine.events import Event, Progress
from imfl_engine.loop.context import LoopContext, model_input, within
from imfl_engine.loop.hearing import hear
from imfl_engine.loop.sampling import STOP_SET_ROUND
from imfl_engine.metrics import evaluate as measure
from imfl_engine.query import cohen_kappa
from imfl_engine.store import items, labels, predictions, replies, rounds, selections
from imfl_engine.types import Purpose, StepKind
from imfl_engine.views import Evaluation

KEPT_MODELS = 2
"""Checkpoints kept on disk: the last good one and the one before it."""

FEWEST_TO_AGREE_ON = 50
"""Items of the stop set below which the agreement of two models says nothing."""

PREDICT_SLICE = 4096
"""Items sent to the compute process at once, so that a large test set is never held whole."""


async def evaluate(context: LoopContext, round: int) -> AsyncGenerator[Event, None]:
    """Score what must be scored with the round's model and record how good it is."""
    model = await context.newest_model()
    details: dict[str, Any] = {}
    if model is not None and model[0] == round:
        ids = await _ids_to_score(context)
        async for event in predict_items(context, round, ids):
            yield event
        await hear(context, round)
        evaluation = await measured(context, round)
        if evaluation is not None:
            details["evaluation"] = asdict(evaluation)
        kappa = await _agreement(context, round)
        if kappa is not None:
            details["kappa"] = kappa
    await context.database.write(
        lambda con: rounds.complete(con, round, StepKind.EVALUATE, 0.0, details)
    )
    for old in range(round - KEPT_MODELS + 1):
        shutil.rmtree(context.model_folder(old), ignore_errors=True)


async def predict_items(
    context: LoopContext, round: int, ids: Sequence[int]
) -> AsyncGenerator[Event, None]:
    """Store the round's model's probabilities for ``ids``, a slice at a time."""
    folder = context.model_folder(round)
    is_probe = context.settings.training.target == "probe"
    if is_probe:
        async for event in context.embed(ids):
            yield event
    for start in range(0, len(ids), PREDICT_SLICE):
        part = list(ids[start : start + PREDICT_SLICE])
        found = await context.items_of(part)
        features = await context.vectors_of(part) if is_probe else None
        collected = Collected(len(part))
        async with aclosing(
            context.compute.predict(
                folder, [model_input(item) for item in found], features=features, job="evaluate"
            )
        ) as events:
            async for answer in events:
                if isinstance(answer, ProbabilityChunk):
                    collected.put(answer)
                elif isinstance(answer, Progress):
                    yield within(answer, start, len(ids))
        if collected.matrix is not None:
            await context.database.write(
                partial(
                    predictions.replace,
                    round=round,
                    ids=part,
                    probabilities=collected.matrix,
                )
            )


async def _ids_to_score(context: LoopContext) -> list[int]:
    return await context.database.read(
        lambda con: sorted(
            set(items.ids_of_split(con, "test", with_gold=True))
            | labels.human_labels(con).keys()
            | replies.latest(con, Purpose.ANNOTATE).keys()
            | set(rounds.sub_sample(con, STOP_SET_ROUND))
        )
    )


async def measured(context: LoopContext, round: int) -> Evaluation | None:
    """Measure a round's stored predictions on the test set or else on the control slice.

    Without a test set the control slice is left out of training, so both are honest.
    """
    classes = await context.class_names()
    tested = await context.database.read(
        lambda con: items.ids_of_split(con, "test", with_gold=True)
    )
    if tested:
        scope = "test"
        truth = {item.item_id: item.gold for item in await context.items_of(tested)}
    else:
        scope = "control"
        human = await context.database.read(labels.human_labels)
        control = await context.database.read(selections.control_ids)
        truth = {item_id: human[item_id] for item_id in sorted(control) if item_id in human}
    predicted = await context.database.read(
        lambda con: predictions.of_round(con, round, list(truth))
    )
    index = {name: position for position, name in enumerate(classes)}
    ids = [i for i, label in truth.items() if label in index and i in predicted]
    if not ids:
        return None
    return measure(
        np.asarray([index[truth[item_id] or ""] for item_id in ids], dtype=np.int64),
        np.stack([predicted[item_id] for item_id in ids]).astype(np.float64),
        classes,
        scope=scope,
        round_number=round,
    )


async def _agreement(context: LoopContext, round: int) -> float | None:
    """Return Cohen's kappa of this model and the one before it on what is left of the stop set.

    None where that is too little to say anything: on a handful of items of one class every two models
    agree.
    """
    drawn, taken = await context.database.read(
        lambda con: (rounds.sub_sample(con, STOP_SET_ROUND), selections.taken(con))
    )
    # Models that were trained on an item agree about it.
    stop_set = [item_id for item_id in drawn if item_id not in taken]
    now = await context.database.read(lambda con: predictions.of_round(con, round, stop_set))
    before = await context.database.read(lambda con: predictions.before_round(con, round, stop_set))
    both = [item_id for item_id in stop_set if item_id in now and item_id in before]
    if len(both) < FEWEST_TO_AGREE_ON:
        return None
    return cohen_kappa(
        np.asarray([int(now[i].argmax()) for i in both]),
        np.asarray([int(before[i].argmax()) for i in both]),
    )
