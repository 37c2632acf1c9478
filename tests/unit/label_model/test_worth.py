"""What an LLM's labels are worth: nothing by chance or by repetition, much when they are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_labels import evidence, mistaken, repeated

from imfl_engine.label_model import (
    LabelModelOptions,
    fit,
    say_nothing,
    say_something,
    training_set,
)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_by_chance_hold_no_information_and_are_left_out(seed: int) -> None:
    said = evidence(1 / 3, seed=seed)
    model = fit(said, classes=3, seed=seed)
    assert say_nothing(model.information)
    built = training_set("label-model", said, model, 3, seed, fine_tune=True, without_llm=True)
    assert built.ids.tolist() == list(range(200))
    assert np.allclose(built.weights, 1)


def test_the_more_often_the_llm_is_right_the_more_it_tells() -> None:
    told = [fit(evidence(right), classes=3, seed=0).information for right in (0.45, 0.6, 0.75, 0.9)]
    assert told == sorted(told)
    assert told[-1] > 0.5
    assert [say_nothing(one) for one in told] == [True, False, False, False]
    assert [say_something(one) for one in told] == [False, True, True, True]


def test_labels_voted_by_similar_human_labels_are_left_out() -> None:
    said = repeated(evidence(0.9))
    assert (said.llm == evidence(1.0).llm).mean() > 0.6, "they are often right all the same"
    assert say_nothing(fit(said, classes=3, seed=0).information)


def test_without_labels_of_an_llm_there_is_nothing_to_say() -> None:
    nobody = replace(evidence(0.9), llm=np.full(600, -1))
    model = fit(nobody, classes=3, seed=0)
    assert np.isnan(model.information)
    assert not say_nothing(model.information)
    assert not say_something(model.information)
    assert not say_something(None)
    assert np.allclose(model.likelihood[200:], 1 / 3)


def test_what_a_person_said_leaves_no_other_class_and_what_an_llm_said_does() -> None:
    said = evidence(0.75)
    likelihood = fit(said, classes=3, seed=0).likelihood
    assert np.allclose(likelihood.sum(axis=1), 1)
    assert np.array_equal(likelihood[:200], np.eye(3)[said.human[:200]])
    assert likelihood[200:].argmax(axis=1).tolist() == said.llm[200:].tolist()
    assert 0.6 < likelihood[200:].max(axis=1).mean() < 0.9


def test_what_an_llm_says_of_two_classes_alike_tells_nothing_between_them() -> None:
    said = mistaken(evidence(0.9))
    likelihood = fit(said, classes=3, seed=0).likelihood[200:]
    of_one = likelihood[said.llm[200:] == 1]
    assert np.abs(of_one[:, 0] - of_one[:, 1]).max() < 0.1
    assert of_one[:, 2].max() < 0.1
    assert likelihood[said.llm[200:] == 2][:, 2].min() > 0.7


def test_what_repeats_similar_human_labels_is_believed_less_than_as_often_right_by_itself() -> None:
    echo = fit(repeated(evidence(0.9)), classes=3, seed=0).likelihood[200:].max(axis=1).mean()
    alone = fit(evidence(0.7), classes=3, seed=0).likelihood[200:].max(axis=1).mean()
    assert echo < alone - 0.1


def test_a_fine_tune_gives_both_kinds_of_label_the_same_total_weight() -> None:
    said = evidence(0.6)
    built = training_set("label-model", said, None, 3, 0, fine_tune=True)
    assert np.isclose(built.weights[:200].sum(), built.weights[200:].sum())
    assert np.isclose(built.weights.mean(), 1)
    assert built.likelihoods is not None
    assert built.likelihoods.shape == built.targets.shape


def test_without_a_person_the_labels_of_an_llm_are_taken_for_mostly_right() -> None:
    said = replace(evidence(0.9), human=np.full(600, -1))
    model = fit(said, classes=3, seed=0)
    assert not say_nothing(model.information)
    assert 0.75 < model.llm_accuracy < 0.97
    assert len(training_set("label-model", said, model, 3, 0, fine_tune=True).ids) == 600


def test_a_person_who_has_met_one_class_only_makes_nobody_wrong_about_the_others() -> None:
    said = evidence(0.9)
    first = np.flatnonzero(said.human == 0)[:20]
    human = np.full(600, -1)
    human[first] = 0
    model = fit(replace(said, human=human), classes=3, seed=0)
    assert not say_nothing(model.information)
    assert model.expected_errors < 120, "of 580, where 59 are wrong"


def test_labels_that_are_left_aside_do_not_disturb_the_two_means() -> None:
    said = evidence(0.75)
    model = fit(said, classes=3, seed=0)
    aside = np.arange(600) % 4 == 0
    built = training_set("label-model", said.take(~aside), model, 3, 0, fine_tune=True)
    human = built.ids < 200
    assert built.ids.tolist() == np.flatnonzero(~aside).tolist()
    assert np.isclose(built.weights[human].sum(), built.weights[~human].sum())


def test_heads_are_not_taught_by_labels_that_only_repeat_what_they_were_shown() -> None:
    """A hidden human label would come back to the head that scores it by way of its neighbours."""
    untaught = LabelModelOptions(iterations=0)
    repeating, informing = repeated(evidence(0.75)), evidence(0.75)
    assert say_nothing(fit(repeating, classes=3, seed=0).information)
    for labels, teaches in ((repeating, False), (informing, True)):
        now = fit(labels, classes=3, seed=0).posterior
        without = fit(labels, classes=3, seed=0, options=untaught).posterior
        assert np.allclose(now, without) != teaches
