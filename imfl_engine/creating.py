"""Items into a project: a new file that holds them, or more of them into an open one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.errors import UsageError
from imfl_engine.settings import Settings
from imfl_engine.store import incoming, items, settings_log
from imfl_engine.store.database import Database
from imfl_engine.views import ImportReport

if TYPE_CHECKING:
    from imfl_engine.data.reading import Source


async def create_file(path: Path, settings: Settings, sources: Sequence[Source]) -> ImportReport:
    """Write a project file and import ``sources`` into it; all or nothing.

    The file is built under a temporary name and renamed when it is complete, so a bad source or a
    kill leaves nothing at ``path``.
    """
    if path.exists():
        Database.create(path)  # raises the right error
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    database: Database | None = None
    try:
        database = Database.create(unfinished)
        await database.write(lambda con: settings_log.append(con, settings))
        report = await import_items(database, settings, sources)
        if sources and report.added == 0:
            raise UsageError(
                "The data holds no item with text.", "Check the --text column and the file."
            )
        if sources and not await database.read(lambda con: items.count(con, "pool")):
            raise UsageError(
                "Every item of the data is in the test set too, so nothing is left to label.",
                "Name other data, or a smaller share with --test.",
            )
        database.close()
        # A log left by a project that was deleted by hand does not belong to this one.
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        os.replace(unfinished, path)
    except BaseException:
        if database is not None:
            database.close()
        for leftover in (unfinished, unfinished.with_name(unfinished.name + ".wal")):
            with contextlib.suppress(OSError):
                leftover.unlink()
        raise
    return report


async def import_items(
    database: Database, settings: Settings, sources: Sequence[Source]
) -> ImportReport:
    """Stage every table of ``sources``, then move them in with one transaction."""
    await database.write(incoming.begin)
    try:
        for source in sources:
            tables = source.tables()
            while (table := await asyncio.to_thread(next, tables, None)) is not None:
                await database.write(partial(incoming.stage, table=table))
        allowed = settings.task.label_names
        counts = await database.write(lambda con: incoming.finish(con, allowed))
    except BaseException:
        await database.write(incoming.abandon)
        raise
    return ImportReport(labels_imported=0, **counts)
