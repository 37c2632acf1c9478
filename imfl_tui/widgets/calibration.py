"""Calibration: how sure the model says it is, and how often it is right when it says so."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.views import CalibrationBin
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import fraction, thousands
from imfl_tui.widgets.canvas import Canvas


def calibration_lines(bins: Sequence[CalibrationBin], error: float, width: int) -> list[Line]:
    """A row a bin: its bar is how often it was right, ``│`` marks how sure it was."""
    filled = [b for b in bins if b.count]
    if not filled:
        return [line(("Nothing measured yet.", "dim"))]
    room = max(width - 27, 6)
    lines: list[Line] = [
        line(("sure       right", "dim"), " " * (room + 2), ("n", "dim")),
    ]
    for b in filled:
        right, sure = round(b.accuracy * room), min(round(b.confidence * room), room - 1)
        cells = ["█" if n < right else "·" for n in range(room)]
        gap = b.accuracy - b.confidence
        note, style = (
            ("≈", "dim") if abs(gap) < 0.05 else ("over", "bad") if gap < 0 else ("under", "warn")
        )
        lines.append(
            [
                Span(f"{fraction(b.low, 1)}–{fraction(b.high, 1)}"[:7].ljust(8), "dim"),
                Span(f"{fraction(b.accuracy):>5} ", "strong"),
                Span("".join(cells[:sure]), "model"),
                Span("│", "strong"),
                Span("".join(cells[sure + 1 :]), "model"),
                Span(f"{thousands(b.count):>6} ", "dim"),
                Span(note, style),
            ]
        )
    off = f"off by {error * 100:.1f} points on average"
    name = " (expected calibration error)" if width >= len(off) + 29 else ""
    lines.append(line((off + name, "dim")))
    return lines


class Calibration(Canvas):
    """The panel on Results."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            title="calibration · │ how sure, █ how often right",
            short_title="calibration · │ sure, █ right",
            id=id,
            classes="panel",
        )
        self._bins: Sequence[CalibrationBin] = ()
        self._error = 0.0

    def show(self, bins: Sequence[CalibrationBin], error: float) -> None:
        """Show these bins."""
        self._bins, self._error = bins, error
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The rows."""
        return calibration_lines(self._bins, self._error, width)
