"""Home: how far the rounds are, what is spent, what came out of it, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from imfl_engine.types import StepKind
from imfl_engine.views import Status
from imfl_tui.jobs import Jobs
from imfl_tui.lines.home import advice_lines, next_lines, place_words
from imfl_tui.screens.base import ImflScreen
from imfl_tui.spans import Line
from imfl_tui.widgets.budget import Budget
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.curve import Curve
from imfl_tui.widgets.distribution import Distribution
from imfl_tui.widgets.rounds import Rounds
from imfl_tui.widgets.trust import Trust


class HomeScreen(ImflScreen):
    """The overview."""

    CSS_PATH = "home.tcss"
    PAGE = "home"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "Go on", id="home.next", show=False, tooltip="Do what comes next"),
        Binding("l", "app.go('label')", "Label", id="home.label", tooltip="Label your batch"),
        Binding("a", "app.go('annotate')", "Annotate", id="home.annotate", tooltip="The LLM's run"),
        Binding("t", "app.go('train')", "Train", id="home.train", tooltip="The training run"),
        Binding("r", "app.go('review')", "Review", id="home.review", tooltip="Check LLM labels"),
        Binding("x", "app.go('explore')", "Explore", id="home.explore", tooltip="All items"),
        Binding(
            "v", "app.go('results')", "Results", id="home.results", tooltip="The model's figures"
        ),
        Binding(
            "e", "app.go('export')", "Export", id="home.export", tooltip="Write the set to a file"
        ),
        Binding("u", "undo", "Undo", id="home.undo", show=False, tooltip="Undo your last action"),
    ]

    def body(self) -> ComposeResult:
        """Rounds above, what is bought left, what came of it right, the next step below."""
        yield Rounds(id="rounds")
        with Horizontal(id="columns"):
            with Vertical(id="bought"):
                yield Budget(id="budget")
                yield Distribution(id="distribution")
            with Vertical(id="gained"):
                yield Curve(id="curve")
                yield Trust(id="trust")
        yield Text(id="advice")
        yield Text(id="next")

    def place(self) -> Line | str:
        """Round and turn."""
        return place_words(self.imfl.status) if self.imfl.status else "opening"

    async def resumed(self) -> None:
        """Fetch fresh figures: labels may have been given meanwhile."""
        if self.imfl.status is not None:
            self.imfl.refresh_status_soon()

    def status_changed(self, status: Status) -> None:
        """Show the figures."""
        self.query_one(Rounds).show(status.rounds)
        self.query_one(Budget).show(status.budget, self.imfl.estimate)
        self.query_one(Curve).show(status.curve, status.majority)
        self.query_one(Distribution).show(status.label_counts)
        self.query_one(Trust).show(status.trust)
        advice = status.advice
        self._show_wrapped("advice", lambda width: advice_lines(advice, width))
        self._show_next()

    def _show_wrapped(self, name: str, lines: Callable[[int], Sequence[Line]]) -> None:
        """Show lines in a panel that is as high as they are many."""
        panel = self.query_one(f"#{name}", Text)
        panel.show(lines)
        height = len(lines(panel.size.width or self.size.width))
        if height != panel.size.height:  # only then: a new layout draws the whole screen
            panel.refresh(layout=True)

    def jobs_changed(self, jobs: Jobs) -> None:
        """The next step may have become something that runs."""
        self._show_next()

    def _show_next(self) -> None:
        if self.imfl.status is None:
            return
        asks = self.imfl.costs_money() if self.imfl.has_project else False
        status, estimate, jobs = self.imfl.status, self.imfl.estimate, self.imfl.jobs
        self._show_wrapped(
            "next", lambda width: next_lines(status, estimate, jobs, width, asks_money=asks)
        )

    async def action_next(self) -> None:
        """Do what comes next."""
        status = self.imfl.status
        if status is None:
            return
        kind = status.step.kind
        if kind is StepKind.LABEL or (kind is StepKind.FINISHED and status.offered):
            await self.imfl.action_go("label")
        elif kind is StepKind.FINISHED:
            await self.imfl.action_go("export")
        elif self.imfl.jobs.rounds is None:
            self.imfl.start_rounds()
        elif kind is StepKind.ANNOTATE:
            await self.imfl.action_go("annotate")
        elif kind is StepKind.TRAIN:
            await self.imfl.action_go("train")

    async def action_undo(self) -> None:
        """Undo the person's last action, whatever it was."""
        if not self.imfl.has_project:
            return
        event = await self.undo()
        if event is not None:
            await self.tell_undone(event)
            self.imfl.refresh_status_soon()
