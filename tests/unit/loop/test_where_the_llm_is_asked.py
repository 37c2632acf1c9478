"""The LLM is asked where the model is unsure once its labels say something, and not before."""

from __future__ import annotations

import pytest

from imfl_engine.replay.run import annotator_of
from imfl_engine.store import rounds, selections
from imfl_engine.types import StepKind


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("annotator", "share", "unsure"),
    [
        ("simulated:0.95", 0.4, True),
        ("simulated:0.95", 1.0, False),
        ("simulated:chance", 0.4, False),
    ],
)
async def test_an_llm_that_says_something_gets_the_less_sure_part_of_the_rest(
    make, annotator: str, share: float, unsure: bool
) -> None:
    project = await make(
        annotator={"spec": annotator},
        query={"sub_sample": 60, "llm_share": share},
        budget={"human": 36, "llm": 24, "rounds": 2},
    )
    project.context.annotator_of = annotator_of
    async for _ in project.advance(gold=True):
        pass
    trained, chosen = await project.context.database.read(
        lambda con: (rounds.completed(con, kind=StepKind.TRAIN), selections.selected(con))
    )
    by_round = {
        round_: {one.reason for one in chosen if one.role == "llm" and one.round == round_}
        for round_ in (1, 2)
    }
    assert (trained[1].details["information"] >= 0.2) == (annotator != "simulated:chance")
    assert by_round[1] == {"it stands for a group of similar items"}, "nothing is known of it yet"
    assert ("unsure" in by_round[2].pop()) == unsure
    assert not by_round[2], "one reason for the whole batch"
