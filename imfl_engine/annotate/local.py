"""`local:MODEL`: a causal language model in the compute process gives the cheap labels.

Nothing is generated: each label is scored as the continuation of the prompt, so an answer outside
the label set cannot happen, and every reply comes with log-probabilities.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import numpy as np

from imfl_engine.annotate.ports import Committed, ReplyStore
from imfl_engine.annotate.prompts import labels_of, prompt_hash
from imfl_engine.compute.wire import LabelPrompt, LabelScores
from imfl_engine.events import Annotated, Notice, Progress
from imfl_engine.settings import Annotator as AnnotatorSettings
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest, Item, Reply, ReplyStatus
from imfl_engine.views import CostEstimate

if TYPE_CHECKING:
    from imfl_engine.compute.client import Compute

GROUP = 256
"""Prompts scored, calibrated and committed together: enough for a stable mean of each label, few
enough that a kill loses little work."""

ITEM_CHARACTERS = 1500
DEMONSTRATION_CHARACTERS = 600


class LocalAnnotator:
    """Scores labels with a causal language model; free, private and without a network."""

    def __init__(self, task: Task, settings: AnnotatorSettings, compute: Compute) -> None:
        self._task = task
        self._settings = settings
        self._compute = compute
        self._running = asyncio.Event()
        self._running.set()

    @property
    def name(self) -> str:
        """The annotator's spec."""
        return self._settings.spec

    @property
    def shots(self) -> int | None:
        """As the settings say."""
        return None

    async def check(self) -> Sequence[Notice]:
        """The model is looked for when it is first used."""
        return ()

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

    async def annotate(
        self,
        requests: Sequence[AnnotationRequest],
        store: ReplyStore,
        *,
        limit_usd: float | None = None,
    ) -> AsyncGenerator[Annotated | Notice | Progress, None]:
        """See `ports.Annotator.annotate`."""
        balance = await store.balance()
        started = time.monotonic()
        done = invalid = 0
        for first in range(0, len(requests), GROUP):
            await self._running.wait()
            part = requests[first : first + GROUP]
            scores: dict[int, tuple[np.ndarray, int, int]] = {}
            async with aclosing(
                self._compute.score_labels(
                    self._settings.model,
                    [label_prompt(self._task, request) for request in part],
                    context_tokens=self._settings.context_tokens,
                )
            ) as events:
                async for event in events:
                    if isinstance(event, LabelScores):
                        for row, index in enumerate(event.indices):
                            scores[int(index)] = (
                                event.log_probabilities[row],
                                int(event.input_tokens[row]),
                                int(event.cached_tokens[row]),
                            )
                    elif isinstance(event, Progress):
                        yield Progress("annotate", first + event.done, len(requests))
                    else:
                        yield event
            seconds = (time.monotonic() - started) / max(first + len(part), 1)
            replies = [
                self._reply(request, scores.get(index), seconds)
                for index, request in enumerate(part)
            ]
            await store.write([Committed(reply) for reply in replies])
            rate = (done + len(replies)) / max(time.monotonic() - started, 1e-6)
            for reply in replies:
                done += 1
                invalid += not reply.status.has_label
                yield Annotated(
                    reply=reply,
                    done=done,
                    total=len(requests),
                    in_flight=0,
                    retries=0,
                    invalid=invalid,
                    spent_usd=balance.spent,
                    reserved_usd=balance.reserved + balance.lost,
                    limit_usd=limit_usd,
                    per_minute=rate * 60,
                    eta_seconds=(len(requests) - done) / rate,
                )

    def pause(self) -> None:
        """Begin no further group."""
        self._running.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running.set()

    async def close(self) -> None:
        """The compute process belongs to the project."""

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
