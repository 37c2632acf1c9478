"""What a person may do to a project that a straight run never does."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.errors import SettingsError, UsageError
from imfl_engine.events import Annotated, Notice, StepFinished
from imfl_engine.loop.context import model_input
from imfl_engine.project_parts import files_folder
from imfl_engine.settings import parse_settings
from imfl_engine.types import Origin, StepKind
from imfl_engine.views import ItemFilter

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = {"human": 9, "llm": 6, "rounds": 1}
BY_HAND: dict[str, Any] = {
    "annotator": {"spec": "none"},
    "budget": {"human": 9, "llm": 0, "rounds": 1},
}


async def drain(events: Any) -> list[Any]:
    return [event async for event in events]


def steps(events: list[Any]) -> list[tuple[int, StepKind]]:
    return [(e.step.round, e.step.kind) for e in events if isinstance(e, StepFinished)]


async def test_a_budget_raised_after_the_last_round_opens_another_one(make) -> None:
    project = await make(budget=SMALL)
    await drain(project.advance(gold=True))
    assert (await project.status()).step.kind is StepKind.FINISHED

    await project.configure("budget.human", 12)
    status = await project.status()
    assert (status.step.kind, status.step.round, status.step.total) == (StepKind.START, 2, 3)
    assert (status.rounds[-1].round, status.rounds[-1].human_planned) == (2, 3)
    await drain(project.advance(gold=True))
    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert (status.budget.human_done, status.budget.llm_done) == (12, 6)


async def test_items_imported_into_an_exhausted_pool_go_on_where_the_budget_does(
    make, tmp_path: Path
) -> None:
    project = await make(budget={"human": 120, "llm": 0, "rounds": 1}, annotator={"spec": "none"})
    await drain(project.advance(gold=True))
    status = await project.status()
    assert status.step.reason == "every item of the pool is labelled"
    assert status.budget.human_done == status.pool_size == 90

    # The second one comes after the last round of the plan.
    for round_, text in enumerate(("Is my appointment on?", "I cannot come on Friday."), start=1):
        more = tmp_path / f"more-{round_}.jsonl"
        more.write_text(f'{{"text": "{text}", "label": "appointment"}}\n')
        await project.import_items([open_source([more], Columns(text="text", label="label"))])
        assert (round_, StepKind.LABEL) in steps(await drain(project.advance(gold=True)))
        assert (await project.status()).budget.human_done == 90 + round_


async def test_corrections_after_the_last_round_are_trained_on_once(make) -> None:
    project = await make(budget=SMALL)
    await drain(project.advance(gold=True))
    row = (await project.review()).rows[0]
    await project.flag(row.item_id)
    assert (await project.status()).step.kind is StepKind.FINISHED
    other = next(name for name in project.settings.task.label_names if name != row.llm_label)
    await project.label(row.item_id, other, origin=Origin.REVIEW)

    assert (await project.status()).step.kind is StepKind.TRAIN
    again = await drain(project.advance(gold=True))
    assert steps(again) == [(1, StepKind.TRAIN), (1, StepKind.EVALUATE)]
    assert await drain(project.advance(gold=True)) == []
    assert [point.round for point in (await project.status()).curve] == [0, 1]


async def test_a_model_whose_folder_is_gone_is_trained_again(make) -> None:
    project = await make(**BY_HAND | {"budget": {"human": 12, "llm": 0, "rounds": 2}})
    await drain(project.advance(gold=True, until=StepKind.EVALUATE))
    shutil.rmtree(project.context.files)
    events = await drain(project.advance(gold=True))
    assert any(isinstance(event, Notice) and "gone" in event.text for event in events)
    assert steps(events)[:2] == [(0, StepKind.TRAIN), (0, StepKind.EVALUATE)]

    shutil.rmtree(files_folder(project.path))
    assert (await project.status()).step.kind is StepKind.TRAIN
    await drain(project.advance(gold=True))
    assert await project.context.newest_model() is not None
    assert (await project.status()).step.kind is StepKind.FINISHED


async def test_a_model_trained_again_leaves_nothing_of_what_the_one_before_it_said(make) -> None:
    project = await make(**BY_HAND | {"budget": {"human": 12, "llm": 0, "rounds": 2}})
    await drain(project.advance(gold=True, until=StepKind.EVALUATE))
    await drain(project.advance(until=StepKind.EMBED))
    stale = await project.context.database.read(
        lambda con: con.execute("SELECT count(*) FROM predictions WHERE round = 0").fetchone()
    )
    for row in (await project.search(ItemFilter(source="human")))[:4]:
        await project.label(row.item_id, "admin" if row.label != "admin" else "results")
    shutil.rmtree(project.context.files)
    await drain(project.advance(until=StepKind.SELECT))
    stored = await project.context.database.read(
        lambda con: dict(
            con.execute("SELECT item_id, probabilities FROM predictions WHERE round = 0").fetchall()
        )
    )
    ids = sorted(stored)
    model = await project.context.newest_model()
    inputs = [model_input(item) for item in await project.context.items_of(ids)]
    said = await project.context.probabilities_of(model[1], inputs, len(project.context.labels))
    assert np.allclose(said, np.stack([stored[item_id] for item_id in ids]), atol=0.02)
    assert len(stored) >= stale[0] > 0


async def test_a_kill_between_the_renames_of_a_checkpoint_loses_no_model(make) -> None:
    project = await make(**BY_HAND | {"budget": {"human": 12, "llm": 0, "rounds": 2}})
    await drain(project.advance(gold=True, until=StepKind.EVALUATE))
    folder = project.context.model_folder(0)
    folder.rename(folder.parent / f".{folder.name}.old")
    assert await project.context.newest_model() == (0, folder)
    events = await drain(project.advance(gold=True))
    assert not any(isinstance(event, Notice) and "gone" in event.text for event in events)


async def test_giving_up_the_annotator_in_a_round_does_not_stop_the_loop(make) -> None:
    project = await make(budget=SMALL)
    await drain(project.advance(gold=True, until=StepKind.EVALUATE))
    await drain(project.advance(gold=True, until=StepKind.SELECT))
    await project.configure("annotator.spec", "none")
    await drain(project.advance(gold=True))
    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert status.budget.llm_done == 0


async def test_no_money_is_enough_for_an_annotator_that_costs_nothing(make) -> None:
    project = await make(budget=SMALL | {"money_usd": 0.0})
    await drain(project.advance(gold=True))
    assert (await project.status()).budget.llm_done == 6


async def test_without_any_human_label_the_loop_ends_instead_of_hanging(make) -> None:
    project = await make(budget={"human": 0, "llm": 6, "rounds": 2})
    events = await drain(project.advance())
    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert status.budget.llm_done == 0
    asked = [event.reply.item_id for event in events if isinstance(event, Annotated)]
    assert len(asked) == len(set(asked))


async def test_a_skipped_first_batch_leaves_the_control_slice_to_the_next_random_one(make) -> None:
    project = await make(**BY_HAND | {"budget": {"human": 12, "llm": 0, "rounds": 2}})
    await drain(project.advance())
    for one in await project.queue():
        await project.skip(one.item.item_id)
    await drain(project.advance())
    queue = await project.queue()
    assert queue[0].round == 1
    assert sum(one.control for one in queue) == 4
    assert all(one.reason == "it was drawn at random" for one in queue)


async def test_spent_minutes_end_the_batch_and_leave_everything_else_to_correct(make) -> None:
    project = await make(**BY_HAND | {"budget": {"human": 9, "llm": 0, "minutes": 1, "rounds": 1}})
    await drain(project.advance())
    first, second, *_ = (one.item.item_id for one in await project.queue())
    await project.label(first, "admin", seconds=30.0)
    assert len(await project.queue()) == 8
    assert (await project.estimate()).minutes_of_person > 0

    await project.label(second, "admin", seconds=30.0)
    assert await project.queue() == []
    status = await project.status()
    assert status.minutes_spent_up
    assert status.step.kind is not StepKind.LABEL
    assert (await project.estimate()).minutes_of_person == 0
    assert (await project.estimate_rest()).minutes_of_person == 0

    await project.label(first, "results", seconds=5.0, origin=Origin.EXPLORE)
    assert (await project.detail(first)).label == "results"
    await project.configure("budget.minutes", 2)
    assert len(await project.queue()) == 7


async def test_a_test_item_is_never_labelled(make, tmp_path: Path) -> None:
    project = await make()
    held_out = project._database.read_now(
        lambda con: con.execute("SELECT item_id, key FROM items WHERE split = 'test'").fetchone()
    )
    assert held_out is not None
    for attempt in (
        project.label(held_out[0], "admin"),
        project.skip(held_out[0]),
        project.reject(held_out[0]),
        project.accept(held_out[0]),
    ):
        with pytest.raises(UsageError, match="test item"):
            await attempt
    assert await project.history() == []


async def test_only_an_llm_label_can_be_accepted(make) -> None:
    project = await make()
    with pytest.raises(UsageError, match="no LLM label"):
        await project.accept(1)


async def test_a_frozen_setting_is_not_changed_through_its_parent(make) -> None:
    project = await make()
    await project.label(1, "admin")
    task = project.settings.task.model_dump()
    with pytest.raises(SettingsError, match="cannot change now"):
        await project.configure("task", task | {"labels": task["labels"][:2]})
    await project.configure("task", task | {"guidelines": "Be brief."})
    assert project.settings.task.guidelines == "Be brief."


async def test_an_explicit_schedule_that_does_not_fit_the_budget_is_refused_at_once() -> None:
    labels = [{"name": "yes"}, {"name": "no"}]
    for wrong in ((), (1, 2)):
        with pytest.raises(SettingsError, match="human_per_round"):
            parse_settings(
                {
                    "task": {"labels": labels},
                    "budget": {"human": 9},
                    "query": {"human_per_round": wrong},
                }
            )
