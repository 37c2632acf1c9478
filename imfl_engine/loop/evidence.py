"""The evidence: every label so far, in the arrays the label model reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from imfl_engine import label_model
from imfl_engine.label_model import Evidence, LabelModel, LabelModelOptions
from imfl_engine.loop.context import LoopContext
from imfl_engine.store import labels, predictions, replies, selections
from imfl_engine.types import Action, Purpose


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
    ) = await context.database.read(
        lambda con: (
            labels.human_labels(con),
            replies.latest(con, Purpose.ANNOTATE),
            replies.latest(con, Purpose.CALIBRATE),
            labels.decided_actions(con),
            selections.control_ids(con),
            labels.newest_decision(con),
        )
    )
    # An item that was measured again, by another annotator, counts with that measurement.
    measured = {item_id: reply for item_id, reply in calibrated.items() if item_id in human}
    llm = {
        item_id: reply
        for item_id, reply in (annotated | measured).items()
        if reply.label in index and actions.get(item_id) != Action.REJECT
    }
    # What the person labelled while the step embeds has to wait for the next round.
    labelled = sorted(human.keys() | llm.keys())
    lacking = await context.lacking_vectors(labelled)
    ids = [item_id for item_id in labelled if item_id not in lacking]
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
        confirmed=np.asarray([actions.get(i) == Action.ACCEPT for i in ids], dtype=bool),
        measured=np.asarray([i in measured for i in ids], dtype=bool),
        option_counts=await _option_counts(context, ids),
    )
    return Gathered(evidence, classes, newest_decision)


async def fit_labels(context: LoopContext, gathered: Gathered) -> LabelModel:
    """Fit the label model to all of it."""
    return await asyncio.to_thread(
        label_model.fit,
        gathered.evidence,
        classes=len(gathered.classes),
        seed=context.settings.seed,
        options=LabelModelOptions(human_reliability=context.settings.training.human_reliability),
    )


async def _earlier_predictions(
    context: LoopContext, ids: list[int], classes: int
) -> NDArray[np.float64] | None:
    """Return what the last model said about each item before anybody labelled it; nan without."""
    chosen = await context.database.read(selections.selected)
    wanted = set(ids)
    first: dict[int, int] = {}
    for selected in chosen:  # in the order of rounds; routing may have the person label it again
        if selected.item_id in wanted:
            first.setdefault(selected.item_id, selected.round)
    by_round: dict[int, list[int]] = {}
    for item_id, round_ in first.items():
        by_round.setdefault(round_, []).append(item_id)
    said: dict[int, NDArray[np.float32]] = {}
    for round_, members in by_round.items():
        said |= await context.database.read(
            partial(predictions.before_round, round=round_, ids=members)
        )
    return rows_of(ids, said, classes) if said else None


def rows_of(
    ids: Sequence[int], said: Mapping[int, NDArray[np.float32]], classes: int
) -> NDArray[np.float64]:
    """Return what a model ``said`` of each item (n, ``classes``), nan where it said nothing.

    Who read items of fewer options said 0 of the rest.
    """
    matrix = np.full((len(ids), classes), np.nan)
    for row, item_id in enumerate(ids):
        if item_id in said:
            probabilities = said[item_id]
            matrix[row] = 0.0
            matrix[row, : len(probabilities)] = probabilities
    return matrix


async def _option_counts(context: LoopContext, ids: list[int]) -> NDArray[np.int64] | None:
    if context.settings.task.kind == "classification":
        return None
    found = await context.items_of(ids)
    return np.asarray([len(item.options) for item in found], dtype=np.int64)
