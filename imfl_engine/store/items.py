"""Items: by their ids and keys, and the pool and its sub-samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from imfl_engine.store.database import Connection
from imfl_engine.store.selections import TAKEN
from imfl_engine.types import Item, option_letter

_COLUMNS = "item_id, key, text, context, options, gold, split, meta"


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


def content_keys(con: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return a number for what each of these items says, the same for equal texts."""
    rows = con.execute(
        "SELECT item_id, ('0x' || content_hash)::UBIGINT FROM items "
        "WHERE item_id IN (SELECT unnest(?::BIGINT[])) ORDER BY item_id",
        [list(ids)],
    ).fetchall()
    return {item_id: int(key) for item_id, key in rows}


def by_key(con: Connection, key: str) -> Item | None:
    """Return the item a person calls ``key``, or None."""
    row = con.execute(
        f"SELECT {_COLUMNS} FROM items WHERE key = ? ORDER BY item_id LIMIT 1", [key]
    ).fetchone()
    return _item(row) if row else None


def find(con: Connection, word: str) -> int | None:
    """Return the id of the item a person calls ``word``: its key, or else its number, ``12`` or ``#12``.

    Where the data brought keys that are numbers, only ``#12`` is one of ours: a mistyped key must not
    mean another item.
    """
    item = by_key(con, word)
    if item is not None:
        return item.item_id
    number = word.removeprefix("#")
    if not number.isdecimal() or (number == word and _has_numbers_for_keys(con)):
        return None
    found = by_ids(con, [int(number)])
    return found[0].item_id if found else None


def _has_numbers_for_keys(con: Connection) -> bool:
    row = con.execute(
        "SELECT EXISTS (FROM items WHERE key <> content_hash AND regexp_full_match(key, '[0-9]+'))"
    ).fetchone()
    return bool(row and row[0])


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
        f"""
        SELECT item_id FROM items
        WHERE split = 'pool' AND item_id NOT IN ({TAKEN})
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
