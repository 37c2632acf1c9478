"""One item, the way Review and Explore show it: its text, who says what, everything to read."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.settings import Task
from imfl_engine.types import Item, option_letter
from imfl_engine.views import ItemDetail, Opinion
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, fraction, joined, one_line, pad, safe_text, wrap

GUIDELINES = "guidelines"
"""The heading of what is read as Markdown."""


def text_lines(
    item: Item, width: int, *, most: int, characters: int, opens: Sequence[Span]
) -> list[Line]:
    """Text and context; of a long context the first ``most`` lines, then the key that opens it."""
    text = safe_text(item.text, newlines=True).strip("\n") or "(empty text)"
    lines: list[Line] = [line((part, "strong")) for part in wrap(text, width)]
    if item.context:
        context = wrap(safe_text(item.context, characters, newlines=True), width)
        lines.extend([line(""), *(line(part) for part in context[:most])])
        if len(context) > most:
            lines.append(line((f"… {len(context) - most} more lines · ", "dim"), *opens))
    return lines


def mark_lines(detail: ItemDetail) -> list[Line]:
    """The flag and the note."""
    lines: list[Line] = []
    if detail.flagged:
        lines.append(line(("⚑ flagged", "warn")))
    if detail.comment:
        lines.append(line(("✎ ", "warn"), one_line(detail.comment, 200)))
    return lines


def opinion_line(who: str, opinion: Opinion | None, style: str) -> Line:
    """``LLM      neutral    .61``."""
    if opinion is None:
        return line((pad(who, 9), "dim"), ("nothing", "dim"))
    label = one_line(opinion.label, 24)
    sure = fraction(opinion.confidence) if opinion.confidence is not None else "gives no confidence"
    space = " " * max(12 - cells(label), 2)
    return line((pad(who, 9), "dim"), (label, style), (f"{space}{sure}", "dim"))


def item_parts(detail: ItemDetail) -> list[tuple[str, str]]:
    """Everything about an item, for reading."""
    parts = [("", detail.item.text or "(empty text)")]
    if detail.item.context:
        parts.append(("context", detail.item.context))
    if detail.item.options:
        lettered = (f"{option_letter(n)}  {text}" for n, text in enumerate(detail.item.options))
        parts.append(("options", joined(lettered)))
    if detail.item.meta:
        parts.append(("from its file", "\n".join(f"{k}: {v}" for k, v in detail.item.meta.items())))
    if detail.history:
        events = [
            f"{event.created_at:%Y-%m-%d %H:%M}  {event.action.value} "
            f"{event.label or ''} {event.comment or ''}"
            for event in detail.history
        ]
        parts.append(("history", "\n".join(events)))
    return parts


def guideline_parts(task: Task) -> list[tuple[str, str]]:
    """By what is labelled, for reading: the guidelines, and what each label means."""
    meanings = [f"{one.name}: {one.description}" for one in task.labels if one.description]
    parts = [(GUIDELINES, task.guidelines.strip()), ("labels", "\n".join(meanings))]
    return [(heading, text) for heading, text in parts if text]
