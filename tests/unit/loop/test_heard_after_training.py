"""After a fine-tune the label model hears what the new model says of the LLM's labels."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine import label_model
from imfl_engine.loop.context import model_input
from imfl_engine.loop.evidence import fit_labels, gather
from imfl_engine.replay.run import annotator_of
from imfl_engine.store import rounds
from imfl_engine.types import StepKind

QUICK = {"target": "minilm", "epochs": 1, "max_length": 32, "frozen_layers": 5}


async def run(make, **training):
    project = await make(
        annotator={"spec": "simulated:0.7"},
        budget={"human": 24, "llm": 24, "rounds": 1},
        training=training,
    )
    project.context.annotator_of = annotator_of
    async for _ in project.advance(gold=True):
        pass
    stored = await project.context.database.read(
        lambda con: con.execute(
            "SELECT item_id, probabilities, p_wrong FROM posteriors WHERE round = 1 ORDER BY item_id"
        ).fetchall()
    )
    (trained,) = [
        step
        for step in await project.context.database.read(
            lambda con: rounds.completed(con, kind=StepKind.TRAIN)
        )
        if step.round == 1
    ]
    gathered = await gather(project.context)
    fitted = await fit_labels(project.context, gathered)
    return project.context, gathered, fitted, stored, trained.details


@pytest.mark.asyncio(loop_scope="module")
async def test_risks_are_those_that_the_new_model_and_the_label_model_find_together(make) -> None:
    context, gathered, fitted, stored, details = await run(make, **QUICK)
    evidence = gathered.evidence
    found = await context.items_of([int(item_id) for item_id in evidence.ids])
    says = await context.probabilities_of(
        context.model_folder(1), [model_input(item) for item in found], len(gathered.classes)
    )
    heard = label_model.informed(fitted, evidence, says)
    order = np.argsort(heard.ids)
    assert [row[0] for row in stored] == heard.ids[order].tolist()
    assert np.allclose([row[1] for row in stored], heard.posterior[order], atol=0.02)
    assert not np.allclose([row[1] for row in stored], fitted.posterior[order], atol=0.02)
    risks = sum(
        row[2] for row, doubted in zip(stored, evidence.in_doubt[order], strict=True) if doubted
    )
    assert risks == pytest.approx(details["expected_errors"], rel=1e-4)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("training", [{"target": "probe"}, {**QUICK, "loss": "two-mean"}])
async def test_neither_a_probe_nor_who_was_taught_the_labels_as_they_are_is_heard(
    make, training
) -> None:
    _, _, fitted, stored, _ = await run(make, **training)
    order = np.argsort(fitted.ids)
    assert np.allclose([row[1] for row in stored], fitted.posterior[order], atol=1e-4)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_reliability_below_one_counts_before_there_is_an_llm(make, taught) -> None:
    project = await make(
        budget={"human": 10, "llm": 0, "rounds": 1},
        training={**QUICK, "human_reliability": 0.9},
        annotator={"spec": "none"},
    )
    async for _ in project.advance(gold=True):
        pass
    assert taught
    for job in taught:
        assert job.marginal
        assert np.allclose(job.targets.max(axis=1), 0.9)
