"""A project written by an earlier version opens, and everything in it means what it meant."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from imfl_engine.annotate.ports import Committed
from imfl_engine.project import Project
from imfl_engine.settings import LabelSpec, Settings, Task
from imfl_engine.store import labels, migrations, replies, settings_log
from imfl_engine.store.database import Connection, Database
from imfl_engine.types import Action, Origin, Purpose, Reply, ReplyStatus

SETTINGS = Settings(task=Task(labels=(LabelSpec(name="yes"), LabelSpec(name="no"))))


def llm_reply(item_id: int, label: str) -> Reply:
    return Reply(
        item_id=item_id,
        round=1,
        purpose=Purpose.ANNOTATE,
        status=ReplyStatus.OK,
        label=label,
        annotator="openai:m",
        prompt_hash=f"h{item_id}",
        raw=label,
        messages="[]",
    )


@pytest.fixture
def project_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, add: Callable[..., Any]
) -> Callable[[int], Path]:
    """Write a project as the version with that schema did: five items, a person and an LLM."""

    def make(schema: int) -> Path:
        path = tmp_path / f"schema-{schema}.db"
        with monkeypatch.context() as earlier:
            earlier.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:schema])
            database = Database.create(path)
            database.write_now(lambda con: settings_log.append(con, SETTINGS))
            add(database, [{"text": f"item {number}"} for number in range(5)])
            database.write_now(_answers)
            database.close()
        return path

    return make


def _answers(con: Connection) -> None:
    ids = [int(row[0]) for row in con.execute("SELECT item_id FROM items ORDER BY text").fetchall()]
    replies.write(con, [Committed(llm_reply(item_id, "yes")) for item_id in ids[1:]])
    for item_id, action, label in (
        (ids[0], Action.LABEL, "no"),
        (ids[1], Action.LABEL, "no"),
        (ids[2], Action.ACCEPT, None),
        (ids[3], Action.REJECT, None),
    ):
        labels.record(
            con, item_id, action, label=label, round=1, origin=Origin.BATCH, annotator="me"
        )


@pytest.mark.parametrize("schema", range(1, len(migrations.MIGRATIONS) + 1))
async def test_labels_of_every_earlier_schema_are_those_they_were(
    schema: int, project_of: Callable[[int], Path]
) -> None:
    path = project_of(schema)
    project = await Project.open(path)
    try:
        status = await project.status()
        assert (status.pool_size, status.replies) == (5, {"ok": 4})
        assert [(c.label, c.human, c.llm) for c in status.label_counts] == [
            ("no", 2, 0),
            ("yes", 0, 2),
        ]
        undone = await project.undo()
        assert undone is not None
        assert undone.action is Action.REJECT
    finally:
        await project.close()
    with duckdb.connect(str(path), read_only=True) as con:
        assert migrations.schema_version(con) == len(migrations.MIGRATIONS)
        said = con.execute(
            "SELECT i.text, c.label, c.source FROM items i JOIN current_labels c USING (item_id) "
            "ORDER BY i.text"
        ).fetchall()
    assert said == [
        ("item 0", "no", "human"),
        ("item 1", "no", "human"),
        ("item 2", "yes", "llm_reviewed"),
        ("item 3", "yes", "llm"),
        ("item 4", "yes", "llm"),
    ]


async def test_a_setting_given_up_since_does_not_keep_a_project_from_opening(
    project_of: Callable[[int], Path],
) -> None:
    path = project_of(1)
    stored = SETTINGS.model_dump(mode="json") | {"palette": "old"}
    stored["training"] |= {"sharpness": 2.0}
    stored["budget"] |= {"human": 77}
    del stored["query"]["control_share"]
    with duckdb.connect(str(path)) as con:
        con.execute("DELETE FROM settings_log")
        con.execute("INSERT INTO settings_log (settings) VALUES (?)", [json.dumps(stored)])
    project = await Project.open(path)
    try:
        assert project.settings.budget.human == 77
        assert project.settings.query.control_share == SETTINGS.query.control_share
    finally:
        await project.close()
