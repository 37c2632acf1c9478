"""The simulated LLM errs as it is told to, and the same way every time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.annotate.ports import Annotator
from imfl_engine.errors import UsageError
from imfl_engine.replay import SimulatedAnnotator, parse_noise
from imfl_engine.types import AnnotationRequest, Item, Purpose

LABELS = ("no", "maybe", "yes")


async def answers(spec, *, seed=0, count=2000, options=()):
    annotator = SimulatedAnnotator(parse_noise(spec), LABELS, spec=f"simulated:{spec}", seed=seed)
    assert isinstance(annotator, Annotator)
    gold = [("A" if options else LABELS[i % 3]) for i in range(count)]
    items = [Item(i, f"k{i}", "text", options=options, gold=gold[i]) for i in range(count)]
    requests = [AnnotationRequest(item, 1, Purpose.ANNOTATE) for item in items]
    store = MemoryReplyStore()
    said = [e.reply.label async for e in annotator.annotate(requests, store)]
    assert len(store.replies) == count
    return np.array(gold), np.array(said)


@pytest.mark.parametrize("accuracy", [0.9, 0.75, 0.6])
async def test_gold_is_kept_with_the_given_accuracy(accuracy):
    gold, said = await answers(str(accuracy))
    assert (gold == said).mean() == pytest.approx(accuracy, abs=0.03)


async def test_chance_does_not_know_the_gold_label():
    gold, said = await answers("chance")
    assert (gold == said).mean() == pytest.approx(1 / 3, abs=0.04)


async def test_a_class_can_be_mistaken_always():
    gold, said = await answers("0.9,maybe=yes")
    assert set(said[gold == "maybe"]) == {"yes"}
    assert (said[gold == "no"] == "no").mean() == pytest.approx(0.9, abs=0.03)


async def test_a_confusion_matrix_is_followed(tmp_path):
    path = tmp_path / "confusion.json"
    path.write_text(json.dumps({"yes": {"yes": 3, "no": 1}}))
    gold, said = await answers(str(path))
    assert (said[gold == "yes"] == "no").mean() == pytest.approx(0.25, abs=0.04)
    assert (said[gold == "no"] == "no").all()


async def test_a_confusion_matrix_makes_the_same_mistakes_wherever_it_lies(tmp_path):
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    here.write_text('{"yes": {"yes": 3, "no": 1}, "no": {"maybe": 1}}')
    there.write_text('{"no": {"maybe": 1}, "yes": {"no": 1, "yes": 3}}')
    _, first = await answers(str(here))
    _, again = await answers(str(there))
    assert (first == again).all()


async def test_a_seed_repeats_its_mistakes_and_another_makes_others():
    _, first = await answers("0.75")
    _, again = await answers("0.75")
    _, other = await answers("0.75", seed=1)
    assert (first == again).all()
    assert (first != other).any()


async def test_an_item_with_options_is_answered_by_a_letter():
    _, said = await answers("0.5", options=("x", "y", "z", "w"))
    assert set(said) == {"A", "B", "C", "D"}


@pytest.mark.parametrize("spec", ["1.5", "-1", "often", "0.9,maybe", "nowhere.json"])
def test_what_is_no_simulation_is_refused(spec):
    with pytest.raises(UsageError):
        parse_noise(spec)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"yes": {"yes": 0}}', '{"yes": {"no": -1}}', '{"yes": 1}', "3"]
)
def test_a_confusion_matrix_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "confusion.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="cannot be read"):
        parse_noise(str(path))


@pytest.mark.parametrize("spec", ["nan", "inf", "-0.1", "1.1", "0.5,yes"])
def test_a_share_that_is_none_is_refused(spec):
    with pytest.raises(UsageError, match="no simulated annotator"):
        parse_noise(spec)


def test_noise_about_other_labels_is_refused():
    for spec in ("0.9,maybe=yess", "0.9,neutral=yes"):
        with pytest.raises(UsageError, match="no label of this task"):
            SimulatedAnnotator(parse_noise(spec), LABELS, spec=spec, seed=0)
