"""Searching the pool: the items that match a filter, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imfl_engine.store.database import Connection
from imfl_engine.types import option_letter
from imfl_engine.views import ItemFilter, ItemRow

_OPTIONS_NAMED = 100


# What the newest model that has scored an item says, as a place in the list of classes (from 1).
_MODEL = """
    SELECT item_id, list_position(probabilities, list_max(probabilities)) AS place FROM predictions
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY round DESC) = 1
"""


def page(
    con: Connection, wanted: ItemFilter, *, labels: Sequence[str], after: int, limit: int
) -> list[ItemRow]:
    """Return the page of matching pool items whose ids follow ``after``, in the order of ids.

    ``labels`` are the schema's, none where options differ from item to item.
    """
    where, parameters = _conditions(wanted, _classes(labels))
    rows = con.execute(
        f"""
        WITH page AS (
            SELECT i.item_id, i.key, left(i.text, 300) AS text, i.gold
            FROM items i
            WHERE i.item_id > ? AND i.split = 'pool' AND {where}
            ORDER BY i.item_id LIMIT ?
        )
        SELECT p.item_id, p.key, p.text, c.label, c.source, c.round, p.gold, (?::VARCHAR[])[m.place]
        FROM page p LEFT JOIN current_labels c USING (item_id) LEFT JOIN ({_MODEL}) m USING (item_id)
        ORDER BY p.item_id
        """,
        [after, *parameters, limit, _classes(labels)],
    ).fetchall()
    return [ItemRow(*row) for row in rows]


def count(con: Connection, wanted: ItemFilter, *, labels: Sequence[str]) -> int:
    """Return how many pool items `page` would list in all."""
    where, parameters = _conditions(wanted, _classes(labels))
    row = con.execute(
        f"SELECT count(*) FROM items i WHERE i.split = 'pool' AND {where}", parameters
    ).fetchone()
    return int(row[0]) if row else 0


def _classes(labels: Sequence[str]) -> list[str]:
    """Name what the model predicts: the labels, or the letters of the options."""
    return list(labels) or [option_letter(place) for place in range(_OPTIONS_NAMED)]


def _conditions(wanted: ItemFilter, classes: list[str]) -> tuple[str, list[Any]]:
    parts: list[str] = ["TRUE"]
    parameters: list[Any] = []
    if wanted.text:
        # contains() on lower case is DuckDB's vectorised substring search: no index to keep.
        parts.append("contains(lower(i.text), lower(?))")
        parameters.append(wanted.text)
    if wanted.source == "unlabelled":
        parts.append("i.item_id NOT IN (SELECT item_id FROM current_labels)")
    elif wanted.source == "model":
        parts.append("i.item_id IN (SELECT item_id FROM predictions)")
    elif wanted.source:
        parts.append("i.item_id IN (SELECT item_id FROM current_labels WHERE source = ?)")
        parameters.append(wanted.source)
    if wanted.label:
        parts.append("i.item_id IN (SELECT item_id FROM current_labels WHERE label = ?)")
        parameters.append(wanted.label)
    if wanted.round is not None:
        parts.append("i.item_id IN (SELECT item_id FROM selections WHERE round = ?)")
        parameters.append(wanted.round)
    if wanted.flagged:
        parts.append("i.item_id IN (SELECT item_id FROM flagged_items)")
    if wanted.disagreement:
        parts.append(
            "i.item_id IN (SELECT c.item_id FROM current_labels c "
            f"JOIN ({_MODEL}) m ON m.item_id = c.item_id WHERE (?::VARCHAR[])[m.place] <> c.label)"
        )
        parameters.append(classes)
    return " AND ".join(parts), parameters
