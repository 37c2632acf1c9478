"""The second opinion: two fine-tunes on half of the labels each, heard by the label model.

Their checkpoints are temporary; what stays is the posterior that the label model makes of them.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imfl_engine import label_model
from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import ProbabilityChunk
from imfl_engine.events import Event, Notice, Progress, TrainingProgress
from imfl_engine.loop.context import LoopContext, model_input
from imfl_engine.loop.evidence import Gathered
from imfl_engine.loop.fine_tune import fine_tune, without_measured_items
from imfl_engine.settings import Settings

DETAIL = "second opinion"
"""What its progress is called."""
FEWEST = 40
"""Below so many labels half of them teach a model nothing that the head does not know."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the halves say of each other: ``probabilities`` (n, C), rows as in the evidence."""

    probabilities: NDArray[np.float64]


def is_wanted(settings: Settings, gathered: Gathered, round: int, last_round: int) -> bool:
    """Whether a round's label model gets a second opinion.

    A *probe* would say what the label model's own head says, and a loss that does not use the
    posteriors has no use for it.
    """
    training, evidence = settings.training, gathered.evidence
    return (
        training.target != "probe"
        and training.loss == "label-model"
        and training.mode == "retrain"
        and (training.second_opinion == "always" or round >= last_round)
        and training.second_opinion != "never"
        and evidence.size >= FEWEST
        and bool((evidence.llm >= 0).any())
    )


async def second_opinion(
    context: LoopContext, gathered: Gathered, round: int
) -> AsyncGenerator[Event | Opinion, None]:
    """Train and ask both halves; the last event is the `Opinion`."""
    evidence, classes = gathered.evidence, gathered.classes
    said = np.full((evidence.size, len(classes)), np.nan)
    both = await asyncio.to_thread(
        lambda: list(label_model.halves(evidence, classes=len(classes), seed=context.settings.seed))
    )
    folder = context.model_folder(round).with_name(f"half-of-round-{round}")
    try:
        for number, half in enumerate(both, start=1):
            learn = await without_measured_items(context, half.learn)
            if not len(learn.ids):
                continue
            events = fine_tune(context, folder, learn, classes)
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TrainingProgress):
                        yield _within(event, number, len(both))
                    elif isinstance(event, Notice):
                        yield event
            held = [int(item_id) for item_id in evidence.ids[half.held]]
            found = await context.items_of(held)
            collected = Collected(len(held))
            answers = context.compute.predict(folder, [model_input(item) for item in found])
            async with aclosing(answers):
                async for answer in answers:
                    if isinstance(answer, ProbabilityChunk):
                        collected.put(answer)
            if collected.matrix is not None:
                said[half.held] = 0.0  # these may have fewer options than the most
                said[half.held, : collected.matrix.shape[1]] = collected.matrix
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    yield Opinion(said)


def _within(event: TrainingProgress, number: int, halves: int) -> Progress:
    """A half's progress among all; what follows (as long again as all halves) is in the time left."""
    eta = event.eta_seconds
    if eta is not None and event.step < event.total:
        of_one = eta * event.total / (event.total - event.step)
        eta += of_one * (2 * halves - number)
    done = (number - 1) * event.total + event.step
    return Progress("train", done, halves * event.total, "steps", eta, DETAIL)
