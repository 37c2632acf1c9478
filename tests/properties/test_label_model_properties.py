"""Properties of the label model and the training sets, whatever the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imfl_engine.label_model import Evidence, fit, informed, training_set, wilson


@st.composite
def evidences(draw):
    n = draw(st.integers(1, 50))
    classes = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    human = np.where(rng.random(n) < draw(st.floats(0, 1)), rng.integers(classes, size=n), -1)
    llm = np.where(rng.random(n) < draw(st.floats(0, 1)), rng.integers(classes, size=n), -1)
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    vectors[rng.random(n) < 0.1] = np.nan
    model = rng.dirichlet(np.ones(classes), size=n)
    model[rng.random(n) < 0.3] = np.nan
    counts = rng.integers(2, classes + 1, size=n) if draw(st.booleans()) else None
    if counts is not None:
        human, llm = np.minimum(human, counts - 1), np.minimum(llm, counts - 1)
        model = np.where(np.arange(classes) < counts[:, None], model, 0.0)
    return classes, Evidence(
        ids=rng.permutation(1000)[:n].astype(np.int64),
        vectors=vectors if draw(st.booleans()) else None,
        human=human.astype(np.int64),
        llm=llm.astype(np.int64),
        llm_log_probabilities=rng.normal(size=(n, classes)) - 2 if draw(st.booleans()) else None,
        model_probabilities=model if draw(st.booleans()) else None,
        control=(human >= 0) & (rng.random(n) < 0.3),
        confirmed=(llm >= 0) & (rng.random(n) < 0.1),
        option_counts=counts,
    )


@settings(max_examples=60, deadline=None)
@given(case=evidences(), shuffle=st.integers(0, 1000))
def test_posteriors_are_distributions_and_do_not_depend_on_row_order(case, shuffle):
    classes, evidence = case
    model = fit(evidence, classes=classes, seed=1)
    assert np.allclose(model.posterior.sum(axis=1), 1.0)
    assert np.isfinite(model.posterior).all()
    said = evidence.llm >= 0
    assert np.isnan(model.p_wrong[~said]).all()
    assert ((model.p_wrong[said] >= -1e-9) & (model.p_wrong[said] <= 1 + 1e-9)).all()
    order = np.random.default_rng(shuffle).permutation(evidence.size)
    again = fit(evidence.take(order), classes=classes, seed=1)
    assert np.allclose(again.posterior, model.posterior[order], atol=1e-5)
    assert again.expected_errors == pytest.approx(model.expected_errors, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    case=evidences(), loss=st.sampled_from(["label-model", "two-mean", "small-loss", "reweight"])
)
def test_training_sets_hold_every_human_label_and_nothing_unlabelled(case, loss):
    classes, evidence = case
    result = training_set(loss, evidence, None, classes, 1)
    labelled = (evidence.human >= 0) | (evidence.llm >= 0)
    assert set(result.ids) <= set(evidence.ids[labelled])
    assert set(result.ids) >= set(evidence.ids[evidence.human >= 0])
    assert np.allclose(result.targets.sum(axis=1), 1.0, atol=1e-5)
    if len(result.weights):
        assert result.weights.mean() == pytest.approx(1.0, abs=1e-4)
    where = {int(item): row for row, item in enumerate(result.ids)}
    for row in np.flatnonzero(evidence.human >= 0):
        target = result.targets[where[int(evidence.ids[row])]]
        assert target.argmax() == evidence.human[row]
        assert target.max() == 1.0


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_intervals_hold_the_estimate_and_stay_in_range(n, share):
    right = round(share * n)
    interval = wilson(right, n)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0


@settings(max_examples=60, deadline=None)
@given(case=evidences())
def test_likelihoods_are_certain_of_a_persons_label_and_leave_out_what_an_item_lacks(case):
    classes, evidence = case
    built = training_set("label-model", evidence, None, classes, 1, fine_tune=True)
    assert built.likelihoods is not None
    assert built.likelihoods.shape == built.targets.shape
    assert np.allclose(built.likelihoods.sum(axis=1), 1.0, atol=1e-5)
    row_of = {int(item): row for row, item in enumerate(evidence.ids)}
    for item, likelihood in zip(built.ids, built.likelihoods, strict=True):
        row = row_of[int(item)]
        if evidence.human[row] >= 0:
            assert likelihood[evidence.human[row]] == 1.0
        if evidence.option_counts is not None:
            assert not likelihood[evidence.option_counts[row] :].any()


@settings(max_examples=60, deadline=None)
@given(case=evidences(), seed=st.integers(0, 1000))
def test_whatever_a_trained_model_says_the_posteriors_stay_distributions(case, seed):
    classes, evidence = case
    model = fit(evidence, classes=classes, seed=1)
    says = np.random.default_rng(seed).dirichlet(np.full(classes, 0.2), size=evidence.size)
    heard = informed(model, evidence, says)
    assert np.isfinite(heard.posterior).all()
    assert np.allclose(heard.posterior.sum(axis=1), 1.0)
    doubted = evidence.in_doubt
    assert np.allclose(heard.posterior[~doubted], model.posterior[~doubted])
    assert heard.p_wrong[doubted].sum() == pytest.approx(model.p_wrong[doubted].sum(), abs=1e-6)
