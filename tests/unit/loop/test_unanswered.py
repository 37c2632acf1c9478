"""Items that the LLM gave no answer about: a later round asks again, and none is lost."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from imfl_engine.annotate.neighbours import Neighbours
from imfl_engine.events import Annotated, Notice, Progress
from imfl_engine.project import Project
from imfl_engine.settings import Task
from imfl_engine.store import reports, selections
from imfl_engine.types import AnnotationRequest, Purpose, Reply, ReplyStatus, StepKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOST = 4


class Unreliable(Neighbours):
    """Real votes, but no answer about the first `LOST` items of the batch until it has come up."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.is_up = False

    async def _answer(
        self, requests: Sequence[AnnotationRequest]
    ) -> AsyncGenerator[Reply | Notice | Progress, None]:
        asked = [request for request in requests if request.purpose is Purpose.ANNOTATE]
        lost = set() if self.is_up else {one.item.item_id for one in asked[:LOST]}
        kinds = (ReplyStatus.FAILED, ReplyStatus.RATE_LIMITED)
        async for said in super()._answer(requests):
            if isinstance(said, Reply) and said.item_id in lost:
                kind = kinds[said.item_id % 2]
                yield replace(said, status=kind, label=None, error="no answer in 60 seconds")
            else:
                yield said


def unreliable(project: Project) -> Unreliable:
    annotator = Unreliable(project.settings.task)
    project.context.annotator_of = lambda _context: annotator
    return annotator


async def run(project: Project, **words: Any) -> list[int]:
    """Run with gold answers; return the items that the LLM was asked about, in order."""
    events = [event async for event in project.advance(gold=True, **words)]
    return [
        event.reply.item_id
        for event in events
        if isinstance(event, Annotated) and event.reply.purpose is Purpose.ANNOTATE
    ]


async def batch(project: Project, round: int) -> list[int]:
    chosen = await project.context.database.read(lambda con: selections.selected(con, round=round))
    return [one.item_id for one in chosen if one.role == "llm"]


async def test_a_later_round_asks_first_about_what_got_no_answer(make) -> None:
    project = await make()
    annotator = unreliable(project)
    first = await run(project, rounds=1)
    assert (await project.status()).budget.llm_done == len(first) - LOST
    annotator.is_up = True
    second = await run(project)

    assert second[:LOST] == first[:LOST] == (await batch(project, 1))[:LOST]
    assert await batch(project, 2) == second
    assert len(second) == len(set(second)) == 24 - len(first) + LOST
    assert not set(second[LOST:]) & set(first)
    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert status.budget.llm_done == 24
    bought = {cell.round: (cell.llm_done, cell.llm_planned) for cell in status.rounds}
    assert bought[1] == (len(first) - LOST, len(first))
    assert bought[2] == (len(second), len(second))


async def test_an_item_asked_about_in_two_rounds_is_exported_once(make) -> None:
    project = await make()
    annotator = unreliable(project)
    await run(project, rounds=1)
    annotator.is_up = True
    await run(project)
    lost = set((await batch(project, 1))[:LOST])

    def exported(con: Any) -> list[dict[str, Any]]:
        names = project.settings.task.label_names
        rows = reports.export_rows(con, labels=names, model_round=None)
        return [row for part in rows for row in part.to_pylist()]

    rows = await project.context.database.read(exported)
    assert max(Counter(row["id"] for row in rows).values()) == 1
    assert len(rows) == 48
    details = [await project.detail(item_id) for item_id in sorted(lost)]
    assert {(detail.source, detail.round) for detail in details} == {("llm", 2)}


async def test_the_choice_is_the_same_again(make) -> None:
    chosen = []
    for name in ("a.db", "b.db"):
        project = await make(name)
        unreliable(project)
        await run(project)
        chosen.append([await batch(project, round) for round in (1, 2)])
    assert chosen[0] == chosen[1]


async def test_what_the_person_labelled_in_the_meantime_is_not_asked_again(make) -> None:
    project = await make()
    unreliable(project)
    first = await run(project, rounds=1)
    await project.label(first[0], "admin")
    await run(project, until=StepKind.SELECT)
    assert (await batch(project, 2))[: LOST - 1] == first[1:LOST]
    assert first[0] not in await batch(project, 2)


async def test_after_the_last_round_a_higher_budget_asks_again(make) -> None:
    project = await make(budget={"human": 9, "llm": 6, "rounds": 1})
    annotator = unreliable(project)
    first = await run(project)
    assert (await project.status()).step.kind is StepKind.FINISHED
    annotator.is_up = True
    await project.configure("budget.llm", 8)
    assert (await run(project))[:LOST] == first[:LOST]
    assert (await project.status()).budget.llm_done == 8


async def test_a_pool_that_is_used_up_but_for_the_unanswered_goes_on_with_them(make) -> None:
    project = await make(budget={"human": 60, "llm": 60, "rounds": 2}, query={"sub_sample": 90})
    annotator = unreliable(project)
    await run(project, rounds=1)
    status = await project.status()
    labelled = status.budget.human_done + status.budget.llm_done
    annotator.is_up = True
    await run(project)
    status = await project.status()
    assert labelled < status.budget.human_done + status.budget.llm_done == status.pool_size


async def test_where_the_llm_is_given_up_the_person_may_be_asked(make) -> None:
    project = await make(budget={"human": 30, "llm": 20, "rounds": 2}, query={"sub_sample": 90})
    unreliable(project)
    first = await run(project, rounds=1)
    await project.configure("annotator.spec", "none")
    await project.configure("budget.human", 90)
    await run(project)
    sources = [(await project.detail(item_id)).source for item_id in first[:LOST]]
    assert sources == ["human"] * LOST


async def test_the_price_is_that_of_the_next_round_once_the_llms_turn_is_over(make) -> None:
    project = await make()
    unreliable(project)
    await run(project, until=StepKind.EVALUATE)
    await run(project, until=StepKind.ANNOTATE)
    estimate = await project.estimate()
    assert (estimate.round, estimate.calls >= 16 + LOST) == (2, True)
    assert (await project.estimate_rest()).calls == estimate.calls
