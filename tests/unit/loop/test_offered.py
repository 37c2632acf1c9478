"""Items that the LLM gave no label for: every one is offered to the person, sooner or later."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from imfl_engine.annotate.neighbours import Neighbours
from imfl_engine.events import Notice, Progress
from imfl_engine.project import Project
from imfl_engine.types import AnnotationRequest, Purpose, Reply, ReplyStatus, StepKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

HESITATES = 8


class Hesitant(Neighbours):
    """Real votes, but no label for the first `HESITATES` items of every batch."""

    async def _answer(
        self, requests: Sequence[AnnotationRequest]
    ) -> AsyncGenerator[Reply | Notice | Progress, None]:
        asked = [one.item.item_id for one in requests if one.purpose is Purpose.ANNOTATE]
        kinds = (ReplyStatus.INVALID, ReplyStatus.REFUSED)
        async for said in super()._answer(requests):
            if isinstance(said, Reply) and said.item_id in asked[:HESITATES]:
                yield replace(said, status=kinds[said.item_id % 2], label=None)
            else:
                yield said


async def run(project: Project, **words: Any) -> None:
    async for _ in project.advance(gold=True, **words):
        pass


async def finished(make: Any, **changes: Any) -> Project:
    project = await make(**changes)
    annotator = Hesitant(project.settings.task)
    project.context.annotator_of = lambda _context: annotator
    await run(project)
    assert (await project.status()).step.kind is StepKind.FINISHED
    return project


async def without_label(project: Project) -> set[int]:
    """Items whose reply was no label and that nobody has labelled."""
    found = await project.context.database.read(
        lambda con: con.execute(
            "SELECT item_id FROM latest_replies WHERE status IN ('invalid', 'refused') "
            "AND purpose = 'annotate' AND item_id NOT IN (SELECT item_id FROM decisions)"
        ).fetchall()
    )
    return {row[0] for row in found}


async def test_a_round_takes_a_quarter_and_the_rest_is_offered_after_the_last_one(make) -> None:
    project = await make()
    annotator = Hesitant(project.settings.task)
    project.context.annotator_of = lambda _context: annotator
    await run(project, rounds=1)
    assert (await project.status()).offered == 0, "a round follows"
    first = await without_label(project)
    assert len(first) == HESITATES
    await run(project, until=StepKind.SELECT)
    taken = {one.item.item_id for one in await project.queue()} & first
    assert 0 < len(taken) < HESITATES
    await run(project)

    left = await without_label(project)
    assert len(left) > HESITATES
    offered = await project.queue()
    assert {one.item.item_id for one in offered} == left
    assert first - taken <= left
    assert {one.reason for one in offered} == {"the LLM could not label it"}
    status = await project.status()
    assert (status.offered, status.offered_total) == (len(left), len(left))


async def test_what_is_labelled_after_the_last_round_is_trained_on_and_the_rest_stays(make) -> None:
    project = await finished(make, budget={"human": 12, "llm": 20, "rounds": 1})
    queue = await project.queue()
    assert len(queue) == HESITATES
    human = (await project.status()).budget.human_done
    for one in queue[:3]:
        await project.label(one.item.item_id, "admin")
    await project.reject(queue[3].item.item_id)
    await project.skip(queue[4].item.item_id)
    assert [one.item.item_id for one in await project.queue()] == [
        one.item.item_id for one in queue[5:]
    ]
    status = await project.status()
    assert (status.offered, status.offered_total) == (3, HESITATES)
    assert status.step.kind is StepKind.TRAIN
    assert status.budget.human_done == human, "it is more than the plan asked for"

    before = status.curve[-1].human
    await run(project)
    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert status.curve[-1].human == before + 3
    assert len(await project.queue()) == status.offered == 3


async def test_the_time_budget_holds_for_what_is_offered_too(make) -> None:
    project = await finished(make, budget={"human": 12, "llm": 20, "rounds": 1, "minutes": 60})
    [first, *_] = await project.queue()
    await project.label(first.item.item_id, "admin", seconds=300)
    await project.configure("budget.minutes", 1)
    assert await project.queue() == []
    assert (await project.status()).offered == 0
