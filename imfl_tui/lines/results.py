"""Results: accuracy with its interval, a row per class, and what each round cost and gained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imfl_engine.types import Interval
from imfl_engine.views import CurvePoint, Evaluation
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, duration, fraction, money, one_line, pad, thousands, wrap
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
    longest = max(cells(one_line(c.label, 24)) for c in evaluation.classes)
    wide = longest + 33 <= width
    precision, recall, f1, support = (11, 8, 7, 6) if wide else (6, 5, 5, 6)
    name = max(min(longest, width - precision - recall - f1 - support - 1), 6)
    weakest = min((c.f1 for c in evaluation.classes if c.support), default=0.0)
    room = max(width - name - 33, 0)
    names = ("precision", "recall") if wide else ("prec", "rec")
    head = f"{'':{name}}{names[0]:>{precision}}{names[1]:>{recall}}{'F1':>{f1}} {'n':>{support}}"
    lines: list[Line] = [line((head, "dim"))]
    for c in evaluation.classes:
        is_weakest = c.support and c.f1 == weakest and len(evaluation.classes) > 1
        scores = [fraction(x) if c.support else "—" for x in (c.precision, c.recall, c.f1)]
        row: list[Span] = line(
            pad(one_line(c.label, name), name),
            f"{scores[0]:>{precision}}{scores[1]:>{recall}}",
            (f"{scores[2]:>{f1}}", "strong"),
            ("▾", "bad") if is_weakest else (" ", ""),
            (f"{thousands(c.support):>{support}}", "dim"),
        )
        if room >= 10 and c.support:
            row.extend([Span("  "), *bar(c.f1, min(room - 2, 24), "model")])
        lines.append(row)
    return lines


LEFT_OUT = "(…) was not trained on: those labels say too little that yours do not."


def llm_labels(point: CurvePoint) -> Span:
    """How many LLM labels there were, in brackets when the model was not trained on them."""
    left_out = bool(point.llm) and point.llm_weight == 0
    return Span(f"({thousands(point.llm)})", "dim") if left_out else Span(thousands(point.llm))


def left_out_lines(points: Sequence[CurvePoint], width: int) -> list[Line]:
    """What brackets mean, where there are any."""
    if not any(point.llm and point.llm_weight == 0 for point in points):
        return []
    return [line((row, "dim")) for row in wrap(LEFT_OUT, max(width, 10))]


Cell = Callable[[CurvePoint, CurvePoint | None], Span]
"""A figure of a round, given the round before it."""


def cost_columns(points: Sequence[CurvePoint], width: int) -> list[tuple[str, int, Cell]]:
    """The columns that fit ``width``, the most telling ones first: title, cells, figure.

    What a round gained is divided by the minutes and dollars it cost, where any were spent, because
    a label is cheap or dear by what it changes; then come those themselves.
    """
    narrow = width < 40
    always: list[tuple[str, int, Cell]] = [
        ("rd" if narrow else "round", 3 if narrow else 5, lambda p, b: Span(f"{p.round}")),
        ("you", 6, lambda p, b: Span(thousands(p.human))),
        ("LLM", 8, lambda p, b: llm_labels(p)),
        ("right", 7, lambda p, b: Span(fraction(p.accuracy.value, 3), "strong")),
        ("gain", 7, _gain),
    ]
    minutes, dollars = points[-1].minutes, points[-1].cost_usd
    if_spent: list[tuple[float, tuple[str, int, Cell]]] = [
        (minutes, ("gain/min", 9, lambda p, b: _per(p, b, _minutes(p, b)))),
        (dollars, ("gain/$", 8, lambda p, b: _per(p, b, _cost(p, b)))),
        (minutes, ("min", 6, lambda p, b: Span(f"{_minutes(p, b):.0f}", "dim"))),
        (dollars, ("cost", 8, lambda p, b: Span(money(_cost(p, b)), "dim"))),
    ]
    columns = list(always)
    for spent, column in if_spent:
        if spent and sum(size for _, size, _ in columns) + column[1] <= width:
            columns.append(column)
    return columns


def _minutes(point: CurvePoint, before: CurvePoint | None) -> float:
    return point.minutes - (before.minutes if before else 0.0)


def _cost(point: CurvePoint, before: CurvePoint | None) -> float:
    return point.cost_usd - (before.cost_usd if before else 0.0)


def _points_gained(point: CurvePoint, before: CurvePoint) -> float:
    return (point.accuracy.value - before.accuracy.value) * 100


def _gain(point: CurvePoint, before: CurvePoint | None) -> Span:
    if before is None:
        return Span("—")
    gained = _points_gained(point, before)
    return Span(f"{gained:+.1f}", "good" if gained > 0 else "bad")


def _per(point: CurvePoint, before: CurvePoint | None, spent: float) -> Span:
    if before is None or spent <= 0:
        return Span("—", "dim")
    return Span(f"{_points_gained(point, before) / spent:+.1f}", "dim")


def _gained_in_all(points: Sequence[CurvePoint]) -> list[str]:
    """What all rounds after the first gained, per minute and dollar they cost."""
    first, last = points[0], points[-1]
    spent = [(_minutes(last, first), "a minute"), (_cost(last, first), "a dollar")]
    gained = _points_gained(last, first)
    each = [f"{gained / of:+.1f} {name}" for of, name in spent if of > 0]
    return [f"since the first {gained:+.1f} points: {', '.join(each)}"] if each else []


def _padded(span: Span, size: int) -> Span:
    return span._replace(text=pad(span.text, size, "right"))


def cost_lines(points: Sequence[CurvePoint], width: int) -> list[Line]:
    """Labels, time and money of each round, and the accuracy it gained per minute and dollar."""
    if not points:
        words = "After each round: what it cost, and what a minute and a dollar of it gained."
        return [line((row, "dim")) for row in wrap(words, max(width, 10))]
    columns = cost_columns(points, width)
    head = line(*((pad(title, size, "right"), "dim") for title, size, _ in columns))
    lines: list[Line] = [head]
    before: CurvePoint | None = None
    for point in points:
        lines.append(line(*(_padded(cell(point, before), size) for _, size, cell in columns)))
        before = point
    seconds = sum(point.seconds for point in points)
    spent = points[-1].cost_usd
    totals = [f"trained in {duration(seconds)}"]
    if spent:
        labels = points[-1].human + points[-1].llm
        totals.append(f"{money(spent)} in all, {money(spent / max(labels, 1))} a label")
    totals += _gained_in_all(points)
    whole = " · ".join(totals[:2])
    rows = [whole, *totals[2:]] if cells(whole) <= width else totals
    lines.extend(line((row, "dim")) for text in rows for row in wrap(text, max(width, 10)))
    return [*lines, *left_out_lines(points, width)]
