"""The learning curve: accuracy after each round, its interval, and the floor it has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from imfl_engine.views import CurvePoint
from imfl_tui.spans import Line, line
from imfl_tui.text import fraction, one_line, wrap
from imfl_tui.widgets.canvas import Canvas
from imfl_tui.widgets.raster import Raster, nice_ticks

AXIS = 6
"""Cells of the scale on the left."""


def curve_lines(
    points: Sequence[CurvePoint], majority: tuple[str, float] | None, width: int, height: int
) -> list[Line]:
    """Draw the points with their 95 % intervals; ``majority`` is a dotted line with its name."""
    if not points:
        words = "The curve starts after the first training."
        if majority:
            words += f" Always saying “{one_line(majority[0], 30)}” would be right {fraction(majority[1])}."
        rows = wrap(words, max(width, 1))[: max(height, 1)]
        return [line((row, "dim")) for row in rows]
    plot_height = max(height - 1, 2)
    values = [bound for p in points for bound in (p.accuracy.low, p.accuracy.high)]
    if majority and majority[1] > min(values) - 0.25:
        values.append(majority[1])
    low, high = max(min(values) - 0.01, 0.0), min(max(values) + 0.01, 1.0)
    if high - low < 0.05:
        low, high = max(high - 0.05, 0.0), high
    plot = Raster(width, plot_height)
    rounds = [point.round for point in points]
    first, last = min(rounds), max(rounds)
    left, right = AXIS + 3, width - 4
    label_room = 13 if width >= 30 else 0
    right = max(right - label_room, left)

    def column(number: int) -> int:
        if last == first:
            return left
        return left + round((right - left) * (number - first) / (last - first))

    def row(value: float) -> float:
        return (high - value) / (high - low) * (plot_height - 1)

    _scale(plot, low, high, plot_height)
    if majority and low <= majority[1] <= high:
        y = round(row(majority[1]))
        plot.put(AXIS, y, "┄" * max(width - AXIS, 0), "rule")
    spots: list[tuple[int, float]] = [(column(p.round), row(p.accuracy.value)) for p in points]
    for (ax, ay), (bx, by) in pairwise(spots):
        plot.stroke(ax * 2, _dots(ay), bx * 2, _dots(by), "accent")
    for point, (x, height_of) in zip(points, spots, strict=True):
        top, bottom = round(row(point.accuracy.high)), round(row(point.accuracy.low))
        for between in range(top, bottom + 1):
            plot.put(x, between, "│", "rule")
        plot.put(x, round(height_of), "●", "accent")
    final = points[-1].accuracy
    half = (final.high - final.low) / 2
    words = f"{fraction(final.value, 3)} ± {fraction(half, 3)}"
    if label_room:
        plot.put(spots[-1][0] + 2, round(spots[-1][1]), words, "strong")
        if majority and low <= majority[1] <= high:
            _name_floor(plot, majority[1], round(row(majority[1])), round(spots[-1][1]))
    axis = Raster(width, 1)
    axis.put(AXIS, 0, "─" * (width - AXIS), "rule")
    axis.put(0, 0, "round", "dim")
    for number in sorted(set(rounds)):
        text = f" {number} "
        if axis.width > column(number) + 2:
            axis.put(column(number) - 1, 0, text, "")
    return [*plot.rows(), *axis.rows()]


def _name_floor(plot: Raster, share: float, y: int, taken: int) -> None:
    """Write what the dotted line is to the right of the points, beside their last figure."""
    words = f" always {fraction(share, 3)}"
    place = y if y != taken else y + 1 if y + 1 < plot.height else y - 1
    plot.put(plot.width - len(words), place, words, "dim")


def _scale(plot: Raster, low: float, high: float, height: int) -> None:
    for y in range(height):
        plot.put(AXIS - 1, y, "│", "rule")
    for tick in nice_ticks(low, high, max(height // 2, 2)):
        y = round((high - tick) / (high - low) * (height - 1))
        plot.put(0, y, f"{fraction(tick):>4}", "dim")
        plot.put(AXIS - 1, y, "┤", "rule")


def _dots(row: float) -> int:
    return round(row * 4 + 1.5)


def curve_title(points: Sequence[CurvePoint]) -> str:
    """What was measured, and how far it has come since the first model."""
    if not points:
        return "Accuracy"
    scope = "Test accuracy" if points[-1].scope == "test" else "Accuracy on the control slice"
    if len(points) < 2:
        return scope
    gain = (points[-1].accuracy.value - points[0].accuracy.value) * 100
    return f"{scope} · {gain:+.1f} points"


class Curve(Canvas):
    """The learning curve on Home and Results."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(title="Accuracy", id=id, classes="panel")
        self._points: Sequence[CurvePoint] = ()
        self._majority: tuple[str, float] | None = None
        self._shown = False

    def show(self, points: Sequence[CurvePoint], majority: tuple[str, float] | None) -> None:
        """Show these points."""
        self._points, self._majority = points, majority
        floor = f"┄ always “{one_line(majority[0], 20)}”" if majority and points else ""
        self.set_title(curve_title(points), floor)
        self._shown = True
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The plot; nothing before anything is known."""
        if not self._shown:
            return ()
        return curve_lines(self._points, self._majority, width, height)
