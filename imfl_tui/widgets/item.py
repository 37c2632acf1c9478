"""An item on the screen: its text, its context folded or not, why it was picked, what is thought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imfl_engine.views import Opinion
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import fraction, one_line, safe_text, thousands, wrap
from imfl_tui.widgets.canvas import Canvas

READABLE = 100
"""Lines longer than this are hard to read; wider terminals get a margin instead."""
FOLDED_LINES = 4


@dataclass(frozen=True, slots=True)
class ItemFace:
    """What there is to say about an item; opinions are given only when they may be seen."""

    text: str
    context: str | None = None
    reason: str = ""
    folded: bool = True
    model: Opinion | None = None
    llm: Opinion | None = None
    opinions: bool = False
    flagged: bool = False
    comment: str | None = None


def item_lines(face: ItemFace, width: int, height: int) -> list[Line]:
    """The item wrapped for ``width``; a context too long for ``height`` is folded when asked."""
    margin = 2 if width >= 40 else 0
    room = min(max(width - 2 * margin - 1, 10), READABLE)
    indent = " " * margin
    text = [line(indent, (row, "strong")) for row in wrap(_body(face.text), room)]
    below: list[Line] = []
    for words in _remarks(face):
        wrapped = wrap("".join(part for part, _ in words), room)
        if len(wrapped) == 1:
            below.append(line(indent, *words))
        else:
            below.extend(line(indent, (row, "dim")) for row in wrapped)
    context: list[Line] = []
    if face.context:
        rows = wrap(_body(face.context), room)
        free = height - len(text) - len(below) - 4
        if face.folded and len(rows) > max(free, FOLDED_LINES):
            shown = max(free - 1, FOLDED_LINES)
            context = [line(indent, row) for row in rows[:shown]]
            rest = f"… {thousands(len(rows) - shown)} more lines · "
            context.append(
                line(
                    indent,
                    (rest, "dim"),
                    Span("z", "key", command="label.fold"),
                    (" unfolds", "dim"),
                )
            )
        else:
            context = [line(indent, row) for row in rows]
        context = [line(""), *context]
    used = len(text) + len(context) + len(below)
    lead: list[Line] = [line("")] if height > used + 1 else []
    gap: list[Line] = [line("")] if below else []
    return [*lead, *text, *context, *gap, *below]


def _body(text: str) -> str:
    return safe_text(text, newlines=True).strip("\n") or "(empty text)"


def _remarks(face: ItemFace) -> list[list[tuple[str, str]]]:
    remarks: list[list[tuple[str, str]]] = []
    if face.opinions:
        for who, opinion, style in (("model", face.model, "model"), ("LLM", face.llm, "llm")):
            if opinion is None:
                remarks.append([(f"{who} says ", "dim"), ("nothing yet", "dim")])
            else:
                sure = "" if opinion.confidence is None else f" {fraction(opinion.confidence)}"
                name = one_line(opinion.label, 40)
                remarks.append([(f"{who} says ", "dim"), (name, style), (sure, "dim")])
    if face.reason:
        remarks.append([(one_line(face.reason, 300), "dim")])
    if face.flagged:
        remarks.append([("⚑ flagged", "warn")])
    if face.comment:
        remarks.append([("✎ ", "warn"), (one_line(face.comment, 300), "")])
    return remarks


class ItemPane(Canvas):
    """The item in its frame; scrolls, and says when there is more below."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._face: ItemFace | None = None
        self._empty: Sequence[Line] = ()

    def show(self, face: ItemFace, *, rewind: bool = True) -> None:
        """Show an item."""
        self._face = face
        self.redraw(rewind=rewind)

    def show_words(self, lines: Sequence[Line]) -> None:
        """Show words in place of an item."""
        self._face, self._empty = None, lines
        self.redraw(rewind=True)

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The item or the words."""
        if self._face is None:
            return self._empty
        return item_lines(self._face, width, height)
