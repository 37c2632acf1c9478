"""Annotate: the LLM's labels as they come, what they cost, and the exact prompt of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from imfl_engine.types import Reply, StepKind
from imfl_engine.views import Status
from imfl_tui.jobs import KEPT_REPLIES, Jobs
from imfl_tui.lines.annotate import figure_lines, reply_row, waiting_lines
from imfl_tui.prompts import demonstration_parts, prompt_parts
from imfl_tui.screens.base import HOME, ImflScreen
from imfl_tui.screens.dialogs import Reader
from imfl_tui.spans import Line, line
from imfl_tui.text import one_line, plural
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.rows import Rows

PANEL_ROWS = 5
"""Of the figures with their frame; a run needs a row more, for how its replies ended."""


class AnnotateScreen(ImflScreen):
    """The LLM's run, live."""

    CSS_PATH = "annotate.tcss"
    PAGE = "annotate"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "begin", "Start", id="annotate.start", tooltip="Begin or go on"),
        Binding("space", "pause", "Pause", id="annotate.pause", tooltip="Pause, or go on"),
        Binding("c", "stop", "Cancel", id="annotate.cancel", tooltip="Stop; paid replies stay"),
        Binding("p", "prompt", "Prompt", id="annotate.prompt", tooltip="The exact prompt"),
        Binding("j,down", "move(1)", "Down", id="annotate.down", show=False, tooltip="Older"),
        Binding("k,up", "move(-1)", "Up", id="annotate.up", show=False, tooltip="Newer"),
        HOME,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._replies: Sequence[Reply] = ()
        self._stored: Sequence[Reply] = ()
        """The newest replies from before the app was started; shown until a run begins."""
        self._texts: dict[int, str] = {}
        self._follow = True

    def body(self) -> ComposeResult:
        """Figures above, replies below."""
        yield Text(title="LLM run", id="figures", classes="panel")
        yield Rows(title="its labels, newest first", id="replies")

    async def resumed(self) -> None:
        """Fetch what was bought before the app was started, until a run begins."""
        if self.imfl.jobs.annotation is None:
            self._stored = await self.attempt(lambda: self.project.replies(KEPT_REPLIES)) or ()
            self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer names what does something now."""
        job, status = self.imfl.jobs.rounds, self.imfl.status
        over = status is not None and status.step.kind is StepKind.FINISHED
        asking = self.imfl.jobs.in_step(StepKind.ANNOTATE)
        needless = {
            "begin": over if job is None else not job.paused,
            "pause": not asking or bool(job and job.paused),
            "stop": job is None,
            "prompt": not self._replies,
        }
        return None if needless.get(action) else True

    def place(self) -> Line | str:
        """Who labels."""
        status = self.imfl.status
        return f"annotate · {one_line(status.annotator, 40)}" if status else "annotate"

    def status_changed(self, status: Status) -> None:
        """The step may be the LLM's now."""
        self._show()

    def jobs_changed(self, jobs: Jobs) -> None:
        """More replies."""
        self._show()

    def on_resize(self) -> None:
        """Draw the bars anew."""
        self._show()

    def _show(self) -> None:
        status = self.imfl.status
        if status is None:
            return
        annotation = self.imfl.jobs.annotation
        panel = self.query_one("#figures", Text)
        job = self.imfl.jobs.rounds
        paused = bool(job and job.paused)
        panel.styles.height = PANEL_ROWS if annotation is None else PANEL_ROWS + 1
        if annotation is None:
            price = self.imfl.estimate if self.imfl.costs_money() else None
            panel.show(waiting_lines(status, price, bool(job)))
        else:
            panel.show(lambda width: figure_lines(annotation, width, paused=paused))
        replies = tuple(reversed(annotation.replies)) if annotation else self._stored
        rows = self.query_one(Rows)
        added = len(replies) - len(self._replies)
        self._replies = replies
        cursor = 0 if self._follow else rows.cursor + max(added, 0)
        words = "The LLM has labelled nothing yet."
        empty = [line(""), line((words, "dim"))]
        rows.show(len(replies), self._row, empty=empty, cursor=cursor)
        if replies:
            self.beside("texts", self._fetch_texts, exclusive=False)
        self.refresh_bindings()

    def _row(self, index: int, width: int) -> Line:
        reply = self._replies[index]
        return reply_row(reply, self._texts.get(reply.item_id, ""), width)

    async def _fetch_texts(self) -> None:
        rows = self.query_one(Rows)
        shown = [reply.item_id for reply in self._replies[rows.first : rows.first + rows.page]]
        missing = [item_id for item_id in shown if item_id not in self._texts]
        if missing:
            found = await self.project.texts(missing)
            self._texts.update({item_id: text[:400] for item_id, text in found.items()})
            rows.redraw()

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        self._follow = event.index == 0
        self.beside("texts", self._fetch_texts, exclusive=False)

    @on(Rows.Clicked)
    async def _clicked(self, event: Rows.Clicked) -> None:
        """A second click shows what was asked."""
        if event.again:
            await self.action_prompt()

    async def action_begin(self) -> None:
        """Begin, or go on after a pause."""
        status, job = self.imfl.status, self.imfl.jobs.rounds
        if job is not None:
            if job.paused:
                self.imfl.pause_rounds(False)
            return
        if status is not None and status.step.kind is StepKind.LABEL:
            left = plural(status.step.total - status.step.done, "item")
            self.notify(f"First your turn: {left} of this round wait for your label.", timeout=4)
        else:
            self.imfl.start_rounds()

    def action_pause(self) -> None:
        """Pause, or go on."""
        job = self.imfl.jobs.rounds
        if job is not None:
            self.imfl.pause_rounds(not job.paused)

    async def action_stop(self) -> None:
        """Stop the run."""
        if self.imfl.jobs.rounds is not None:
            await self.imfl.stop_job("rounds")
            self.notify("Stopped. Every reply so far is kept; Start goes on.", timeout=4)

    async def action_prompt(self) -> None:
        """Show what the LLM was sent for the label under the cursor."""
        if not self._replies:
            return
        reply = self._replies[self.query_one(Rows).cursor]
        detail = await self.attempt(lambda: self.project.detail(reply.item_id))
        if detail is not None:
            parts = [*prompt_parts(reply), *demonstration_parts(detail)]
            self.app.push_screen(Reader("What the LLM was shown", parts))

    def action_move(self, step: int) -> None:
        """Move among the replies."""
        self.query_one(Rows).move(step)
