"""CSV, TSV and plain lines.

Rows are parsed by Arrow, which is fast and knows nothing about lines. Where Arrow gives up — a row
that does not fit, bytes that are not UTF-8, a row larger than its block — Python's own reader
takes over at that row: it goes on, or says exactly which line is wrong.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from imfl_engine.data.chunks import CHUNK_BYTES, CHUNK_ROWS, ArrowChunk, Chunk, TextChunk
from imfl_engine.data.files import InputFile, reading
from imfl_engine.errors import DataError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a text may be longer than the default 128 KiB

_SEPARATORS = ",;\t|"
_BLOCK = 4 << 20
_SAMPLE_LINES = 1_000
_ROW_HINT = (
    "A field that holds the separator, a quote or a line break is put in quotes, and a quote "
    "inside it is written twice."
)


class DelimitedReader:
    """A file of rows under a header row, quoted as in RFC 4180, lines ended by LF, CRLF or CR.

    A ``.csv`` may be separated by semicolons, tabs or bars, which the header row shows; a ``.tsv``
    may be written without any quoting. Every row has as many fields as the header; blank lines
    are skipped. All values are strings exactly as they stand in the file.
    """

    def __init__(self, path: Path, *, tabs: bool, encoding: str | None = None) -> None:
        self._path = path
        self._encoding = encoding
        self._file = InputFile(path, encoding)
        self._quoted = True
        self._batches: Any = None
        try:
            with reading(path):
                header = self._read_header(tabs)
        finally:
            self._file.close()
        self._names = _unique([name.strip() for name in header])

    def _read_header(self, tabs: bool) -> list[str]:
        lines = self._file.text(newline="")
        first = ""
        self._header = ""  # the text up to the first row, blank lines above the header included
        while not first.strip("\r\n"):
            self._header += first
            first = lines.readline()
            if not first:
                raise DataError(f"'{self._path}' holds only blank lines.", "Check the file.")
        self._separator = "\t" if tabs else _separator(first)
        taken: list[str] = []
        rows = self._parse(_remember(itertools.chain([first], lines), taken))
        try:
            header = next(rows)
        except csv.Error as error:
            raise self._bad_row(1, str(error)) from error
        self._header += "".join(taken)
        if tabs:
            sample = [first, *itertools.islice(lines, _SAMPLE_LINES)]
            self._quoted = not _is_unquoted(sample, len(header))
        return header

    def _parse(self, lines: Iterable[str]) -> Iterator[list[str]]:
        quoting: Any = csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE
        return csv.reader(lines, delimiter=self._separator, quoting=quoting, strict=True)

    @property
    def names(self) -> list[str]:
        """The header, blank and repeated names made unique."""
        return self._names

    @property
    def share(self) -> float:
        """See `Reader`."""
        return self._file.share

    def chunks(self) -> Iterator[Chunk]:
        """See `Reader`; a row that does not fit the header is a `DataError` naming its line."""
        with reading(self._path):
            done = 0
            self._file = InputFile(self._path, self._encoding)
            if self._file.encoding in ("utf-8", "utf-8-sig"):
                counted = _CountingQuotes(self._file)
                counted.skip(self._header)
                try:
                    for batch in self._fast(counted):
                        done += batch.num_rows
                        yield ArrowChunk(batch, {})
                    if counted.quotes % 2 == 0 or not self._quoted:
                        return
                except pa.ArrowInvalid:
                    pass  # the careful reader says what it is, or copes with it
                self._file.close()
                self._file = InputFile(self._path, self._encoding)
            yield from self._careful(done)

    def _fast(self, file: _CountingQuotes) -> Iterator[pa.RecordBatch]:
        first = file.read(_BLOCK)
        if not first.strip(b"\r\n"):
            return
        file.give_back(first)
        self._batches = arrow_csv.open_csv(
            pa.PythonFile(file, mode="r"),
            read_options=arrow_csv.ReadOptions(block_size=_BLOCK, column_names=self._names),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._separator,
                quote_char='"' if self._quoted else False,
                newlines_in_values=self._quoted,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(self._names, pa.string()), strings_can_be_null=False
            ),
        )
        yield from self._batches

    def _careful(self, skip: int) -> Iterator[TextChunk]:
        """The rows after the first ``skip``, by Python's reader."""
        rows = self._parse(self._file.text(newline=""))
        try:
            yield from self._careful_chunks(rows, skip)
        except csv.Error as error:
            raise self._bad_row(rows.line_num, str(error)) from error  # type: ignore[attr-defined]

    def _careful_chunks(self, rows: Iterator[list[str]], skip: int) -> Iterator[TextChunk]:
        width = len(self._names)
        held: list[list[str]] = []
        weight = 0
        skip += 1  # the header
        for row in rows:
            if not row:
                continue
            if skip:
                skip -= 1
                continue
            if len(row) != width:
                fields = f"{len(row)} field{'s' if len(row) != 1 else ''}"
                line = rows.line_num  # type: ignore[attr-defined]
                raise self._bad_row(line, f"it has {fields} and the header has {width}")
            held.append(row)
            weight += sum(map(len, row))
            if len(held) >= CHUNK_ROWS or weight >= CHUNK_BYTES:
                yield self._chunk(held)
                held, weight = [], 0
        if held:
            yield self._chunk(held)

    def _chunk(self, rows: list[list[str]]) -> TextChunk:
        columns = dict(zip(self._names, zip(*rows, strict=True), strict=True))
        return TextChunk(dict(columns), len(rows))

    def _bad_row(self, line: int, reason: str) -> DataError:
        if reason == "unexpected end of data":
            reason = "a quoted field is still open at the end of the file"
        return DataError(
            f"'{self._path}', line {line}, is not a row of the table: {reason}.", _ROW_HINT
        )

    def close(self) -> None:
        """See `Reader`."""
        if self._batches is not None:
            self._batches.close()
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
            while lines := self._lines.readlines(_BLOCK):
                for start in range(0, len(lines), CHUNK_ROWS):
                    part = [line.rstrip("\n") for line in lines[start : start + CHUNK_ROWS]]
                    texts = [line for line in part if line and not line.isspace()]
                    if texts:
                        yield TextChunk({"text": texts}, len(texts))

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()


