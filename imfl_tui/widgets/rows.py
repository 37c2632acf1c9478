"""A list of which only the visible rows exist; the screen owns the data, this owns the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.message import Message

from imfl_tui.spans import Line, Span, fill, line
from imfl_tui.widgets.canvas import Canvas

RowBuilder = Callable[[int, int], Line]


class Rows(Canvas):
    """Shows ``count`` rows made by ``make(index, width)``, one of them under the cursor."""

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, rows: Rows, index: int) -> None:
            super().__init__()
            self.rows, self.index = rows, index

        @property
        def control(self) -> Rows:
            """The list that sent it."""
            return self.rows

    class Clicked(Message):
        """A row was clicked and has the cursor; ``again`` where it had the cursor before."""

        def __init__(self, rows: Rows, *, again: bool) -> None:
            super().__init__()
            self.rows, self.again = rows, again

        @property
        def control(self) -> Rows:
            """The list that sent it."""
            return self.rows

    def __init__(self, *, title: str = "", id: str | None = None) -> None:
        super().__init__(title=title, id=id, classes="panel")
        self._make: RowBuilder | None = None
        self._head: Callable[[int], Line] | None = None
        self._empty: Sequence[Line] = ()
        self.count = 0
        self.cursor = 0
        self._first = 0

    def show(
        self,
        count: int,
        make: RowBuilder,
        *,
        head: Callable[[int], Line] | None = None,
        empty: Sequence[Line] = (),
        cursor: int | None = None,
    ) -> None:
        """Show ``count`` rows; without ``cursor`` it stays where it is, as far as rows go."""
        self._make, self._head, self._empty, self.count = make, head, empty, count
        wanted = self.cursor if cursor is None else cursor
        self.cursor = min(max(wanted, 0), max(count - 1, 0))
        self.redraw()

    def move(self, step: int) -> bool:
        """Move the cursor; False when it cannot go further."""
        return self.move_to(self.cursor + step)

    def move_to(self, index: int) -> bool:
        """Put the cursor on a row."""
        index = min(max(index, 0), max(self.count - 1, 0))
        if index == self.cursor:
            return False
        self.cursor = index
        self.redraw()
        self.post_message(self.Moved(self, index))
        return True

    @property
    def first(self) -> int:
        """The first row in view."""
        return self._first

    @property
    def page(self) -> int:
        """Rows that fit."""
        return max(self.size.height - (1 if self._head else 0), 1)

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The visible rows."""
        lines: list[Line] = []
        if not self.count or self._make is None:
            return self._empty
        if self._head is not None:
            lines.append(self._head(width - 2))
            lines[0] = [Span("  "), *lines[0]]
        page = max(height - len(lines), 1)
        self._first = min(self._first, self.cursor)
        self._first = max(self._first, self.cursor - page + 1, 0)
        self._first = max(min(self._first, self.count - page), 0)
        for index in range(self._first, min(self._first + page, self.count)):
            row = self._make(index, width - 3)
            if index == self.cursor:
                marked = [Span("▸ ", "cursor"), *fill(row, width - 3), Span(" ")]
                lines.append([s._replace(style="cursor") for s in marked])
            else:
                lines.append(line("  ", *row))
        return lines

    def on_click(self, event: events.Click) -> None:
        """Select the row under the mouse."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = self._first + offset.y - (1 if self._head else 0)
        if 0 <= index < self.count:
            self.post_message(self.Clicked(self, again=not self.move_to(index)))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves the cursor."""
        if self.move(3):
            event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves the cursor."""
        if self.move(-3):
            event.stop()
