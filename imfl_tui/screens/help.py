"""Help for a screen: a page of words, then every key that works there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen

from imfl_tui.keymap import key_name
from imfl_tui.lines.markdown import markdown_lines
from imfl_tui.screens.dialogs import Window
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import pad
from imfl_tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from imfl_tui.app import ImflApp


@lru_cache
def page(name: str) -> str:
    """The words of a help page, as written in ``help/<name>.md``."""
    return files("imfl_tui").joinpath("help", f"{name}.md").read_text(encoding="utf-8")


def named_keys(words: str, key_of: Callable[[str], str]) -> str:
    """Write the keys that a page names by their commands, ``{label.undo}``, as they are mapped now."""
    return re.sub(r"\{([a-z._]+)\}", lambda found: key_of(found[1]), words)


def key_rows(screen: Screen[Any]) -> list[tuple[str, str, str]]:
    """``(keys, what they do, id)`` of every command of the screen, each once."""
    rows: dict[str, tuple[list[str], str, str]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.system or not binding.description or not binding.id:
            continue  # without an id it is one of Textual's own
        words = binding.tooltip or binding.description
        rows.setdefault(binding.id, ([], words, binding.id))[0].append(key_name(key))
    return [(" ".join(keys), words, name) for keys, words, name in rows.values()]


def help_lines(words: str, keys: Sequence[tuple[str, str, str]], width: int) -> list[Line]:
    """The page of words, then the keys."""
    width = min(max(width, 20), 96)
    lines = markdown_lines(words.strip(), width)
    if keys:
        lines.extend([line(""), line(("Keys", "accent"))])
    size = min(max((len(row[0]) for row in keys), default=4), 18)
    ids = width >= 72
    for key, meaning, name in keys:
        room = width - size - 2 - (22 if ids else 0)
        spans = [Span(pad(key, size), "key"), Span("  "), Span(pad(meaning, room))]
        lines.append([*spans, Span(pad(name, 22, "right"), "dim")] if ids else spans)
    return lines


class Help(Window[None]):
    """The help window."""

    CLOSES_AT_A_CLICK = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Close", id="help.close"),
        Binding("down,j", "scroll(1)", "Down", id="help.down"),
        Binding("up,k", "scroll(-1)", "Up", id="help.up"),
        Binding("pagedown,space", "scroll(12)", "Page down", id="help.page_down"),
        Binding("pageup", "scroll(-12)", "Page up", id="help.page_up"),
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._page = getattr(screen, "PAGE", "home")
        self._rows = key_rows(screen)

    def compose(self) -> ComposeResult:
        """Words and keys."""
        with Vertical(classes="dialog reader") as dialog:
            dialog.border_title = Content(f"Help · {self._page}")
            dialog.border_subtitle = Content("esc closes")
            key_of = cast("ImflApp", self.app).key_of
            yield _Page(named_keys(page(self._page), key_of), self._rows)

    def action_scroll(self, step: int) -> None:
        """Scroll the page."""
        self.query_one(_Page).scroll_lines(step)


class _Page(Canvas):
    def __init__(self, words: str, rows: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(id="parts")
        self._words, self._rows = words, rows

    def build(self, width: int, height: int) -> Sequence[Line]:
        return help_lines(self._words, self._rows, width - 2)
