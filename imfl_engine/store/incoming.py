"""Items on their way in: staged table by table, then moved in at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imfl_engine.store.database import Connection, registered

if TYPE_CHECKING:
    import pyarrow as pa


def begin(con: Connection) -> None:
    """Make the empty staging table of an import; what is staged is invisible until `finish`."""
    con.execute("DROP TABLE IF EXISTS incoming")
    con.execute(
        "CREATE TEMP TABLE incoming (n BIGINT, key VARCHAR, text VARCHAR, context VARCHAR, "
        "options VARCHAR[], gold VARCHAR, split VARCHAR, meta VARCHAR, content_hash VARCHAR)"
    )
    con.execute("CREATE OR REPLACE TEMP SEQUENCE incoming_rows")


def stage(con: Connection, table: pa.Table) -> int:
    """Add an Arrow table with the reader's columns to the staging table; returns its row count."""
    with registered(con, "batch_of_items", table):
        con.execute(
            "INSERT INTO incoming SELECT nextval('incoming_rows'), key, text, context, options, "
            "gold, split, meta, content_hash FROM batch_of_items"
        )
    return int(table.num_rows)


def finish(con: Connection, labels: Sequence[str]) -> dict[str, Any]:
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
        "(SELECT count(*) FROM chosen), (SELECT count(*) FROM chosen WHERE split = 'test')"
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
    abandon(con)
    staged_rows, with_text, added, test = counts
    return {
        "added": int(added),
        "test": int(test),
        "duplicates": int(with_text - added),
        "empty": int(staged_rows - with_text),
        "unknown_labels": unknown,
    }


def abandon(con: Connection) -> None:
    """Drop the staging tables."""
    for table in ("incoming", "staged", "chosen"):
        con.execute(f"DROP TABLE IF EXISTS {table}")
