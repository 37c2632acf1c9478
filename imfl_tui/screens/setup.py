"""Set-up: from a file to a project in six short steps, everything guessed and shown first."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from imfl_engine.errors import ImflError
from imfl_tui.drafts import NONE
from imfl_tui.lines.setup import fact_lines, problem_lines, step_lines
from imfl_tui.new_project import NewProject
from imfl_tui.questions import STEPS, Question
from imfl_tui.screens.base import ImflScreen
from imfl_tui.setup_words import in_fields
from imfl_tui.spans import Line, line
from imfl_tui.text import plural, thousands
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.choice import Choice
from imfl_tui.widgets.field import Field


class SetupScreen(ImflScreen):
    """The steps of the set-up, one page each."""

    CSS_PATH = "setup.tcss"
    PAGE = "setup"
    A_CLICK_LEAVES_FIELDS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "Next", id="setup.next", tooltip="Go on with these answers"),
        Binding(
            "escape", "back", "Back", id="setup.back", tooltip="The step before; leaves at last"
        ),
        Binding(
            "down",
            "app.focus_next",
            "Field",
            id="setup.down",
            tooltip="Next field",
            priority=True,  # so that the footer names it beside a line of text too
        ),
        Binding(
            "up", "app.focus_previous", "Up", id="setup.up", show=False, tooltip="Field before"
        ),
        Binding("pagedown", "scroll(5)", "Scroll", id="setup.page_down", show=False),
        Binding("pageup", "scroll(-5)", "Scroll up", id="setup.page_up", show=False),
        Binding("ctrl+t", "test", "Test annotator", id="setup.test", tooltip="Ask it one question"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._step = 0
        self._busy = False
        self._told_error = False

    def body(self) -> ComposeResult:
        """Steps on top, fields, what is known below."""
        yield Text(id="steps")
        yield Vertical(id="fields")
        yield Text(id="hint")
        yield Text(title="preview", id="facts", classes="panel")
        yield Text(id="problem")

    async def begin(self) -> None:
        """Take kept answers up again."""
        self._new = NewProject(self.imfl.path, self.imfl.preferences_folder)
        await self._show_step()
        if self._new.was_kept:
            self.beside("leave", self._take_up)

    async def _take_up(self) -> None:
        """Go on at the step where the set-up was left."""
        self._busy = True
        self._say("taking up your earlier answers", "accent")
        try:
            step = await self._new.take_up()
        finally:
            self._busy = False
        if step != self._step:
            await self._go_to(step)
        self._say("Your earlier answers are here again.", "accent")
        if self._title in ("budget", "create"):
            self._price_soon()

    def place(self) -> Line | str:
        """Which step."""
        return f"new project · step {self._step + 1} of {len(STEPS)}"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The annotator can be tested where it is chosen."""
        return action != "test" or self._title == "annotator"

    @property
    def _title(self) -> str:
        return STEPS[self._step].title

    # ------------------------------------------------------------------ showing

    async def _go_to(self, step: int) -> None:
        self._step = step
        self._new.stand_at(self._title)
        await self._show_step()

    async def _show_step(self) -> None:
        step = STEPS[self._step]
        holder = self.query_one("#fields", Vertical)
        await holder.remove_children()
        await holder.mount_all([self._field(field) for field in step.fields])
        self.query_one("#steps", Text).show(step_lines(self._step))
        self.show_header()
        self.refresh_bindings()
        self._say("")
        self._show_facts()
        self.query_one("#hint", Text).show([])
        first = next(iter(holder.query("Input, Choice")), None)
        self.set_focus(first if isinstance(first, Widget) else None)

    def _field(self, field: Question) -> Widget:
        value = getattr(self._new.draft, field.name)
        name = Text(id=f"n-{field.name}", classes="name")
        name.show([name_line(field)])
        values = field.values
        if field.is_column and self._new.sources:
            names = self._new.sources[0].column_names
            values = tuple(names) if field.name == "text" else (NONE, *names)
        editor: Widget = (
            Choice(values, value, id=f"f-{field.name}")
            if values
            else Field(value, id=f"f-{field.name}", compact=True, select_on_focus=False)
        )
        return Horizontal(name, editor, classes="field")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Mark the field under the cursor, and say what it is for."""
        name = (event.widget.id or "").removeprefix("f-")
        for field in STEPS[self._step].fields:
            marked = field.name == name
            for shown in self.query(f"#n-{field.name}").results(Text):
                shown.show([name_line(field, marked=marked)])
            if marked:
                change = "← → choose · " if isinstance(event.widget, Choice) else ""
                self.query_one("#hint", Text).show([line((f"  {change}{field.help}", "dim"))])

    def _show_facts(self) -> None:
        panel = self.query_one("#facts", Text)
        width = max((panel.size.width or self.size.width - 4), 20)
        title, lines = fact_lines(self._title, self._new, width)
        panel.set_title(title)
        panel.show(lines)

    def _say(self, words: str, style: str = "warn", hint: str = "") -> None:
        self._told_error = style == "bad" and bool(words)
        width = max(self.size.width - 1, 20)
        panel = self.query_one("#problem", Text)
        panel.show(problem_lines(words, style, hint, width))
        panel.refresh(layout=True)  # a long one takes lines from the panel above it

    def _tell(self, error: ImflError) -> None:
        message, hint = in_fields(error)
        self._say(message, "bad", hint)

    def on_resize(self) -> None:
        """Wrap the panels anew."""
        if self.is_mounted and self.query("#facts"):
            self._show_facts()

    # ------------------------------------------------------------------ answers

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._answer(event.input.id, event.value)

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        self._answer(event.choice.id, event.value)

    def _answer(self, field: str | None, value: str) -> None:
        if not self._new.answer((field or "").removeprefix("f-"), value):
            return
        if self._title == "budget":
            self._price_soon()
        else:
            self._new.tested = None if self._title == "annotator" else self._new.tested
            self._show_facts()

    def _collect(self) -> None:
        """Take the answers from the fields: under load Enter may overtake the last letter's news."""
        holder = self.query_one("#fields", Vertical)
        self._new.answer_all(
            {
                (editor.id or "").removeprefix("f-"): editor.value
                for editor in holder.query("Input, Choice")
                if isinstance(editor, Input | Choice)
            }
        )

    @on(Input.Submitted)
    async def _submitted(self) -> None:
        await self.action_next()

    async def action_back(self) -> None:
        """The step before; at the first one, leave. The answers are kept."""
        if self._step:
            await self._go_to(self._step - 1)
        else:
            self.app.exit(0)

    async def action_next(self) -> None:
        """Check this step's answers and go on."""
        if self._busy:
            return
        if self._title == "create":
            self.beside("create", self._create, exclusive=False)
        else:
            self.beside("leave", self._leave, self._title)

    async def _leave(self, step: str) -> None:
        self._collect()
        self._busy = True
        self._say("one moment", "accent")
        try:
            await self._new.check(step)
        except ImflError as error:
            if self._title == step:
                self._tell(error)
            return
        finally:
            self._busy = False
        if self._title != step:  # the person went back meanwhile
            return
        await self._go_to(self._step + 1)
        if self._title in ("budget", "create"):
            self._price_soon()

    def action_scroll(self, lines: int) -> None:
        """Scroll what is known."""
        self.query_one("#facts", Text).scroll_lines(lines)

    def action_test(self) -> None:
        """Ask the annotator one short question."""
        self.beside("test", self._test)

    async def _test(self) -> None:
        self._say("asking the annotator one short question", "accent")
        try:
            await self._new.test_annotator()
        except ImflError as error:
            self._new.tested = None
            self._tell(error)
        else:
            self._say("")
        self._show_facts()

    def _price_soon(self) -> None:
        self.beside("price", self._fetch_price)

    async def _fetch_price(self) -> None:
        await asyncio.sleep(0.2)
        try:
            await self._new.find_price()
        except ImflError as error:
            self._new.price = None
            self._tell(error)
        else:
            if self._told_error:
                self._say("")
        self._show_facts()

    # ------------------------------------------------------------------ creating

    async def _create(self) -> None:
        self._busy = True
        ticker = self.set_interval(0.1, self._show_reading)
        try:
            project, report = await self._new.create()
        except ImflError as error:
            self._tell(error)
            return
        finally:
            ticker.stop()
            self._busy = False
        words = f"Created: {plural(report.added - report.test, 'item')}"
        if report.test:
            words += f" and {thousands(report.test)} to test on"
        if report.duplicates:
            words += f", {plural(report.duplicates, 'duplicate')} left out"
        self.app.notify(f"{words}.", markup=False, timeout=6)
        await self.imfl.open_created(project)

    def _show_reading(self) -> None:
        self._say(f"reading {self._new.share_read * 100:.0f} %", "accent")


def name_line(field: Question, *, marked: bool = False) -> Line:
    """What a field is called; a mark says that keys go there, also where no colour does."""
    return line(("▸ " if marked else "  ", "accent"), (field.words, "strong"))
