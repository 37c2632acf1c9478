"""Stop advice says why."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.query import StopEvidence, advise, cohen_kappa
from imfl_engine.types import Interval


def test_kappa_is_one_for_equal_and_zero_for_independent_labels():
    rng = np.random.default_rng(0)
    a, b = rng.integers(3, size=20_000), rng.integers(3, size=20_000)
    assert cohen_kappa(a, a) == 1.0
    assert cohen_kappa(a, b) == pytest.approx(0.0, abs=0.02)
    assert cohen_kappa(np.zeros(5, int), np.zeros(5, int)) == 1.0


def test_a_spent_budget_stops():
    assert advise(StopEvidence()).action == "stop"


def test_without_money_it_stops_once_the_person_has_given_all_labels():
    advice = advise(StopEvidence(llm_left=9, money_spent_up=True))
    assert advice.action == "stop"
    assert "money" in advice.reason
    assert advise(StopEvidence(human_left=9, money_spent_up=True)).action == "continue"


def test_a_model_that_has_learned_nothing_is_said_first():
    curve = (Interval(0.5, 0.4, 0.6, 90), Interval(0.53, 0.43, 0.63, 90))
    advice = advise(StopEvidence(human_left=9, curve=curve, majority=("yes", 0.55)))
    assert advice.reason.startswith("The model is not better than always saying “yes” (55 %).")
    assert advice.action == "continue"
    doubtful = advise(StopEvidence(human_left=9, curve=curve, majority=("yes", 0.5)))
    assert doubtful.reason.startswith("The model is not surely better")
    assert "always saying" not in advise(StopEvidence(curve=curve, majority=("yes", 0.4))).reason


def test_models_that_agree_twice_stop_and_once_do_not():
    assert advise(StopEvidence(human_left=9, kappas=(0.7, 0.97, 0.98))).action == "stop"
    assert advise(StopEvidence(human_left=9, kappas=(0.7, 0.8, 0.98))).action == "continue"


def test_a_growing_curve_goes_on_and_a_certain_fall_stops():
    def point(value):
        return Interval(value, value - 0.01, value + 0.01, 1000)

    assert advise(StopEvidence(human_left=9, curve=(point(0.6), point(0.7)))).action == "continue"
    assert advise(StopEvidence(human_left=9, curve=(point(0.7), point(0.6)))).action == "stop"
