"""The honest figures: the LLM's accuracy on the control slice, and its commonest mistake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imfl_engine.label_model import (
    ControlAnswer,
    Evidence,
    accuracy_of_bought,
    wilson,
    worst_pair,
)


def test_wilson_matches_the_published_example():
    interval = wilson(81, 263)  # Newcombe 1998, table I
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=2e-4)


def test_without_an_answer_nothing_is_known_of_the_llm():
    assert accuracy_of_bought([], {1: 10}) is None


def test_items_asked_about_once_are_counted():
    answers = [ControlAnswer(1, 1, True), ControlAnswer(2, 1, False), ControlAnswer(3, 2, True)]
    interval = accuracy_of_bought(answers, {1: 5, 2: 5})
    assert interval == wilson(2, 3)


def test_an_answer_stands_for_the_labels_bought_until_the_next_one():
    answers = [ControlAnswer(1, 2, False), ControlAnswer(1, 4, True)]
    interval = accuracy_of_bought(answers, {1: 10, 2: 10, 3: 20, 4: 40, 5: 20})
    assert interval is not None
    assert interval.value == pytest.approx(0.6)  # rounds 4 and 5 of all 100 labels
    assert interval.n == 1


def test_answers_before_anything_is_bought_are_counted_with_the_newest():
    answers = [ControlAnswer(1, 1, False), ControlAnswer(1, 2, True), ControlAnswer(2, 1, True)]
    assert accuracy_of_bought(answers, {}) == wilson(2, 2)


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=8),
    st.dictionaries(st.integers(1, 5), st.integers(1, 50)),
)
def test_the_accuracy_lies_between_that_of_the_worst_and_the_best_round(rows, bought):
    answers = [
        ControlAnswer(item, round_, right)
        for item, row in enumerate(rows)
        for round_, right in enumerate(row, start=1)
    ]
    interval = accuracy_of_bought(answers, bought)
    assert interval is not None
    assert interval.n == len(rows)
    assert sum(all(row) for row in rows) <= interval.value * len(rows) + 1e-9
    assert interval.value * len(rows) <= sum(any(row) for row in rows) + 1e-9


def test_the_worst_pair_names_the_commonest_mistake():
    evidence = Evidence(
        ids=np.arange(5),
        vectors=None,
        human=np.array([1, 1, 1, 0, -1]),
        llm=np.array([0, 0, 1, 1, 1]),
    )
    assert worst_pair(evidence) == (1, 0, 2, 3)
