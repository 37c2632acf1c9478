"""A project file with a few items."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imfl_engine.data.identity import content_hash
from imfl_engine.data.reading import ITEM_SCHEMA
from imfl_engine.store import incoming
from imfl_engine.store.database import Database


def table(rows: list[dict[str, object]]) -> pa.Table:
    """An Arrow table as a source delivers it; only ``text`` is needed."""
    return pa.Table.from_pylist(
        [
            {
                "key": content_hash(str(row["text"])),
                "context": None,
                "options": [],
                "gold": None,
                "split": "pool",
                "meta": "{}",
                "content_hash": content_hash(str(row["text"])),
            }
            | row
            for row in rows
        ],
        schema=ITEM_SCHEMA,
    )


@pytest.fixture
def add() -> Callable[..., dict[str, Any]]:
    """Import rows into a database and return the counts."""
    return _add


def _add(
    database: Database, rows: list[dict[str, object]], labels: tuple[str, ...] = ("yes", "no")
) -> dict[str, Any]:
    database.write_now(incoming.begin)
    database.write_now(lambda con: incoming.stage(con, table(rows)))
    return database.write_now(lambda con: incoming.finish(con, labels))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.create(tmp_path / "p.db")
    yield opened
    opened.close()