class _CountingQuotes:
    """A file's bytes for Arrow, counting quotes on the way.

    Arrow takes a quoted last field that is still open at the end of the file as closed, and with
    it every row it has swallowed. An odd number of quotes gives such a file away.
    """

    def __init__(self, file: InputFile) -> None:
        self._binary = file.binary()
        self._held = b""
        self.quotes = 0
        self.closed = False

    def skip(self, header: str) -> None:
        """Step over the header, which is UTF-8 and may have a byte order mark before it."""
        size = len(header.encode())
        start = self._binary.read(size)
        if start.startswith(b"\xef\xbb\xbf"):
            self._binary.read(3)

    def give_back(self, data: bytes) -> None:
        """Let the next read return ``data``."""
        self._held = data
        self.quotes -= data.count(b'"')

    def read(self, size: int = -1) -> bytes:
        """The next bytes; see `io.RawIOBase.read`."""
        data, self._held = self._held or self._binary.read(size), b""
        self.quotes += data.count(b'"')
        return data

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def close(self) -> None:
        """Leave the file to its owner."""
        self.closed = True


def _remember(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _separator(header: str) -> str:
    """The separator that the header row holds most often outside quotes; a comma on a tie."""
    outside = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def _is_unquoted(lines: list[str], width: int) -> bool:
    """Whether quotes in these lines mean nothing: some are unbalanced, and no row needs them."""
    rows = [line.rstrip("\r\n").split("\t") for line in lines if line.strip("\r\n")]
    if any(len(row) != width for row in rows):
        return False
    opened = [field for row in rows for field in row if field.startswith('"')]
    return any(field.count('"') % 2 or not field.endswith('"') for field in opened)


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
