"""Searching the pool: the items that match a filter, a page at a time."""

from __future__ import annotations

from typing import Any

from imfl_engine.store.database import Connection
from imfl_engine.views import ItemFilter, ItemRow


def page(con: Connection, wanted: ItemFilter, *, after: int, limit: int) -> list[ItemRow]:
    """Return the page of matching pool items whose ids follow ``after``, in the order of ids."""
    where, parameters = _conditions(wanted)
    rows = con.execute(
        f"""
        WITH page AS (
            SELECT i.item_id, i.key, left(i.text, 300) AS text, i.gold
            FROM items i
            WHERE i.item_id > ? AND i.split = 'pool' AND {where}
            ORDER BY i.item_id LIMIT ?
        )
        SELECT p.item_id, p.key, p.text, coalesce(d.label, r.label),
            {_SOURCE}, coalesce(d.round, r.round), p.gold, NULL
        FROM page p
        LEFT JOIN decisions d ON d.item_id = p.item_id
        LEFT JOIN latest_replies r ON r.item_id = p.item_id AND r.purpose = 'annotate'
            AND r.label IS NOT NULL
        ORDER BY p.item_id
        """,
        [after, *parameters, limit],
    ).fetchall()
    return [ItemRow(*row) for row in rows]


def count(con: Connection, wanted: ItemFilter) -> int:
    """Return how many pool items `page` would list in all."""
    where, parameters = _conditions(wanted)
    row = con.execute(
        f"SELECT count(*) FROM items i WHERE i.split = 'pool' AND {where}", parameters
    ).fetchone()
    return int(row[0]) if row else 0


_SOURCE = """
    CASE WHEN d.action = 'label' THEN 'human'
         WHEN d.action IN ('accept', 'accept_bulk') THEN 'llm_reviewed'
         WHEN r.label IS NOT NULL AND coalesce(d.action, '') NOT IN ('reject', 'skip') THEN 'llm' END
"""
_HUMAN = "SELECT item_id FROM human_labels"
_REVIEWED = "SELECT item_id FROM decisions WHERE action IN ('accept', 'accept_bulk')"
_LLM = (
    "SELECT item_id FROM latest_replies WHERE purpose = 'annotate' AND label IS NOT NULL "
    "AND item_id NOT IN (SELECT item_id FROM decisions WHERE action <> 'skip')"
)


def _conditions(wanted: ItemFilter) -> tuple[str, list[Any]]:
    parts: list[str] = ["TRUE"]
    parameters: list[Any] = []
    if wanted.text:
        # contains() on lower case is DuckDB's vectorised substring search: no index to keep.
        parts.append("contains(lower(i.text), lower(?))")
        parameters.append(wanted.text)
    sources = {
        "human": f"i.item_id IN ({_HUMAN})",
        "llm": f"i.item_id IN ({_LLM})",
        "llm_reviewed": f"i.item_id IN ({_REVIEWED})",
        "model": "i.item_id IN (SELECT item_id FROM predictions)",
        "unlabelled": f"i.item_id NOT IN ({_HUMAN}) AND i.item_id NOT IN ({_LLM}) "
        f"AND i.item_id NOT IN ({_REVIEWED})",
    }
    if wanted.source:
        parts.append(sources[wanted.source])
    if wanted.label:
        parts.append(
            "i.item_id IN (SELECT item_id FROM human_labels WHERE label = ? UNION ALL "
            f"SELECT item_id FROM latest_replies WHERE label = ? AND purpose = 'annotate' "
            f"AND item_id NOT IN ({_HUMAN}))"
        )
        parameters += [wanted.label, wanted.label]
    if wanted.round is not None:
        parts.append("i.item_id IN (SELECT item_id FROM selections WHERE round = ?)")
        parameters.append(wanted.round)
    if wanted.flagged:
        parts.append("i.item_id IN (SELECT item_id FROM flagged_items)")
    if wanted.disagreement:
        parts.append(
            "i.item_id IN (SELECT h.item_id FROM human_labels h JOIN latest_replies r "
            "ON r.item_id = h.item_id AND r.label IS NOT NULL AND r.label <> h.label UNION ALL "
            "SELECT item_id FROM posteriors WHERE p_wrong > 0.5 "
            "AND round = (SELECT max(round) FROM posteriors))"
        )
    return " AND ".join(parts), parameters
