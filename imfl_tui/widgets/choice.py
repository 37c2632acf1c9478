"""A field with a few possible values: ← → changes it, a click too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from imfl_tui.spans import Line, line
from imfl_tui.text import one_line
from imfl_tui.widgets.canvas import Canvas

LEFT_ARROW = 2
"""Cells in which a click means the value before."""


class Choice(Canvas, can_focus=True):
    """Shows one of its values."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Value before", show=False, id="choice.before"),
        Binding("right,space", "step(1)", "Next value", id="choice.next"),
    ]

    class Changed(Message):
        """Another value is chosen."""

        def __init__(self, choice: Choice, value: str) -> None:
            super().__init__()
            self.choice, self.value = choice, value

        @property
        def control(self) -> Choice:
            """The field."""
            return self.choice

    def __init__(self, values: Sequence[str], value: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values = list(values) or [value]
        if value not in self._values:
            self._values.insert(0, value)
        self._index = self._values.index(value)

    @property
    def value(self) -> str:
        """The chosen value."""
        return self._values[self._index]

    def action_step(self, step: int) -> None:
        """Choose the next value, or the one before."""
        self._index = (self._index + step) % len(self._values)
        self.redraw()
        self.post_message(self.Changed(self, self.value))

    def on_click(self, event: events.Click) -> None:
        """Choose the next value, or at the left arrow the one before."""
        self.focus()
        offset = event.get_content_offset(self)
        before = offset is not None and offset.x < LEFT_ARROW
        self.action_step(-1 if before else 1)

    def on_focus(self) -> None:
        """Show the arrows."""
        self.redraw()

    def on_blur(self) -> None:
        """Hide the arrows."""
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The value between arrows."""
        words = one_line(self.value or "—", max(width - 14, 4))
        count = f"  {self._index + 1} of {len(self._values)}"
        style = "strong" if self.has_focus else ""
        arrow = "key" if self.has_focus else "dim"
        return [line(("‹ ", arrow), (words, style), (" ›", arrow), (count, "dim"))]
