"""Explore: a row of the pool, the filters in words, and the item under the cursor."""

from __future__ import annotations

from imfl_engine.views import ItemDetail, ItemFilter, ItemRow
from imfl_tui.lines.item import mark_lines, opinion_line, text_lines
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import one_line, pad, thousands

SOURCE_WORDS: dict[str | None, str] = {
    None: "any source",
    "human": "by you",
    "llm": "by the LLM",
    "llm_reviewed": "by the LLM, reviewed",
    "model": "by the model",
    "unlabelled": "unlabelled",
}
SOURCE_MARKS = {
    "human": ("█", "human"),
    "llm": ("▒", "llm"),
    "llm_reviewed": ("▓", "llm"),
    "model": ("░", "model"),
}


def explore_row(row: ItemRow, width: int, label_size: int = 12) -> Line:
    """Source mark, label, text; ``≠`` where the model says otherwise."""
    mark, style = SOURCE_MARKS.get(row.source or "", ("·", "dim"))
    differs = row.label is not None and row.model_label is not None and row.label != row.model_label
    head = [
        Span(f"{mark} ", style),
        Span(
            pad(one_line(row.label or "—", label_size), label_size + 1), "" if row.label else "dim"
        ),
        Span("≠ " if differs else "  ", "bad"),
    ]
    room = width - label_size - 5
    if width >= 90:
        number = "" if row.round is None else f"r{row.round}"
        head.append(Span(pad(number, 4), "dim"))
        room -= 4
    return [*head, Span(one_line(row.text, max(room, 4)))]


def filter_line(wanted: ItemFilter) -> Line:
    """What is shown, in words that change it at a click; an active filter stands out."""
    parts: list[tuple[str, bool, str]] = [
        (
            f"label {one_line(wanted.label, 24)}" if wanted.label else "any label",
            bool(wanted.label),
            "label",
        ),
        (SOURCE_WORDS[wanted.source], wanted.source is not None, "source"),
        (
            f"round {wanted.round}" if wanted.round is not None else "any round",
            wanted.round is not None,
            "round",
        ),
    ]
    if wanted.disagreement:
        parts.append(("≠ model differs", True, "disagreement"))
    if wanted.flagged:
        parts.append(("⚑ flagged", True, "flagged"))
    spans: list[Span] = [Span("  ")]
    for words, active, name in parts:
        if len(spans) > 1:
            spans.append(Span(" · ", "dim"))
        spans.append(Span(words, "accent" if active else "dim", f"screen.filter_{name}"))
    return [
        *spans,
        Span("    "),
        Span("█", "human"),
        Span(" you ", "dim"),
        Span("▒", "llm"),
        Span(" LLM ", "dim"),
        Span("▓", "llm"),
        Span(" reviewed ", "dim"),
        Span("·", "dim"),
        Span(" none", "dim"),
    ]


def explore_detail(detail: ItemDetail, width: int) -> list[Line]:
    """The item with everything known about it."""
    enter = Span("enter", "key", command="explore.open")
    lines = text_lines(detail.item, width, most=6, characters=4_000, opens=[enter])
    lines.append(line(""))
    source = SOURCE_WORDS.get(detail.source or "unlabelled", detail.source or "")
    label = one_line(detail.label, 30) if detail.label else "—"
    lines.append(line((pad("label", 9), "dim"), (label, "strong"), (f"  {source}", "dim")))
    lines.append(opinion_line("LLM", detail.llm, "llm"))
    lines.append(opinion_line("model", detail.model, "model"))
    facts = [f"key {one_line(detail.item.key, 30)}"]
    if detail.round is not None:
        facts.append(f"round {detail.round}")
    if detail.control:
        facts.append("control slice")
    if detail.item.gold:
        facts.append(f"gold {one_line(detail.item.gold, 20)}")
    lines.append(line((" · ".join(facts), "dim")))
    if detail.history:
        lines.append(
            line(
                (f"{thousands(len(detail.history))} entries in its history · ", "dim"),
                enter,
            )
        )
    return [*lines, *mark_lines(detail)]
