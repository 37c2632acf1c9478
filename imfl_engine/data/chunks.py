"""A part of a source small enough to hold in memory, in the shape its reader finds natural."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from imfl_engine.data.arrow import is_text, json_objects, to_list
from imfl_engine.data.values import as_text, dump_json

CHUNK_ROWS = 32_768
CHUNK_BYTES = 8 << 20
"""A chunk ends at whichever comes first; a single item may be larger."""


class Chunk(Protocol):
    """Some rows of a source."""

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def values(self, name: str) -> Sequence[Any]:
        """The column ``name``, one value a row, None where a row has none."""
        ...

    def texts(self, name: str) -> Sequence[str]:
        """The same as `values`, as strings; ``""`` where a row has none."""
        ...

    def rest(self, used: frozenset[str]) -> Sequence[str] | pa.Array:
        """What each row holds besides the columns ``used``, as the JSON text of an object."""
        ...


class Reader(Protocol):
    """One file, or one data set of the hub, read from its start to its end."""

    @property
    def names(self) -> list[str]:
        """The columns, in the source's order."""
        ...

    @property
    def share(self) -> float:
        """How much of it has been read, 0 to 1."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in the source's order; can be asked for once."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True, slots=True)
class TextChunk:
    """Rows of strings under a header: CSV, TSV and plain lines."""

    columns: dict[str, Sequence[str]]
    size: int

    def __len__(self) -> int:
        return self.size

    def values(self, name: str) -> Sequence[str]:
        """The column; see `Chunk`."""
        return self.columns[name] if name in self.columns else [""] * self.size

    texts = values

    def rest(self, used: frozenset[str]) -> list[str]:
        """The other columns; see `Chunk`."""
        names = [name for name in self.columns if name not in used]
        if not names:
            return ["{}"] * self.size
        rows = zip(*(self.columns[name] for name in names), strict=True)
        return [dump_json(dict(zip(names, row, strict=True))) for row in rows]


@dataclass(frozen=True, slots=True)
class ObjectChunk:
    """Rows that are JSON objects."""

    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def values(self, name: str) -> list[Any]:
        """The column; see `Chunk`."""
        return [row.get(name) for row in self.rows]

    def texts(self, name: str) -> list[str]:
        """The column as strings; see `Chunk`."""
        return [value if type(value) is str else as_text(value) for value in self.values(name)]

    def rest(self, used: frozenset[str]) -> list[str]:
        """The other keys of each object; see `Chunk`."""
        if not used:
            return list(map(dump_json, self.rows))
        return [
            dump_json(rest) if rest else "{}"
            for row in self.rows
            for rest in [{name: value for name, value in row.items() if name not in used}]
        ]


@dataclass(frozen=True, slots=True)
class ArrowChunk:
    """Rows of a Parquet file; ``class_names`` are the names behind a column of class numbers."""

    batch: pa.RecordBatch
    class_names: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def values(self, name: str) -> list[Any]:
        """The column, class numbers as their names; see `Chunk`."""
        if name not in self.batch.schema.names:
            return [None] * len(self)
        values = to_list(self.batch.column(name))
        names = self.class_names.get(name)
        return values if names is None else [_class_name(value, names) for value in values]

    def texts(self, name: str) -> list[str]:
        """The column as strings; see `Chunk`."""
        values = self.values(name)
        if name in self.batch.schema.names:
            column = self.batch.column(name)
            if is_text(column.type) and not column.null_count:
                return values
        return [value if type(value) is str else as_text(value) for value in values]

    def rest(self, used: frozenset[str]) -> pa.Array:
        """The other columns; see `Chunk`."""
        names = [name for name in self.batch.schema.names if name not in used]
        if not names:
            return ["{}"] * len(self)
        arrays = [
            pa.array(self.values(name), pa.string())
            if name in self.class_names
            else self.batch.column(name)
            for name in names
        ]
        return json_objects(names, arrays)


def _class_name(value: Any, names: Sequence[str]) -> Any:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def resize(
    rows: Iterator[dict[str, Any]], weigh: Callable[[], int] | None = None
) -> Iterator[ObjectChunk]:
    """Gather single objects into chunks; ``weigh`` says how many bytes have been read so far."""
    held: list[dict[str, Any]] = []
    start = weigh() if weigh else 0
    for row in rows:
        held.append(row)
        if len(held) >= CHUNK_ROWS or (weigh and weigh() - start >= CHUNK_BYTES):
            yield ObjectChunk(held)
            held, start = [], weigh() if weigh else 0
    if held:
        yield ObjectChunk(held)
