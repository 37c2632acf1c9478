"""Set-up: the path of its steps, and what is known so far about data, annotator and price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imfl_engine.views import CostEstimate
from imfl_tui.drafts import NONE, Draft
from imfl_tui.new_project import NewProject, lost_labels
from imfl_tui.questions import STEPS
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import (
    money_range,
    one_line,
    pad,
    plural,
    roughly,
    safe_text,
    share,
    thousands,
    wrap,
)

if TYPE_CHECKING:
    from imfl_engine.data.reading import Source


def step_lines(current: int) -> list[Line]:
    """The steps as a path, and the question of the present one."""
    spans: list[Span] = [Span(" ")]
    for number, step in enumerate(STEPS):
        if number:
            spans.append(Span(" ─ ", "rule"))
        mark = "✓" if number < current else "▸" if number == current else " "
        style = "good" if number < current else "accent" if number == current else "dim"
        spans.append(Span(f"{mark} {step.title}", style))
    question = line(
        (f"  {STEPS[current].words}", "strong"),
        "   ",
        Span("enter", "key", command="setup.next"),
        (" goes on", "dim") if current < len(STEPS) - 1 else (" creates the project", "dim"),
    )
    return [line(""), spans, line(""), question]


def fact_lines(step: str, new: NewProject, width: int) -> tuple[str, list[Line]]:
    """What is known that matters to a step, and its title."""
    if step in ("data", "columns"):
        if not new.sources:
            return "what happens", welcome_lines(new.path.name, width)
        return "the first rows", preview_lines(new.sources[0], new.draft, width)
    if step == "labels":
        lost = lost_lines(lost_labels(new.counts, new.draft), width)
        return "labels found in the data", [*lost, *label_lines(new.counts, width)]
    if step == "annotator":
        return "annotator", annotator_lines(new.draft, new.tested, width)
    if step == "budget":
        lines = price_lines(new.draft, new.price, width)
        return "what the plan costs", [*lines, *scarce_lines(new.draft, new.pool, width)]
    warnings = [
        *lost_lines(lost_labels(new.counts, new.draft), width),
        *scarce_lines(new.draft, new.pool, width),
    ]
    return "the project", [*summary_lines(new.draft, new.price, new.path.name), *warnings]


def problem_lines(words: str, style: str, hint: str, width: int) -> list[Line]:
    """What is the matter, wrapped below its mark; ``hint`` says what to do."""
    if not words:
        return []
    mark = "✗ " if style == "bad" else "▸ "
    rows = wrap(safe_text(words, 600), max(width - 3, 1))
    lines: list[Line] = [
        line((" " + (mark if n == 0 else "  "), style), row) for n, row in enumerate(rows)
    ]
    told = wrap(safe_text(hint, 400), max(width - 3, 1)) if hint else []
    return [*lines, *(line(("   " + row, "dim")) for row in told)]


def _warning(words: str, width: int) -> list[Line]:
    rows = wrap(words, max(width - 2, 1))
    return [line(("! " if n == 0 else "  ", "warn"), row) for n, row in enumerate(rows)]


def lost_lines(lost: Counter[str], width: int) -> list[Line]:
    """That rows of the data lose their label, because it is not among the chosen ones."""
    if not lost:
        return []
    names = ", ".join(one_line(label, 30) for label, _ in lost.most_common(3))
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    rows = lost.total()
    verb = "loses its label" if rows == 1 else "lose their label"
    return _warning(f"{plural(rows, 'row')} of the data {verb}: {names}{more}.", width)


def scarce_lines(draft: Draft, pool: int | None, width: int) -> list[Line]:
    """That more labels are asked for than there are items."""
    try:
        wanted = int(draft.human.replace(",", "")) + int(draft.llm.replace(",", ""))
    except ValueError:
        return []
    if pool is None or pool >= wanted:
        return []
    words = (
        f"{plural(wanted, 'label')} are asked for, but the data has about "
        f"{plural(pool, 'item')} to label: no more than that will be bought."
    )
    return _warning(words, width)


def welcome_lines(name: str, width: int) -> list[Line]:
    """What the set-up is about."""
    words = (
        f"{name} does not exist yet. Name a file of texts; its columns, labels and the price are "
        "found out and shown before anything counts. Nothing is written before the last step."
    )
    return [line((row, "dim")) for row in wrap(words, width)]


def preview_lines(source: Source, draft: Draft, width: int, rows: int = 8) -> list[Line]:
    """The first rows, the chosen columns first."""
    chosen = [draft.text, draft.context, draft.options, draft.label, draft.identity]
    names = [name for name in dict.fromkeys(chosen) if name and name != NONE]
    rest = [name for name in source.column_names if name not in names]
    names.extend(rest[: max(6 - len(names), 0)])
    if not names:
        return []
    wide = draft.text if draft.text in names else names[0]
    narrow = min(max((width - 30) // max(len(names) - 1, 1) - 2, 6), 18) if len(names) > 1 else 0
    first = max(width - (narrow + 2) * (len(names) - 1) - 2, 20)
    sizes = {name: first if name == wide else narrow for name in names}
    lines: list[Line] = [
        [Span(pad(one_line(name, sizes[name]), sizes[name] + 2), "key") for name in names]
    ]
    lines.extend(
        [Span(pad(one_line(_value(row.get(name)), sizes[name]), sizes[name] + 2)) for name in names]
        for row in source.preview(rows)
    )
    hidden = len(source.column_names) - len(names)
    if hidden > 0:
        lines.append(line((f"and {plural(hidden, 'more column')}, kept under meta", "dim")))
    return lines


def _value(value: object) -> str:
    return "" if value is None else str(value)[:400]


def label_lines(counts: Counter[str], width: int) -> list[Line]:
    """How often each label occurs in the file."""
    if not counts:
        words = (
            "The file names no labels. Write yours above; nothing has to be labelled beforehand."
        )
        return [line((row, "dim")) for row in wrap(words, width)]
    total = sum(counts.values())
    lines: list[Line] = [
        line(
            pad(one_line(label, 30), 32),
            (f"{thousands(count):>8}", "strong"),
            (f"{100 * count / total:6.0f} %", "dim"),
        )
        for label, count in counts.most_common(12)
    ]
    if len(counts) > 12:
        lines.append(line((f"and {len(counts) - 12} more", "dim")))
    words = "They are only used to measure; the labels you give are your own."
    return [*lines, *(line((row, "dim")) for row in wrap(words, width))]


ANNOTATOR_WORDS = {
    "neighbours": "Votes of your most similar labels: free, offline, the floor an LLM has to beat.",
    "openai": "Any OpenAI-compatible endpoint. The key comes from the environment (OPENAI_API_KEY) "
    "and is never stored. It is tested before the next step; ctrl+t tests it now.",
    "local": "A causal language model on this machine: a folder or a hub name.",
    "none": "Nobody: active learning with your labels alone.",
}


def annotator_lines(draft: Draft, tested: tuple[str, str] | None, width: int) -> list[Line]:
    """What the chosen annotator is, and whether it answered."""
    words = ANNOTATOR_WORDS.get(draft.annotator, "")
    lines: list[Line] = [line((row, "dim")) for row in wrap(words, width)]
    if tested is not None:
        lines.extend([line(""), line((tested[0], "good"))])
        lines.extend(line((row, "dim")) for row in wrap(safe_text(tested[1], 600), width) if row)
    return lines


def price_lines(draft: Draft, price: CostEstimate | None, width: int) -> list[Line]:
    """Money from low to high, calls, minutes of the person; against the hard stop."""
    if price is None:
        return [line(("The price is being worked out.", "dim"))]
    lines: list[Line] = [
        line(
            (pad("your time", 14), "dim"),
            ("about " + roughly(price.minutes_of_person * 60), "strong"),
        )
    ]
    if not price.calls:
        return [
            *lines,
            line((pad("money", 14), "dim"), ("none", "strong"), (f"  {free_words(draft)}", "dim")),
        ]
    if not price.price_known:
        words = (
            "The model's price is not known. Write it in the step before (price), "
            "or the run will not start."
        )
        return [*lines, *(line((row, "warn")) for row in wrap(words, width))]
    lines.append(
        line(
            (pad("money", 14), "dim"),
            (money_range(price.money_low, price.money_high), "strong"),
            (
                f"  {thousands(price.calls)} calls, prices: {one_line(price.price_source, 40)}",
                "dim",
            ),
        )
    )
    try:
        limit = float(draft.money.replace(",", ".").lstrip("$"))
    except ValueError:
        limit = None
    if limit is not None and price.money_high is not None and price.money_high > limit:
        words = "The hard stop may come before the plan is through."
        lines.append(line(("! ", "warn"), words))
    return lines


def free_words(draft: Draft) -> str:
    """Why a plan costs no money."""
    if draft.annotator == "none" or not draft.llm.strip("0, "):
        return "no labels of an LLM are asked for"
    return f"labels by {draft.annotator} are free"


def test_words(draft: Draft) -> str:
    """What the model will be measured on; a share is held out of items that have a label only."""
    is_share = draft.test.strip().replace(",", ".").replace(".", "", 1).isdigit()
    if is_share and draft.label == NONE:
        return "none: the data has no labels; measured on the control slice"
    if is_share and 0 < (part := float(draft.test.replace(",", "."))) < 1:
        return f"{share(part)} of its items"
    return draft.test or "none: measured on the control slice"


def stops_words(draft: Draft) -> str:
    """``$5.00 · 120 min of yours``; what has no limit says so."""
    money = f"${draft.money.strip()}" if draft.money.strip() else "no limit of money"
    minutes = draft.minutes.strip()
    return f"{money} · {f'{minutes} min of yours' if minutes else 'no limit of your time'}"


def budget_words(draft: Draft) -> str:
    """``200 by you, 800 by the LLM, in 5 rounds``; without an annotator there are only yours."""
    rounds = "1 round" if draft.rounds.strip() == "1" else f"{draft.rounds.strip()} rounds"
    by_llm = "" if draft.annotator == "none" else f", {draft.llm} by the LLM"
    return f"{draft.human} by you{by_llm}, in {rounds}"


def summary_lines(draft: Draft, price: CostEstimate | None, name: str) -> list[Line]:
    """Everything chosen, once more."""
    annotator = draft.annotator if not draft.model else f"{draft.annotator}:{draft.model}"
    rows: Sequence[tuple[str, str]] = (
        ("project", name),
        ("data", draft.data),
        ("test set", test_words(draft)),
        ("labels", draft.labels if draft.options in (NONE, "") else f"options in {draft.options}"),
        *((("guidelines", draft.guidelines.strip()),) if draft.guidelines.strip() else ()),
        ("annotator", annotator),
        ("target", draft.target),
        ("budget", budget_words(draft)),
        ("hard stops", stops_words(draft)),
    )
    lines: list[Line] = [line((pad(key, 12), "dim"), one_line(value, 200)) for key, value in rows]
    if price is not None and price.calls:
        lines.append(
            line(
                (pad("price", 12), "dim"),
                (money_range(price.money_low, price.money_high), "strong"),
            )
        )
    return lines
