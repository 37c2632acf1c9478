"""Review: the rows of the queue, the item under the cursor, and the totals as they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from imfl_engine.views import REVIEW_AHEAD, ItemDetail, LabelsBelow, ReviewPage, ReviewRow
from imfl_tui.lines.item import mark_lines, opinion_line, text_lines
from imfl_tui.lines.progress import first_fitting
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import fraction, one_line, pad, safe_text, thousands, wrap

MARKS = {"unreviewed": (" ", ""), "accepted": ("✓", "good"), "corrected": ("✎", "human")}
Decision = Literal["accepted", "corrected"]


def review_row(row: ReviewRow, width: int) -> Line:
    """``.80 neutral  The contract is worth…``, with a mark once it is decided."""
    mark, style = MARKS[row.status]
    risk = fraction(row.risk) if row.risk is not None else " — "
    label = pad(one_line(row.llm_label, 12), 12)
    text = one_line(row.text, max(width - 20, 4))
    done = row.status != "unreviewed"
    level = "bad" if (row.risk or 0) >= 0.5 else "warn" if (row.risk or 0) >= 0.2 else "dim"
    return [
        Span(f"{mark} ", style),
        Span(f"{risk:>4} ", "dim" if done else level),
        Span(f"{label} ", "dim" if done else "llm"),
        Span(text, "dim" if done else ""),
    ]


def totals_line(page: ReviewPage, room: int) -> Line:
    """How many wait, how many of them are wrong, how many were found; what does not fit is left out."""
    whole, short = _totals(page), _totals(page, short=True)
    cut = [short[:end] for end in range(len(short), 0, -1)]
    return first_fitting([line(*parts) for parts in (whole, *cut)], room)


def _totals(page: ReviewPage, *, short: bool = False) -> list[Span | str | tuple[str, str]]:
    parts: list[Span | str | tuple[str, str]] = [f"{thousands(page.unreviewed)} to review"]
    if page.expected_errors is not None:
        parts.append(f" · {'~' if short else 'about '}{page.expected_errors:.0f} wrong")
    if page.expected_in_next is not None and page.unreviewed:
        count = min(REVIEW_AHEAD, page.unreviewed)
        about = "~" if short else "about "
        parts.append((f" · next {count}: {about}{page.expected_in_next:.0f}", "accent"))
    if page.reviewed:
        parts.append(
            (f" · found {thousands(page.found_wrong)} in {thousands(page.reviewed)}", "dim")
        )
    return parts


def detail_lines(detail: ItemDetail, row: ReviewRow, width: int) -> list[Line]:
    """The item, who says what, and why it stands where it stands."""
    opens = (Span("d", "key", command="review.open"), Span(" opens", "dim"))
    lines = text_lines(detail.item, width, most=8, characters=6_000, opens=opens)
    lines.append(line(""))
    for who, opinion, style in (("LLM", detail.llm, "llm"), ("model", detail.model, "model")):
        lines.append(opinion_line(who, opinion, style))
    votes = [item.label for item in detail.demonstrations]
    if votes:
        most = max(sorted(set(votes)), key=votes.count)
        words = f"{votes.count(most)} of {len(votes)} {one_line(most, 20)}"
        lines.append(line((pad("similar", 9), "dim"), (words, "human"), (", yours", "dim")))
    why = risk_words(detail, row)
    if why:
        lines.append(line(""))
        lines.extend(line(part) for part in wrap(safe_text(why, 600), width))
    if row.status != "unreviewed":
        words = (
            "you kept it"
            if row.status == "accepted"
            else f"you said {one_line(detail.label or '', 30)}"
        )
        lines.append(line(("✓ " if row.status == "accepted" else "✎ ", "good"), words))
    return [*lines, *mark_lines(detail)]


UNSURE = 0.6
"""A confidence below which an opinion counts as a doubtful one."""


def risk_words(detail: ItemDetail, row: ReviewRow) -> str:
    """Why the label may be wrong: who says otherwise, and how sure each of them is."""
    said = row.llm_label
    votes = [item.label for item in detail.demonstrations]
    model, llm = detail.model, detail.llm
    doubts = []
    if model is not None and model.label != said:
        sure = f" {fraction(model.confidence)}" if model.confidence is not None else ""
        doubts.append(f"the model says {one_line(model.label, 30)}{sure}")
    elif model is not None and (model.confidence or 0.0) < UNSURE:
        doubts.append("the model is unsure")
    if votes:
        most = max(sorted(set(votes)), key=votes.count)
        if most != said:
            doubts.append(
                f"{votes.count(most)} of your {len(votes)} similar labels say {one_line(most, 30)}"
            )
        elif votes.count(said) <= len(votes) / 2:
            doubts.append("your similar labels disagree")
    if llm is not None and llm.confidence is not None and llm.confidence < UNSURE:
        doubts.append(f"the LLM itself is unsure ({fraction(llm.confidence)})")
    if doubts:
        return f"Doubtful: {', '.join(doubts)}."
    if model is None and not votes:
        return ""
    return "Nobody says otherwise: model and similar labels agree with it."


def recount(
    page: ReviewPage, rows: Sequence[ReviewRow], row: ReviewRow, status: Decision
) -> ReviewPage:
    """The totals after one more decision, without asking the store for each key."""
    left = [r.risk or 0.0 for r in rows if r.status == "unreviewed"][:REVIEW_AHEAD]
    expected = page.expected_errors
    return replace(
        page,
        unreviewed=max(page.unreviewed - 1, 0),
        reviewed=page.reviewed + 1,
        found_wrong=page.found_wrong + (1 if status == "corrected" else 0),
        expected_errors=None if expected is None else max(expected - (row.risk or 0.0), 0.0),
        expected_in_next=None if page.expected_in_next is None else sum(left),
    )


def risk_in(text: str) -> float | None:
    """The risk that is written as ``.1``, ``0,1``, ``10`` or ``10 %``; None where there is none.

    From 1 on a number is one of percent: who writes ``1`` hardly means every label there is.
    """
    number = text.strip().replace(",", ".")
    try:
        value = float(number.rstrip("% "))
    except ValueError:
        return None
    risk = value / 100 if value >= 1 or number.endswith("%") else value
    return risk if 0 < risk <= 1 else None


def below_words(below: Sequence[LabelsBelow]) -> list[str]:
    """A line for each risk: how many labels would be kept unseen, and how many of them are wrong."""
    size = max((len(thousands(one.count)) for one in below), default=0)
    return [
        f"below {fraction(one.risk)}  {thousands(one.count):>{size}} labels, "
        f"about {one.expected_errors:.0f} wrong"
        for one in below
    ]
