"""Files that take one table after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from imfl_engine.data.arrow import json_lists, json_objects, json_texts, string_bytes

_ROW_GROUP = 65_536


class Sink(Protocol):
    """Something tables are written to."""

    def write(self, table: pa.Table) -> None:
        """Write ``table``."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class ParquetSink:
    """A zstd-compressed Parquet file of ``schema``."""

    def __init__(
        self, path: Path, schema: pa.Schema, shape: Callable[[pa.Table], pa.Table] | None = None
    ) -> None:
        self._shape = shape
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        """See `Sink`."""
        shaped = self._shape(table) if self._shape else table
        self._writer.write_table(shaped, row_group_size=_ROW_GROUP)

    def close(self) -> None:
        """See `Sink`."""
        self._writer.close()


class CsvSink:
    """A CSV file as in RFC 4180, UTF-8, texts in quotes; a null is an empty field without quotes.

    Lists become JSON text.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._header = True

    def write(self, table: pa.Table) -> None:
        """See `Sink`."""
        for place, field in enumerate(table.schema):
            if pa.types.is_list(field.type):
                texts = [json_lists(chunk) for chunk in table.column(place).chunks]
                table = table.set_column(place, field.name, pa.chunked_array(texts, pa.string()))
            elif pa.types.is_timestamp(field.type):
                table = table.set_column(place, field.name, _iso(table.column(place)))
        options = arrow_csv.WriteOptions(include_header=self._header, batch_size=8192)
        arrow_csv.write_csv(table, self._file, options)
        self._header = False

    def close(self) -> None:
        """See `Sink`."""
        self._file.close()


class JsonLinesSink:
    """One JSON object a line; the column ``meta``, JSON text already, becomes an object in it."""

    def __init__(self, path: Path, *, raw: frozenset[str] = frozenset({"meta"})) -> None:
        self._file = path.open("wb")
        self._raw = raw

    def write(self, table: pa.Table) -> None:
        """See `Sink`."""
        for batch in table.combine_chunks().to_batches():
            names, columns = [], []
            for field, column in zip(batch.schema, batch.columns, strict=True):
                names.append(field.name)
                if field.name in self._raw:
                    columns.append(column.fill_null("null"))
                elif pa.types.is_timestamp(field.type):
                    columns.append(json_texts(_iso(column)))
                else:
                    columns.append(json_texts(column))
            lines = json_objects(names, columns, encoded=True, end="}\n")
            self._file.write(string_bytes(lines).data)

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write objects that are JSON text already."""
        self._file.writelines(line.encode() + b"\n" for line in lines)

    def close(self) -> None:
        """See `Sink`."""
        self._file.close()


class TextSink:
    """Lines, or any texts with something between them, made from each table."""

    def __init__(
        self,
        path: Path,
        shape: Callable[[pa.Table], Iterable[bytes]],
        *,
        start: str = "",
        between: str = "\n",
        end: str = "\n",
    ) -> None:
        self._file = path.open("wb")
        self._shape = shape
        self._between = between.encode()
        self._end = end.encode()
        self._file.write(start.encode())
        self._empty = True

    def write(self, table: pa.Table) -> None:
        """See `Sink`."""
        texts = list(self._shape(table))
        if texts:
            self._file.write(b"" if self._empty else self._between)
            self._file.write(self._between.join(texts))
            self._empty = False

    def close(self) -> None:
        """See `Sink`."""
        self._file.write(self._end if not self._empty or self._end != b"\n" else b"")
        self._file.close()


def _iso(column: Any) -> Any:
    return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
