"""Lines of styled text as plain values, so that what a screen says can be tested without a screen.

A `Span` names its style by meaning (`STYLES`), never by colour; the widgets translate it into
the theme's colours. ``action`` makes the span clickable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from imfl_tui.text import ELLIPSIS, cells, clip

STYLES = (
    "dim",  # secondary words, units, rules
    "strong",  # what the eye should find first
    "key",  # a key to press
    "human",  # bought from the person
    "llm",  # bought from the LLM
    "model",  # said by the small model
    "good",
    "warn",
    "bad",
    "accent",  # what is happening now
    "cursor",  # the selected row
    "rule",  # axes and guides
)


class Span(NamedTuple):
    """A run of text in one style; the text is already safe."""

    text: str
    style: str = ""
    action: str = ""


Line = Sequence[Span]


def line(*parts: Span | str | tuple[str, str]) -> list[Span]:
    """Build a line from spans, plain strings and ``(text, style)`` pairs."""
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, Span):
            spans.append(part)
        elif isinstance(part, str):
            spans.append(Span(part))
        else:
            spans.append(Span(*part))
    return spans


def width_of(spans: Line) -> int:
    """Cells the line takes."""
    return sum(cells(span.text) for span in spans)


def plain(spans: Line) -> str:
    """The line's text alone."""
    return "".join(span.text for span in spans)


def fit(spans: Line, width: int) -> list[Span]:
    """Cut a line to ``width`` cells, with an ellipsis where something is lost."""
    if width_of(spans) <= width:
        return list(spans)
    kept: list[Span] = []
    room = width
    for span in spans:
        size = cells(span.text)
        if size >= room:
            text = clip(span.text, room) if size > room else clip(span.text + ELLIPSIS, room)
            kept.append(span._replace(text=text))
            break
        kept.append(span)
        room -= size
    return kept


def fill(spans: Line, width: int) -> list[Span]:
    """Fit a line to exactly ``width`` cells."""
    fitted = fit(spans, width)
    space = width - width_of(fitted)
    return [*fitted, Span(" " * space)] if space > 0 else fitted


def spread(left: Line, right: Line, width: int, gap: int = 2) -> list[Span]:
    """Put ``left`` and ``right`` at the two ends of a line; the left end gives way."""
    room = max(width - width_of(right) - gap, 0)
    start = fit(left, room) if room else []
    space = max(width - width_of(start) - width_of(right), 0)
    return [*start, Span(" " * space), *fit(right, width)]


def beside(blocks: Iterable[tuple[Sequence[Line], int]], gap: int = 2) -> list[list[Span]]:
    """Put blocks of lines next to each other; each comes with its width in cells."""
    columns = list(blocks)
    height = max((len(lines) for lines, _ in columns), default=0)
    rows: list[list[Span]] = []
    for y in range(height):
        row: list[Span] = []
        for x, (lines, width) in enumerate(columns):
            if x:
                row.append(Span(" " * gap))
            row.extend(fill(lines[y] if y < len(lines) else (), width))
        rows.append(row)
    return rows
