"""The schedules give the figures of the specification."""

from __future__ import annotations

import pytest

from imfl_engine.errors import SettingsError
from imfl_engine.query import plan_rounds


def test_the_variable_schedule_shifts_a_constant_round_from_human_to_llm():
    plan = plan_rounds("variable", human=200, llm=800, rounds=5)
    assert [p.human for p in plan] == [67, 53, 40, 27, 13]
    assert [p.llm for p in plan] == [133, 147, 160, 173, 187]


def test_the_equal_schedule_is_equal():
    plan = plan_rounds("equal", human=200, llm=800, rounds=5)
    assert {(p.human, p.llm) for p in plan} == {(40, 160)}


def test_the_geometric_schedule_falls_steadily():
    humans = [p.human for p in plan_rounds("geometric", human=200, llm=800, rounds=5)]
    assert humans == sorted(humans, reverse=True)
    assert humans[0] > 67


def test_one_batch_spends_everything_at_once():
    assert [(p.human, p.llm) for p in plan_rounds("one-batch", human=9, llm=4, rounds=5)] == [
        (9, 4)
    ]


def test_an_explicit_schedule_is_taken_as_it_is_and_must_sum():
    plan = plan_rounds("variable", human=30, llm=30, rounds=9, explicit=(20, 5, 5))
    assert [p.human for p in plan] == [20, 5, 5]
    assert [p.llm for p in plan] == [0, 15, 15]
    with pytest.raises(SettingsError, match="human_per_round"):
        plan_rounds("variable", human=30, llm=30, rounds=9, explicit=(20, 5))


def test_few_llm_labels_go_to_the_late_rounds_only():
    plan = plan_rounds("variable", human=100, llm=30, rounds=5)
    assert [p.llm for p in plan][:2] == [0, 0]
    assert sum(p.llm for p in plan) == 30
