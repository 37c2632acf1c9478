"""The grammar of arms."""

from __future__ import annotations

import pytest

from imfl_engine.errors import UsageError
from imfl_engine.replay import PAPER_ARMS, parse_arm, parse_arms
from imfl_engine.settings import parse_settings


@pytest.fixture
def base():
    labels = [{"name": "a"}, {"name": "b"}]
    return parse_settings({"task": {"labels": labels}, "annotator": {"spec": "simulated:0.75"}})


def test_words_may_come_in_any_order_and_the_rest_is_default():
    first, second = parse_arm("two-mean+random+equal"), parse_arm("equal+two-mean+random")
    assert (first.query, first.loss, first.schedule) == ("random", "two-mean", "equal")
    assert (first.retrieval, first.training) == ("similar", "retrain")
    assert second.query == first.query
    assert second.schedule == first.schedule


def test_single_fidelity_is_random_unless_a_query_is_named(base):
    human = parse_arm("human-1000")
    assert (human.query, human.human, human.llm) == ("random", 1000, 0)
    assert parse_arm("human-1000+uncertainty").query == "uncertainty"
    assert human.settings(base, 3).annotator.spec == "none"
    llm = parse_arm("llm-500+zero-shot").settings(base, 3)
    assert (llm.budget.human, llm.budget.llm, llm.annotator.spec) == (0, 500, "simulated:0.75")


def test_the_papers_arm_is_its_literal_system(base):
    settings = parse_arm("imfl-paper").settings(base, 7)
    assert settings.query.strategy == "eeq-split"
    assert settings.training.loss == "two-mean"
    assert settings.training.mode == "continue"
    assert settings.seed == 7


@pytest.mark.parametrize(
    "text", ["", "eeq+random", "egg", "human-0", "human-x", "two-mean+reweight"]
)
def test_what_is_no_arm_is_refused_with_a_hint(text):
    with pytest.raises(UsageError) as refused:
        parse_arm(text)
    assert refused.value.hint


def test_lists_drop_repeats_and_poster_stands_for_all_of_its_systems():
    assert [arm.name for arm in parse_arms("eeq, random,eeq")] == ["eeq", "random"]
    assert [arm.name for arm in parse_arms("poster")] == list(PAPER_ARMS)
