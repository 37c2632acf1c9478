"""What an LLM's labels are worth: nothing by chance or by repetition, much when they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imfl_engine.label_model import Evidence, answer_weights, fit, training_set


def evidence(right: float, *, seed: int = 0, pairs: int = 200, n: int = 600) -> Evidence:
    """Three classes in 16 dimensions; the LLM has labelled everything, a person the first items."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    vectors = rng.normal(size=(3, 16))[truth] + 1.6 * rng.normal(size=(n, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    wrong = (truth + rng.integers(1, 3, n)) % 3
    llm = np.where(rng.random(n) < right, truth, wrong)
    human = np.where(np.arange(n) < pairs, truth, -1)
    return Evidence(np.arange(n), vectors, human, llm)


def information(right: float, seed: int = 0) -> np.ndarray:
    return fit(evidence(right, seed=seed), classes=3, seed=seed).answer_information


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_by_chance_hold_no_information_and_are_left_out(seed: int) -> None:
    said = evidence(1 / 3, seed=seed)
    model = fit(said, classes=3, seed=seed)
    assert (model.answer_information < 0.05).all()
    weights = answer_weights(model.answer_information)
    assert (weights == 0).all()
    built = training_set("label-model", said, model, 3, seed, answer_weights=weights)
    assert built.ids.tolist() == list(range(200))
    assert np.allclose(built.weights, 1)


def test_the_more_often_the_llm_is_right_the_more_it_tells() -> None:
    told = [information(right) for right in (0.45, 0.6, 0.75, 0.9)]
    means = [values.mean() for values in told]
    assert means == sorted(means)
    assert told[-1].min() > 0.5
    assert (answer_weights(told[-1]) == 1).all()


def test_labels_voted_by_similar_human_labels_are_left_out() -> None:
    said = evidence(0.9)
    similarity = said.vectors[:, :] @ said.vectors[:200].T
    similarity[np.arange(200), np.arange(200)] = -1  # nobody votes for itself
    nearest = np.argsort(-similarity, axis=1)[:, :5]
    votes = np.eye(3)[said.human[:200]][nearest].sum(axis=1).argmax(axis=1)
    repeated = Evidence(said.ids, said.vectors, said.human, votes)
    assert (votes == evidence(1.0).llm).mean() > 0.6, "they are often right all the same"
    told = fit(repeated, classes=3, seed=0).answer_information
    assert (answer_weights(told) == 0).all()


def test_a_label_that_is_given_to_everything_of_two_classes_tells_less_than_the_other() -> None:
    said = evidence(0.9)
    mistaken = np.where(said.llm == 0, 1, said.llm)
    model = fit(Evidence(said.ids, said.vectors, said.human, mistaken), classes=3, seed=0)
    assert math.isnan(model.answer_information[0])
    assert model.answer_information[1] < model.answer_information[2] - 0.1


def test_without_labels_of_an_llm_there_is_nothing_to_say() -> None:
    said = evidence(0.9)
    nobody = Evidence(said.ids, said.vectors, said.human, np.full(600, -1))
    told = fit(nobody, classes=3, seed=0).answer_information
    assert np.isnan(told).all()
    assert (answer_weights(told) == 1).all()


def test_the_weight_grows_from_nothing_to_that_of_a_human_label() -> None:
    weights = answer_weights(np.linspace(0, 1, 101)).tolist()
    assert weights == sorted(weights)
    assert weights[0] == 0
    assert weights[-1] == 1


def test_light_labels_count_less_than_human_ones() -> None:
    said = evidence(0.6)
    model = fit(said, classes=3, seed=0)
    built = training_set("label-model", said, model, 3, 0, answer_weights=np.full(3, 0.5))
    assert np.isclose(built.weights.mean(), 1)
    assert np.allclose(built.weights[200:] / built.weights[0], 0.5)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=3).filter(any))
def test_leaving_labels_out_keeps_the_share_of_every_class(eighths: list[int]) -> None:
    some = np.array(eighths) / 8
    built = training_set("label-model", SAID, MODEL, 3, 0, answer_weights=some)
    even = np.ones(SAID.size)
    even[200:] = some[SAID.llm[200:]].mean()
    wanted = even @ MODEL.posterior / even.sum()
    shares = built.weights @ built.targets / built.weights.sum()
    assert np.allclose(shares, wanted, atol=1e-3)


SAID = evidence(0.75)
MODEL = fit(SAID, classes=3, seed=0)
