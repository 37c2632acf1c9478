"""The one widget everything is drawn with: lines of spans, cropped, scrolled, never laid out.

A `Canvas` builds its lines when it is drawn and only for its own size; showing other values
repaints its region and moves nothing else. That keeps a key press a few milliseconds away from
the next item, and text from outside away from markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from imfl_tui.spans import Line, changed_columns, fit, remapped, width_of
from imfl_tui.text import cells, safe_text

NO_STYLE = Style.null()


def _at(lines: Sequence[Line], index: int) -> Line:
    return lines[index] if index < len(lines) else ()


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Let blanks take the style beside them where nobody can see it.

    A terminal is sent forty bytes for every change of style, a third of which are for the blanks
    between words.
    """
    together: list[Segment] = []
    for segment in segments:
        before = together[-1] if together else None
        if before is not None and _can_join(before, segment):
            style = before.style if segment.text.isspace() else segment.style
            together[-1] = Segment(before.text + segment.text, style)
        else:
            together.append(segment)
    return together


def _can_join(one: Segment, other: Segment) -> bool:
    if one.style == other.style:
        return True
    blank = one.text.isspace() or other.text.isspace()
    return blank and _is_ink(one.style) and _is_ink(other.style)


def _is_ink(style: Style | None) -> bool:
    """Whether a style is seen on letters alone, so that a blank looks the same without it."""
    return not style or not (
        style.bgcolor or style.underline or style.reverse or style.strike or style.meta
    )


class Canvas(Widget, can_focus=False):
    """Draws ``build(width, height)``; taller content scrolls, with a thumb at the right edge."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Canvas { height: 1fr; width: 1fr; }
    """

    def __init__(
        self,
        *,
        title: str = "",
        short_title: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._titles = (title, short_title)
        self._lines: Sequence[Line] | None = None
        self._built_for = (-1, -1)
        self._view = Size(0, 0)
        self._base: Style | None = None
        self.top = 0
        """First line shown."""
        if title:
            self.set_title(title)

    def build(self, width: int, height: int) -> Sequence[Line]:
        """Return the lines for a content area of ``width`` x ``height`` cells."""
        raise NotImplementedError

    def redraw(self, *, rewind: bool = False) -> None:
        """Build the lines again and repaint those that changed; ``rewind`` scrolls to the top."""
        before, top = self._lines, self.top
        if rewind:
            self.top = 0
        self._lines = None
        size = self.size
        if before is None or self._built_for != (size.width, size.height) or not size.height:
            self.refresh()
            return
        after = self.lines
        if self.top != top or len(before) != len(after) > size.height:
            self.refresh()
            return
        changed = [
            region
            for y in range(size.height)
            if (region := self._changed(_at(before, top + y), _at(after, top + y), y)) is not None
        ]
        if changed:
            self.refresh(*changed)

    def _changed(self, before: Line, after: Line, y: int) -> Region | None:
        """The cells of row ``y`` that look different now."""
        if before == after:
            return None
        width = self.size.width
        first, end = changed_columns(fit(before, width), fit(after, width))
        return Region(first, y, min(end, width) - first, 1) if end > first else None

    def on_resize(self, event: events.Resize) -> None:
        """Take the short title where the long one would be cut."""
        self.take_titles(*self._titles)

    def take_titles(self, title: str, short: str) -> None:
        """Write a title, or its short form where it would be cut; without one, it stays as it is."""
        self._titles = (title, short)
        if short:
            self.set_title(title if cells(title) + 2 <= self.size.width else short)

    def set_title(self, title: str, subtitle: str = "") -> None:
        """Write safe text into the border."""
        self.border_title = Content(safe_text(title, 200))
        self.border_subtitle = Content(safe_text(subtitle, 200))

    @property
    def lines(self) -> Sequence[Line]:
        """The lines for the present size."""
        size = (self.size.width, self.size.height)
        if self._lines is None or self._built_for != size:
            keys: Mapping[str, str] = getattr(self.app, "key_names", {})
            built = self.build(*size)
            if len(built) > size[1] > 1:
                built = self.build(max(size[0] - 1, 0), size[1])  # the thumb has the last column
            self._lines = [remapped(spans, keys) for spans in built] if keys else built
            self._built_for = size
            self.top = min(self.top, max(len(self._lines) - size[1], 0))
        return self._lines

    @property
    def hidden_below(self) -> int:
        """Lines that a scroll down would show."""
        return max(len(self.lines) - self.top - self.size.height, 0)

    def scroll_lines(self, count: int) -> bool:
        """Move the view by ``count`` lines; False when it stands at the end already."""
        last = max(len(self.lines) - self.size.height, 0)
        top = min(max(self.top + count, 0), last)
        if top == self.top:
            return False
        self.top = top
        self.refresh()
        return True

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The widest line, for ``width: auto``."""
        return max((width_of(row) for row in self.build(container.width, 0)), default=0)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of lines, for ``height: auto``."""
        return len(self.build(width, 0))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw some lines of the view; what is the same for all of them is looked up once.

        The style only if a line is drawn: Textual asks for every widget between two that changed,
        and has most of their lines already.
        """
        self._base, self._view = None, self.size
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        width, height = self._view
        lines = self.lines
        spans = _at(lines, self.top + y)
        base = self._base = self._base or self.rich_style
        segments = [
            Segment(span.text, self._style(span.style, span.action, span.command))
            for span in fit(spans, width)
            if span.text
        ]
        strip = Strip(joined(segments)).adjust_cell_length(width).apply_style(base)
        if len(lines) > height > 1:
            mark = self._thumb(y, len(lines))
            strip = Strip.join(
                [strip.crop(0, width - 1), Strip([Segment(mark, base + self._style("rule"))])]
            )
        return strip

    def _thumb(self, y: int, total: int) -> str:
        height = self.size.height
        size = max(height * height // total, 1)
        start = round(self.top * (height - size) / max(total - height, 1))
        return "┃" if start <= y < start + size else "│"

    def _style(self, name: str, action: str = "", command: str = "") -> Style:
        styles: Mapping[str, Style] = getattr(self.app, "span_styles", {})
        style = styles.get(name, NO_STYLE)
        if command and not action:
            action = f"app.command({command!r})"
        return style + Style(meta={"@click": action}) if action else style

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll with the wheel."""
        if self.scroll_lines(3):
            event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll with the wheel."""
        if self.scroll_lines(-3):
            event.stop()


Lines = Sequence[Line] | Callable[[int], Sequence[Line]]
"""Lines, or what makes them for a width."""


class Text(Canvas):
    """A canvas that shows the lines it was given, or that are made for its width."""

    def __init__(
        self, *, title: str = "", id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(title=title, id=id, classes=classes)
        self._content: Lines = ()

    def show(self, lines: Lines, *, rewind: bool = True) -> None:
        """Show ``lines``, or what a function makes of the width."""
        self._content = lines
        self.redraw(rewind=rewind)

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The given lines."""
        return self._content(width) if callable(self._content) else self._content
