"""Annotate: the figures of the LLM's run, its replies, and what is said before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.events import Annotated
from imfl_engine.types import Reply, ReplyStatus, StepKind
from imfl_engine.views import BudgetUse, CostEstimate, Status
from imfl_tui.jobs import Annotation
from imfl_tui.lines.price import price_words
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import (
    duration,
    fraction,
    money,
    one_line,
    pad,
    plural,
    reply_counts,
    thousands,
)
from imfl_tui.widgets.bars import bar, mixed_bar

STATUS_MARKS: dict[ReplyStatus, tuple[str, str, str]] = {
    ReplyStatus.OK: ("✓", "good", ""),
    ReplyStatus.REPAIRED: ("✓", "warn", "second try"),
    ReplyStatus.INVALID: ("✗", "bad", "no label of yours: offered to you"),
    ReplyStatus.REFUSED: ("✗", "bad", "refused: offered to you"),
    ReplyStatus.RATE_LIMITED: ("…", "warn", "rate limit: asked again if a round follows"),
    ReplyStatus.FAILED: ("…", "warn", "no answer: asked again if a round follows"),
}

STATUS_STYLES: dict[ReplyStatus, str] = {
    kind: "" if kind is ReplyStatus.OK else style for kind, (_, style, _) in STATUS_MARKS.items()
}


def waiting_lines(status: Status, price: CostEstimate | None, running: bool) -> list[Line]:
    """What is coming, while no reply has."""
    step = status.step
    if step.kind is StepKind.ANNOTATE and not running:
        left = plural(max(step.total - step.done, 0), "item")
        cost = f" for about {price_words(price)}" if price else ""
        words = f"{left} by {one_line(status.annotator, 40)}{cost}"
        enter = Span("enter", "key", command="annotate.start")
        return [line(enter, (" starts: ", "dim"), words)]
    if step.kind is StepKind.ANNOTATE:
        words = "The first requests are on their way; the figures come with the first reply."
        return [line((words, "dim"))]
    if step.kind is StepKind.LABEL:
        words = "The LLM's turn comes when yours is done: it learns from your labels."
        return [line((words, "dim"))]
    if step.kind is StepKind.FINISHED:
        lines: list[Line] = [line((finished_words(status.budget), "dim"))]
        if status.unanswered:
            without = plural(status.unanswered, "item")
            lines.append(line((f"{without} got no answer: label them in Explore.", "dim")))
        if status.offered:
            words = (
                f"{plural(status.offered, 'item')} it could not label: they wait for you in Label."
            )
            lines.append(line((words, "dim")))
        return lines
    return [line(("The LLM's turn comes later in this round.", "dim"))]


def finished_words(budget: BudgetUse) -> str:
    """How much of the LLM's share it labelled, and what kept it from the rest."""
    done, limit = thousands(budget.llm_done), thousands(budget.llm_limit)
    if not budget.llm_limit:
        return "No LLM labels were planned."
    if budget.llm_done >= budget.llm_limit:
        return f"All {limit} labels of the LLM are there."
    words = f"The LLM has labelled {done} of {limit}; no round follows."
    if budget.money_limit is None:
        return words
    return f"{words} {money(budget.money_spent)} of {money(budget.money_limit)} are spent."


def figure_lines(annotation: Annotation, width: int, *, paused: bool = False) -> list[Line]:
    """Labels, money against the hard stop, and how the requests fare."""
    last: Annotated = annotation.last
    name, figures = 9, 18
    room = max(width - name - figures - 2, 6)
    done = f"{thousands(last.done)} / {thousands(last.total)}"
    state = "paused" if paused else "running" if annotation.running else "ended"
    lines: list[Line] = [
        line(
            (pad("labels", name), "dim"),
            (pad(done, figures, "right"), "strong"),
            "  ",
            *bar(last.done / max(last.total, 1), room, "llm"),
        ),
        _money_line(last, name, figures, room, running=annotation.running),
    ]
    facts = [
        (state, "accent" if state == "running" else "warn" if paused else "dim"),
        (f"{last.in_flight} in flight", ""),
        (f"{thousands(last.per_minute)} a minute", ""),
        (plural(last.retries, "retry", "retries"), "warn" if last.retries else ""),
        *((words, STATUS_STYLES[kind]) for kind, words in reply_counts(last.statuses)),
    ]
    if annotation.running:
        facts.append((f"{duration(last.eta_seconds)} left", ""))
    return [*lines, *_wrapped(facts, width)]


def _wrapped(facts: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """The facts with dots between them, on as many lines as they need."""
    lines: list[list[Span]] = [[]]
    for text, style in facts:
        taken = sum(len(span.text) for span in lines[-1])
        if taken and taken + 3 + len(text) > width:
            lines.append([])
        elif taken:
            lines[-1].append(Span(" · ", "dim"))
        lines[-1].append(Span(text, style))
    return list(lines)


def _money_line(last: Annotated, name: int, figures: int, room: int, *, running: bool) -> Line:
    if last.limit_usd is None:
        words = money(last.spent_usd) if last.spent_usd else "free"
        return line(
            (pad("money", name), "dim"),
            (pad(words, figures, "right"), "strong"),
            ("  no limit", "dim"),
        )
    spent = f"{money(last.spent_usd)} / {money(last.limit_usd)}"
    limit = max(last.limit_usd, 1e-9)
    # Nothing is under way any more once the run has ended; what is lost still counts.
    under_way = last.reserved_usd - last.lost_usd if running else 0.0
    held = under_way + last.lost_usd
    parts = [(last.spent_usd / limit, "█", "llm"), (held / limit, "▒", "warn")]
    said = [f"{money(under_way)} reserved"] if running else []
    if last.lost_usd > 0:
        said.append(f"up to {money(last.lost_usd)} possibly billed")
    words = f"{', '.join(said)} ▒"
    tail = f"  {words}" if said and room > len(words) + 14 else ""
    return line(
        (pad("money", name), "dim"),
        (pad(spent, figures, "right"), "strong"),
        "  ",
        *mixed_bar(parts, room - len(tail)),
        (tail, "dim"),
    )


def reply_row(reply: Reply, text: str, width: int) -> Line:
    """One reply: its mark, label, confidence, examples, cost, text."""
    mark, style, words = STATUS_MARKS[reply.status]
    label = pad(one_line(reply.label or reply.status.value, 14), 15)
    sure = fraction(reply.confidence) if reply.confidence is not None else "—"
    shots = f"{len(reply.demonstration_ids)} ex" if reply.demonstration_ids else "    "
    cost = money(reply.cost_usd) if reply.cost_usd else ""
    head = [
        Span(f"{mark} ", style),
        Span(label, "llm" if reply.label else style),
        Span(f"{sure:>4}  ", "dim"),
        Span(f"{shots}  ", "dim"),
    ]
    if width >= 76 and cost:
        head.append(Span(f"{cost:>7}  ", "dim"))
    note = f"{words}: {reply.error}" if reply.error and words else words
    body = f"{note} · {text}" if note and text else note or text
    room = width - sum(len(span.text) for span in head)
    return [*head, Span(one_line(body, max(room, 4)))]
