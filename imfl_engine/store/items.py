"""Items: bulk import, the pool and its sub-samples, search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from imfl_engine.store.database import Connection, arrow_view
from imfl_engine.types import Item, option_letter
from imfl_engine.views import ItemFilter, ItemRow

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = "item_id, key, text, context, options, gold, split, meta"


def begin_import(con: Connection) -> None:
    """Make the empty staging table of an import; what is staged is invisible until `finish_import`."""
    con.execute("DROP TABLE IF EXISTS incoming")
    con.execute(
        "CREATE TEMP TABLE incoming (n BIGINT, key VARCHAR, text VARCHAR, context VARCHAR, "
        "options VARCHAR[], gold VARCHAR, split VARCHAR, meta VARCHAR, content_hash VARCHAR)"
    )
    con.execute("CREATE OR REPLACE TEMP SEQUENCE incoming_rows")


def stage(con: Connection, table: pa.Table) -> int:
    """Add an Arrow table with the reader's columns to the staging table; returns its row count."""
    with arrow_view(con, "batch_of_items", table):
        con.execute(
            "INSERT INTO incoming SELECT nextval('incoming_rows'), key, text, context, options, "
            "gold, split, meta, content_hash FROM batch_of_items"
        )
    return int(table.num_rows)


def finish_import(con: Connection, labels: Sequence[str]) -> dict[str, Any]:
    """Move what was staged into the items and return counts.

    Empty texts are left out. A pool item whose content is in the project already, in either split,
    is left out too, so that no test item is ever trained on; test items are all kept unless the
    test set has them already. A key that occurs twice, here or in an earlier import, gets the
    item's number as a suffix. Gold labels outside ``labels`` (when not empty) are dropped from the
    item and counted by value.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE staged AS SELECT n, key, split, content_hash "
        "FROM incoming WHERE trim(text, E' \\t\\r\\n') <> ''"
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE chosen AS
        WITH candidates AS (
            SELECT *, row_number() OVER (PARTITION BY split, content_hash ORDER BY n) AS copy
            FROM staged
        ), fresh AS (
            SELECT * FROM candidates c
            WHERE CASE WHEN split = 'test'
                THEN NOT EXISTS (FROM items i WHERE i.content_hash = c.content_hash AND i.split = 'test')
                ELSE copy = 1
                    AND NOT EXISTS (FROM items i WHERE i.content_hash = c.content_hash)
                    AND NOT EXISTS (FROM staged s WHERE s.content_hash = c.content_hash AND s.split = 'test')
                END
        )
        SELECT n, item_id, content_hash, split,
            CASE WHEN row_number() OVER (PARTITION BY key ORDER BY n) > 1
                    OR EXISTS (FROM items i WHERE i.key = numbered.key)
                THEN key || '#' || item_id ELSE key END AS key
        FROM (SELECT *, (SELECT coalesce(max(item_id), 0) FROM items)
            + row_number() OVER (ORDER BY n) AS item_id FROM fresh) numbered
        """
    )
    counts = con.execute(
        "SELECT (SELECT count(*) FROM incoming), (SELECT count(*) FROM staged), "
        "(SELECT count(*) FROM chosen)"
    ).fetchone()
    assert counts is not None
    unknown: dict[str, int] = {}
    keep_gold = "gold"
    parameters: list[Any] = []
    if labels:
        unknown = {
            str(value): int(count)
            for value, count in con.execute(
                "SELECT gold, count(*) FROM incoming JOIN chosen USING (n) WHERE gold IS NOT NULL "
                "AND gold NOT IN (SELECT unnest(?)) GROUP BY gold ORDER BY 2 DESC, 1 LIMIT 50",
                [list(labels)],
            ).fetchall()
        }
        keep_gold = "CASE WHEN gold IN (SELECT unnest(?)) THEN gold END"
        parameters = [list(labels)]
    con.execute(
        f"""
        INSERT INTO items
        SELECT c.item_id, c.key, i.text, i.context, nullif(i.options, []), {keep_gold}, i.split, i.meta,
            c.content_hash, md5_number_lower(c.key)
        FROM incoming i JOIN chosen c USING (n) ORDER BY n
        """,
        parameters,
    )
    abandon_import(con)
    staged_rows, with_text, added = counts
    return {
        "added": int(added),
        "duplicates": int(with_text - added),
        "empty": int(staged_rows - with_text),
        "unknown_labels": unknown,
    }


def abandon_import(con: Connection) -> None:
    """Drop the staging tables."""
    for table in ("incoming", "staged", "chosen"):
        con.execute(f"DROP TABLE IF EXISTS {table}")


