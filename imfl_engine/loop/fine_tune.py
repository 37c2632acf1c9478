"""One fine-tune: a training set becomes a job of the compute process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imfl_engine.compute.client import TrainingEvent
from imfl_engine.compute.wire import TrainingJob
from imfl_engine.label_model import Evidence, TrainingSet, subset
from imfl_engine.loop.context import LoopContext, model_input
from imfl_engine.store import items, selections


async def fine_tune(
    context: LoopContext,
    folder: Path,
    built: TrainingSet,
    classes: tuple[str, ...],
    *,
    validation: NDArray[np.bool_] | None = None,
    start_from: Path | None = None,
) -> AsyncGenerator[TrainingEvent, None]:
    """Fine-tune the target into ``folder``; the last event is `ModelReady`.

    ``validation`` (m,) marks examples to hold out, none by default. Errors are `Compute.train`'s.
    """
    training = context.settings.training
    ids = [int(item_id) for item_id in built.ids]
    found = await context.items_of(ids)
    job = TrainingJob(
        folder=folder,
        inputs=[model_input(item) for item in found],
        targets=built.targets,
        weights=built.weights,
        labels=classes,
        kind=context.settings.task.kind,
        target=training.target,
        validation=np.zeros(len(ids), dtype=bool) if validation is None else validation,
        seed=context.settings.seed,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        max_length=training.max_length,
        features=await context.vectors_of(ids) if training.target == "probe" else None,
        start_from=start_from,
        embedder=context.settings.embedder,
        frozen_layers=training.frozen_layers,
        processes=training.processes,
    )
    async with aclosing(context.compute.train(job)) as events:
        async for event in events:
            yield event


def validation_share(
    evidence: Evidence, built: TrainingSet, share: float, seed: int
) -> NDArray[np.bool_]:
    """Draw ``share`` of the human labels, leaving the control slice alone; marks (m,)."""
    mask = np.zeros(len(built.ids), dtype=bool)
    eligible = evidence.ids[(evidence.human >= 0) & ~evidence.control_mask]
    rows = np.flatnonzero(np.isin(built.ids, eligible))
    size = int(share * rows.size)
    if size:
        mask[np.random.default_rng([seed, 0x7A]).choice(rows, size, replace=False)] = True
    return mask


async def without_measured_items(context: LoopContext, built: TrainingSet) -> TrainingSet:
    """Leave the control slice out when the model has nothing else to be measured on."""
    tested = await context.database.read(
        lambda con: items.ids_of_split(con, "test", with_gold=True)
    )
    if tested:
        return built
    control = await context.database.read(selections.control_ids)
    return subset(built, ~np.isin(built.ids, sorted(control)))
