"""``neighbours``: the retrieved human examples vote. No key, no network, no cost.

It is the default of the demo and the floor that any language model has to beat.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

import numpy as np

from imfl_engine.annotate.free import FreeAnnotator
from imfl_engine.annotate.prompts import labels_of, prompt_hash
from imfl_engine.events import Notice, Progress
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest, Demonstration, Item, Reply, ReplyStatus
from imfl_engine.views import CostEstimate

TEMPERATURE = 0.15
"""Similarity differences of this size change a neighbour's weight by a factor e."""
PRIOR = 0.5
"""Pseudo-votes spread over all labels, in units of the nearest neighbour's vote."""
VOTERS = 15

_WORD = re.compile(r"\w+")


class Neighbours(FreeAnnotator):
    """Labels an item by the similarity-weighted vote of its demonstrations."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    @property
    def name(self) -> str:
        """The annotator's spec."""
        return "neighbours"

    @property
    def shots(self) -> int | None:
        """A vote gets better with more voters than a prompt has room for examples.

        Measured with 100 random human labels, accuracy with 5, 10 and 20 voters: FPB .61 .63 .63,
        TREC .52 .54 .55, PubMedQA .45 .46 .48.
        """
        return VOTERS

    def estimate(
        self, requests: Sequence[AnnotationRequest], *, calls: int | None = None
    ) -> CostEstimate:
        """Everything is free."""
        return CostEstimate(
            calls=len(requests) if calls is None else calls,
            input_tokens_low=0,
            input_tokens_high=0,
            output_tokens_low=0,
            output_tokens_high=0,
            money_low=0.0,
            money_high=0.0,
            minutes_of_person=0.0,
            price_known=True,
            price_source="neighbours cost nothing",
        )

    async def _answer(
        self, requests: Sequence[AnnotationRequest]
    ) -> AsyncGenerator[Reply | Notice | Progress, None]:
        for request in requests:
            yield self._reply(request)

    def _reply(self, request: AnnotationRequest) -> Reply:
        start = time.perf_counter()
        labels = labels_of(self._task, request.item)
        demonstrations = request.demonstrations
        shown = [(d.item.item_id, d.label, d.similarity) for d in demonstrations]
        settings = {"annotator": self.name, "shown": shown, "labels": labels}
        answered = Reply(
            item_id=request.item.item_id,
            round=request.round,
            purpose=request.purpose,
            status=ReplyStatus.INVALID,
            label=None,
            annotator=self.name,
            prompt_hash=prompt_hash(settings, request.item),
            demonstration_ids=tuple(d.item.item_id for d in demonstrations),
            error="no human-labelled item to compare with",
            attempts=0,
        )
        if not demonstrations or not labels:
            return answered
        if request.item.options:
            probabilities = _vote_on_options(request.item, labels, demonstrations)
        else:
            probabilities = vote(labels, demonstrations)
        best = max(labels, key=lambda label: probabilities[label])
        return Reply(
            item_id=answered.item_id,
            round=answered.round,
            purpose=answered.purpose,
            status=ReplyStatus.OK,
            label=best,
            annotator=self.name,
            prompt_hash=answered.prompt_hash,
            confidence=probabilities[best],
            log_probabilities={label: float(np.log(p)) for label, p in probabilities.items()},
            raw=best,
            demonstration_ids=answered.demonstration_ids,
            seconds=time.perf_counter() - start,
        )


def vote(labels: Sequence[str], demonstrations: Iterable[Demonstration]) -> dict[str, float]:
    """Probability of each label: ``softmax``-weighted votes plus a flat prior; sums to 1.

    A neighbour with cosine s has the weight ``exp((s - s_max) / TEMPERATURE)``. Demonstrations
    whose label is not in ``labels`` do not vote.
    """
    voters = [d for d in demonstrations if d.label in labels]
    votes = dict.fromkeys(labels, PRIOR / len(labels))
    nearest = max((d.similarity or 0.0 for d in voters), default=0.0)
    for d in voters:
        votes[d.label] += float(np.exp(((d.similarity or 0.0) - nearest) / TEMPERATURE))
    return _normalised(votes)


def _vote_on_options(
    item: Item, labels: Sequence[str], demonstrations: Iterable[Demonstration]
) -> dict[str, float]:
    """Options differ from item to item, so they vote by the words of the neighbours' answers.

    A letter says nothing about another item; the answers of similar questions often do.
    """
    texts = [_words(option) for option in item.options]
    votes = dict.fromkeys(labels, PRIOR / len(labels))
    for d in demonstrations:
        answers = dict(zip(labels_of(None, d.item), d.item.options, strict=False))
        answer = _words(answers.get(d.label, ""))
        for label, words in zip(labels, texts, strict=True):
            union = len(words | answer)
            if union:
                votes[label] += max(d.similarity or 0.0, 0.0) * len(words & answer) / union
    return _normalised(votes)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _normalised(votes: Mapping[str, float]) -> dict[str, float]:
    total = sum(votes.values())
    return {label: value / total for label, value in votes.items()}
