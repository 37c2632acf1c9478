"""What the model before believes is a prior for the LLM's labels in a fine-tune, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_up_labels import evidence

from imfl_engine.label_model import fit, training_set
from imfl_engine.label_model.training_set import LEAST_BELIEF, PRIOR_POWER

SAID = replace(evidence(0.75), confirmed=np.arange(600) >= 590)
MODEL = fit(SAID, classes=3, seed=0)


def built(believed: np.ndarray | None, said=SAID) -> np.ndarray:
    made = training_set("label-model", said, MODEL, 3, 0, fine_tune=True, believed=believed)
    assert made.likelihoods is not None
    return made.likelihoods


def beliefs() -> np.ndarray:
    return np.random.default_rng(1).dirichlet((0.3, 0.3, 0.3), 600)


def test_the_likelihood_of_an_llms_label_is_multiplied_by_the_belief_before_it() -> None:
    believed = beliefs()
    joint = MODEL.likelihood * np.maximum(believed, LEAST_BELIEF) ** PRIOR_POWER
    joint /= joint.sum(axis=1, keepdims=True)
    assert np.allclose(built(believed)[200:590], joint[200:590], atol=1e-6)


def test_what_a_person_said_or_confirmed_needs_no_prior() -> None:
    decided = np.r_[0:200, 590:600]
    assert np.array_equal(built(beliefs())[decided], built(None)[decided])


def test_an_item_that_the_model_before_has_not_read_has_no_prior() -> None:
    believed = beliefs()
    believed[300:400] = np.nan
    assert np.allclose(built(believed)[300:400], built(None)[300:400])
    assert not np.allclose(built(believed)[400:590], built(None)[400:590])


def test_a_belief_in_one_class_alone_rules_out_no_other() -> None:
    sure = np.eye(3)[np.random.default_rng(2).integers(0, 3, 600)]
    assert np.isfinite(built(sure)).all()
    assert built(sure)[200:590].min() > 0


def test_the_prior_of_an_item_follows_it_in_any_order() -> None:
    shuffled = np.random.default_rng(3).permutation(600)
    believed = beliefs()
    assert np.array_equal(built(believed), built(believed[shuffled], SAID.take(shuffled)))
