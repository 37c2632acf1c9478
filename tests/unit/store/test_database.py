"""The project file: opening, locking, committing."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import duckdb
import numpy as np
import pytest

from imfl_engine.errors import (
    NewerSchema,
    NotAProject,
    ProjectError,
    ProjectExists,
    ProjectLocked,
    StorageError,
    UsageError,
)
from imfl_engine.store.database import Connection, Database, registered


def note(text: str):
    def write(con: Connection) -> None:
        con.execute("INSERT INTO settings_log (settings) VALUES (?)", [f'"{text}"'])

    return write


def notes(con: Connection) -> list[str]:
    return [row[0] for row in con.execute("SELECT settings FROM settings_log").fetchall()]


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    database.write_now(note("kept"))
    database.close()
    database = Database.open(tmp_path / "p.db")
    assert database.read_now(notes) == ['"kept"']
    database.close()


def test_a_committed_write_survives_kill_minus_nine(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from imfl_engine.store.database import Database
        database = Database.create(Path(sys.argv[1]))
        for number in range(50):
            database.write_now(lambda con, n=number: con.execute(
                "INSERT INTO settings_log (settings) VALUES (?)", [str(n)]))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "p.db")], check=False)
    database = Database.open(tmp_path / "p.db")
    assert database.read_now(notes) == [str(number) for number in range(50)]
    database.close()


def test_one_change_without_a_transaction_survives_kill_minus_nine_too(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from pathlib import Path
        from imfl_engine.store.database import Database
        database = Database.create(Path(sys.argv[1]))
        add = lambda con: con.execute(
            "INSERT INTO settings_log (settings) VALUES ('1') RETURNING settings").fetchone()
        async def main():
            await database.write(add, one_change=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
        """
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "p.db")], check=False)
    database = Database.open(tmp_path / "p.db")
    assert database.read_now(notes) == ["1"]
    database.close()


async def test_one_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")

    def fail(con: Connection) -> None:
        con.execute("INSERT INTO settings_log (settings) SELECT error('stop')")

    with pytest.raises(ProjectError, match="stop"):
        await database.write(fail, one_change=True)
    await database.write(note("after"), one_change=True)
    assert database.read_now(notes) == ['"after"']
    database.close()


def test_a_failing_write_changes_nothing_and_spares_its_neighbours(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")

    def fail(con: Connection) -> None:
        note("half")(con)
        raise ValueError("stop")

    # Submitted without waiting, so that they are committed as one group.
    waiting: list[Future[None]] = [
        database._submit(work) for work in (note("before"), fail, note("after"))
    ]
    waiting[0].result()
    with pytest.raises(ValueError, match="stop"):
        waiting[1].result()
    waiting[2].result()
    assert database.read_now(notes) == ['"before"', '"after"']
    database.close()


async def test_reads_see_committed_writes_while_others_wait(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    await database.write(note("one"))
    assert await database.read(notes) == ['"one"']
    assert await database.stream(notes) == ['"one"']
    database.close()


async def test_a_short_read_does_not_wait_for_a_long_one(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    await database.write(note("one"))
    may_end = threading.Event()

    def long(con: Connection) -> list[str]:
        may_end.wait(10)
        return notes(con)

    first = asyncio.ensure_future(database.read(long))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(database.read(notes), 5) == ['"one"']
    assert not first.done()
    may_end.set()
    assert await first == ['"one"']
    database.close()


async def test_reads_at_the_same_time_keep_their_tables_apart(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    both = threading.Barrier(2, timeout=10)

    def total(of: list[int]) -> Callable[[Connection], int]:
        def work(con: Connection) -> int:
            with registered(con, "given", {"n": np.array(of)}):
                both.wait()
                [(found,)] = con.execute("SELECT sum(n) FROM given").fetchall()
                both.wait()
            return int(found)

        return work

    found = await asyncio.gather(database.read(total([1, 2])), database.read(total([10, 20])))
    assert found == [3, 30]
    database.close()


def test_a_second_process_is_told_who_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    database = Database.create(path)
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from imfl_engine.errors import ProjectLocked
        from imfl_engine.store.database import Database
        try:
            Database.open(Path(sys.argv[1]))
        except ProjectLocked as error:
            print(error.exit_code, error.message)
        """
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    import os

    assert told.stdout.strip() == f"3 {path} is open in process {os.getpid()}."
    database.close()


def test_what_is_no_project_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database" * 1000)
    foreign = tmp_path / "foreign.db"
    duckdb.connect(str(foreign)).execute("CREATE TABLE t (x INT)").close()
    empty = tmp_path / "empty.db"
    empty.touch()
    for path in (text, foreign, empty):
        before = path.read_bytes()
        with pytest.raises(NotAProject):
            Database.open(path)
        assert path.read_bytes() == before
    for path in (tmp_path, tmp_path / "missing.db"):
        with pytest.raises(UsageError):
            Database.open(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.db", "foreign.db", "notes.txt"]


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    Database.create(path).close()
    con = duckdb.connect(str(path))
    con.execute("INSERT INTO imfl_migrations (version) VALUES (999)")
    con.close()
    with pytest.raises(NewerSchema, match="999"):
        Database.open(path)


def test_creating_over_a_file_or_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.db").write_text("mine")
    with pytest.raises(ProjectExists):
        Database.create(tmp_path / "p.db")
    assert (tmp_path / "p.db").read_text() == "mine"
    with pytest.raises(StorageError, match="no folder"):
        Database.create(tmp_path / "no" / "p.db")


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    database.close()
    database.close()
    with pytest.raises(StorageError, match="closed"):
        database.write_now(note("late"))


def test_the_lock_is_an_error_of_its_own() -> None:
    assert ProjectLocked("a", "b").exit_code == 3
