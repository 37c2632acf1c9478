"""A small drawing surface in character cells, with braille dots for lines finer than a cell."""

from __future__ import annotations

from math import ceil, floor

from imfl_tui.spans import Line, Span

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Raster:
    """``width`` x ``height`` cells; points are in dots, 2 a cell across and 4 down, y downwards."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = max(width, 0), max(height, 0)
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}
        self._dots: dict[tuple[int, int], tuple[int, str]] = {}

    def put(self, x: int, y: int, text: str, style: str = "") -> None:
        """Write ``text`` from cell (x, y) on; what falls outside is lost."""
        for offset, character in enumerate(text):
            if 0 <= x + offset < self.width and 0 <= y < self.height:
                self._cells[x + offset, y] = (character, style)

    def free(self, x: int, y: int, length: int) -> bool:
        """Whether ``length`` cells from (x, y) on are inside and hold no character."""
        inside = 0 <= y < self.height and x >= 0 and x + length <= self.width
        return inside and all((x + n, y) not in self._cells for n in range(length))

    def dot(self, x: int, y: int, style: str = "") -> None:
        """Set one dot."""
        cell = (x // 2, y // 4)
        if 0 <= cell[0] < self.width and 0 <= cell[1] < self.height:
            bits, _ = self._dots.get(cell, (0, style))
            self._dots[cell] = (bits | _DOTS[y % 4][x % 2], style)

    def stroke(self, x0: int, y0: int, x1: int, y1: int, style: str = "") -> None:
        """Draw a straight line of dots."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for n in range(steps + 1):
            self.dot(round(x0 + (x1 - x0) * n / steps), round(y0 + (y1 - y0) * n / steps), style)

    def rows(self) -> list[Line]:
        """The surface as lines; characters lie over dots."""
        lines: list[Line] = []
        for y in range(self.height):
            spans: list[Span] = []
            for x in range(self.width):
                if (x, y) in self._cells:
                    text, style = self._cells[x, y]
                elif (x, y) in self._dots:
                    bits, style = self._dots[x, y]
                    text = chr(0x2800 + bits)
                else:
                    text, style = " ", ""
                if spans and spans[-1].style == style:
                    spans[-1] = spans[-1]._replace(text=spans[-1].text + text)
                else:
                    spans.append(Span(text, style))
            lines.append(spans)
        return lines


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers within [low, high]."""
    if high <= low or most < 1:
        return [low]
    for power in range(-6, 9):
        for base in (1.0, 2.0, 5.0):
            step = base * 10.0**power
            first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
            if last - first >= most:
                continue
            ticks = [n * step for n in range(first, last + 1)]
            if len(ticks) <= most:
                return ticks or [low]
    return [low]
