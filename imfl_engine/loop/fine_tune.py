"""One fine-tune: a training set becomes a job of the compute process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imfl_engine.compute.client import TrainingEvent
from imfl_engine.compute.wire import TrainingJob
from imfl_engine.label_model import TrainingSet
from imfl_engine.loop.context import LoopContext, model_input
from imfl_engine.types import Item


async def fine_tune(
    context: LoopContext,
    folder: Path,
    built: TrainingSet,
    classes: tuple[str, ...],
    *,
    validation: NDArray[np.bool_],
    start_from: Path | None,
    then_predict: Sequence[Item],
) -> AsyncGenerator[TrainingEvent, None]:
    """Fine-tune the target into ``folder``; events and errors are `Compute.train`'s.

    ``validation`` (m,) marks examples to hold out; ``then_predict`` are the items that
    the new model reads while its checkpoint is written.
    """
    training = context.settings.training
    ids = [int(item_id) for item_id in built.ids]
    found = await context.items_of(ids)
    job = TrainingJob(
        folder=folder,
        inputs=[model_input(item) for item in found],
        targets=built.targets if built.likelihoods is None else built.likelihoods,
        marginal=built.likelihoods is not None,
        weights=built.weights,
        labels=classes,
        kind=context.settings.task.kind,
        target=training.target,
        validation=validation,
        seed=context.settings.seed,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        max_length=training.max_length,
        features=await context.vectors_of(ids) if training.target == "probe" else None,
        start_from=start_from,
        embedder=context.settings.embedder,
        freeze_words=training.freeze_words,
        frozen_layers=training.frozen_layers,
        average=training.average,
        processes=training.processes,
        then_predict=[model_input(item) for item in then_predict],
    )
    async with aclosing(context.compute.train(job)) as events:
        async for event in events:
            yield event
