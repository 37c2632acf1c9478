"""`neighbours`: a vote with calibrated confidence, free, and committed before it is shown."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.annotate.neighbours import Neighbours, vote
from imfl_engine.annotate.ports import Annotator
from imfl_engine.settings import LabelSpec, Settings, Task
from imfl_engine.types import AnnotationRequest, Demonstration, Item, Purpose, ReplyStatus

TASK = Task(labels=(LabelSpec(name="a"), LabelSpec(name="b"), LabelSpec(name="c")))


def shown(*pairs: tuple[str, float]) -> tuple[Demonstration, ...]:
    return tuple(
        Demonstration(Item(100 + k, str(k), "t"), label, similarity)
        for k, (label, similarity) in enumerate(pairs)
    )


def test_near_neighbours_outweigh_far_ones_and_many_outweigh_one() -> None:
    near = vote(("a", "b"), shown(("a", 0.2), ("b", 0.9)))
    assert near["b"] > 0.7
    many = vote(("a", "b"), shown(("a", 0.7), ("a", 0.7), ("a", 0.7), ("b", 0.75)))
    assert many["a"] > many["b"]
    assert sum(near.values()) == pytest.approx(1.0)


def test_a_unanimous_vote_is_not_certain() -> None:
    assert 0.6 < vote(("a", "b", "c"), shown(("a", 0.8)))["a"] < 1.0


async def test_replies_carry_confidence_and_log_probabilities_and_cost_nothing() -> None:
    annotator = Neighbours(TASK)
    assert isinstance(annotator, Annotator)
    store = MemoryReplyStore()
    requests = [
        AnnotationRequest(Item(i, str(i), f"text {i}"), 2, Purpose.ANNOTATE, shown(("b", 0.5)))
        for i in range(450)
    ]
    count = 0
    async for event in annotator.annotate(requests, store):
        reply = event.reply  # type: ignore[union-attr]
        count += 1
        assert store.replies[(reply.item_id, 2, Purpose.ANNOTATE)] == reply
        assert reply.status is ReplyStatus.OK
        assert reply.label == "b"
        assert reply.cost_usd == 0.0
        assert reply.log_probabilities is not None
        assert math.exp(reply.log_probabilities["b"]) == pytest.approx(reply.confidence)
    assert count == 450
    estimate = annotator.estimate(requests)
    assert (estimate.money_high, estimate.price_known) == (0.0, True)


async def test_without_anything_to_compare_with_the_item_goes_to_a_person() -> None:
    request = AnnotationRequest(Item(1, "1", "text"), 1, Purpose.ANNOTATE)
    events = [e async for e in Neighbours(TASK).annotate([request], MemoryReplyStore())]
    reply = events[0].reply  # type: ignore[union-attr]
    assert reply.status is ReplyStatus.INVALID
    assert reply.label is None


async def test_options_vote_by_the_words_of_similar_questions_answers() -> None:
    item = Item(1, "1", "What treats it?", None, ("aspirin daily", "surgery", "rest"))
    alike = Demonstration(Item(2, "2", "And this?", None, ("rest", "low dose aspirin")), "B", 0.8)
    request = AnnotationRequest(item, 1, Purpose.ANNOTATE, (alike,))
    annotator = Neighbours(Task(kind="multiple-choice"))
    events = [e async for e in annotator.annotate([request], MemoryReplyStore())]
    assert events[0].reply.label == "A"  # type: ignore[union-attr]


async def test_the_prompt_hash_tells_apart_what_was_shown() -> None:
    annotator, store = Neighbours(TASK), MemoryReplyStore()
    one = AnnotationRequest(Item(1, "1", "text"), 1, Purpose.ANNOTATE, shown(("a", 0.5)))
    two = replace(one, demonstrations=shown(("b", 0.5)))
    hashes = [
        event.reply.prompt_hash  # type: ignore[union-attr]
        for request in (one, two, one)
        async for event in annotator.annotate([request], store)
    ]
    assert hashes[0] == hashes[2] != hashes[1]


def test_the_settings_name_the_annotator() -> None:
    def made(spec: str) -> Annotator | None:
        values = {"task": TASK.model_dump(), "annotator": {"spec": spec}}
        return build_annotator(Settings.model_validate(values), environ={"OPENAI_API_KEY": "k"})

    assert made("none") is None
    neighbours = made("neighbours")
    assert neighbours is not None
    assert neighbours.name == "neighbours"
    endpoint = made("openai:gpt-4o-mini")
    assert endpoint is not None
    assert endpoint.name == "openai:gpt-4o-mini"
