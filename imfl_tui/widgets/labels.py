"""The labels with their keys: a grid that stays in view, or a multiple-choice item's options."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from imfl_tui.keymap import LabelKey
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, one_line, pad, safe_text, wrap
from imfl_tui.widgets.canvas import Canvas

AROUND_A_NAME = 6
"""Cells of a label's key and a blank, the mark of the one that is given, and the gap to the next."""


def label_lines(
    keys: Sequence[LabelKey], width: int, most: int, *, chosen: str | None = None
) -> list[Line]:
    """The labels on one line, else in columns, at most ``most`` lines; ``/`` reaches what is cut."""
    if not keys:
        return []
    # Of ten thousand labels only those are measured that there could be room for.
    possible = keys[: most * max(width // (AROUND_A_NAME + 1), 1)]
    lengths = [cells(one_line(key.label, max(28, width // 4))) for key in possible]
    size = min(max(lengths) + AROUND_A_NAME, max(width - 2, 8))
    columns = max((width - 2) // size, 1)
    needed = -(-len(keys) // columns)
    on_one_line = sum(lengths) + AROUND_A_NAME * len(keys)
    if needed > 1 and len(possible) == len(keys) and on_one_line <= width - 2:
        close = [
            _cell(key, n + AROUND_A_NAME, chosen) for key, n in zip(keys, lengths, strict=True)
        ]
        return [[Span("  "), *chain.from_iterable(close)]]
    shown = keys if needed <= most else keys[: max(columns * most - 1, 1)]
    each = [_cell(key, size, chosen) for key in shown]
    if len(shown) < len(keys):
        rest = pad(f"{len(keys) - len(shown)} more", size - 2)
        each.append([Span("/ ", "key", "screen.pick"), Span(rest, "dim", "screen.pick")])
    rows: list[Line] = []
    for start in range(0, len(each), columns):
        row: list[Span] = [Span("  ")]
        for cell in each[start : start + columns]:
            row.extend(cell)
        rows.append(row)
    return rows


def _cell(key: LabelKey, size: int, chosen: str | None) -> list[Span]:
    action = f"screen.give({key.label!r})"
    given = key.label == chosen
    name = one_line(key.label, size - AROUND_A_NAME) + (" ✓" if given else "")
    return [
        Span(f"{key.key or '·'} ", "key" if key.key else "dim", action),
        Span(pad(name, size - 2), "good" if given else "", action),
    ]


def option_lines(
    keys: Sequence[LabelKey], width: int, most: int, *, chosen: str | None = None
) -> list[Line]:
    """The options of a multiple-choice item, each on lines of its own; long ones are cut to fit."""
    if not keys:
        return []
    room = max(width - 10, 10)
    wrapped = [wrap(safe_text(key.description, 2_000), room) for key in keys[: max(most, 1)]]
    allowed = 3
    while allowed > 1 and sum(min(len(rows), allowed) for rows in wrapped) > most:
        allowed -= 1
    shown = len(wrapped) if len(keys) <= most else max(most - 1, 1)
    lines: list[Line] = []
    for key, rows in zip(keys[:shown], wrapped[:shown], strict=True):
        action = f"screen.give({key.label!r})"
        mark = "●" if key.label == chosen else " "
        cut = len(rows) > allowed
        for number, row in enumerate(rows[:allowed]):
            if cut and number == allowed - 1:
                row = one_line(row[: room - 1] + " …", room)
            head = f"  {key.key or '·'} {mark}{key.label}  " if number == 0 else " " * 8
            style = "key" if number == 0 else ""
            lines.append(line(Span(head, style, action), Span(row, "", action)))
    if shown < len(keys):
        words = f"{len(keys) - shown} more options"
        lines.append(line(Span("  /  ", "key", "screen.pick"), Span(words, "dim", "screen.pick")))
    return lines


class Labels(Canvas):
    """The labels below an item; takes the lines it needs and no more than a third of the screen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys: Sequence[LabelKey] = ()
        self._options = False
        self._chosen: str | None = None

    def show(
        self, keys: Sequence[LabelKey], *, options: bool = False, chosen: str | None = None
    ) -> None:
        """Show these labels; lays the screen out again only when the lines they need changed."""
        if (keys, options, chosen) == (self._keys, self._options, self._chosen):
            return
        relayout = keys != self._keys
        self._keys, self._options, self._chosen = keys, options, chosen
        self.redraw()
        if relayout and self.is_attached and self._height() != self.size.height:
            self.refresh(layout=True)

    def _height(self) -> int:
        return max(len(self.build(self.size.width or 80, 0)), 1)

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The lines."""
        most = max(self.app.size.height // 3, 2)
        make = option_lines if self._options else label_lines
        return make(self._keys, width, most, chosen=self._chosen)
