"""Results: how good the model is, for which labels, how sure it may be, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from imfl_engine.types import Interval
from imfl_engine.views import CurvePoint, Evaluation, Status
from imfl_tui.screens.base import HOME, ImflScreen
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import duration, fraction, money, one_line, pad, thousands, wrap
from imfl_tui.widgets.bars import bar
from imfl_tui.widgets.calibration import Calibration
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.confusion import Confusion
from imfl_tui.widgets.curve import Curve


class ResultsScreen(ImflScreen):
    """The model's figures, of any round."""

    CSS_PATH = "results.tcss"
    PAGE = "results"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "round(-1)", "Round before", id="results.before"),
        Binding("right", "round(1)", "Round after", id="results.after"),
        Binding("j,down", "scroll(1)", "Scroll", id="results.down", tooltip="Scroll the classes"),
        Binding("k,up", "scroll(-1)", "Up", id="results.up", show=False, tooltip="Scroll up"),
        Binding("e", "app.go('export')", "Export", id="results.export", tooltip="Write the set"),
        HOME,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._evaluation: Evaluation | None = None
        self._round: int | None = None
        self._fetched = False

    def body(self) -> ComposeResult:
        """Summary; classes and confusion; calibration and curve; what it cost."""
        yield Text(id="summary")
        with Horizontal(id="upper", classes="row"):
            yield Text(title="per class", id="classes", classes="panel")
            yield Confusion(id="confusion")
        with Horizontal(id="lower", classes="row"):
            yield Calibration(id="calibration")
            yield Text(title="what each round cost and gained", id="costs", classes="panel")
            yield Curve(id="curve")

    async def resumed(self) -> None:
        """Fetch the newest figures."""
        await self._load(self._round)

    def place(self) -> Line | str:
        """Which model."""
        if self._evaluation is None:
            return "results"
        return f"results · the model after round {self._evaluation.round}"

    async def _load(self, number: int | None) -> None:
        found = await self.attempt(lambda: self.project.evaluation(number))
        if found is not None or number is None:
            self._evaluation = found
        self._fetched = True
        self.show_header()
        self._show()

    def status_changed(self, status: Status) -> None:
        """There may be another round."""
        self._show()

    def on_resize(self) -> None:
        """Draw the tables anew."""
        self._show()

    def _show(self) -> None:
        status, evaluation = self.imfl.status, self._evaluation
        if status is not None:
            self.query_one(Curve).show(status.curve, status.majority)
            costs = self.query_one("#costs", Text)
            costs.show(cost_lines(status.curve, costs.size.width or 50), rewind=False)
        if not self._fetched:
            return
        classes = self.query_one("#classes", Text)
        summary = self.query_one("#summary", Text)
        if evaluation is None:
            words = "Nothing measured yet: the first figures come after the first training."
            summary.show([line((f" {words}", "dim"))])
            classes.show([line(("Nothing measured yet.", "dim"))])
            return
        summary.show(summary_lines(evaluation))
        classes.show(class_lines(evaluation, classes.size.width or 50), rewind=False)
        self.query_one(Confusion).show(evaluation.labels, evaluation.confusion)
        self.query_one(Calibration).show(
            evaluation.calibration, evaluation.expected_calibration_error
        )

    async def action_round(self, step: int) -> None:
        """The model of another round."""
        status, evaluation = self.imfl.status, self._evaluation
        if status is None or evaluation is None:
            return
        rounds = [point.round for point in status.curve]
        if evaluation.round in rounds:
            index = rounds.index(evaluation.round) + step
            if 0 <= index < len(rounds):
                self._round = rounds[index] if index < len(rounds) - 1 else None
                await self._load(rounds[index])

    def action_scroll(self, lines: int) -> None:
        """Scroll the table of classes."""
        self.query_one("#classes", Text).scroll_lines(lines)


def interval(value: Interval) -> str:
    """``.794 (.768–.819)``."""
    return f"{fraction(value.value, 3)} ({fraction(value.low, 3)}–{fraction(value.high, 3)})"


def summary_lines(evaluation: Evaluation) -> list[Line]:
    """Accuracy and macro-F1 with their intervals, and the floor."""
    what = "test items" if evaluation.scope == "test" else "control items"
    better = evaluation.accuracy.low > evaluation.majority[1]
    verdict = (
        ("✓ better than the floor", "good")
        if better
        else ("! not surely better than the floor", "warn")
    )
    return [
        line(
            (" accuracy ", "dim"),
            (interval(evaluation.accuracy), "strong"),
            ("   macro-F1 ", "dim"),
            (interval(evaluation.macro_f1), "strong"),
            (f"   on {thousands(evaluation.accuracy.n)} {what}", "dim"),
        ),
        line(
            (f" always “{one_line(evaluation.majority[0], 30)}” ", "dim"),
            fraction(evaluation.majority[1], 3),
            "   ",
            verdict,
        ),
    ]


def class_lines(evaluation: Evaluation, width: int) -> list[Line]:
    """Precision, recall, F1 and support of each label, weakest marked."""
    if not evaluation.classes:
        return []
    name = min(max(len(one_line(c.label, 24)) for c in evaluation.classes), max(width - 34, 8))
    weakest = min(c.f1 for c in evaluation.classes)
    room = max(width - name - 33, 0)
    head = f"{'':{name}}  precision  recall     F1      n"
    lines: list[Line] = [line((head, "dim"))]
    for c in evaluation.classes:
        mark = ("▾", "bad") if c.f1 == weakest and len(evaluation.classes) > 1 else (" ", "")
        row: list[Span] = line(
            pad(one_line(c.label, name), name),
            f"{fraction(c.precision):>11}{fraction(c.recall):>8}",
            (f"{fraction(c.f1):>7}", "strong"),
            mark,
            (f"{thousands(c.support):>6}", "dim"),
        )
        if room >= 10:
            row.extend([Span("  "), *bar(c.f1, min(room - 2, 24), "model")])
        lines.append(row)
    return lines


def cost_lines(points: Sequence[CurvePoint], width: int) -> list[Line]:
    """Labels, time and money of each round, and the accuracy it gained per minute and dollar."""
    if not points:
        words = "After each round: what it cost, and what a minute and a dollar of it gained."
        return [line((row, "dim")) for row in wrap(words, max(width, 10))]
    wide = width >= 62
    head = "round    you     LLM   accuracy   gain" + ("     cost    points per $" if wide else "")
    lines: list[Line] = [line((head, "dim"))]
    before: CurvePoint | None = None
    for point in points:
        gain = None if before is None else (point.accuracy.value - before.accuracy.value) * 100
        cost = point.cost_usd - (before.cost_usd if before else 0.0)
        shown = "—" if gain is None else f"{gain:+.1f}"
        style = "" if gain is None else "good" if gain > 0 else "bad"
        row: list[Span] = line(
            f"{point.round:>5}{thousands(point.human):>7}{thousands(point.llm):>8}",
            (f"{fraction(point.accuracy.value, 3):>11}", "strong"),
            (f"{shown:>7}", style),
        )
        if wide:
            per = f"{gain / cost:+.1f}" if gain is not None and cost > 0 else "—"
            row.append(Span(f"{money(cost) if cost else 'free':>9}{per:>16}", "dim"))
        lines.append(row)
        before = point
    seconds = sum(point.seconds for point in points)
    spent = points[-1].cost_usd
    total = f"trained in {duration(seconds)}"
    if spent:
        labels = points[-1].human + points[-1].llm
        total += f" · {money(spent)} in all, {money(spent / max(labels, 1))} a label"
    lines.append(line((total, "dim")))
    return lines
