"""CSV, TSV and plain lines."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imfl_engine.data.chunks import CHUNK_BYTES, CHUNK_ROWS, TextChunk
from imfl_engine.data.files import InputFile, reading
from imfl_engine.errors import DataError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a text may be longer than the default 128 KiB

_SEPARATORS = ",;\t|"


class DelimitedReader:
    """A file of rows under a header row, quoted as in RFC 4180, lines ended by LF, CRLF or CR.

    A ``.csv`` may be separated by semicolons, tabs or bars, which the header row shows. Every row
    has as many fields as the header; blank lines between rows are skipped.
    """

    def __init__(self, path: Path, *, tabs: bool, encoding: str | None = None) -> None:
        self._path = path
        self._file = InputFile(path, encoding)
        try:
            with reading(path):
                self._lines = self._file.text(newline="")
                first = ""
                while not first.strip("\r\n"):  # blank lines above the header
                    line = self._lines.readline()
                    if not line:
                        raise DataError(f"'{path}' holds only blank lines.", "Check the file.")
                    first = line
                separator = "\t" if tabs else _separator(first)
                self._rows = csv.reader(
                    _chain(first, self._lines), delimiter=separator, strict=True
                )
                header = next(self._rows)
        except csv.Error as error:
            self._file.close()
            raise self._bad_row(str(error)) from error
        except BaseException:
            self._file.close()
            raise
        self._names = _unique([name.strip() for name in header])

    @property
    def names(self) -> list[str]:
        """The header."""
        return self._names

    @property
    def share(self) -> float:
        """See `Reader`."""
        return self._file.share

    def chunks(self) -> Iterator[TextChunk]:
        """See `Reader`; a row that does not fit the header is a `DataError` naming its line."""
        with reading(self._path):
            try:
                yield from self._chunks()
            except csv.Error as error:
                raise self._bad_row(str(error)) from error

    def _chunks(self) -> Iterator[TextChunk]:
        width = len(self._names)
        held: list[list[str]] = []
        weight = 0
        for row in self._rows:
            if len(row) != width:
                if not row:
                    continue
                raise self._bad_row(
                    f"it has {len(row)} field{'s' if len(row) != 1 else ''} "
                    f"and the header has {width}"
                )
            held.append(row)
            weight += len(row[0]) if width == 1 else sum(map(len, row))
            if len(held) >= CHUNK_ROWS or weight >= CHUNK_BYTES:
                yield self._chunk(held)
                held, weight = [], 0
        if held:
            yield self._chunk(held)

    def _chunk(self, rows: list[list[str]]) -> TextChunk:
        columns = dict(zip(self._names, zip(*rows, strict=True), strict=True))
        return TextChunk(dict(columns), len(rows))

    def _bad_row(self, reason: str) -> DataError:
        line = self._rows.line_num if hasattr(self, "_rows") else 1
        reason = {
            "unexpected end of data": "a quoted field that is still open at the end of the file",
        }.get(reason, reason)
        return DataError(
            f"'{self._path}', line {line}, is not a row of the table: {reason}.",
            "A field that holds the separator, a quote or a line break is put in quotes, and a "
            "quote inside it is written twice.",
        )

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()


class LineReader:
    """A plain text file, one item a line; blank lines are skipped."""

    names = ["text"]  # noqa: RUF012 - the protocol has a list

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self._path = path
        self._file = InputFile(path, encoding)
        self._lines = self._file.text(newline=None)

    @property
    def share(self) -> float:
        """See `Reader`."""
        return self._file.share

    def chunks(self) -> Iterator[TextChunk]:
        """See `Reader`."""
        with reading(self._path):
            while lines := self._lines.readlines(CHUNK_BYTES // 4):
                for start in range(0, len(lines), CHUNK_ROWS):
                    part = [line.rstrip("\n") for line in lines[start : start + CHUNK_ROWS]]
                    texts = [line for line in part if line and not line.isspace()]
                    if texts:
                        yield TextChunk({"text": texts}, len(texts))

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()


def _chain(first: str, lines: Any) -> Iterator[str]:
    yield first
    yield from lines


def _separator(header: str) -> str:
    """The separator that the header row holds most often outside quotes; a comma on a tie."""
    outside = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def _unique(names: list[str]) -> list[str]:
    """Header names made unique: a blank becomes ``column_3``, a second ``a`` becomes ``a_2``."""
    result: list[str] = []
    for position, name in enumerate(names, 1):
        base = name or f"column_{position}"
        candidate, number = base, 2
        while candidate in result:
            candidate, number = f"{base}_{number}", number + 1
        result.append(candidate)
    return result
