"""How far a person's batch is, in the words there is room for."""

from __future__ import annotations

from imfl_tui.spans import Line, Span, line, width_of
from imfl_tui.text import roughly
from imfl_tui.widgets.bars import bar


def first_fitting(lines: list[Line], room: int) -> Line:
    """The first of ``lines`` that needs no more than ``room`` cells, or else the last."""
    return next((one for one in lines if width_of(one) <= room), lines[-1])


def progress_line(done: int, total: int, number: int, seconds: float | None, room: int) -> Line:
    """How far the batch of round ``number`` is, and how long the rest takes where that is known.

    The person's own count and time stand first and give way last.
    """
    count = [Span(f"{done}", "strong"), Span(f" of {total} ")]
    known = seconds is not None and done < total
    left = (
        [Span(f" about {roughly(seconds)} left ", "dim")] if known and seconds is not None else []
    )
    share = done / total
    place = f"label · round {max(number, 1)}"
    return first_fitting(
        [
            line(*count, *bar(share, 14, "human"), *left, (f" {place}", "dim")),
            line(*count, *bar(share, 14, "human"), *left),
            line(*count, *bar(share, 6, "human"), *left),
            line(*count, *left),
            line(*count),
        ],
        room,
    )
