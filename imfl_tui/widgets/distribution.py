"""Labels bought, by label: how many, from whom, which share."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.views import LabelCount
from imfl_tui.spans import Line, fill, line
from imfl_tui.text import one_line, pad, thousands
from imfl_tui.widgets.bars import mixed_bar
from imfl_tui.widgets.canvas import Canvas


def distribution_lines(counts: Sequence[LabelCount], width: int, height: int) -> list[Line]:
    """A bar a label, most frequent first; labels that do not fit are summed in the last line."""
    ordered = sorted(counts, key=lambda c: -(c.human + c.llm))
    total = sum(count.human + count.llm for count in counts)
    if not total:
        return [line(("No label yet.", "dim"))]
    most = max(count.human + count.llm for count in counts)
    airy = height > 2 * len(ordered)
    cut = height > 0 and len(ordered) > height
    shown = ordered[: max(height - 1, 1)] if cut else ordered
    name_width = min(max(len(one_line(count.label, 24)) for count in shown), max(width // 3, 6))
    room = max(width - name_width - 16, 4)
    lines: list[Line] = []
    for count in shown:
        both = count.human + count.llm
        bars = mixed_bar([(count.human / most, "█", "human"), (count.llm / most, "▒", "llm")], room)
        if lines and airy:
            lines.append(line(""))
        lines.append(
            fill(
                line(
                    pad(one_line(count.label, name_width), name_width),
                    " ",
                    *[
                        span if span.style != "dim" else span._replace(text=" " * len(span.text))
                        for span in bars
                    ],
                    (f"{100 * both / total:4.0f} %", "dim"),
                    (f"{thousands(both):>7}", "strong"),
                ),
                width,
            )
        )
    if cut:
        rest = sum(count.human + count.llm for count in ordered[height - 1 :])
        words = f"and {len(ordered) - height + 1} more labels"
        lines.append(line((pad(words, width - 8), "dim"), (f"{thousands(rest):>7}", "strong")))
    return lines


class Distribution(Canvas):
    """The label distribution on Home."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(title="Labels bought", id=id, classes="panel")
        self._counts: Sequence[LabelCount] | None = None

    def show(self, counts: Sequence[LabelCount]) -> None:
        """Show these counts."""
        self._counts = counts
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The bars; nothing before anything is known."""
        if self._counts is None:
            return ()
        return distribution_lines(self._counts, width, height)
