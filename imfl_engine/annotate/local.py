"""`local:MODEL`: a causal language model in the compute process gives the cheap labels.

Nothing is generated: each label is scored as the continuation of the prompt, so an answer outside
the label set cannot happen, and every reply comes with log-probabilities.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import numpy as np

from imfl_engine.annotate.free import FreeAnnotator
from imfl_engine.annotate.prompts import labels_of, prompt_hash
from imfl_engine.compute.wire import LabelPrompt, LabelScores
from imfl_engine.events import Notice, Progress
from imfl_engine.settings import Annotator as AnnotatorSettings
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest, Item, Reply, ReplyStatus
from imfl_engine.views import CostEstimate

if TYPE_CHECKING:
    from imfl_engine.compute.client import Compute

ITEM_CHARACTERS = 1500
DEMONSTRATION_CHARACTERS = 600


class LocalAnnotator(FreeAnnotator):
    """Scores labels with a causal language model; free, private and without a network.

    The compute process belongs to the project, and the model is looked for when it is first used.
    """

    group = 256
    """Prompts scored, calibrated and committed together: enough for a stable mean of each label,
    few enough that a kill loses little work."""

    def __init__(self, task: Task, settings: AnnotatorSettings, compute: Compute) -> None:
        super().__init__()
        self._task = task
        self._settings = settings
        self._compute = compute

    @property
    def name(self) -> str:
        """The annotator's spec."""
        return self._settings.spec

    @property
    def shots(self) -> int | None:
        """As the settings say."""
        return None

    def estimate(
        self, requests: Sequence[AnnotationRequest], *, calls: int | None = None
    ) -> CostEstimate:
        """No money; tokens by the rule of four characters each."""
        prompts = [label_prompt(self._task, request) for request in requests]
        tokens = sum(len(prompt.prefix) + len(prompt.suffix) for prompt in prompts) // 4
        count = len(requests) if calls is None else calls
        scaled = round(tokens * count / max(len(requests), 1))
        return CostEstimate(
            count, scaled, scaled, 0, 0, 0.0, 0.0, 0.0, True, "a local model costs no money"
        )

    async def _answer(
        self, requests: Sequence[AnnotationRequest]
    ) -> AsyncGenerator[Reply | Notice | Progress, None]:
        started = time.monotonic()
        scores: dict[int, tuple[np.ndarray, int, int]] = {}
        prompts = [label_prompt(self._task, request) for request in requests]
        scored = self._compute.score_labels(
            self._settings.model, prompts, context_tokens=self._settings.context_tokens
        )
        async with aclosing(scored) as events:
            async for event in events:
                if isinstance(event, LabelScores):
                    for row, index in enumerate(event.indices):
                        scores[int(index)] = (
                            event.log_probabilities[row],
                            int(event.input_tokens[row]),
                            int(event.cached_tokens[row]),
                        )
                else:
                    yield event
        seconds = (time.monotonic() - started) / len(requests)
        for index, request in enumerate(requests):
            yield self._reply(request, scores.get(index), seconds)

    def _reply(
        self,
        request: AnnotationRequest,
        scored: tuple[np.ndarray, int, int] | None,
        seconds: float,
    ) -> Reply:
        labels = labels_of(self._task, request.item)
        prompt = label_prompt(self._task, request)
        text = prompt.prefix + prompt.suffix
        log_probabilities: dict[str, float] | None = None
        label = None
        if scored is not None and len(labels):
            values = scored[0][: len(labels)]
            log_probabilities = {
                name: float(value) for name, value in zip(labels, values, strict=True)
            }
            label = labels[int(np.argmax(values))]
        return Reply(
            item_id=request.item.item_id,
            round=request.round,
            purpose=request.purpose,
            status=ReplyStatus.OK if label is not None else ReplyStatus.INVALID,
            label=label,
            annotator=self.name,
            prompt_hash=prompt_hash({"annotator": self.name, "prompt": text}, request.item),
            confidence=float(np.exp(max(log_probabilities.values())))
            if log_probabilities
            else None,
            log_probabilities=log_probabilities,
            raw=label,
            messages=text,
            demonstration_ids=tuple(d.item.item_id for d in request.demonstrations),
            input_tokens=scored[1] if scored else 0,
            cached_tokens=scored[2] if scored else 0,
            seconds=seconds,
        )


def label_prompt(task: Task, request: AnnotationRequest) -> LabelPrompt:
    """Return the prompt of an item: the labels, the demonstrations, the item, ``Label:``.

    Small base models follow a pattern better than an instruction, so the prompt is one: every
    example has the shape that the item's own turn completes.
    """
    labels = labels_of(task, request.item)
    head = "" if request.item.options else f"Labels: {', '.join(labels)}.\n\n"
    shown = "".join(
        f"{_turn(d.item, DEMONSTRATION_CHARACTERS)} {d.label}\n\n" for d in request.demonstrations
    )
    return LabelPrompt(
        head + shown,
        _turn(request.item, ITEM_CHARACTERS),
        tuple(f" {label}" for label in labels),
    )


def _turn(item: Item, limit: int) -> str:
    text = " ".join(item.text.split())[:limit]
    context = f"Context: {' '.join(item.context.split())[:limit]}\n" if item.context else ""
    options = "".join(
        f"{letter}. {' '.join(option.split())[:limit]}\n"
        for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", item.options, strict=False)
    )
    return f"{context}Text: {text}\n{options}Label:"
