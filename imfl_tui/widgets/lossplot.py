"""The loss of a training run as a curve, with the validation measurements on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from imfl_tui.jobs import TrainingRun
from imfl_tui.spans import Line, line
from imfl_tui.text import fraction, thousands, wrap
from imfl_tui.widgets.canvas import Canvas
from imfl_tui.widgets.raster import Raster, nice_ticks

AXIS = 6
FEWEST_POINTS = 2
"""Fewer make no curve."""


def curveless_words(run: TrainingRun | None) -> str:
    """Why there is no curve to see."""
    if run is None or not run.losses:
        return "No training step yet."
    if run.running and run.ready is None and run.last and run.last.total > len(run.losses):
        return "The curve begins with the second step."
    return "A training of one step has no curve."


def loss_lines(run: TrainingRun | None, width: int, height: int) -> list[Line]:
    """Training loss as a line, validation loss as ``◆`` with its accuracy beside the last one."""
    if run is None or len(run.losses) < FEWEST_POINTS:
        return [line((row, "dim")) for row in wrap(curveless_words(run), max(width, 1))]
    plot_height = max(height - 1, 3)
    values = [loss for _, loss in run.losses] + [loss for _, loss, _ in run.validation]
    low, high = min(0.0, *values), max(values) * 1.05 or 1.0
    last_step = max(run.last.total if run.last else 0, run.losses[-1][0], 1)
    plot = Raster(width, plot_height)
    room = max(width - AXIS - 1, 1)

    def x(step: int) -> float:
        return AXIS * 2 + (room * 2 - 1) * step / last_step

    def y(loss: float) -> float:
        return (high - loss) / (high - low) * (plot_height * 4 - 1)

    for row in range(plot_height):
        plot.put(AXIS - 1, row, "│", "rule")
    for tick in nice_ticks(low, high, max(plot_height // 2, 2)):
        row = round((high - tick) / (high - low) * (plot_height - 1))
        plot.put(0, row, f"{tick:>4.2g}"[:4].rjust(4), "dim")
        plot.put(AXIS - 1, row, "┤", "rule")
    points = thinned(run.losses, room * 2)
    for (s0, l0), (s1, l1) in pairwise(points):
        plot.stroke(round(x(s0)), round(y(l0)), round(x(s1)), round(y(l1)), "accent")
    for number, (step, loss, accuracy) in enumerate(run.validation):
        column, row = round(x(step)) // 2, round(y(loss)) // 4
        plot.put(column, row, "◆", "human")
        if number == len(run.validation) - 1:
            words = f" {fraction(accuracy)} right"
            start = column + 1 if column + 1 + len(words) <= width else column - len(words)
            plot.put(start, max(row - 1, 0), words, "human")
    axis = Raster(width, 1)
    axis.put(AXIS, 0, "─" * (width - AXIS), "rule")
    axis.put(0, 0, "step", "dim")
    for share in (0.25, 0.5, 0.75, 1.0):
        text = f" {thousands(last_step * share)} "
        axis.put(
            min(round(x(round(last_step * share))) // 2, width) - len(text) + 1, 0, text, "dim"
        )
    return [*plot.rows(), *axis.rows()]


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most ``most`` points: neighbours are averaged, so that no spike is invented or lost."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // max(most, 1))
    groups = [points[n : n + size] for n in range(0, len(points), size)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


class LossPlot(Canvas):
    """The plot on Train."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._run: TrainingRun | None = None
        self._before: Callable[[int], Sequence[Line]] | None = None

    def show(
        self, run: TrainingRun | None, *, before: Callable[[int], Sequence[Line]] | None = None
    ) -> None:
        """Show this run, or what ``before`` makes of the width while it has no step."""
        self._run, self._before = run, before
        title = "loss   ◆ validation" if run is not None and run.validation else "loss"
        self.set_title("trained so far" if self._shows_before else title)
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The plot."""
        if self._before is not None and self._shows_before:
            return self._before(width)
        return loss_lines(self._run, width, height)

    @property
    def _shows_before(self) -> bool:
        return self._before is not None and (
            self._run is None or len(self._run.losses) < FEWEST_POINTS
        )
