"""The DuckDB file behind a project: opening, the lock, one writer thread and two reader threads.

DuckDB lets one process hold a file and one thread use a connection, so every write goes through
one thread and every read has a cursor of its own. Writes that wait together are committed together:
at hundreds of replies a second the cost of a commit (about 1 ms) is shared, and a single label still
commits at once.
"""

from __future__ import annotations

import asyncio
import queue
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb

from imfl_engine.errors import (
    NotAProject,
    ProjectExists,
    StorageError,
    UsageError,
)
from imfl_engine.store import migrations
from imfl_engine.store.failures import mapped_errors, not_opened

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection

MEMORY_LIMIT = "SET memory_limit = '1GB'"
"""The app must stay small beside a pool of a million items; what needs more spills to disk."""
LONG_READ = 0.03
"""Seconds from which a read has probably gone through the pool. DuckDB's allocator keeps what that
needed (24 of 166 MB after drawing 10,000 of a million items) until the limit is set again, 5 ms."""
READERS = 2
"""So that the next item does not wait behind a read through the whole project (0.25 s for the status
of a million items)."""
LARGEST_GROUP = 128
"""Writes committed together at most; more would hold back the first one's answer."""


class _Job(NamedTuple):
    """What the writer thread does for somebody."""

    work: Callable[[Connection], Any]
    done: Future[Any]
    one_change: bool
    """Whether one statement at most changes anything, so that it is a transaction by itself."""


class Database:
    """An open project file. Make one with `open` or `create`, end it with `close`."""

    def __init__(self, path: Path, connection: Connection) -> None:
        self.path = path
        self._connection = connection
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._writer.start()
        self._reader_connection = connection.cursor()
        self._reader = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._closed = False

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open an existing project and bring its schema up to date.

        Raises `UsageError` (missing, a directory), `NotAProject`, `NewerSchema`, `ProjectLocked`
        or `StorageError`; the file is unchanged in each case.
        """
        if path.is_dir():
            raise UsageError(
                f"{path} is a folder, not a project file.", "Name a .db file inside it."
            )
        if not path.exists():
            raise UsageError(
                f"There is no project at {path}.",
                f"Create it with `imfl-tui new {shlex.quote(str(path))} DATA` or open the app to set it up.",
            )
        if path.stat().st_size == 0:
            raise NotAProject(f"{path} is empty, not an imfl-tui project.", "Choose another file.")
        if not _is_duckdb(path):  # DuckDB would read a csv or json file as a database of its own
            raise NotAProject(f"{path} is not an imfl-tui project.", "Choose another file.")
        connection = _connect(path)
        try:
            migrations.check(connection, path)
            with _transaction(connection):
                migrations.upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return cls(path, connection)

    @classmethod
    def create(cls, path: Path) -> Database:
        """Create a new project file.

        Raises `ProjectExists` when something is at ``path``, `StorageError` when the folder is
        missing or not writable.
        """
        if path.exists():
            raise ProjectExists(
                f"{path} is there already.",
                "Open it with `imfl-tui` and its name, or choose another name.",
            )
        if not path.parent.is_dir():
            raise StorageError(f"There is no folder {path.parent}.", "Create it first.")
        connection = _connect(path)
        with _transaction(connection):
            migrations.upgrade(connection)
        return cls(path, connection)

    async def write(self, work: Callable[[Connection], T], *, one_change: bool = False) -> T:
        """Run ``work`` on the writer thread in a transaction; it is on disk when this returns.

        ``work`` may run twice (after a failure of a neighbour in its group), so it must do nothing
        but SQL. If only its last statement changes anything, ``one_change`` saves it the
        transaction around it (1.3 of 5 ms) when nobody else's work waits.
        """
        return await asyncio.wrap_future(self._submit(work, one_change))

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """Do what `write` does and block until it is done, for callers without an event loop."""
        return self._submit(work).result()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reader thread, beside writes, on the last committed state."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, self._read, work)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """Do what `read` does and block, for callers without an event loop."""
        return self._reader.submit(self._read, work).result()

    async def stream(self, work: Callable[[Connection], T]) -> T:
        """Run a long read, such as an export, on a thread and a cursor of its own."""

        def run() -> T:
            cursor = self._connection.cursor()
            try:
                with mapped_errors(self.path):
                    return work(cursor)
            finally:
                cursor.close()

        return await asyncio.to_thread(run)

    def close(self) -> None:
        """Finish the writes that wait and release the file. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._writer.join()
        self._reader.shutdown(wait=True)
        self._reader_connection.close()
        self._connection.close()

    def _submit(self, work: Callable[[Connection], T], one_change: bool = False) -> Future[T]:
        if self._closed:
            raise StorageError(f"{self.path} is closed.", "Open the project again.")
        future: Future[T] = Future()
        self._jobs.put(_Job(work, future, one_change))
        return future

    def _read(self, work: Callable[[Connection], T]) -> T:
        # A cursor of its own, because a result that was not read to its end blocks the next one.
        cursor = self._reader_connection.cursor()
        started = time.monotonic()
        try:
            with mapped_errors(self.path):
                result = work(cursor)
                if time.monotonic() - started > LONG_READ:
                    cursor.execute(MEMORY_LIMIT)
                return result
        finally:
            cursor.close()

    def _write_loop(self) -> None:
        while (first := self._jobs.get()) is not None:
            group = [first]
            last = False
            while len(group) < LARGEST_GROUP:
                try:
                    waiting = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if waiting is None:
                    last = True
                    break
                group.append(waiting)
            for job in group:
                # From here on nobody can cancel it, so its result can always be set. What was
                # cancelled while it waited is written all the same: it may have been paid for.
                job.done.set_running_or_notify_cancel()
            self._commit_group(group)
            if last:
                return

    def _commit_group(self, group: list[_Job]) -> None:
        alone = len(group) == 1
        around = nullcontext() if alone and group[0].one_change else _transaction(self._connection)
        try:
            with mapped_errors(self.path), around:
                results = [job.work(self._connection) for job in group]
        except BaseException as error:
            if not alone:
                for job in group:
                    self._commit_group([job])
            elif not group[0].done.cancelled():
                group[0].done.set_exception(error)
            return
        for job, result in zip(group, results, strict=True):
            if not job.done.cancelled():
                job.done.set_result(result)


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        # A failed commit has ended the transaction by itself.
        with _ignored_transaction_end():
            connection.rollback()
        raise
    connection.commit()


@contextmanager
def _ignored_transaction_end() -> Iterator[None]:
    try:
        yield
    except duckdb.Error:
        return


@contextmanager
def registered(con: Connection, name: str, table: object) -> Iterator[None]:
    """Let SQL read an Arrow table, or NumPy columns by name, as ``name`` within the block."""
    con.register(name, table)
    try:
        yield
    finally:
        con.unregister(name)


def _is_duckdb(path: Path) -> bool:
    """Whether the file has the mark of DuckDB; one that cannot be read is left for it to refuse."""
    try:
        with path.open("rb") as file:
            return file.read(12)[8:] == b"DUCK"
    except OSError:
        return True


def _connect(path: Path) -> Connection:
    try:
        connection = duckdb.connect(str(path))
    except duckdb.Error as error:
        raise not_opened(path, error) from error
    connection.execute("SET threads = 2")
    connection.execute(MEMORY_LIMIT)
    connection.execute("SET preserve_insertion_order = true")
    return connection
