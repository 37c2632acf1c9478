"""JSON values: taken off a file one at a time, and decoded without losing a digit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from imfl_engine.data.values import clean
from imfl_engine.errors import DataError

_BLOCK = 1 << 20
_BLANKS: Any = re.compile(r"[ \t\r\n]*").match


_REASONS = {
    "Expecting value": "a value is missing, or a text has no quotation marks",
    "Expecting property name": "a name in double quotes belongs here",
    "Expecting ':'": "a colon is missing between a name and its value",
    "Expecting ','": "a comma or a closing bracket is missing, or a quotation mark inside a text "
    "has no backslash before it",
    "Illegal trailing comma": "a comma has nothing behind it",
    "Unterminated string": "a text begins here and has no closing quotation mark",
    "Invalid control character": "a text holds a control character, as a tab, that is not escaped",
    "Invalid \\escape": "a backslash has none of the characters behind it that JSON knows",
    "Invalid \\uXXXX": "\\u is not followed by four hexadecimal digits",
    "Extra data": "there is more after the end of the value",
}
"""What the beginnings of the decoder's messages mean; some of them end in the middle."""


def why_not_json(error: ValueError | RecursionError) -> str:
    """What is wrong with a JSON text, in words for people; the place is told beside it."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return next((words for start, words in _REASONS.items() if said.startswith(start)), said)


class JsonStream:
    """Takes JSON values off a text file without holding more of it than the value at hand."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file = file
        self._path = path
        self._buffer = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._escapes = False
        self._decode = json.JSONDecoder(parse_constant=lambda _: None).raw_decode
        self.taken = 0
        """Characters that lie behind and are no longer held."""

    def _more(self, size: int = _BLOCK) -> bool:
        block = "" if self._ended else self._file.read(size)
        self._ended = not block
        self._line += self._buffer.count("\n", 0, self._at)
        self.taken += self._at
        self._buffer = self._buffer[self._at :] + block
        self._escapes = "\\u" in self._buffer
        self._at = 0
        return bool(block)

    def peek(self) -> str:
        """The next character that is no white space; ``""`` at the end."""
        while True:
            self._at = _BLANKS(self._buffer, self._at).end()
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Step over the character that `peek` showed."""
        self._at += 1

    def expect(self, character: str) -> None:
        """Step over ``character`` or raise."""
        found = self.peek()
        if found != character:
            what = f"'{found}'" if found else "the end of the file"
            raise self._broken(f"'{character}' belongs where {what} is", self._at)
        self.skip()

    def value(self) -> Any:
        """Take one JSON value."""
        if not self.peek():
            raise self._broken("the file ends early", self._at)
        size = _BLOCK
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - 16
                if not (cut and self._more(size)):
                    raise self._broken(why_not_json(error), error.pos) from error
                size *= 2  # a value of n bytes is tried log n times
            except RecursionError as error:
                raise self._broken(why_not_json(error), self._at) from error
            else:
                if end == len(self._buffer) and not self._ended and self._more(size):
                    continue  # a number may go on in the next block
                self._at = end
                return _clean(value) if self._escapes else value  # a surrogate is an escape

    def array(self) -> Iterator[Any]:
        """Take the values of an array one by one."""
        self.expect("[")
        if self.peek() == "]":
            return
        while True:
            yield self.value()
            if self.peek() == "]":
                return
            self.expect(",")

    def _broken(self, reason: str, position: int) -> DataError:
        line = self._line + self._buffer.count("\n", 0, position)
        return DataError(
            f"'{self._path}', line {line}, is not JSON: {reason}.", "Check the file at that line."
        )


def loads_exact(text: str) -> Any:
    """Decode JSON with the standard library: NaN becomes null, wide integers keep every digit."""
    return _clean(json.loads(text, parse_constant=lambda _: None))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): _clean(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_clean(part) for part in value]
    return value
