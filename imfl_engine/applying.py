"""The newest model put to use: on new files, on labelled files, and saved for other software."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np

from imfl_engine.compute.wire import ModelInput
from imfl_engine.data.model_card import model_card
from imfl_engine.data.predicting import open_predictions
from imfl_engine.data.reading import Source
from imfl_engine.errors import ANY_PROJECT, DataError, UsageError
from imfl_engine.events import Event, Progress
from imfl_engine.loop.context import LoopContext, within
from imfl_engine.loop.runner import Loop
from imfl_engine.metrics import evaluate
from imfl_engine.overview import read_status
from imfl_engine.store import rounds
from imfl_engine.types import StepKind, TaskKind
from imfl_engine.views import Evaluation

Probabilities = np.ndarray[Any, np.dtype[np.float32]]


async def newest_model(context: LoopContext) -> tuple[int, Path]:
    """Return the newest model. Raises `UsageError` while there is none."""
    model = await context.newest_model()
    if model is not None:
        return model
    lost = await context.lost_model()
    if lost is not None:
        raise UsageError(
            f"The model of round {lost} is gone from {context.files}.",
            f"Put that folder back, or train it again with `imfl-tui run {ANY_PROJECT}`.",
        )
    raise UsageError(
        f"{context.database.path} has no trained model yet.",
        f"Label the first batch and train with `imfl-tui run {ANY_PROJECT}`.",
    )


async def predict_file(
    context: LoopContext, source: Source, destination: Path
) -> AsyncGenerator[Event, None]:
    """Write every row of ``source`` with the model's label and probabilities, a batch at a time.

    The destination appears when it is complete; memory is that of one batch.
    """
    _, folder = await newest_model(context)
    classes = await context.class_names()
    done = 0
    batches = source.rows()
    with open_predictions(destination, source, classes) as writer:
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            inputs = [
                ModelInput(row["text"], row["context"], tuple(row["options"]))
                for row in batch.items.select(["text", "context", "options"]).to_pylist()
            ]
            # As far as the file is read, this batch included.
            total = max(done + len(inputs), round((done + len(inputs)) / max(source.share, 1e-6)))
            async with aclosing(context.reading(folder, inputs, len(classes))) as events:
                async for event in events:
                    if isinstance(event, Progress):
                        yield within(event, done, total)
                    else:
                        await asyncio.to_thread(writer.write, batch, event)
            done += len(inputs)
        if done:
            yield Progress("predict", done, done, "items")


async def evaluate_file(
    context: LoopContext, source: Source, tell: Callable[[Progress], object]
) -> Evaluation:
    """Measure the newest model on a labelled file; rows without a known label are left out.

    ``tell`` is called with how far it is, the total being estimated from how much is read.
    Raises `DataError` when no row has a label of the schema.
    """
    model_round, folder = await newest_model(context)
    classes = await context.class_names()
    index = {name: position for position, name in enumerate(classes)}
    truth: list[int] = []
    predicted: list[Probabilities] = []

    def tell_of_all(progress: Progress) -> None:
        total = max(len(truth), round(len(truth) / max(source.share, 1e-6)))
        before = len(truth) - progress.total
        tell(Progress("evaluate", before + progress.done, total, detail="measuring"))

    batches = source.batches()
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        known = [item for item in batch if item.label in index]
        if known:
            truth += [index[item.label or ""] for item in known]
            inputs = [ModelInput(item.text, item.context, item.options) for item in known]
            predicted.append(
                await context.probabilities_of(folder, inputs, len(classes), tell_of_all)
            )
    if not truth:
        raise DataError(
            "No row of the data has a label of this project.",
            f"The labels are {', '.join(classes[:10])}; name their column with --label.",
        )
    return evaluate(
        np.asarray(truth, dtype=np.int64),
        np.concatenate(predicted).astype(np.float64),
        classes,
        scope="data",
        round_number=model_round,
    )


async def save_model(loop: Loop, destination: Path) -> str:
    """Save the newest model for other software; returns a sentence that says how to load it.

    Raises `UsageError` when there is no model or the folder holds something else.
    """
    context = loop.context
    round_, folder = await newest_model(context)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise UsageError(f"{destination} is not an empty folder.", "Name a new folder.")
    existed = destination.is_dir()
    status = await read_status(loop)
    trained = await context.database.read(lambda con: rounds.completed(con, kind=StepKind.TRAIN))
    details = next(step.details for step in reversed(trained) if step.round == round_)
    card = model_card(
        status,
        context.settings,
        examples=int(details["examples"]),
        by_llm=int(details.get("examples_by_llm", details.get("llm", 0))),
    )
    try:
        saved = await context.compute.save(folder, destination, card)
    except BaseException:
        if not existed:
            shutil.rmtree(destination, ignore_errors=True)
        raise
    return how_to_load(destination, saved.loads_with, context.settings.task.kind)


def how_to_load(folder: Path, loads_with: str, kind: TaskKind) -> str:
    """Say in a sentence what reads the model in ``folder``."""
    if loads_with == "sentence-transformers":
        return (
            f'It is a probe: SentenceTransformer("{folder}") embeds a text, and the head in '
            f"probe.safetensors turns that into labels; {folder / 'README.md'} shows the lines."
        )
    if kind == "multiple-choice":
        return f"Load it with transformers; {folder / 'README.md'} shows how options are scored."
    return f'Load it with transformers.pipeline("text-classification", "{folder}").'
