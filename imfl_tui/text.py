"""Foreign text made safe to draw, and numbers made easy to read.

Everything that comes from a file, an LLM or a person's typing passes through `safe_text` before it
is drawn: what a terminal would obey (control characters, escape sequences, direction overrides) and
what nobody would see (zero-width characters) becomes a visible symbol. Nothing here knows of
Textual; markup is never interpreted because these strings are drawn as plain segments.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from rich.cells import cell_len

from imfl_engine.types import ReplyStatus

ELLIPSIS = "…"
MAX_CHARACTERS = 20_000
"""Longest text laid out on a screen; more is cut *before* anything measures it."""

MAX_COMBINING = 3
"""Combining marks drawn on one base character; stacks of hundreds are an attack on the layout."""

_ZERO_WIDTH = "␣"


def _symbols() -> dict[int, str | None]:
    table: dict[int, str | None] = {code: chr(0x2400 + code) for code in range(0x20)}
    table[0x7F] = "␡"
    table.update({code: f"\\x{code:02x}" for code in range(0x80, 0xA0)})
    overrides = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    table.update({code: f"<U+{code:04X}>" for code in overrides})
    zero_width = (0x00AD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180E)
    zero_width += (*range(0x200B, 0x200E), *range(0x2060, 0x2066), *range(0x206A, 0x2070))
    zero_width += (0x3164, 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC), 0x2028, 0x2029)
    table.update({code: _ZERO_WIDTH for code in zero_width})
    # Variation selectors choose between glyphs of different width; without them both sides agree.
    table.update({code: None for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))})
    # So do skin tones, which some terminals draw beside the face; and the box around a digit.
    table.update({code: None for code in (*range(0x1F3FB, 0x1F400), 0x20E3)})
    table.update({code: _ZERO_WIDTH for code in range(0xE0000, 0xE0080)})
    table.update({code: "\ufffd" for code in range(0xD800, 0xE000)})
    return table


_TABLE = _symbols()
_PLAIN = re.compile(r"[\x20-\x7e]*\Z")
_COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MARKS = re.compile(f"([{_COMBINING}]{{{MAX_COMBINING}}})[{_COMBINING}]+")


def safe_text(text: object, limit: int = MAX_CHARACTERS, *, newlines: bool = False) -> str:
    """Return ``text`` with everything invisible or active shown as a symbol, cut to ``limit``.

    With ``newlines`` line ends survive (CRLF and CR become LF) and tabs become four spaces;
    without, line ends and tabs are shown as a space, so that the result is one line.
    """
    string = text if isinstance(text, str) else str(text)
    if len(string) > limit:
        string = string[: max(limit - 1, 0)] + ELLIPSIS
    if _PLAIN.match(string):
        return string
    string = string.replace("\r\n", "\n").replace("\r", "\n")
    if newlines:
        lines = [line.replace("\t", "    ").translate(_TABLE) for line in string.split("\n")]
        string = "\n".join(lines)
    else:
        string = string.replace("\n", " ").replace("\t", " ").translate(_TABLE)
    return _MARKS.sub(r"\1", string)


def pasteable(path: Path | str) -> str:
    """``path`` as a shell reads it as one word."""
    return shlex.quote(str(path))


def one_line(text: object, width: int) -> str:
    """Return safe ``text`` as one line of at most ``width`` cells, cut with an ellipsis."""
    return clip(safe_text(text, limit=max(width, 1) * 4 + 16), width)


def clip(text: str, width: int) -> str:
    """Cut already safe ``text`` to ``width`` cells, ending in an ellipsis where something is lost."""
    if width <= 0:
        return ""
    if len(text) <= width and cell_len(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        cells = cell_len(character)
        if used + cells > width - 1:
            break
        kept.append(character)
        used += cells
    return "".join(kept) + ELLIPSIS


def pad(text: str, width: int, align: str = "left") -> str:
    """Clip or fill safe ``text`` to exactly ``width`` cells; ``align`` is left, right or centre."""
    text = clip(text, width)
    space = max(width - cell_len(text), 0)
    if align == "right":
        return " " * space + text
    if align == "centre":
        return " " * (space // 2) + text + " " * (space - space // 2)
    return text + " " * space


def wrap(text: str, width: int) -> list[str]:
    """Break safe ``text`` into lines of at most ``width`` cells, at spaces where there are any.

    Words longer than a line are broken anywhere; line ends in the text are kept.
    """
    width = max(width, 1)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines.extend(_wrap_paragraph(paragraph, width))
    return lines


def _wrap_paragraph(paragraph: str, width: int) -> list[str]:
    lines: list[str] = []
    line, used = "", 0
    # A character is at least one cell for each four: base and marks (`MAX_COMBINING`). What is longer
    # than that does not fit, and need not be measured.
    surely_too_long = width * (MAX_COMBINING + 1)
    for word in re.findall(r" *[^ ]+| +", paragraph):
        size = _cells(word) if len(word) <= surely_too_long else len(word)
        if used + size <= width:
            line, used = line + word, used + size
            continue
        if line.strip():
            lines.append(line)
            word = word.lstrip(" ")
        else:
            word = line + word
        *whole, line = _broken(word, width)
        lines.extend(whole)
        used = _cells(line)
    return [*lines, line] if line or not lines else lines


def _cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _broken(word: str, width: int) -> list[str]:
    """``word`` in pieces of at most ``width`` cells, in one pass; each has a character at least."""
    if word.isascii():
        return [word[n : n + width] for n in range(0, len(word), width)] or [""]
    pieces: list[str] = []
    start = 0
    while len(word) - start > width or _cells(word[start:]) > width:
        end = start + width
        if not word[start : end + 1].isascii():  # marks may follow; a wide one may not fit
            end = _end_of_piece(word, start, width)
        pieces.append(word[start:end])
        if end == len(word):
            return pieces
        start = end
    return [*pieces, word[start:]]


def _end_of_piece(word: str, start: int, width: int) -> int:
    used = 0
    for index in range(start, len(word)):
        character = word[index]
        used += 1 if character.isascii() else cell_len(character)
        if used > width and index > start:
            return index
    return len(word)


def joined(rows: Iterable[str]) -> str:
    """The rows below each other; of too many for a screen no more are made than are shown."""
    kept: list[str] = []
    size = 0
    for row in rows:
        kept.append(row)
        size += len(row) + 1
        if size > MAX_CHARACTERS:
            break
    return "\n".join(kept)


def thousands(number: float) -> str:
    """A whole number with a comma every three digits."""
    return f"{number:,.0f}"


def share(value: float, decimals: int = 0) -> str:
    """A fraction as a percentage with its unit."""
    return f"{value * 100:.{decimals}f} %"


def fraction(value: float, decimals: int = 2) -> str:
    """A number in [0, 1] the way tables write it: ``.38``, ``1.00``."""
    written = f"{value:.{decimals}f}"
    return written.removeprefix("0") if written.startswith("0.") else written


def money(value: float) -> str:
    """US dollars, with enough digits that a small sum is not shown as nothing."""
    if value and abs(value) < 0.10:
        return f"${value:.3f}" if abs(value) >= 0.001 else "<$0.001"
    return f"${value:,.2f}"


def money_range(low: float | None, high: float | None) -> str:
    """An estimate as ``$0.38–0.44``; one number when both ends read the same."""
    if low is None or high is None:
        return "an unknown price"
    first, second = money(low), money(high)
    return first if first == second else f"{first}–{second.removeprefix('$')}"


def duration(seconds: float | None) -> str:
    """A span of time in at most two units; an em dash when it is not known."""
    if seconds is None:
        return "—"
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return (
            f"{round(seconds / 60)} min" if minutes >= 5 or not rest else f"{minutes} min {rest} s"
        )
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def roughly(seconds: float) -> str:
    """A span of time nobody should take to the second: whole minutes from one minute on."""
    return duration(seconds) if seconds < 60 else duration(max(round(seconds / 60), 1) * 60)


def bytes_size(count: float) -> str:
    """Bytes in the largest unit that leaves at least one."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def closeness(similarity: float | None) -> str:
    """``.81``; empty where the similarity is not known."""
    return "" if similarity is None else fraction(max(similarity, 0.0))


def reply_counts(counts: Mapping[ReplyStatus, int]) -> list[tuple[ReplyStatus, str]]:
    """How many replies ended how, in words, for each status that any has: ``3 rate limited``."""
    return [
        (kind, f"{thousands(counts[kind])} {kind.value.replace('_', ' ')}")
        for kind in ReplyStatus
        if counts.get(kind)
    ]


def plural(count: float, noun: str, nouns: str | None = None) -> str:
    """``1 item``, ``2 items``."""
    return f"{thousands(count)} {noun if count == 1 else nouns or noun + 's'}"


@lru_cache(maxsize=512)
def cells(text: str) -> int:
    """Width of ``text`` in terminal cells."""
    return cell_len(text)
