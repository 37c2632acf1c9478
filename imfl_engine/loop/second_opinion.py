"""The second opinion: two fine-tunes on half of the labels each, heard by the label model.

Their checkpoints are temporary; what stays is the posterior that the label model makes of them.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imfl_engine import label_model
from imfl_engine.events import Event, Progress, TrainingProgress
from imfl_engine.label_model import Evidence, LabelModel, wilson
from imfl_engine.loop.context import LoopContext, model_input
from imfl_engine.loop.evidence import Gathered
from imfl_engine.loop.fine_tune import fine_tune
from imfl_engine.loop.holding_out import without_measured_items
from imfl_engine.loop.time_left import TimeLeft
from imfl_engine.settings import Settings

FOLDER = "half-of-round-"
DETAIL = "second opinion"
"""What its progress is called."""
FEWEST = 40
"""Below so many labels half of them teach a model nothing that the head does not know."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What each half's model says of the other: ``probabilities`` (n, C), rows as in the evidence."""

    probabilities: NDArray[np.float64]


def is_wanted(settings: Settings, gathered: Gathered, *, last: bool) -> bool:
    """Whether a training's label model gets a second opinion; ``last``: no round follows it.

    A *probe* would say what the label model's own head says, and a loss that does not use the
    posteriors has no use for it. The labels of *neighbours* are made of the human labels, those of
    the half that is judged among them: what it teaches one half then seems confirmed by the other.
    """
    training, evidence = settings.training, gathered.evidence
    return (
        training.target != "probe"
        and settings.annotator.kind != "neighbours"
        and training.loss == "label-model"
        and training.mode == "retrain"
        and (training.second_opinion == "always" or (training.second_opinion == "last" and last))
        and evidence.size >= FEWEST
        and bool((evidence.llm >= 0).any())
    )


def is_believable(evidence: Evidence, fitted: LabelModel) -> bool:
    """Whether a fit that heard the halves agrees with how often the LLM is wrong.

    An LLM that is shown the human labels, as most are, errs on items that are alike in the same
    way; the halves learn these errors from each other's labels and confirm them. Then the risks say
    fewer errors than the pairs of human and LLM labels allow (the lower end of their 95 % interval),
    and the opinion is not heard.
    """
    pairs, in_doubt = evidence.pairs, evidence.in_doubt
    if not pairs.any() or not in_doubt.any():
        return False
    wrong = int((evidence.human[pairs] != evidence.llm[pairs]).sum())
    return fitted.expected_errors / int(in_doubt.sum()) >= wilson(wrong, int(pairs.sum())).low


async def second_opinion(
    context: LoopContext, gathered: Gathered, round: int, *, then: int, fit_seconds: float
) -> AsyncGenerator[Event | HeldOut, None]:
    """Train and ask both halves; the last event is the `HeldOut`, if both had something to learn.

    The time left that is told is that of the whole step: a training of ``then`` examples follows, and
    before it a fit of the label model, which takes ``fit_seconds``.
    """
    evidence, classes = gathered.evidence, gathered.classes
    said = np.zeros((evidence.size, len(classes)))
    both = await asyncio.to_thread(
        lambda: list(label_model.halves(evidence, classes=len(classes), seed=context.settings.seed))
    )
    learning = [await without_measured_items(context, half.learn) for half in both]
    if not all(len(learn.ids) for learn in learning):
        return
    folder = context.files / f"{FOLDER}{round}"
    time_left = TimeLeft([len(half.held) for half in both], fit_seconds=fit_seconds)
    sizes = [*(len(learn.ids) for learn in learning), then]
    try:
        for number, (half, learn) in enumerate(zip(both, learning, strict=True)):
            time_left.begin()
            training = fine_tune(context, folder, learn, classes, followed_by=sizes[number + 1 :])
            async with aclosing(training) as events:
                async for event in events:
                    if isinstance(event, TrainingProgress):
                        done, total = number * event.total + event.step, len(both) * event.total
                        eta = time_left.training(event)
                        yield Progress("train", done, total, "steps", eta, DETAIL)
            held = [int(item_id) for item_id in evidence.ids[half.held]]
            found = await context.items_of(held)
            said[half.held] = await context.probabilities_of(
                folder, [model_input(item) for item in found], len(classes)
            )
            time_left.end()
    finally:
        await asyncio.to_thread(remove_halves, context.files)
    yield HeldOut(said)


def remove_halves(files: Path) -> None:
    """Remove the models of halves, also what a kill has left of them."""
    for pattern in (f"{FOLDER}*", f".{FOLDER}*"):
        for folder in files.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
