"""JSON Lines, and JSON arrays read one object at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from imfl_engine.data.chunks import CHUNK_BYTES, CHUNK_ROWS, ObjectChunk, resize
from imfl_engine.data.files import InputFile, reading
from imfl_engine.data.json_values import JsonStream, loads_exact, why_not_json
from imfl_engine.errors import DataError

_BLOCK = 1 << 20
_WIDE = float(2**63)
_JSON_HINT = 'Every line is one JSON object, for example {"text": "..."}.'


class JsonLinesReader:
    """One JSON object a line; blank lines are skipped."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self._path = path
        self._file = InputFile(path, encoding)
        utf8 = self._file.encoding in ("utf-8", "utf-8-sig")
        # JSON's own decoder checks UTF-8, so the lines need not be decoded before it
        self._lines: IO[Any] = self._file.binary() if utf8 else self._file.text(newline="\n")
        self._line = 0
        self._first: ObjectChunk | None = None
        with reading(path):
            try:
                self._first = self._next()
            except BaseException:
                self._file.close()
                raise
        self._names = _names(self._first.rows if self._first else [])

    @property
    def names(self) -> list[str]:
        """The keys of the first objects, in the order they appear."""
        return self._names

    @property
    def share(self) -> float:
        """See `Reader`."""
        return self._file.share

    def chunks(self) -> Iterator[ObjectChunk]:
        """See `Reader`; a line that is no object is a `DataError` naming it."""
        with reading(self._path):
            chunk, self._first = self._first, None
            while chunk is not None:
                yield from _split(chunk)
                chunk = self._next()

    def _next(self) -> ObjectChunk | None:
        rows: list[dict[str, Any]] = []
        while not rows:
            lines = self._lines.readlines(CHUNK_BYTES // 4)
            if not lines:
                return None
            if self._line == 0 and isinstance(lines[0], bytes):
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            loads = orjson.loads
            for line in lines:
                self._line += 1
                try:
                    row = loads(line)
                except orjson.JSONDecodeError:
                    if not line.strip():
                        continue
                    row = self._exact(line)
                if type(row) is not dict:
                    raise DataError(
                        f"'{self._path}', line {self._line}, holds {_a_kind(row)} where an object "
                        "belongs.",
                        _JSON_HINT,
                    )
                if float in map(type, row.values()) and _has_wide(row):
                    row = self._exact(line)  # an integer beyond 64 bits keeps its digits
                rows.append(row)
        return ObjectChunk(rows)

    def _exact(self, line: bytes | str) -> Any:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
        try:
            # Without its end, which would be found wrong before the text that it leaves open.
            return loads_exact(text.rstrip("\r\n"))
        except (ValueError, RecursionError) as error:
            place = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise DataError(
                f"'{self._path}', line {self._line}{place}, is not JSON: {why_not_json(error)}.",
                _JSON_HINT,
            ) from error

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()


class JsonReader:
    """An array of objects, or an object that holds one under ``data``, read as a stream.

    Memory stays at one chunk however long the array is.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self._path = path
        self._file = InputFile(path, encoding)
        self._stream = JsonStream(self._file.text(newline=""), path)
        self._chunks = resize(self._objects(), lambda: self._stream.taken)
        self._first: ObjectChunk | None = None
        with reading(path):
            try:
                self._first = next(self._chunks, None)
            except BaseException:
                self._file.close()
                raise
        self._names = _names(self._first.rows if self._first else [])

    @property
    def names(self) -> list[str]:
        """The keys of the first objects, in the order they appear."""
        return self._names

    @property
    def share(self) -> float:
        """See `Reader`."""
        return self._file.share

    def chunks(self) -> Iterator[ObjectChunk]:
        """See `Reader`; an entry that is no object is a `DataError` naming it."""
        with reading(self._path):
            if self._first is not None:
                yield self._first
                self._first = None
            yield from self._chunks

    def _objects(self) -> Iterator[dict[str, Any]]:
        stream = self._stream
        start = stream.peek()
        if start == "{":
            stream.skip()
            while stream.peek() == '"':
                name = stream.value()
                stream.expect(":")
                if name == "data" and stream.peek() == "[":
                    break
                stream.value()
                if stream.peek() == ",":
                    stream.skip()
            else:
                raise DataError(
                    f"'{self._path}' holds an object without a list called 'data'.",
                    'Give an array of objects, {"data": [...]}, or one object a line in a '
                    "file that ends in .jsonl.",
                )
        elif start != "[":
            raise DataError(
                f"'{self._path}' does not hold an array of objects.",
                "Give an array of objects, or one object a line in a file that ends in .jsonl.",
            )
        for number, value in enumerate(stream.array(), 1):
            if not isinstance(value, dict):
                raise DataError(
                    f"'{self._path}', entry {number}, is {_a_kind(value)} where an object belongs.",
                    'Give an array of objects, for example [{"text": "..."}].',
                )
            yield value

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()


def _split(chunk: ObjectChunk) -> Iterator[ObjectChunk]:
    for start in range(0, len(chunk.rows), CHUNK_ROWS):
        yield ObjectChunk(chunk.rows[start : start + CHUNK_ROWS])


def _has_wide(row: dict[str, Any]) -> bool:
    return any(type(value) is float and abs(value) >= _WIDE for value in row.values())


def _names(rows: list[dict[str, Any]]) -> list[str]:
    seen: dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(row))
    return list(seen)


def _a_kind(value: Any) -> str:
    kinds = {str: "a text", list: "a list", dict: "an object", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")


def looks_like_lines(path: Path, encoding: str | None = None) -> bool:
    """Whether a ``.json`` file really holds one object a line, as much of the web has it."""
    file = InputFile(path, encoding)
    try:
        with reading(path):
            lines = file.text(newline="\n")
            first, second = lines.readline(_BLOCK).strip(), lines.readline(_BLOCK).strip()
            if not (first.removeprefix("\ufeff").startswith("{") and second.startswith("{")):
                return False
            try:
                return isinstance(json.loads(first.removeprefix("\ufeff")), dict)
            except ValueError:
                return False
    finally:
        file.close()
