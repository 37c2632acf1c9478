"""Sources of items: files and hub data sets in, Arrow tables of items out, as a stream.

`open_source` finds the columns and checks them before anything is read; `Source.tables` then
delivers the items in tables of `ITEM_SCHEMA`, each small enough to forget.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from imfl_engine.data.chunks import Chunk, Reader
from imfl_engine.data.guess import Columns, check_columns, resolve_columns
from imfl_engine.data.identity import content_hashes, split_fraction
from imfl_engine.data.readers import open_reader
from imfl_engine.data.values import as_label, as_options, option_label
from imfl_engine.errors import DataError, UsageError
from imfl_engine.types import NewItem, Split

ITEM_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("context", pa.string()),
        pa.field("options", pa.list_(pa.string()), nullable=False),
        pa.field("gold", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("meta", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
    ]
)
"""``meta`` is the JSON text of an object: every column of the source that is nothing else."""

OPTIONS_TYPE = ITEM_SCHEMA.field("options").type
PREVIEW_ROWS = 200


class _Known(dict[str, str | None]):
    """Labels by the text they were made from."""

    def __missing__(self, value: str) -> str | None:
        self[value] = label = as_label(value)
        return label


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a source: how messages call it, how it is opened, which split it goes to."""

    name: str
    open: Callable[[], Reader]
    split: Split = "pool"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some items of a source, and the same rows with all their own columns."""

    items: pa.Table
    rows: Chunk


class Source:
    """One or more files of the same columns. `tables` reads them afresh each time it is called."""

    def __init__(
        self,
        parts: Sequence[Part],
        given: Columns,
        *,
        test_fraction: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not parts:
            raise UsageError("No data was given.", "Name at least one file.")
        self._parts = tuple(parts)
        self._test_fraction = test_fraction
        self._seed = seed
        self._progress = (0, 0.0)
        with closing(parts[0].open()) as reader:
            self._column_names = list(reader.names)
            self._preview = _preview(reader, PREVIEW_ROWS)
        self._columns = resolve_columns(parts[0].name, self._column_names, self._preview, given)
        for part in parts[1:]:  # every file is looked at before the first is read through
            with closing(part.open()) as reader:
                check_columns(part.name, reader.names, self._columns)

    @property
    def columns(self) -> Columns:
        """The columns in use; ``""`` for a part that the source does not have."""
        return self._columns

    @property
    def column_names(self) -> list[str]:
        """All columns of the first file."""
        return list(self._column_names)

    @property
    def share(self) -> float:
        """How far the latest call of `tables` has read, 0 to 1, for a progress bar."""
        done, part = self._progress
        return min((done + part) / len(self._parts), 1.0)

    def preview(self, rows: int = 20) -> list[dict[str, Any]]:
        """The first rows of the first file as they are there, at most `PREVIEW_ROWS`."""
        return self._preview[:rows]

    def tables(self) -> Iterator[pa.Table]:
        """All items, in the order of the files, as tables of `ITEM_SCHEMA`.

        Raises `DataError` when a file turns out to be broken further down: what was delivered
        before belongs to the same import and should be forgotten with it.
        """
        for batch in self.rows():
            yield batch.items

    def rows(self) -> Iterator[Batch]:
        """The same as `tables`, with the rows as they stand in the source."""
        for chunk, split in self._chunks():
            yield Batch(self._table(chunk, split), chunk)

    def batches(self) -> Iterator[list[NewItem]]:
        """The same as `tables`, as values."""
        for table in self.tables():
            yield [
                NewItem(
                    text=row["text"],
                    key=row["key"],
                    context=row["context"],
                    options=tuple(row["options"]),
                    label=row["gold"],
                    split=row["split"],
                    meta=orjson.loads(row["meta"]),
                )
                for row in table.to_pylist()
            ]

    def count(self, *, most: int) -> int:
        """The number of rows, read no further than to ``most``."""
        rows = 0
        with closing(self._chunks()) as chunks:
            for chunk, _ in chunks:
                rows += len(chunk)
                if rows >= most:
                    return most
        return rows

    def label_counts(self) -> Counter[str]:
        """How often each label occurs, in one pass that reads nothing else."""
        if not self._columns.label:
            return Counter()
        counts: Counter[str] = Counter()
        for chunk, _ in self._chunks():
            counts.update(label for label in self._gold(chunk) if label is not None)
        return counts

    def _chunks(self) -> Generator[tuple[Chunk, Split], None, None]:
        for number, part in enumerate(self._parts):
            with closing(part.open()) as reader:
                check_columns(part.name, reader.names, self._columns)
                rows = 0
                for chunk in reader.chunks():
                    rows += len(chunk)
                    self._progress = (number, reader.share)
                    yield chunk, part.split
                if not rows:
                    raise DataError(
                        f"'{part.name}' has columns but no rows.",
                        "Give a file that holds items.",
                    )
        self._progress = (len(self._parts), 0.0)

    def _gold(self, chunk: Chunk) -> list[str | None]:
        columns = self._columns
        if not columns.label:
            return [None] * len(chunk)
        if columns.options:
            parsed = map(as_options, chunk.values(columns.options))
            values = zip(chunk.values(columns.label), parsed, strict=True)
            return [option_label(value, *options) for value, options in values]
        known = _Known()  # a label column holds few different values
        return [
            known[value] if type(value) is str else as_label(value)
            for value in chunk.values(columns.label)
        ]

    def _table(self, chunk: Chunk, split: Split) -> pa.Table:
        columns = self._columns
        size = len(chunk)
        assert columns.text  # resolve_columns has seen to it
        texts = chunk.texts(columns.text)
        contexts: list[str | None] = []
        options: list[tuple[str, ...]] = []
        if columns.context:
            contexts = [text or None for text in chunk.texts(columns.context)]
        if columns.options:
            options = [as_options(value)[1] for value in chunk.values(columns.options)]
        hashes = content_hashes(texts, contexts, options)
        keys: Sequence[str] = hashes
        if columns.id:
            given = chunk.texts(columns.id)
            keys = [key or digest for key, digest in zip(given, hashes, strict=True)]
        hash_array = pa.array(hashes, pa.string())
        gold = self._gold(chunk)
        arrays = [
            pa.array(keys, pa.string()) if columns.id else hash_array,
            pa.array(texts, pa.string()),
            pa.array(contexts, pa.string()) if contexts else pa.nulls(size, pa.string()),
            pa.array(options, OPTIONS_TYPE) if options else _empty_lists(size),
            pa.array(gold, pa.string()) if columns.label else pa.nulls(size, pa.string()),
            self._splits(keys, gold, split),
            pa.array(chunk.rest(columns.used()), pa.string()),
            hash_array,
        ]
        return pa.Table.from_arrays(arrays, schema=ITEM_SCHEMA)

    def _splits(self, keys: Sequence[str], gold: Sequence[str | None], split: Split) -> pa.Array:
        """The split of each row; what has no label can measure nothing and stays in the pool."""
        if not self._test_fraction or not self._columns.label:
            return pa.repeat(pa.scalar(split, pa.string()), len(keys))
        return pa.array(
            "test"
            if label is not None and split_fraction(key, self._test_fraction, self._seed)
            else split
            for key, label in zip(keys, gold, strict=True)
        )


def open_source(
    paths: Sequence[str | Path] | str | Path,
    columns: Columns | None = None,
    *,
    split: Split = "pool",
    test_fraction: float = 0.0,
    seed: int = 0,
    encoding: str | None = None,
) -> Source:
    """Open files, or ``hf:owner/name[:split]``, and find out which column is what.

    About ``test_fraction`` of the items with a label, chosen by a hash of their keys and ``seed``, get
    the split ``test``. ``encoding`` is for text files that are not UTF-8. Raises `UsageError` for a file or a
    column that does not exist, `DataError` for content that cannot be used.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    parts = [Part(str(path), partial(open_reader, str(path), encoding), split) for path in paths]
    return Source(parts, columns or Columns(), test_fraction=test_fraction, seed=seed)


def _empty_lists(size: int) -> pa.Array:
    offsets = pa.repeat(pa.scalar(0, pa.int32()), size + 1)
    return pa.ListArray.from_arrays(offsets, pa.array([], pa.string())).cast(OPTIONS_TYPE)


def _preview(reader: Reader, count: int) -> list[dict[str, Any]]:
    chunk = next(iter(reader.chunks()), None)
    if chunk is None:
        return []
    columns = {name: chunk.values(name) for name in reader.names}
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in itertools.islice(rows, count)]
