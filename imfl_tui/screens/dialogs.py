"""Small windows: an error, a question, a line of text, a choice among many labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from imfl_engine.errors import ImflError
from imfl_tui.fuzzy import ranked
from imfl_tui.lines.item import GUIDELINES
from imfl_tui.lines.markdown import markdown_lines
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import one_line, safe_text, wrap
from imfl_tui.widgets.canvas import Canvas, Text
from imfl_tui.widgets.field import Field
from imfl_tui.widgets.rows import Rows

T = TypeVar("T")


class Words(Canvas):
    """Wrapped words in a dialog."""

    def __init__(self, paragraphs: Sequence[str], style: str = "") -> None:
        super().__init__()
        self._paragraphs, self._wanted = paragraphs, style

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The paragraphs, wrapped."""
        rows = []
        for paragraph in self._paragraphs:
            rows.extend(wrap(safe_text(paragraph, 4_000, newlines=True), max(width, 10)))
        return [line((row, self._wanted)) for row in rows]


class Window(ModalScreen[T]):
    """A small window; where nothing in it can be lost, a click beside it closes it."""

    CLOSES_AT_A_CLICK: ClassVar[bool] = False

    def on_click(self, event: events.Click) -> None:
        """Close at a click beside the window."""
        if self.CLOSES_AT_A_CLICK and self.get_widget_at(*event.screen_offset)[0] is self:
            self.dismiss(None)


