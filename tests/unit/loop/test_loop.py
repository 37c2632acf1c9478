"""The loop on real data: the real store, the real compute child, the real label model."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.errors import DataError, SettingsError, UsageError
from imfl_engine.events import Annotated, ModelReady, StepFinished, StepStarted
from imfl_engine.project import Project
from imfl_engine.settings import LabelSpec, Settings, Task
from imfl_engine.store import rounds, selections
from imfl_engine.types import Origin, StepKind
from imfl_engine.views import ItemFilter

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def drain(events) -> list:
    return [event async for event in events]


async def label_batch(project: Project) -> int:
    """Do what a person does: answer the whole batch with the right label."""
    count = 0
    while queue := [one for one in await project.queue() if not await skipped(project, one)]:
        for one in queue:
            await project.label(one.item.item_id, one.item.gold, seconds=2.0)
            count += 1
    return count


async def skipped(project: Project, one) -> bool:
    detail = await project.detail(one.item.item_id)
    return bool(detail.history and detail.history[0].action == "skip")


async def test_a_whole_project_from_the_first_batch_to_the_export(make, tmp_path: Path) -> None:
    project = await make()
    await drain(project.advance())
    status = await project.status()
    assert (status.step.kind, status.step.round, status.step.total) == (StepKind.LABEL, 0, 16)
    assert await label_batch(project) == 16

    events = await drain(project.advance())
    kinds = [(e.step.round, e.step.kind) for e in events if isinstance(e, StepFinished)]
    assert (1, StepKind.ANNOTATE) in kinds
    assert (await project.status()).step.kind is StepKind.LABEL
    assert (await project.status()).step.round == 2
    queue = await project.queue()
    assert "unsure" in queue[0].reason
    names = project.settings.task.label_names
    assert not [one for one in queue if any(name in one.reason for name in names)]
    assert queue[0].model is not None
    await label_batch(project)
    await drain(project.advance())

    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert (status.budget.human_done, status.budget.llm_done) == (24, 24)
    assert [point.round for point in status.curve] == [0, 1, 2]
    assert status.curve[-1].accuracy.n == 40
    assert status.trust.accuracy is not None
    assert status.trust.expected_errors is not None
    assert status.budget.minutes_spent == pytest.approx(24 * 2 / 60)

    out = tmp_path / "out.parquet"
    await drain(project.export(out))
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 48
    assert sum(row["source"] == "human" for row in rows) == 24
    assert sum(row["control"] for row in rows) == 8
    assert all(row["meta"].startswith('{"channel"') for row in rows)
    assert all(row["model_label"] for row in rows)


async def test_gold_labels_answer_unattended_and_a_restart_does_nothing_twice(
    make, compute, tmp_path: Path
) -> None:
    project = await make()
    await drain(project.advance(gold=True, until=StepKind.TRAIN))
    await project.close()

    again = await Project.open(tmp_path / "p.db")
    again.use(compute=compute)
    assert await drain(again.advance(gold=True, until=StepKind.TRAIN)) == []
    events = await drain(again.advance(gold=True))
    started = [(e.step.round, e.step.kind) for e in events if isinstance(e, StepStarted)]
    assert started[0] == (0, StepKind.EVALUATE)
    assert len(started) == len(set(started))
    replies = [e.reply for e in events if isinstance(e, Annotated)]
    annotated = [(reply.item_id, reply.round) for reply in replies]
    assert len(annotated) == len(set(annotated))
    assert await drain(again.advance(gold=True)) == []
    await again.close()


async def test_control_items_are_asked_about_again_where_that_costs_nothing(make) -> None:
    project = await make(budget={"human": 24, "llm": 24, "rounds": 3})
    await drain(project.advance(gold=True))
    control, asked = await project.context.database.read(
        lambda con: (
            selections.control_ids(con),
            con.execute(
                "SELECT round, purpose, list(item_id) FROM replies "
                "WHERE purpose = 'control' OR round = 1 GROUP BY ALL ORDER BY ALL"
            ).fetchall(),
        )
    )
    again = {round_: set(ids) for round_, purpose, ids in asked if purpose == "control"}
    first = {item_id for round_, _, ids in asked if round_ == 1 for item_id in ids}
    assert control <= first
    assert again == {2: control, 3: control}
    trust = (await project.status()).trust.accuracy
    assert trust is not None
    assert trust.n == len(control)


async def test_the_same_seed_gives_the_same_labels_and_the_same_model(make) -> None:
    results = []
    for name in ("a.db", "b.db"):
        project = await make(name)
        await drain(project.advance(gold=True))
        rows = await project.search(ItemFilter(source="llm"), limit=1000)
        evaluation = await project.evaluation()
        results.append(([(row.key, row.label) for row in rows], evaluation))
        await project.close()
    assert results[0] == results[1]


async def test_without_a_test_set_the_control_slice_measures_an_unseen_sample(make) -> None:
    project = await make(test=False)
    events = await drain(project.advance(gold=True))
    status = await project.status()
    assert status.curve[-1].scope == "control"
    assert status.curve[-1].accuracy.n == 8
    assert sum(isinstance(event, ModelReady) for event in events) == 3


async def test_a_training_ends_with_the_next_sub_sample_scored(make) -> None:
    project = await make(training={"target": "minilm", "epochs": 1})
    await drain(project.advance(gold=True, until=StepKind.TRAIN))
    scored = await project.context.database.read(
        lambda con: con.execute("SELECT item_id FROM predictions WHERE round = 0").fetchall()
    )
    await drain(project.advance(until=StepKind.EVALUATE))
    await drain(project.advance(until=StepKind.START))
    sample = await project.context.database.read(lambda con: rounds.sub_sample(con, 1))
    assert sorted(item_id for (item_id,) in scored) == sorted(sample)
    assert len(sample) == 40


async def test_skipped_items_cost_nothing_and_are_made_up_for(make) -> None:
    project = await make()
    await drain(project.advance())
    first = (await project.queue())[0]
    await project.skip(first.item.item_id)
    assert (await project.queue())[-1].item.item_id == first.item.item_id
    assert (await project.status()).step.done == 0, "it waits still"
    await label_batch(project)
    await drain(project.advance())
    status = await project.status()
    assert (status.step.kind, status.step.round, status.step.total) == (StepKind.LABEL, 1, 1)


async def test_without_an_annotator_the_loop_is_plain_active_learning(make) -> None:
    project = await make(annotator={"spec": "none"}, budget={"human": 20, "llm": 0, "rounds": 2})
    await drain(project.advance(gold=True))
    status = await project.status()
    assert (status.budget.human_done, status.budget.llm_done) == (20, 0)
    assert status.trust.accuracy is None


async def test_routing_by_gain_asks_the_person_about_labels_of_the_llm_too(make) -> None:
    project = await make(query={"routing": "gain"}, budget={"rounds": 3, "human": 30})
    await drain(project.advance(gold=True))
    status = await project.status()
    assert status.step.kind is StepKind.FINISHED
    assert (status.budget.human_done, status.budget.llm_done) == (30, 24)
    details = [await project.detail(row.item_id) for row in await project.search(ItemFilter())]
    shown = next(d for d in details if d.demonstrations)
    similar = {one.item_id: one.similarity for one in await project.similar(shown.item.item_id, 99)}
    assert {one.similarity for one in shown.demonstrations} != {0.0}
    for one in shown.demonstrations:
        assert one.similarity == pytest.approx(similar[one.item_id], abs=1e-5)
    doubted = [d for d in details if d.llm is not None and d.source == "human" and d.round]
    assert any("in doubt" in d.reason for d in doubted)


async def test_gold_answers_need_gold_labels_and_change_nothing_without(make) -> None:
    project = await make(budget={"human": 16, "llm": 0, "rounds": 1})
    await drain(project.advance())
    project._database.write_now(lambda con: con.execute("UPDATE items SET gold = NULL"))
    with pytest.raises(DataError, match="no gold label"):
        await drain(project.advance(gold=True))
    assert await project.history() == []


async def test_review_corrections_become_human_labels_and_undo_restores(make) -> None:
    project = await make()
    await drain(project.advance(gold=True))
    page = await project.review()
    assert page.total == 24
    risks = [row.risk for row in page.rows]
    assert risks == sorted(risks, reverse=True)
    worst = page.rows[0]
    other = next(name for name in project.settings.task.label_names if name != worst.llm_label)
    await project.label(worst.item_id, other, origin=Origin.REVIEW)
    after = await project.review()
    assert (after.unreviewed, after.found_wrong) == (23, 1)
    assert (await project.detail(worst.item_id)).source == "human"
    await project.undo()
    assert (await project.review()).unreviewed == 24
    below = await project.labels_below([0.1, 1.1])
    assert below[0].expected_errors <= 0.1 * below[0].count
    kept = await project.accept_below(1.1)
    assert kept == below[1].count
    assert kept == 24
    await project.undo()
    assert (await project.review()).unreviewed == 24


async def test_a_label_outside_the_schema_is_refused(make) -> None:
    project = await make()
    with pytest.raises(UsageError, match="not a label"):
        await project.label(1, "nonsense")
    with pytest.raises(UsageError, match="no item"):
        await project.label(10**9, "admin")
    assert await project.history() == []


async def test_settings_that_would_change_the_meaning_of_labels_are_frozen(make) -> None:
    project = await make()
    await project.configure("seed", 3)
    await drain(project.advance())
    with pytest.raises(SettingsError, match="cannot change now"):
        await project.configure("seed", 4)
    with pytest.raises(SettingsError, match="no setting"):
        await project.configure("budget.humans", 4)
    with pytest.raises(SettingsError, match=r"budget\.human"):
        await project.configure("budget.human", -4)
    await project.configure("budget.human", 30)
    assert project.settings.budget.human == 30


async def test_a_failed_creation_leaves_nothing_on_disk(tmp_path: Path) -> None:
    empty = tmp_path / "blank.jsonl"
    empty.write_text('{"text": "  "}\n')
    task = Task(labels=(LabelSpec(name="yes"), LabelSpec(name="no")))
    with pytest.raises(UsageError, match="no item with text"):
        await Project.create(
            tmp_path / "q.db", Settings(task=task), [open_source([empty], Columns(text="text"))]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["blank.jsonl"]
