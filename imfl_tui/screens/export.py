"""Export: choose a format and a place, see what the file will hold, write it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from imfl_engine.errors import ImflError
from imfl_engine.views import LabelCount, Status
from imfl_tui.export_formats import FORMATS, Format, default_path, name_problem
from imfl_tui.jobs import Jobs, describe
from imfl_tui.lines.export import content_lines, problem_lines
from imfl_tui.messages import JobEnded
from imfl_tui.screens.base import ImflScreen
from imfl_tui.screens.dialogs import Confirm
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import one_line, pad, safe_text
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.field import Field
from imfl_tui.widgets.rows import Rows


class ExportScreen(ImflScreen):
    """Format, destination, content."""

    CSS_PATH = "export.tcss"
    PAGE = "export"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "write", "Write", id="export.write", tooltip="Write the file"),
        Binding("j,down", "move(1)", "Format", id="export.down", tooltip="Next format"),
        Binding("k,up", "move(-1)", "Up", id="export.up", show=False, tooltip="Format before"),
        Binding("pagedown", "scroll(3)", "Scroll", id="export.page_down", show=False),
        Binding("pageup", "scroll(-3)", "Scroll up", id="export.page_up", show=False),
        Binding("tab,d", "edit", "Destination", id="export.edit", tooltip="Change where it goes"),
        Binding("escape", "leave", "Home", id="export.leave", tooltip="Leave the field, then home"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._written: Path | None = None
        self._target: Path | None = None
        self._exported: tuple[LabelCount, ...] = ()
        """What was labelled when the file was written."""
        self._touched = False
        self._failure: ImflError | None = None
        """Why the last try wrote nothing; shown until the next one."""

    def body(self) -> ComposeResult:
        """Formats, place, content."""
        yield Rows(title="format", id="formats")
        yield Field(id="destination", select_on_focus=False)
        yield Text(title="what it will contain", id="content", classes="panel")
        yield Text(id="result")

    async def begin(self) -> None:
        """Fill in the usual place."""
        field = self.query_one(Input)
        field.border_title = "destination"
        self.query_one(Rows).show(len(FORMATS), self._row)
        self._suggest()
        self._show_result()

    async def resumed(self) -> None:
        """Keys are the screen's, whatever was being typed when it was left."""
        self.set_focus(None)

    def place(self) -> Line | str:
        """The screen's name."""
        return "export"

    def _row(self, index: int, width: int) -> Line:
        chosen = FORMATS[index]
        return [Span(pad(chosen.name, 22), "strong"), Span(chosen.words, "dim")]

    @property
    def _format(self) -> Format:
        return FORMATS[self.query_one(Rows).cursor]

    def _suggest(self) -> None:
        if not self._touched:
            field = self.query_one(Input)
            with field.prevent(Input.Changed):
                field.value = default_path(self.imfl.path, self._format)

    @on(Rows.Moved)
    def _format_chosen(self) -> None:
        self._suggest()
        self._written = None
        self._show_result()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._touched = bool(event.value.strip())
        self._written = None
        self._show_result()

    @on(Input.Submitted)
    async def _submitted(self) -> None:
        await self.action_write()

    def status_changed(self, status: Status) -> None:
        """Count what there is."""
        panel = self.query_one("#content", Text)
        panel.show(lambda width: content_lines(status, width))
        if self._written is not None:
            self._show_result()

    def on_resize(self) -> None:
        """Wrap the words anew."""
        if self.imfl.status is not None:
            self.status_changed(self.imfl.status)

    def jobs_changed(self, jobs: Jobs) -> None:
        """Show how far the writing is."""
        self._show_result()

    @property
    def _name_problem(self) -> str:
        return name_problem(self.query_one(Input).value, self._format)

    def _show_result(self) -> None:
        result = self.query_one("#result", Text)
        result.show(self._result_lines)
        result.refresh(layout=True)  # a problem may take more lines than what was there

    def _result_lines(self, width: int) -> Sequence[Line]:
        jobs = self.imfl.jobs
        if "export" in jobs.running:
            return [line((" ▸ ", "accent"), describe(jobs, "export"))]
        enter = Span("enter", "key", command="export.write")
        if self._written is not None:
            written = line((" ✓ ", "good"), ("written: ", "strong"), safe_text(self._written, 300))
            if self._is_current:
                return [written]
            again = Span(" writes it again", "dim", "screen.write")
            return [written, line((" ! ", "warn"), "Labels have changed since: ", enter, again)]
        if problem := self._name_problem:
            return problem_lines("! ", "warn", problem, "", width)
        if self._failure is not None:
            return problem_lines("✗ ", "bad", self._failure.message, self._failure.hint, width)
        return [line(" ", enter, Span(" writes the file", "dim", "screen.write"))]

    @property
    def _is_current(self) -> bool:
        """Whether the file that was written holds what is labelled now."""
        status = self.imfl.status
        return status is None or status.label_counts == self._exported

    def action_move(self, step: int) -> None:
        """Choose a format."""
        self.query_one(Rows).move(step)

    def action_scroll(self, lines: int) -> None:
        """Scroll what is said of the content."""
        self.query_one("#content", Text).scroll_lines(lines)

    def action_edit(self) -> None:
        """Type where it goes."""
        self.query_one(Input).focus()

    async def action_leave(self) -> None:
        """Leave the field; else go home."""
        if self.focused is not None:
            self.set_focus(None)
        else:
            await self.imfl.action_go("home")

    async def action_write(self) -> None:
        """Write the file; asks before one that exists is replaced.

        The chosen format decides what is written; a name that says another one is not guessed at.
        """
        text = self.query_one(Input).value.strip()
        if not text:
            self.notify("Say where the file should go.", severity="warning")
            return
        if problem := self._name_problem:
            self.notify(f"{problem} Nothing was written.", severity="warning", markup=False)
            return
        target = Path(text).expanduser()
        if target.exists():

            def sure(yes: bool | None) -> None:
                if yes:
                    self._write(target)

            self.app.push_screen(
                Confirm(
                    "Replace the file?",
                    [f"{one_line(target, 200)} is there already."],
                    yes="replace it",
                    no="keep it",
                ),
                sure,
            )
        else:
            self._write(target)

    def _write(self, target: Path) -> None:
        self._target, self._written, self._failure = target, None, None
        status = self.imfl.status
        self._exported = status.label_counts if status is not None else ()
        engine = self._format.engine
        events = partial(self.project.export, target, engine)
        if not self.imfl.start_job("export", events, self._export_ended):
            self.notify("An export is being written already.")

    def _export_ended(self, message: JobEnded) -> None:
        written = message.error is None and not message.cancelled
        self._failure = message.error
        if written:
            self._written = self._target
        if self.is_shown:
            if written:  # keys are the screen's again; after an error the place is corrected
                self.set_focus(None)
            self._show_result()
