"""What a person did in Review, as the export, the card, the screens and a later import have it."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imfl_engine.exporting import card_facts
from imfl_engine.project import Project
from imfl_engine.store import labels, reports
from imfl_engine.types import Origin, StepKind
from imfl_engine.views import ItemFilter

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def drain(events) -> list:
    return [event async for event in events]


@pytest.fixture(scope="module")
def looked_at() -> dict[str, int]:
    return {"kept": 3, "corrected": 2, "rejected": 1, "skipped": 1}


async def reviewed_project(make, looked_at: dict[str, int]) -> Project:
    """A finished project whose riskiest labels were looked at and whose others were kept unseen."""
    project = await make()
    await drain(project.advance(gold=True))
    waiting = [row for row in (await project.review()).rows]
    names = project.settings.task.label_names
    for row in [waiting.pop(0) for _ in range(looked_at["kept"])]:
        await project.accept(row.item_id)
    for row in [waiting.pop(0) for _ in range(looked_at["corrected"])]:
        other = next(name for name in names if name != row.llm_label)
        await project.label(row.item_id, other, origin=Origin.REVIEW)
    for row in [waiting.pop(0) for _ in range(looked_at["rejected"])]:
        await project.reject(row.item_id)
    for row in [waiting.pop(0) for _ in range(looked_at["skipped"])]:
        await project.skip(row.item_id)
    assert await project.accept_below(1.1) == len(waiting) + looked_at["skipped"]
    return project


async def test_labels_kept_unseen_are_nowhere_called_a_persons(
    make, looked_at: dict[str, int], tmp_path: Path
) -> None:
    project = await reviewed_project(make, looked_at)
    unseen = 24 - looked_at["kept"] - looked_at["corrected"] - looked_at["rejected"]
    expected = {
        "human": 24 + looked_at["corrected"],
        "llm_reviewed": looked_at["kept"],
        "llm": unseen,
    }

    out = tmp_path / "out.parquet"
    await drain(project.export(out))
    rows = pq.read_table(out).to_pylist()
    assert Counter(row["source"] for row in rows) == expected
    statuses = Counter((row["source"], row["review_status"]) for row in rows)
    assert statuses[("llm", "accepted")] == unseen

    status = await project.status()
    facts = await card_facts(project.loop, status)
    assert {"human": facts.human, "llm_reviewed": facts.llm_reviewed, "llm": facts.llm} == expected
    risk = sum(row["p_wrong"] for row in rows if row["source"] == "llm")
    assert facts.expected_errors == pytest.approx(risk)
    assert sum(count.human + count.llm for count in status.label_counts) == len(rows)
    trust = status.trust
    found = (trust.labels, trust.reviewed, trust.kept, trust.found_wrong)
    assert found == (24, 24 - unseen, looked_at["kept"], 24 - unseen - looked_at["kept"])

    for source, number in expected.items():
        assert await project.count(ItemFilter(source=source)) == number
        page = await project.search(ItemFilter(source=source), limit=200)
        assert [row.source for row in page] == [source] * number
        details = [await project.detail(row.item_id) for row in page[:3]]
        assert {(one.source, one.label) for one in details} == {
            (row.source, row.label) for row in page[:3]
        }


async def test_an_export_that_comes_back_brings_a_persons_labels_alone(
    make, looked_at: dict[str, int], tmp_path: Path
) -> None:
    project = await reviewed_project(make, looked_at)
    out = tmp_path / "out.jsonl"
    await drain(project.export(out))
    other = await make("other.db")
    await other.import_labels([out])
    came = await other.context.database.read(labels.human_labels)
    assert len(came) == 24 + looked_at["corrected"] + looked_at["kept"]


async def test_explore_finds_where_label_and_model_differ(make) -> None:
    project = await make()
    await drain(project.advance(gold=True))
    everything = await project.search(ItemFilter(), limit=200)
    differ = {
        r.item_id for r in everything if r.label and r.model_label and r.label != r.model_label
    }
    found = await project.search(ItemFilter(disagreement=True), limit=200)
    assert {row.item_id for row in found} == differ
    assert await project.count(ItemFilter(disagreement=True)) == len(differ)
    row = next(row for row in everything if row.label and row.model_label)
    detail = await project.detail(row.item_id)
    assert detail.model is not None
    assert detail.model.label == row.model_label
    names = project.settings.task.label_names
    other = next(name for name in names if name not in (row.label, row.model_label))
    await project.label(row.item_id, other, origin=Origin.EXPLORE)
    assert await project.count(ItemFilter(disagreement=True)) == len(differ | {row.item_id})
    named = await project.search(ItemFilter(label=other), limit=200)
    assert row.item_id in {one.item_id for one in named}


async def test_a_rejected_label_is_no_items_label(make) -> None:
    project = await make()
    await drain(project.advance(gold=True))
    row = (await project.review()).rows[0]
    before = await project.count(ItemFilter(label=row.llm_label))
    await project.reject(row.item_id)
    assert await project.count(ItemFilter(label=row.llm_label)) == before - 1


async def test_an_export_that_is_stopped_leaves_what_was_there(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await make()
    await drain(project.advance(gold=True, until=StepKind.TRAIN))
    rows = reports.export_rows
    may_go_on = threading.Event()

    def in_two_parts(*args, **options):
        yield from rows(*args, **options)
        may_go_on.wait(20)
        yield from rows(*args, **options)

    monkeypatch.setattr(reports, "export_rows", in_two_parts)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "set.jsonl").write_text("before")
    events = project.export(folder / "set.jsonl")
    assert (await anext(events)).done > 0
    asyncio.get_running_loop().call_later(0.2, may_go_on.set)
    await events.aclose()
    assert may_go_on.is_set()
    assert [path.name for path in folder.iterdir()] == ["set.jsonl"]
    assert (folder / "set.jsonl").read_text() == "before"
