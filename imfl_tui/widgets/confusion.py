"""The confusion matrix with a shade beside every number, or the pairs that are confused most."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events

from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, clip, one_line, pad, thousands
from imfl_tui.widgets.canvas import Canvas

SHADES = " ░▒▓█"


MATRIX_TITLES = ("confusion · truth down, prediction across", "confusion · truth ↓ said →")
PAIRS_TITLES = ("confusion · truth → prediction", "confusion · truth → said")
"""Of what is shown, and the same where that would be cut."""


def matrix_columns(
    labels: Sequence[str], counts: Sequence[Sequence[int]], width: int, height: int
) -> tuple[int, int] | None:
    """Cells of the names and of each column; None where a matrix does not fit.

    What is left of the width goes to the headings first, then to the names beside the rows.
    """
    longest = max((cells(one_line(label, 24)) for label in labels), default=0)
    digits = max(len(thousands(max((n for row in counts for n in row), default=0))), 2)
    name, size = min(longest, 14), max(digits + 2, min(longest, 9)) + 1
    if name + 2 + size * len(labels) > width or len(labels) + 1 > height:
        return None
    size = min(max(digits + 2, longest) + 1, (width - name - 2) // max(len(labels), 1))
    return min(longest, width - 2 - size * len(labels)), size


def confusion_lines(
    labels: Sequence[str], counts: Sequence[Sequence[int]], width: int, height: int
) -> list[Line]:
    """A matrix when it fits; else the pairs that are confused most, with their counts.

    Each cell is a count and a shade for its share of the row; the diagonal is what is right.
    """
    if not labels:
        return [line(("Nothing measured yet.", "dim"))]
    columns = matrix_columns(labels, counts, width, height)
    if columns is None:
        return confused_pairs(labels, counts, height, width)
    name, size = columns
    head: list[Span] = [
        Span(pad("truth \\ said", name + 2) if name >= 10 else " " * (name + 2), "dim")
    ]
    head.extend(Span(pad(one_line(label, size - 1), size, "right"), "dim") for label in labels)
    lines: list[Line] = [head]
    for i, label in enumerate(labels):
        total = max(sum(counts[i]), 1)
        row: list[Span] = [Span(pad(one_line(label, name), name + 2))]
        for j, count in enumerate(counts[i]):
            share = count / total
            shade = SHADES[min(round(share * 4 + (0.49 if count else 0)), 4)]
            style = "good" if i == j else "bad" if share >= 0.2 else "dim"
            row.append(Span(pad(thousands(count), size - 2, "right"), style))
            row.append(Span(f" {shade}", style))
        lines.append(row)
    return lines


def confused_pairs(
    labels: Sequence[str], counts: Sequence[Sequence[int]], height: int, width: int
) -> list[Line]:
    """``truth → said  times of how many``, most frequent first."""
    pairs = [
        (counts[i][j], i, j)
        for i in range(len(labels))
        for j in range(len(labels))
        if i != j and counts[i][j]
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    if not pairs:
        return [line(("No mistake was made.", "good"))]
    shown = pairs[: max(height - 1, 1)]
    times = max(len(thousands(count)) for count, _, _ in shown)
    of_all = max(len(thousands(sum(counts[i]))) for _, i, _ in shown)
    room = max(width - times - of_all - 6, 16)
    lines: list[Line] = [line(("confused most", "dim"))]
    for count, i, j in shown:
        lines.append(
            line(
                pad(_pair(labels[i], labels[j], room), room),
                (f"  {thousands(count):>{times}}", "bad"),
                (f" of {thousands(sum(counts[i])):>{of_all}}", "dim"),
            )
        )
    return lines


def _pair(truth: str, said: str, width: int) -> str:
    """``truth → said``; a name gets what the other one leaves, and half where both are long."""
    room = width - 3
    first, second = one_line(truth, room), one_line(said, room)
    first = clip(first, max(room // 2, room - cells(second)))
    return f"{first} → {clip(second, room - cells(first))}"


class Confusion(Canvas):
    """The matrix on Results."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            title=MATRIX_TITLES[0], short_title=MATRIX_TITLES[1], id=id, classes="panel"
        )
        self._labels: Sequence[str] = ()
        self._counts: Sequence[Sequence[int]] = ()

    def show(self, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
        """Show these counts."""
        self._labels, self._counts = labels, counts
        self._name_what_is_shown()
        self.redraw()

    def on_resize(self, event: events.Resize) -> None:
        """A matrix may fit now, or fit no longer."""
        self._name_what_is_shown()

    def _name_what_is_shown(self) -> None:
        fits = matrix_columns(self._labels, self._counts, *self.size) is not None
        self.take_titles(*(MATRIX_TITLES if fits else PAIRS_TITLES))

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The matrix or the pairs."""
        return confusion_lines(self._labels, self._counts, width, height)
