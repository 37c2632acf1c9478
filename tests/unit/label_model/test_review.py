"""The review queue and the honest figures."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.label_model import (
    Evidence,
    LabelModel,
    below,
    control_accuracy,
    expected_in_next,
    order_by_risk,
    wilson,
    worst_pair,
)


@pytest.fixture
def reviewed():
    """Six LLM labels: id 15 has a human label too, id 14 was accepted."""
    evidence = Evidence(
        ids=np.array([10, 11, 12, 13, 14, 15]),
        vectors=None,
        human=np.array([-1, -1, -1, -1, -1, 1]),
        llm=np.array([0, 1, 0, 1, 0, 0]),
        confirmed=np.array([False, False, False, False, True, False]),
        control=np.array([False, False, False, False, False, True]),
    )
    risks = np.array([0.1, 0.9, 0.5, 0.5, 0.0, 1.0])
    nothing = np.zeros((6, 2))
    return evidence, LabelModel(evidence.ids, nothing, nothing, risks, None, 0.5, 2.0)


def test_the_queue_is_riskiest_first_ties_by_id_without_what_was_reviewed(reviewed):
    assert order_by_risk(*reviewed).tolist() == [11, 12, 13, 10]


def test_the_next_of_the_queue_hold_the_sum_of_their_risks(reviewed):
    assert expected_in_next(*reviewed, k=2) == pytest.approx(1.4)
    assert expected_in_next(*reviewed, k=99) == pytest.approx(2.0)


def test_only_labels_below_the_risk_are_offered_for_bulk_acceptance(reviewed):
    assert below(*reviewed, risk=0.5).tolist() == [10]


def test_the_worst_pair_names_the_commonest_mistake(reviewed):
    assert worst_pair(reviewed[0]) == (1, 0, 1, 1)


def test_control_accuracy_comes_from_control_items_alone(reviewed):
    interval = control_accuracy(reviewed[0])
    assert interval is not None
    assert (interval.value, interval.n) == (0.0, 1)
    assert interval.low == 0.0
    assert interval.high > 0.7


def test_wilson_matches_the_published_example():
    interval = wilson(81, 263)  # Newcombe 1998, table I
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=2e-4)
