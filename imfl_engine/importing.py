"""Labels made elsewhere, into the event log."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from imfl_engine.data.labels import ImportedLabel, read_labels
from imfl_engine.errors import DataError
from imfl_engine.loop.context import LoopContext
from imfl_engine.store import items, labels, rounds
from imfl_engine.store.database import Connection
from imfl_engine.types import Action, Origin
from imfl_engine.views import LabelImportReport

SHOWN_UNKNOWN = 50


async def import_labels(context: LoopContext, path: Path) -> LabelImportReport:
    """Import every human label in ``path``; all or nothing.

    An item is found by its key, or else by its content. Labels outside the schema and items the
    project does not have are counted, not imported; of several labels for one item the last wins.
    Raises `DataError` when not one label fits.
    """
    found = await asyncio.to_thread(lambda: [one for one in read_labels(path) if one.by == "human"])
    ids = await context.database.read(lambda con: _match(con, found))
    chosen: dict[int, ImportedLabel] = {}
    unknown_items = 0
    unknown_labels: dict[str, int] = {}
    known = {item.item_id: item for item in await context.items_of(sorted(set(ids.values())))}
    for place, one in enumerate(found):
        item_id = ids.get(place)
        if item_id is None:
            unknown_items += 1
        elif one.label is None:
            continue
        elif one.label not in items.labels_of(known[item_id], context.labels):
            unknown_labels[one.label] = unknown_labels.get(one.label, 0) + 1
        else:
            chosen[item_id] = one
    if not chosen:
        raise DataError(
            f"None of the {len(found)} labels in {path} fits this project "
            f"({unknown_items} unknown items, {sum(unknown_labels.values())} unknown labels).",
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

    await context.database.write(save)
    worst = sorted(unknown_labels.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_UNKNOWN]
    return LabelImportReport(len(chosen), unknown_items, dict(worst))


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