class Problem(Window[None]):
    """An error: what happened, and what to do."""

    CLOSES_AT_A_CLICK = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,space,q", "dismiss", "Close", id="problem.close"),
    ]

    def __init__(self, error: ImflError) -> None:
        super().__init__()
        self.error = error

    def compose(self) -> ComposeResult:
        """Message, hint, key."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content("✗ That did not work")
            yield Words([self.error.message], "strong")
            if self.error.hint:
                yield Words(["", self.error.hint])
            yield _keys(("esc", "close", "problem.close"))


class Confirm(Window[bool]):
    """A yes-or-no question about something that costs or stops."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # not Enter: it is pressed before it is thought about
        Binding("y", "dismiss(True)", "Yes", id="confirm.yes"),
        Binding("n,escape", "dismiss(False)", "No", id="confirm.no"),
    ]

    def __init__(self, title: str, words: Sequence[str], *, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._words, self._yes, self._no = title, words, yes, no

    def compose(self) -> ComposeResult:
        """Question, consequences, keys."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(safe_text(self._title, 100))
            yield Words(self._words)
            yield _keys(("y", self._yes, "confirm.yes"), ("n", self._no, "confirm.no"))


class Ask(Window[str | None]):
    """One line of text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "save", "Save", id="ask.save"),
        Binding("escape", "dismiss(None)", "Cancel", id="ask.cancel"),
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        words: Sequence[str] = (),
        *,
        does: str = "save",
        proposed: bool = False,
    ) -> None:
        """``does`` says what Enter does with the line; a ``proposed`` value gives way to typing."""
        super().__init__()
        self._title, self._value, self._words, self._does = title, value, words, does
        self._proposed = proposed

    def compose(self) -> ComposeResult:
        """Words, field, keys."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(safe_text(self._title, 100))
            if self._words:
                yield Words(self._words)
            yield Field(safe_text(self._value), select_on_focus=self._proposed)
            yield _keys(("enter", self._does, "ask.save"), ("esc", "cancel", "ask.cancel"))

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def action_save(self) -> None:
        """Give the line back."""
        self.dismiss(self.query_one(Input).value)


class Picker(Window[str | None]):
    """Choose one of many names by typing a few of its letters."""

    CLOSES_AT_A_CLICK = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", id="picker.choose"),
        Binding("escape", "dismiss(None)", "Cancel", id="picker.cancel"),
        Binding("down,ctrl+n", "move(1)", "Down", id="picker.down"),
        Binding("up,ctrl+p", "move(-1)", "Up", id="picker.up", priority=True),
    ]

    def __init__(
        self,
        title: str,
        names: Sequence[str],
        *,
        words: dict[str, str] | None = None,
        weights: dict[str, int] | None = None,
    ) -> None:
        """``words`` describe names; ``weights`` put the often used ones first."""
        super().__init__()
        self._title, self._names = title, names
        self._words, self._weights = words or {}, weights or {}
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """Field and list."""
        with Vertical(classes="dialog picker") as dialog:
            dialog.border_title = Content(safe_text(self._title, 100))
            yield Field(placeholder="a few letters of the name")
            yield Rows(id="found")
            yield _keys(
                ("enter", "choose", "picker.choose"),
                ("↑ ↓", "move", ""),
                ("esc", "cancel", "picker.cancel"),
            )

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()
        self._look_for("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._look_for(event.value)

    @on(Input.Submitted)
    @on(Rows.Clicked)
    def action_choose(self) -> None:
        """Give the name under the cursor back."""
        rows = self.query_one(Rows)
        if self._found:
            self.dismiss(self._found[rows.cursor])

    def _look_for(self, query: str) -> None:
        self._found = ranked(query, self._names, weights=self._weights, words=self._words)
        empty = [line(("No name has these letters.", "dim"))]
        self.query_one(Rows).show(len(self._found), self._row, empty=empty, cursor=0)

    def _row(self, index: int, width: int) -> Line:
        name = self._found[index]
        shown = one_line(name, max(width * 3 // 5, 20) if self._words.get(name) else width)
        words = one_line(self._words.get(name, ""), max(width - len(shown) - 2, 0))
        return [Span(shown), Span("  "), Span(words, "dim")]

    def action_move(self, step: int) -> None:
        """Move among the names found."""
        self.query_one(Rows).move(step)


class Reader(Window[None]):
    """A long text to read: a prompt, an item in full."""

    CLOSES_AT_A_CLICK = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,p,d,q", "dismiss", "Close", id="reader.close"),
        Binding("down,j", "scroll(1)", "Down", id="reader.down"),
        Binding("up,k", "scroll(-1)", "Up", id="reader.up"),
        Binding("pagedown,space", "scroll(12)", "Page down", id="reader.page_down"),
        Binding("pageup", "scroll(-12)", "Page up", id="reader.page_up"),
    ]

    def __init__(self, title: str, parts: Sequence[tuple[str, str]]) -> None:
        """``parts`` are (heading, text)."""
        super().__init__()
        self._title, self._parts = title, parts

    def compose(self) -> ComposeResult:
        """The text, scrolling."""
        with Vertical(classes="dialog reader") as dialog:
            dialog.border_title = Content(safe_text(self._title, 100))
            yield _Parts(self._parts)
            yield _keys(("↑ ↓", "scroll", ""), ("esc", "close", "reader.close"))

    def action_scroll(self, step: int) -> None:
        """Scroll the text."""
        self.query_one(_Parts).scroll_lines(step)


class _Parts(Canvas):
    def __init__(self, parts: Sequence[tuple[str, str]]) -> None:
        super().__init__(id="parts")
        self._parts = parts
        self._wrapped: tuple[int, Sequence[Line]] = (0, ())
        self._framed = False

    def on_mount(self) -> None:
        """Wrap the text once the window is drawn: both at once would hold up what happens beside it."""
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        self._framed = True
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        if not self._framed:
            return ()
        room = max(self.size.width - 3, 10)  # beside the thumb, whether there is one or not
        if self._wrapped[0] != room:
            self._wrapped = (room, part_lines(self._parts, room))
        return self._wrapped[1]


def part_lines(parts: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """Headings and texts below each other."""
    lines: list[Line] = []
    for heading, text in parts:
        if lines:
            lines.append(line(""))
        if heading:
            lines.append(line((safe_text(heading, 200), "accent")))
        safe = safe_text(text, newlines=True)
        if heading == GUIDELINES:
            lines.extend(markdown_lines(safe, width))
        else:
            lines.extend(line(row) for row in wrap(safe, width))
    return lines


def _keys(*keys: tuple[str, str, str]) -> Text:
    """The keys of a window: each with what it does and its command, which a click runs as well."""
    text = Text(classes="keys")
    spans: list[Span] = []
    for key, words, command in keys:
        action = f"app.command({command!r})" if command else ""
        spans.extend([Span(key, "key", action, command), Span(f" {words}", "dim", action)])
        spans.append(Span("   "))
    text.show([line(""), spans])
    return text
