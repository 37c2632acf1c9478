"""Can the LLM be trusted: its accuracy on the random control slice, and what is likely wrong."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.views import LlmTrust
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, one_line, plural, thousands, wrap
from imfl_tui.widgets.canvas import Canvas


def trust_lines(trust: LlmTrust, width: int) -> list[Line]:
    """Up to four lines, each a fact with its figures; what is not known yet is said."""
    if not trust.labels and trust.accuracy is None:
        words = "Nothing from the LLM yet. Some of your labels are drawn at random to measure it."
        return [line((text, "dim")) for text in wrap(words, max(width, 1))]
    lines: list[Line] = []
    if trust.accuracy is not None:
        lines.append(
            line(
                ("right on ", "dim"),
                (f"{trust.accuracy.value * 100:.0f} %", "strong"),
                (f" ({trust.accuracy.low * 100:.0f}–{trust.accuracy.high * 100:.0f})", "dim"),
                f" of {plural(trust.accuracy.n, 'control item')}"
                if width >= 44
                else f" of {trust.accuracy.n}",
            )
        )
    else:
        lines.append(line(("not measured yet: no control item answered", "dim")))
    if trust.worst_pair is not None:
        truth, said, times, of = trust.worst_pair
        tail = f", {times} of {'your ' if width >= 44 else ''}{of}"
        room = max(width - len(tail) - 13, 12)
        first = min(
            cells(one_line(truth, room)), max(room // 2, room - cells(one_line(said, room)))
        )
        names = f"{one_line(truth, first)} → {one_line(said, room - first)}"
        lines.append(line(("worst at: ", "dim"), names, (tail, "dim")))
    if trust.expected_errors is not None:
        lines.append(
            line(
                ("about ", "dim"),
                (f"{trust.expected_errors:.0f}", "bad" if trust.expected_errors >= 1 else "good"),
                (f" of {plural(trust.labels - trust.reviewed, 'label')} wrong", "dim"),
            )
        )
    lines.append(_review_line(trust, width))
    return lines


def _review_line(trust: LlmTrust, width: int) -> list[Span]:
    if not trust.reviewed:
        shows = " shows the riskiest first" if width >= 44 else " riskiest first"
        return line(
            ("none reviewed yet · ", "dim"), Span("r", "key", command="home.review"), (shows, "dim")
        )
    one_in = round(trust.reviewed / max(trust.found_wrong, 1))
    return line(
        ("reviewed ", "dim"),
        thousands(trust.reviewed),
        (", wrong ", "dim"),
        thousands(trust.found_wrong),
        (f" (1 in {one_in})" if trust.found_wrong and one_in > 1 else "", "dim"),
    )


class Trust(Canvas):
    """The LLM's panel on Home."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(title="Can the LLM be trusted?", id=id, classes="panel")
        self._trust: LlmTrust | None = None

    def show(self, trust: LlmTrust) -> None:
        """Show what is known."""
        self._trust = trust
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The facts."""
        return trust_lines(self._trust, width) if self._trust else ()
