"""Results: accuracy with its interval, a row per class, and what each round cost and gained."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.types import Interval
from imfl_engine.views import CurvePoint, Evaluation
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import duration, fraction, money, one_line, pad, thousands, wrap
from imfl_tui.widgets.bars import bar


def interval(value: Interval) -> str:
    """``.794 (.768–.819)``."""
    return f"{fraction(value.value, 3)} ({fraction(value.low, 3)}–{fraction(value.high, 3)})"


def summary_lines(evaluation: Evaluation) -> list[Line]:
    """Accuracy and macro-F1 with their intervals, and the floor."""
    what = "test items" if evaluation.scope == "test" else "control items"
    better = evaluation.accuracy.low > evaluation.majority[1]
    verdict = (
        ("✓ better than the floor", "good")
        if better
        else ("! not surely better than the floor", "warn")
    )
    return [
        line(
            (" accuracy ", "dim"),
            (interval(evaluation.accuracy), "strong"),
            ("   macro-F1 ", "dim"),
            (interval(evaluation.macro_f1), "strong"),
            (f"   on {thousands(evaluation.accuracy.n)} {what}", "dim"),
        ),
        line(
            (f" always “{one_line(evaluation.majority[0], 30)}” ", "dim"),
            fraction(evaluation.majority[1], 3),
            "   ",
            verdict,
        ),
    ]


def class_lines(evaluation: Evaluation, width: int) -> list[Line]:
    """Precision, recall, F1 and support of each label, weakest marked."""
    if not evaluation.classes:
        return []
    name = min(max(len(one_line(c.label, 24)) for c in evaluation.classes), max(width - 34, 8))
    weakest = min(c.f1 for c in evaluation.classes)
    room = max(width - name - 33, 0)
    head = f"{'':{name}}  precision  recall     F1      n"
    lines: list[Line] = [line((head, "dim"))]
    for c in evaluation.classes:
        mark = ("▾", "bad") if c.f1 == weakest and len(evaluation.classes) > 1 else (" ", "")
        row: list[Span] = line(
            pad(one_line(c.label, name), name),
            f"{fraction(c.precision):>11}{fraction(c.recall):>8}",
            (f"{fraction(c.f1):>7}", "strong"),
            mark,
            (f"{thousands(c.support):>6}", "dim"),
        )
        if room >= 10:
            row.extend([Span("  "), *bar(c.f1, min(room - 2, 24), "model")])
        lines.append(row)
    return lines


def cost_lines(points: Sequence[CurvePoint], width: int) -> list[Line]:
    """Labels, time and money of each round, and the accuracy it gained per minute and dollar."""
    if not points:
        words = "After each round: what it cost, and what a minute and a dollar of it gained."
        return [line((row, "dim")) for row in wrap(words, max(width, 10))]
    wide = width >= 62
    head = "round    you     LLM   accuracy   gain" + ("     cost    points per $" if wide else "")
    lines: list[Line] = [line((head, "dim"))]
    before: CurvePoint | None = None
    for point in points:
        gain = None if before is None else (point.accuracy.value - before.accuracy.value) * 100
        cost = point.cost_usd - (before.cost_usd if before else 0.0)
        shown = "—" if gain is None else f"{gain:+.1f}"
        style = "" if gain is None else "good" if gain > 0 else "bad"
        row: list[Span] = line(
            f"{point.round:>5}{thousands(point.human):>7}{thousands(point.llm):>8}",
            (f"{fraction(point.accuracy.value, 3):>11}", "strong"),
            (f"{shown:>7}", style),
        )
        if wide:
            per = f"{gain / cost:+.1f}" if gain is not None and cost > 0 else "—"
            row.append(Span(f"{money(cost) if cost else 'free':>9}{per:>16}", "dim"))
        lines.append(row)
        before = point
    seconds = sum(point.seconds for point in points)
    spent = points[-1].cost_usd
    total = f"trained in {duration(seconds)}"
    if spent:
        labels = points[-1].human + points[-1].llm
        total += f" · {money(spent)} in all, {money(spent / max(labels, 1))} a label"
    lines.append(line((total, "dim")))
    return lines
