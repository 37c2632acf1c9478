"""A fine-tune hears what the round's predecessor believed of the items that the LLM labelled."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.label_model.training_set import LEAST_BELIEF, PRIOR_POWER
from imfl_engine.loop.evidence import fit_labels, gather
from imfl_engine.replay.run import annotator_of
from imfl_engine.store import predictions

QUICK = {"target": "minilm", "epochs": 1, "max_length": 32, "frozen_layers": 5}


async def run(make, budget, query=None, *, rounds=None, **training):
    """Run a project, or some rounds of it; returns its context."""
    project = await make(
        annotator={"spec": "simulated:1.0"},
        budget=budget,
        query=query or {},
        training=QUICK | training,
    )
    context = project.context
    context.annotator_of = annotator_of
    async for _ in project.advance(gold=True, rounds=rounds):
        pass
    return context


async def likelihoods(context):
    """What the labels say by the label model alone, in the order of a job, and their evidence."""
    gathered = await gather(context)
    order = np.argsort(gathered.evidence.ids)
    model = await fit_labels(context, gathered)
    return gathered.evidence.take(order), model.likelihood[order]


@pytest.mark.asyncio(loop_scope="module")
async def test_in_the_last_round_a_label_of_the_llm_is_heard_after_the_model_before(
    make, taught
) -> None:
    context = await run(make, {"human": 24, "llm": 8, "rounds": 1})
    evidence, expected = await likelihoods(context)
    plain = expected.copy()
    ids = [int(item_id) for item_id in evidence.ids]
    before = await context.database.read(lambda con: predictions.of_round(con, 0, ids))
    asked = np.flatnonzero(evidence.llm_alone)
    assert len(asked) == 8
    for row in asked:
        expected[row] *= np.maximum(before[ids[row]], LEAST_BELIEF) ** PRIOR_POWER
    expected /= expected.sum(axis=1, keepdims=True)
    assert taught[-1].marginal
    assert np.allclose(taught[-1].targets, expected, atol=1e-5)
    assert not np.allclose(taught[-1].targets[asked], plain[asked], atol=1e-2)


@pytest.mark.asyncio(loop_scope="module")
async def test_without_the_setting_no_model_is_heard(make, taught) -> None:
    context = await run(make, {"human": 24, "llm": 8, "rounds": 1}, prior=False)
    _, plain = await likelihoods(context)
    assert np.allclose(taught[-1].targets, plain, atol=1e-5)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_of_far_fewer_labels_is_not_heard(make, taught) -> None:
    context = await run(make, {"human": 24, "llm": 24, "rounds": 1})
    _, plain = await likelihoods(context)
    assert np.allclose(taught[-1].targets, plain, atol=1e-5)


@pytest.mark.asyncio(loop_scope="module")
async def test_in_a_round_that_another_follows_no_model_is_heard(make, taught) -> None:
    budget, query = {"human": 20, "llm": 20, "rounds": 2}, {"human_per_round": [15, 5]}
    context = await run(make, budget, query, rounds=1)
    evidence, plain = await likelihoods(context)
    assert (len(taught[0].inputs), len(taught[1].inputs), evidence.size) == (15, 20, 20)
    assert np.allclose(taught[1].targets, plain, atol=1e-5)
