"""Set-up: from a file to a project in six short steps, everything guessed and shown first."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from imfl_engine.errors import ImflError
from imfl_engine.views import CostEstimate
from imfl_tui import drafts
from imfl_tui.drafts import NONE, Draft
from imfl_tui.lines.setup import (
    annotator_lines,
    label_lines,
    preview_lines,
    price_lines,
    step_lines,
    summary_lines,
    welcome_lines,
)
from imfl_tui.questions import STEPS, Question
from imfl_tui.screens.base import ImflScreen
from imfl_tui.spans import Line, line
from imfl_tui.text import (
    plural,
    safe_text,
    wrap,
)
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.choice import Choice
from imfl_tui.widgets.field import Field

if TYPE_CHECKING:
    from imfl_engine.data.reading import Source


class SetupScreen(ImflScreen):
    """The wizard."""

    CSS_PATH = "setup.tcss"
    PAGE = "setup"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "Next", id="setup.next", tooltip="Go on with these answers"),
        Binding(
            "escape", "back", "Back", id="setup.back", tooltip="The step before; leaves at last"
        ),
        Binding("down", "app.focus_next", "Field", id="setup.down", tooltip="Next field"),
        Binding(
            "up", "app.focus_previous", "Up", id="setup.up", show=False, tooltip="Field before"
        ),
        Binding("ctrl+t", "test", "Test annotator", id="setup.test", tooltip="Ask it one question"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._draft = Draft()
        self._step = 0
        self._sources: list[Source] = []
        self._counts: Counter[str] = Counter()
        self._price: CostEstimate | None = None
        self._tested: tuple[str, str] | None = None
        self._busy = ""

    def body(self) -> ComposeResult:
        """Steps on top, fields, what is known below."""
        yield Text(id="steps")
        yield Vertical(id="fields")
        yield Text(id="hint")
        yield Text(title="preview", id="facts", classes="panel")
        yield Text(id="problem")

    async def begin(self) -> None:
        """Take kept answers up again."""
        folder = self.imfl.preferences_folder
        self._draft_file = drafts.draft_path(folder, self.imfl.path)
        kept = drafts.load_draft(self._draft_file)
        if kept is not None:
            self._draft = kept
            self.notify("Your earlier answers are here again.", timeout=4)
        await self._show_step()

    def place(self) -> Line | str:
        """Which step."""
        return f"new project · step {self._step + 1} of {len(STEPS)}"

    # ------------------------------------------------------------------ showing

    async def _show_step(self) -> None:
        step = STEPS[self._step]
        holder = self.query_one("#fields", Vertical)
        await holder.remove_children()
        await holder.mount_all([self._field(field) for field in step.fields])
        self.query_one("#steps", Text).show(step_lines(self._step))
        self.show_header()
        self._say("")
        self._show_facts()
        self.query_one("#hint", Text).show([])
        first = next(iter(holder.query("Input, Choice")), None)
        self.set_focus(first if isinstance(first, Widget) else None)

    def _field(self, field: Question) -> Widget:
        value = getattr(self._draft, field.name)
        name = Text(classes="name")
        name.show([line((field.words, "strong"))])
        values = field.values
        if field.is_column and self._sources:
            names = self._sources[0].column_names
            values = tuple(names) if field.name == "text" else (NONE, *names)
        editor: Widget = (
            Choice(values, value, id=f"f-{field.name}")
            if values
            else Field(value, id=f"f-{field.name}", compact=True, select_on_focus=False)
        )
        return Horizontal(name, editor, classes="field")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the field under the cursor is for."""
        name = (event.widget.id or "").removeprefix("f-")
        for field in STEPS[self._step].fields:
            if field.name == name:
                change = "← → choose · " if isinstance(event.widget, Choice) else ""
                self.query_one("#hint", Text).show([line((f"  {change}{field.help}", "dim"))])

    def _show_facts(self) -> None:
        panel = self.query_one("#facts", Text)
        width = max((panel.size.width or self.size.width - 4), 20)
        title, lines = "", []
        step = STEPS[self._step].title
        if step in ("data", "columns"):
            title = "the first rows" if self._sources else "what happens"
            lines = (
                preview_lines(self._sources[0], self._draft, width)
                if self._sources
                else welcome_lines(self.imfl.path.name, width)
            )
        elif step == "labels":
            title, lines = "labels found in the data", label_lines(self._counts, width)
        elif step == "annotator":
            title, lines = "annotator", annotator_lines(self._draft, self._tested, width)
        elif step == "budget":
            title, lines = "what the plan costs", price_lines(self._draft, self._price, width)
        else:
            title, lines = (
                "the project",
                summary_lines(self._draft, self._price, self.imfl.path.name),
            )
        panel.set_title(title)
        panel.show(lines)

    def _say(self, words: str, style: str = "warn", hint: str = "") -> None:
        lines: list[Line] = []
        if words:
            width = max(self.size.width - 4, 20)
            mark = "✗ " if style == "bad" else "▸ "
            rows = wrap(safe_text(words, 600), width)
            lines = [
                line((" " + (mark if n == 0 else "  "), style), row) for n, row in enumerate(rows)
            ]
            lines.extend(
                line(("   " + row, "dim")) for row in wrap(safe_text(hint, 400), width) if hint
            )
        self.query_one("#problem", Text).show(lines)

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
        name = (field or "").removeprefix("f-")
        if not name or getattr(self._draft, name, value) == value:
            return
        self._draft = replace(self._draft, **{name: value})
        if name in ("data", "test"):
            self._sources = []
        drafts.save_draft(self._draft_file, self._draft)
        if STEPS[self._step].title == "budget":
            self._price_soon()
        else:
            self._tested = None if STEPS[self._step].title == "annotator" else self._tested
            self._show_facts()

    def _collect(self) -> None:
        """Take the answers from the fields: under load Enter may overtake the last letter's news."""
        holder = self.query_one("#fields", Vertical)
        answers = {
            (editor.id or "").removeprefix("f-"): editor.value
            for editor in holder.query("Input, Choice")
            if isinstance(editor, Input | Choice)
        }
        if answers:
            self._draft = replace(self._draft, **answers)
            drafts.save_draft(self._draft_file, self._draft)

    @on(Input.Submitted)
    async def _submitted(self) -> None:
        await self.action_next()

    async def action_back(self) -> None:
        """The step before; at the first one, leave. The answers are kept."""
        if self._step:
            self._step -= 1
            await self._show_step()
        else:
            self.app.exit(0)

    async def action_next(self) -> None:
        """Check this step's answers and go on."""
        if self._busy:
            return
        leave = {
            "data": self._leave_data,
            "columns": self._leave_columns,
            "labels": self._leave_labels,
            "annotator": self._leave_annotator,
            "budget": self._leave_budget,
        }.get(STEPS[self._step].title)
        if leave is None:
            self.beside("create", self._create, exclusive=False)
        else:
            self.beside("leave", self._leave, leave)

    async def _leave(self, check: object) -> None:
        assert callable(check)
        self._collect()
        self._busy = "…"
        self._say("one moment", "accent")
        try:
            await check()
        except ImflError as error:
            self._say(error.message, "bad", error.hint)
            return
        finally:
            self._busy = ""
        self._step += 1
        await self._show_step()
        if STEPS[self._step].title in ("budget", "create"):
            self._price_soon()

    async def _leave_data(self) -> None:
        draft = self._draft
        self._sources = await asyncio.to_thread(drafts.open_data, draft, guess=True)
        self._draft = drafts.with_columns(draft, self._sources[0])

    async def _leave_columns(self) -> None:
        self._sources = await asyncio.to_thread(drafts.open_data, self._draft)
        self._counts = await asyncio.to_thread(self._sources[0].label_counts)
        if self._counts and not self._draft.labels.strip():
            self._draft = replace(self._draft, labels=drafts.suggested_labels(self._counts))

    async def _leave_labels(self) -> None:
        drafts.plan_settings(replace(self._draft, model=self._draft.model or "?"))

    async def _leave_annotator(self) -> None:
        settings = drafts.plan_settings(self._draft)
        if settings.annotator.kind == "openai" and self._tested is None:
            await self._ask_annotator()

    async def _leave_budget(self) -> None:
        drafts.plan_settings(self._draft)

    def action_test(self) -> None:
        """Ask the annotator one short question."""
        self.beside("test", self._test)

    async def _test(self) -> None:
        self._say("asking the annotator one short question", "accent")
        try:
            await self._ask_annotator()
        except ImflError as error:
            self._tested = None
            self._say(error.message, "bad", error.hint)
        else:
            self._say("")
        self._show_facts()

    async def _ask_annotator(self) -> None:
        settings = drafts.plan_settings(self._draft)
        notices = await drafts.test_annotator(settings)
        self._tested = ("✓ it answers", " ".join(notices))

    def _price_soon(self) -> None:
        self.beside("price", self._fetch_price)

    async def _fetch_price(self) -> None:
        await asyncio.sleep(0.2)
        try:
            settings = drafts.plan_settings(self._draft)
            if not self._sources:
                self._sources = await asyncio.to_thread(drafts.open_data, self._draft)
            self._price = await drafts.plan_price(settings, self._sources[0])
        except ImflError as error:
            self._price = None
            self._say(error.message, "bad", error.hint)
        else:
            self._say("")
        self._show_facts()

    # ------------------------------------------------------------------ creating

    async def _create(self) -> None:
        from imfl_engine.project import Project

        self._busy = "creating"
        ticker = self.set_interval(0.1, self._show_reading)
        try:
            settings = drafts.plan_settings(self._draft)
            if not self._sources:
                self._sources = await asyncio.to_thread(drafts.open_data, self._draft)
            project, report = await Project.create(self.imfl.path, settings, self._sources)
        except ImflError as error:
            self._say(error.message, "bad", error.hint)
            return
        finally:
            ticker.stop()
            self._busy = ""
        drafts.forget_draft(self._draft_file)
        words = f"Created: {plural(report.added, 'item')}"
        if report.duplicates:
            words += f", {plural(report.duplicates, 'duplicate')} left out"
        self.app.notify(f"{words}.", markup=False, timeout=6)
        await self.imfl.open_created(project)

    def _show_reading(self) -> None:
        share = sum(source.share for source in self._sources) / max(len(self._sources), 1)
        self._say(f"reading {share * 100:.0f} %", "accent")
