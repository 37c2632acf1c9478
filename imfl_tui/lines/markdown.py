"""Markdown for a terminal: guidelines and help as a person reads them, without the marks."""

from __future__ import annotations

import re

from imfl_tui.spans import Line, line
from imfl_tui.text import wrap

FULL = 60
"""Characters from which on a line may have ended for its length."""

HEADING = re.compile(r"#{1,6}\s+")
POINT = re.compile(r"([-*+]|\d{1,3}[.)])\s+")
RULE = re.compile(r"\|[\s:|-]*-{3,}[\s:|-]*$")
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2}|`)(?=\S)(.+?)(?<=\S)\1(?![\w*])")


def markdown_lines(text: str, width: int) -> list[Line]:
    """Headings stand out, points hang, the cells of a table's row follow each other.

    Everything else is wrapped as it is written; ``text`` is already safe.
    """
    lines: list[Line] = []
    for row in _rows(text):
        heading, point = HEADING.match(row), POINT.match(row)
        if heading:
            words = _plain_words(row[heading.end() :])
            lines.extend(line((part, "accent")) for part in wrap(words, width))
        elif point:
            mark = "·" if point[1] in "-*+" else point[1]
            lines.extend(_hanging(f"{mark} ", row[point.end() :], width))
        elif RULE.match(row):
            continue
        elif row.startswith("|") and row.endswith("|"):
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            lines.extend(_hanging("· ", " — ".join(cell for cell in cells if cell), width))
        else:
            lines.extend(line(part) for part in wrap(_plain_words(row), width))
    return lines


def _rows(text: str) -> list[str]:
    """The lines of ``text``; an indented line after a point belongs to it.

    So does what follows a line of a paragraph that ended for its length. Short lines are kept: not
    everybody's guidelines are Markdown.
    """
    rows: list[str] = []
    before = ""
    for written in text.strip("\n").split("\n"):
        row = written.strip()
        hangs = row and written[0] == " " and rows and POINT.match(rows[-1])
        flows = len(before) >= FULL and _is_prose(before) and _is_prose(row)
        if rows and not POINT.match(row) and (hangs or flows):
            rows[-1] += f" {row}"
        else:
            rows.append(row)
        before = "" if written.endswith("  ") else row
    return rows


def _is_prose(row: str) -> bool:
    return bool(row) and not (HEADING.match(row) or row.startswith("|"))


def _hanging(mark: str, words: str, width: int) -> list[Line]:
    parts = wrap(_plain_words(words), max(width - len(mark), 1))
    return [line(mark if n == 0 else " " * len(mark), part) for n, part in enumerate(parts)]


def _plain_words(text: str) -> str:
    """``text`` without the marks for emphasis and code."""
    return EMPHASIS.sub(r"\2", text)
