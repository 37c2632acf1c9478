"""The label model on made-up data whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imfl_engine.label_model import Evidence, LabelModelOptions, fit, training_set


def made_up(llm_labels, *, n=600, classes=3, humans=120, seed=0, **more):
    """Return the truth and evidence: noisy groups in 16 dimensions; the first items have a human label.

    ``llm_labels(truth, rng)`` says what the LLM answers for every item.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    vectors = rng.normal(size=(classes, 16))[truth] + 1.6 * rng.normal(size=(n, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    human = np.where(np.arange(n) < humans, truth, -1)
    llm = np.asarray(llm_labels(truth, rng), np.int64)
    return truth, Evidence(np.arange(n), vectors, human, llm, **more)


def uniform_noise(accuracy, classes=3):
    def say(truth, rng):
        other = (truth + rng.integers(1, classes, size=len(truth))) % classes
        return np.where(rng.random(len(truth)) < accuracy, truth, other)

    return say


def wrong(evidence, truth):
    rows = evidence.human < 0
    return rows, evidence.llm[rows] != truth[rows]


@pytest.mark.parametrize("accuracy", [0.9, 0.75, 0.6, 1 / 3])
def test_expected_errors_are_near_the_true_number(accuracy):
    expected, true = [], []
    for seed in range(4):
        truth, evidence = made_up(uniform_noise(accuracy), seed=seed)
        expected.append(fit(evidence, classes=3, seed=0).expected_errors)
        true.append(wrong(evidence, truth)[1].sum())
    assert np.mean(expected) == pytest.approx(np.mean(true), rel=0.2)


def test_the_posterior_is_right_more_often_than_the_llm_or_the_head_alone():
    truth, evidence = made_up(uniform_noise(0.7))
    model = fit(evidence, classes=3, seed=0)
    rows, mistakes = wrong(evidence, truth)
    right = (model.posterior[rows].argmax(axis=1) == truth[rows]).mean()
    assert right > 1 - mistakes.mean() + 0.05
    assert right > (model.unaided[rows].argmax(axis=1) == truth[rows]).mean()


def test_wrong_labels_are_riskier_than_right_ones():
    truth, evidence = made_up(uniform_noise(0.75))
    rows, mistakes = wrong(evidence, truth)
    risks = fit(evidence, classes=3, seed=0).p_wrong[rows]
    queue = np.argsort(-risks)[: mistakes.sum()]
    assert mistakes[queue].mean() > 2 * mistakes.mean()


def test_a_class_that_is_always_mislabelled_is_found():
    def says_one_for_zero(truth, rng):
        return np.where(truth == 0, 1, truth)

    truth, evidence = made_up(says_one_for_zero)
    model = fit(evidence, classes=3, seed=0)
    rows = (evidence.human < 0) & (truth == 0)
    assert model.confusion[0].argmax() == 1
    assert (model.posterior[rows].argmax(axis=1) == 0).mean() > 0.5


def test_labels_at_chance_are_ignored():
    truth, evidence = made_up(uniform_noise(1 / 3))
    model = fit(evidence, classes=3, seed=0)
    alone = fit(
        Evidence(evidence.ids, evidence.vectors, evidence.human, np.full(600, -1)),
        classes=3,
        seed=0,
    )
    rows = evidence.human < 0
    with_llm = (model.posterior[rows].argmax(axis=1) == truth[rows]).mean()
    assert with_llm > (alone.unaided[rows].argmax(axis=1) == truth[rows]).mean() - 0.03


def test_the_order_of_the_options_of_multiple_choice_items_is_respected():
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 6, size=400)
    truth = (rng.random(400) * counts).astype(int)
    llm = np.where(rng.random(400) < 0.7, truth, (truth + 1) % counts)
    human = np.where(np.arange(400) < 100, truth, -1)
    evidence = Evidence(np.arange(400), None, human, llm, option_counts=counts)
    model = fit(evidence, classes=5, seed=0)
    assert model.confusion is None
    assert (model.posterior[np.arange(5)[None, :] >= counts[:, None]] < 1e-6).all()
    rows = human < 0
    assert model.expected_errors == pytest.approx((llm != truth)[rows].sum(), rel=0.3)


def test_log_probabilities_of_the_llm_sharpen_the_posterior():
    truth, evidence = made_up(uniform_noise(0.75))
    rng = np.random.default_rng(5)
    logits = 1.5 * np.eye(3)[truth] + rng.normal(size=(600, 3))
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows, _ = wrong(evidence, truth)
    without = fit(evidence, classes=3, seed=0)
    given = fit(replace(evidence, llm_log_probabilities=logs), classes=3, seed=0)

    def right(model):
        return (model.posterior[rows].argmax(axis=1) == truth[rows]).mean()

    assert right(given) > right(without)


def test_a_confirmed_label_counts_as_the_persons_own():
    truth, evidence = made_up(uniform_noise(0.75))
    confirmed = (evidence.human < 0) & (evidence.llm == truth) & (np.arange(600) % 2 == 0)
    model = fit(replace(evidence, confirmed=confirmed), classes=3, seed=0)
    assert (model.p_wrong[confirmed] == 0).all()


def test_77_classes_with_200_labels_and_few_llm_labels_are_no_problem():
    _, evidence = made_up(uniform_noise(0.75, 77), classes=77, humans=200, n=500)
    model = fit(evidence, classes=77, seed=0)
    assert np.isfinite(model.posterior).all()
    assert 0.5 < model.llm_accuracy < 0.95


def test_no_llm_labels_or_one_class_only_still_give_a_model():
    _, evidence = made_up(uniform_noise(0.75))
    nothing = Evidence(evidence.ids, evidence.vectors, evidence.human, np.full(600, -1))
    assert fit(nothing, classes=3, seed=0).expected_errors == 0.0
    one = Evidence(
        evidence.ids, evidence.vectors, np.where(np.arange(600) < 20, 0, -1), evidence.llm
    )
    assert np.isfinite(fit(one, classes=3, seed=0).posterior).all()


def test_two_mean_gives_both_kinds_of_label_the_same_total_weight():
    _, evidence = made_up(uniform_noise(0.75))
    result = training_set("two-mean", evidence, None, 3, 0)
    human = np.isin(result.ids, evidence.ids[evidence.human >= 0])
    assert result.weights[human].sum() == pytest.approx(result.weights[~human].sum(), rel=1e-5)


@pytest.mark.parametrize("loss", ["small-loss", "reweight"])
def test_the_baselines_prefer_right_labels(loss):
    truth, evidence = made_up(uniform_noise(0.7))
    result = training_set(loss, evidence, None, 3, 0)
    llm = ~np.isin(result.ids, evidence.ids[evidence.human >= 0])
    right = evidence.llm[result.ids] == truth[result.ids]
    share = np.average(right[llm], weights=result.weights[llm])
    assert share > 0.76


def test_a_person_who_errs_is_believed_that_much():
    _, evidence = made_up(uniform_noise(0.75))
    human = evidence.human >= 0
    for reliability in (1.0, 0.9):
        options = LabelModelOptions(human_reliability=reliability)
        model = fit(evidence, classes=3, seed=0, options=options)
        built = training_set("label-model", evidence, model, 3, 0)
        targets = built.targets[np.isin(built.ids, evidence.ids[human])]
        assert targets.max(axis=1) == pytest.approx(reliability)
        assert targets.argmax(axis=1).tolist() == evidence.human[human].tolist()