def count(con: Connection, split: str) -> int:
    """Return the number of items of a split."""
    row = con.execute("SELECT count(*) FROM items WHERE split = ?", [split]).fetchone()
    return int(row[0]) if row else 0


def by_ids(con: Connection, ids: Sequence[int]) -> list[Item]:
    """Return the items with these ids, in the order of ``ids``; unknown ids are left out."""
    if len(ids) == 1:
        # One constant lets DuckDB skip the row groups that cannot hold it: ten times quicker.
        row = con.execute(f"SELECT {_COLUMNS} FROM items WHERE item_id = ?", list(ids)).fetchone()
        return [_item(row)] if row else []
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM items WHERE item_id IN (SELECT unnest(?::BIGINT[]))",
        [list(ids)],
    ).fetchall()
    found = {row[0]: _item(row) for row in rows}
    return [found[item_id] for item_id in ids if item_id in found]


def by_key(con: Connection, key: str) -> Item | None:
    """Return the item a person calls ``key``, or None."""
    row = con.execute(
        f"SELECT {_COLUMNS} FROM items WHERE key = ? ORDER BY item_id LIMIT 1", [key]
    ).fetchone()
    return _item(row) if row else None


def find_by_key(con: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Return the ids of the pool items called ``keys``; unknown keys are left out."""
    rows = con.execute(
        "SELECT key, min(item_id) FROM items WHERE key IN (SELECT unnest(?::VARCHAR[])) "
        "AND split = 'pool' GROUP BY key ORDER BY key",
        [list(keys)],
    ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


def find_by_content(con: Connection, hashes: Sequence[str]) -> dict[str, int]:
    """Return the ids of the pool items with these content hashes; unknown ones are left out."""
    rows = con.execute(
        "SELECT content_hash, min(item_id) FROM items WHERE split = 'pool' "
        "AND content_hash IN (SELECT unnest(?::VARCHAR[])) GROUP BY content_hash ORDER BY 1",
        [list(hashes)],
    ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


def most_options(con: Connection) -> int:
    """Return the greatest number of options an item has."""
    row = con.execute("SELECT coalesce(max(len(options)), 0) FROM items").fetchone()
    return int(row[0]) if row else 0


def ids_of_split(con: Connection, split: str, *, with_gold: bool = False) -> list[int]:
    """Return the ids of a split in ascending order."""
    condition = " AND gold IS NOT NULL" if with_gold else ""
    rows = con.execute(
        f"SELECT item_id FROM items WHERE split = ?{condition} ORDER BY item_id", [split]
    ).fetchall()
    return [row[0] for row in rows]


def draw_sub_sample(con: Connection, size: int, *, salt: str) -> list[int]:
    """Draw ``size`` random ids of the unlabelled pool.

    Every item has a random number from a hash of its key; the ``size`` smallest remainders modulo a
    number that belongs to ``salt`` are drawn. So the draw depends on the items' keys and the salt
    alone, not on the order of the import, it costs a division an item instead of a hash, and no
    more than ``size`` ids are held in memory.
    """
    mask, modulus = _draw_numbers(salt)
    rows = con.execute(
        """
        SELECT item_id FROM items
        WHERE split = 'pool'
          AND item_id NOT IN (SELECT item_id FROM decisions)
          AND item_id NOT IN (SELECT item_id FROM selections)
        ORDER BY xor(draw, ?::UBIGINT) % ?::UBIGINT, item_id
        LIMIT ?
        """,
        [mask, modulus, size],
    ).fetchall()
    return [row[0] for row in rows]


def _draw_numbers(salt: str) -> tuple[int, int]:
    """Return a mask of 64 bits and an odd modulus between 2^40 and 2^41."""
    digest = blake2b(salt.encode(), digest_size=16).digest()
    mask = int.from_bytes(digest[:8], "little")
    return mask, (1 << 40) | int.from_bytes(digest[8:13], "little") | 1


def search(con: Connection, wanted: ItemFilter, *, after: int, limit: int) -> list[ItemRow]:
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


def count_matching(con: Connection, wanted: ItemFilter) -> int:
    """Return how many pool items `search` would list in all."""
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


def _item(row: tuple[Any, ...]) -> Item:
    item_id, key, text, context, options, gold, split, meta = row
    return Item(
        item_id,
        key,
        text,
        context,
        tuple(options or ()),
        gold,
        split,
        json.loads(meta) if meta else {},
    )


def labels_of(item: Item, schema: Sequence[str]) -> tuple[str, ...]:
    """Return the labels a person may give this item: the schema's, or its own option letters."""
    if item.options:
        return tuple(option_letter(index) for index in range(len(item.options)))
    return tuple(schema)
