"""What must not go wrong between threads, imports and rounds."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from imfl_engine.store import items, labels, predictions, rounds, selections
from imfl_engine.store.database import Connection, Database
from imfl_engine.types import Action, Origin


async def test_a_cancelled_write_that_fails_does_not_end_the_writer(database: Database) -> None:
    entered, released = threading.Event(), threading.Event()

    def hold(con: Connection) -> None:
        entered.set()
        released.wait(10)

    def fail(con: Connection) -> None:
        raise ValueError("nobody waits for this")

    holding = asyncio.ensure_future(database.write(hold))
    await asyncio.to_thread(entered.wait, 10)
    failing = asyncio.ensure_future(database.write(fail))
    await asyncio.sleep(0)
    failing.cancel()
    await asyncio.sleep(0)
    released.set()
    await holding
    assert await asyncio.wait_for(database.write(rounds.newest_round), 10) == 0


def test_keys_stay_different_over_several_imports(database: Database, add) -> None:
    for text in ("first", "second", "third"):
        add(database, [{"key": "1", "text": text}, {"key": "2", "text": f"{text} too"}])
    keys = database.read_now(lambda con: con.execute("SELECT key FROM items").fetchall())
    assert len(set(keys)) == 6


def test_imported_labels_find_pool_items_alone(database: Database, add) -> None:
    add(database, [{"key": "p", "text": "pool"}, {"key": "t", "text": "held out", "split": "test"}])
    assert database.read_now(lambda con: items.find_by_key(con, ["p", "t"])) == {"p": 1}


def test_imported_labels_do_not_use_up_the_minutes(database: Database) -> None:
    def record(con: Connection) -> None:
        for origin, seconds in ((Origin.IMPORT, 3600.0), (Origin.BATCH, 30.0)):
            labels.record(
                con, 1, Action.LABEL, label="yes", round=0, origin=origin, annotator="a",
                seconds=seconds,
            )  # fmt: skip

    database.write_now(record)
    assert database.read_now(labels.minutes_spent) == pytest.approx(0.5)


def test_predictions_over_different_numbers_of_options_are_filled_up(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    for ids, width in (([1, 2], 2), ([3], 3)):
        matrix = np.full((len(ids), width), 1 / width, dtype=np.float32)
        database.write_now(lambda con, i=ids, m=matrix: predictions.replace(con, 1, i, m))
    found = database.read_now(lambda con: predictions.of_round(con, 1, [1, 2, 3]))
    assert found[1].tolist() == [0.5, 0.5, 0.0]
    assert found[3] == pytest.approx([1 / 3] * 3)
    database.close()


def test_another_annotator_is_measured_anew(database: Database) -> None:
    def record(con: Connection) -> None:
        labels.record(
            con, 1, Action.LABEL, label="yes", round=0, origin=Origin.BATCH, annotator="a"
        )
        con.execute(
            "INSERT INTO replies (reply_id, item_id, round, purpose, status, label, annotator, "
            "prompt_hash, demonstration_ids, input_tokens, cached_tokens, output_tokens, cost_usd, "
            "attempts, seconds) VALUES (1, 1, 1, 'calibrate', 'ok', 'yes', 'neighbours', 'h', [], "
            "0, 0, 0, 0, 1, 0)"
        )

    database.write_now(record)
    pending = {
        name: database.read_now(lambda con, n=name: selections.pending_calibration(con, n))
        for name in ("neighbours", "openai:other")
    }
    assert pending == {"neighbours": [], "openai:other": [1]}
