"""Bars of a gauge: whole cells for what is spent, eighths at the tip, dots for what is left."""

from __future__ import annotations

from imfl_tui.spans import Line, Span, fill, line
from imfl_tui.text import pad

EIGHTHS = " ▏▎▍▌▋▊▉"
EMPTY = "·"


def bar(share: float, width: int, style: str = "accent", *, empty: str = EMPTY) -> list[Span]:
    """A bar of ``width`` cells filled to ``share`` (clamped to 0–1).

    Anything above nothing shows at least a sliver, and only a full share fills the last cell.
    """
    if width <= 0:
        return []
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    if share < 1:
        eighths = min(eighths, width * 8 - 1)
    whole, rest = divmod(eighths, 8)
    filled = "█" * whole + (EIGHTHS[rest] if rest else "")
    return [Span(filled, style), Span(empty * (width - len(filled)), "dim")]


def mixed_bar(parts: list[tuple[float, str, str]], width: int) -> list[Span]:
    """A bar of parts ``(share, glyph, style)``; the shares are of the whole width.

    Whole cells by largest remainder, so that parts add up to what their sum deserves.
    """
    total = min(sum(max(part, 0.0) for part, _, _ in parts), 1.0)
    filled = round(total * width)
    exact = [max(part, 0.0) * width for part, _, _ in parts]
    counts = [int(value) for value in exact]
    order = sorted(range(len(parts)), key=lambda n: counts[n] - exact[n])
    for index in order[: max(filled - sum(counts), 0)]:
        counts[index] += 1
    spans = [
        Span(glyph * count, style)
        for count, (_, glyph, style) in zip(counts, parts, strict=True)
        if count
    ]
    rest = width - sum(counts)
    return [*spans, Span(EMPTY * rest, "dim")] if rest > 0 else spans


def gauge(
    name: str,
    figures: str,
    share: float | None,
    width: int,
    *,
    style: str,
    columns: tuple[int, int],
) -> Line:
    """A row ``name  figures  bar``; without a limit (``share`` None) there is no bar, only words.

    ``columns`` are the cells of the name and of the right-aligned figures. From 90 % on the bar
    takes the warning colour and a ``!``.
    """
    name_width, figure_width = columns
    near = share is not None and share >= 0.9
    head = line(
        (pad(name, name_width), "dim" if share is None else ""),
        " ",
        (pad(figures, figure_width, "right"), "strong"),
        ("!" if near else " ", "warn"),
        " ",
    )
    room = width - name_width - figure_width - 3
    if share is None:
        return fill([*head, Span("no limit", "dim")], width)
    return fill([*head, *bar(share, room, "warn" if near else style)], width)
