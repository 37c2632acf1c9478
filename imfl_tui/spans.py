"""Lines of styled text as plain values, so that what a screen says can be tested without a screen.

A `Span` names its style by meaning (`STYLES`), never by colour; the widgets translate it into
the theme's colours. ``action`` makes the span clickable. ``command`` is the id of the command whose
key the text is; a person may have given it another one (`remapped`), and a click runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    command: str = ""


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


def remapped(spans: Line, keys: Mapping[str, str]) -> Line:
    """Write the keys that a person has given commands, ``keys`` by command id, for the usual ones."""
    if not any(span.command in keys for span in spans):
        return spans
    return [span._replace(text=keys.get(span.command, span.text)) for span in spans]


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


def changed_columns(before: Line, after: Line) -> tuple[int, int]:
    """Return the cells ``[first, end)`` in which two fitted lines differ; equal ends if nowhere.

    ``end`` may be one cell beyond the longer line, for an accent on its last letter: cropping a line
    leaves what takes no cell of its own to the character after it. What is not sent again to the
    terminal is time saved: a terminal takes in a line in about a millisecond.
    """
    old = [(char, span.style, span.action) for span in before for char in span.text]
    new = [(char, span.style, span.action) for span in after for char in span.text]
    shared = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        shared += 1
    if shared == len(old) == len(new):
        return 0, 0
    # What takes no cell of its own is drawn with the character before it.
    while shared and any(
        line[shared : shared + 1] and not cells(line[shared][0]) for line in (old, new)
    ):
        shared -= 1
    first = cells("".join(char for char, _, _ in new[:shared]))
    width = width_of(after)
    accent = int(bool(new) and not cells(new[-1][0]))
    if width != width_of(before):
        return first, max(width + accent, width_of(before))
    same = 0
    while same < min(len(old), len(new)) - shared and old[-1 - same] == new[-1 - same]:
        same += 1
    end = width - cells("".join(char for char, _, _ in new[len(new) - same :]))
    # … and the character after it has to be repainted for its sake; at least one whole letter is.
    while same:
        around = new[max(len(new) - same - 1, 0) : len(new) - same + 1]
        if end > first and all(cells(char) for char, _, _ in around):
            break
        end += cells(new[-same][0])
        same -= 1
    return first, max(end if same else width + accent, first + 1)


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
