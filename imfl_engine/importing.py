"""Labels made elsewhere, into the event log."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from imfl_engine.data.guess import Columns
from imfl_engine.data.label_records import ImportedLabel
from imfl_engine.data.labels import LabelImportReport, read_labels, recognise_labels
from imfl_engine.errors import DataError
from imfl_engine.loop.context import LoopContext
from imfl_engine.store import items, labels, rounds
from imfl_engine.store.database import Connection
from imfl_engine.types import Action, Origin

Save = Callable[[Connection], None]


async def import_labels(
    context: LoopContext,
    paths: Sequence[Path],
    encoding: str | None = None,
    columns: Columns | None = None,
) -> list[LabelImportReport]:
    """Import every human label in ``paths``; all of them or nothing.

    An item is found by its key, or else by its content. What does not fit is counted, not
    imported; of several labels for one item the last wins. ``columns`` says what is what in a
    plain file. Raises `DataError` when not one of a file fits.
    """
    prepared = [await _prepare(context, path, encoding, columns) for path in paths]

    def save_all(con: Connection) -> None:
        for _, save in prepared:
            save(con)

    await context.database.write(save_all)
    return [report for report, _ in prepared]


async def _prepare(
    context: LoopContext, path: Path, encoding: str | None, columns: Columns | None
) -> tuple[LabelImportReport, Save]:
    """Read a file and find its items; nothing is written yet."""
    tool = await asyncio.to_thread(recognise_labels, path, encoding)
    found = await asyncio.to_thread(lambda: list(read_labels(path, encoding, columns)))
    human = [one for one in found if one.by == "human"]
    decided = [one for one in human if one.label is not None]
    ids = await context.database.read(lambda con: _match(con, decided))
    known = {item.item_id: item for item in await context.items_of(sorted(set(ids.values())))}
    chosen: dict[int, ImportedLabel] = {}
    unknown_labels: dict[str, int] = {}
    for place, one in enumerate(decided):
        item_id = ids.get(place)
        label = one.label or ""
        if item_id is None:
            continue
        if label not in items.labels_of(known[item_id], context.labels):
            unknown_labels[label] = unknown_labels.get(label, 0) + 1
        else:
            chosen[item_id] = one
    if not chosen:
        raise DataError(
            f"None of the {len(found)} labels in {path} fits this project "
            f"({len(decided) - len(ids)} for unknown items, "
            f"{sum(unknown_labels.values())} outside the schema).",
            "Import the items first, and check that the label names are the project's.",
        )

    def save(con: Connection) -> None:
        labels.record_many(
            con,
            list(chosen),
            Action.LABEL,
            labels=[one.label for one in chosen.values()],
            seconds=[one.seconds for one in chosen.values()],
            comments=[one.comment for one in chosen.values()],
            round=rounds.newest_round(con),
            origin=Origin.IMPORT,
            annotator="import",
            batch_id=uuid.uuid4().hex,
        )

    report = LabelImportReport(
        path=path,
        tool=tool,
        imported=len(chosen),
        by_machine=len(found) - len(human),
        left_open=len(human) - len(decided),
        unknown_items=len(decided) - len(ids),
        unknown_labels=unknown_labels,
    )
    return report, save


def _match(con: Connection, found: list[ImportedLabel]) -> dict[int, int]:
    """Return the item id for each place in ``found`` that names an item of the project."""
    by_key = items.find_by_key(con, [one.key for one in found if one.key])
    by_content = items.find_by_content(con, [one.content_hash for one in found])
    matched: dict[int, int] = {}
    for place, one in enumerate(found):
        item_id = by_key.get(one.key) if one.key else None
        if item_id is None:
            item_id = by_content.get(one.content_hash)
        if item_id is not None:
            matched[place] = item_id
    return matched
