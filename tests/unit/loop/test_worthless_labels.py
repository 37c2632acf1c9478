"""Labels that say nothing: the person is told, and a fine-tuned model does not learn from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imfl_engine.events import Notice
from imfl_engine.loop.training import SAYS_NOTHING
from imfl_engine.replay.run import annotator_of
from imfl_engine.store import rounds
from imfl_engine.types import StepKind


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("target", ["minilm", "probe"])
async def test_guesses_are_left_out_of_a_fine_tune_and_not_of_a_probe(
    make, target: str, tmp_path: Path
) -> None:
    fine_tune = {"epochs": 1, "max_length": 32, "frozen_layers": 5} if target == "minilm" else {}
    project = await make(
        annotator={"spec": "simulated:chance"}, training={"target": target, **fine_tune}
    )
    project.context.annotator_of = annotator_of
    said = [
        event.text
        async for event in project.advance(gold=True)
        if isinstance(event, Notice) and event.text == SAYS_NOTHING[0]
    ]
    steps = await project.context.database.read(
        lambda con: rounds.completed(con, kind=StepKind.TRAIN)
    )
    weights = [step.details["llm_weight"] for step in steps if step.details["llm"]]
    assert weights, "the LLM has labelled something"
    await project.save_model(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    if target == "probe":
        assert set(weights) == {1.0}
        assert not said
        assert "24 human labels and 24 labels by `simulated:chance`" in card
    else:
        assert "24 human labels alone" in card
        assert weights[-1] == 0
        assert len(said) == weights.count(0)
