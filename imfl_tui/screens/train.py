"""Train: loss and validation as they come, how fast, on what, and how long still."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from imfl_engine.types import StepKind
from imfl_engine.views import Status
from imfl_tui.jobs import Jobs
from imfl_tui.lines.train import panel_lines, past_lines, stopped_lines, waiting_words
from imfl_tui.screens.base import HOME, ImflScreen
from imfl_tui.spans import Line
from imfl_tui.text import one_line
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.lossplot import LossPlot


class TrainScreen(ImflScreen):
    """The training run, live."""

    CSS_PATH = "train.tcss"
    PAGE = "train"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "begin", "Start", id="train.start", tooltip="Go on with the round"),
        Binding(
            "c", "stop", "Cancel", id="train.cancel", tooltip="Stop; the last good model stays"
        ),
        HOME,
    ]

    def body(self) -> ComposeResult:
        """Figures above, the curve below."""
        yield Text(title="training", id="figures", classes="panel")
        yield LossPlot(id="loss")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer names what does something now."""
        running, status = self.imfl.jobs.rounds is not None, self.imfl.status
        over = status is not None and status.step.kind is StepKind.FINISHED
        needless = {"begin": running or over, "stop": not running}
        return None if needless.get(action) else True

    def place(self) -> Line | str:
        """What is trained."""
        status = self.imfl.status
        return f"train · {one_line(status.target, 40)}" if status else "train"

    def status_changed(self, status: Status) -> None:
        """Another step, perhaps."""
        self._show()

    def jobs_changed(self, jobs: Jobs) -> None:
        """More steps."""
        self._show()

    def on_resize(self) -> None:
        """Draw the bars anew."""
        self._show()

    def _show(self) -> None:
        status, run = self.imfl.status, self.imfl.jobs.training
        if status is None:
            return
        panel = self.query_one("#figures", Text)
        jobs = self.imfl.jobs
        panel.show(lambda width: panel_lines(status, jobs, width))
        panel.set_class(bool(stopped_lines(jobs, panel.size.width)), "stopped")
        curve = status.curve
        before = (lambda width: past_lines(curve, width)) if curve else None
        self.query_one(LossPlot).show(run, before=before)
        self.refresh_bindings()

    async def action_begin(self) -> None:
        """Go on with the round, where no person is needed."""
        status = self.imfl.status
        if status is None or self.imfl.jobs.rounds is not None:
            return
        if status.step.kind is StepKind.LABEL:
            self.notify(waiting_words(status, self.imfl.jobs), timeout=4)
        else:
            self.imfl.start_rounds()

    async def action_stop(self) -> None:
        """Stop the training; the model before it stays."""
        if self.imfl.jobs.rounds is not None:
            await self.imfl.stop_job("rounds")
            self.notify("Stopped. The last good model stays; Start trains again.", timeout=4)
