"""Results: how good the model is, for which labels, how sure it may be, and what it cost."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from imfl_engine.views import Evaluation, Status
from imfl_tui.lines.results import class_lines, cost_lines, summary_lines
from imfl_tui.screens.base import HOME, ImflScreen
from imfl_tui.spans import Line, line
from imfl_tui.widgets.calibration import Calibration
from imfl_tui.widgets.canvas import Canvas, Text
from imfl_tui.widgets.confusion import Confusion
from imfl_tui.widgets.curve import Curve


class ResultsScreen(ImflScreen):
    """The model's figures, of any round."""

    CSS_PATH = "results.tcss"
    PAGE = "results"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "round(-1)", "Round before", id="results.before"),
        Binding("right", "round(1)", "Round after", id="results.after"),
        Binding("j,down", "scroll(1)", "Scroll", id="results.down", tooltip="Scroll what is cut"),
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
        yield Curve(id="below")

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
            for curve in self.query(Curve):
                curve.show(status.curve, status.majority)
            costs = self.query_one("#costs", Text)
            costs.show(lambda width: cost_lines(status.curve, width), rewind=False)
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
        classes.show(lambda width: class_lines(evaluation, width), rewind=False)
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
        """Scroll every panel that shows only a part."""
        for name in ("classes", "confusion", "calibration", "costs"):
            self.query_one(f"#{name}", Canvas).scroll_lines(lines)
