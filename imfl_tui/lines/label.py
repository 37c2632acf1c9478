"""Label: why an item is shown, the newest answers, and what stands in an item's place."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.types import Action, LabelEvent, StepKind
from imfl_engine.views import Opinion, QueueItem, Status
from imfl_tui.jobs import STEP_WORDS, Jobs, describe
from imfl_tui.queue import Answer
from imfl_tui.spans import Line, Span, line, spread
from imfl_tui.text import duration, fraction, one_line, pasteable, plural, safe_text

LAST = 4
"""Answers shown below the item; all of them move with every key, and a terminal draws them anew."""


def why_shown(item: QueueItem, *, revealed: bool) -> str:
    """Why the person is asked about this item; empty when nothing is known.

    Between which labels the model hesitates is an opinion: said only where those are ``revealed``.
    """
    if item.control:
        return "a random draw: it measures model and LLM"
    if not item.reason:
        return ""
    why = f"picked because {item.reason}"
    if not revealed or item.model is None or "unsure" not in item.reason:
        return why
    top = sorted(item.model.probabilities.items(), key=lambda pair: -pair[1])[:2]
    doubt = ", ".join(f"{one_line(name, 40)} {fraction(value)}" for name, value in top)
    return f"{why}: {doubt}" if doubt else why


def last_line(
    answers: Sequence[Answer], earlier: Sequence[LabelEvent], hidden: int, width: int
) -> Line:
    """The newest answers, or those from before the app was started; how much text is hidden."""
    shown = [answer_spans(answer) for answer in reversed(answers[-LAST:])]
    if not shown:
        shown = [earlier_spans(event) for event in earlier[:LAST]]
    spans: list[Span] = [Span(" last  ", "dim")]
    for answer in shown:
        spans.extend([*answer, Span("   ")])
    if not shown:
        spans = [Span(" one key labels the item, saves it and shows the next", "dim")]
    right = [Span(f"↓ {hidden} more lines ", "dim", "screen.scroll(10)")] if hidden else []
    return spread(spans, right, width)


def answer_spans(answer: Answer) -> list[Span]:
    """An answer given since the app was started, and whether the model had thought the same."""
    if answer.label is None:
        return [Span("○ ", "dim"), Span("skipped", "dim")]
    spans = [
        Span("✓ ", "good"),
        Span(one_line(answer.label, 22)),
        Span(f" {answer.seconds:.0f} s", "dim"),
    ]
    opinion: Opinion | None = answer.item.model
    if opinion is not None and opinion.label != answer.label:
        sure = fraction(opinion.confidence) if opinion.confidence is not None else ""
        spans.append(Span(f" ≠ model {one_line(opinion.label, 16)} {sure}".rstrip(), "model"))
    return spans


def earlier_spans(event: LabelEvent) -> list[Span]:
    """An answer from before the app was started."""
    if event.action is Action.SKIP:
        return [Span("○ skipped", "dim")]
    seconds = f" {event.seconds:.0f} s" if event.seconds is not None else ""
    return [Span("✓ ", "dim"), Span(one_line(event.label or "", 22), "dim"), Span(seconds, "dim")]


ENTER = Span("enter", "key", command="label.accept")
"""The key that goes on where there is nothing to answer."""

UNDONE: dict[Action, str] = {
    Action.LABEL: "“{label}”",
    Action.SKIP: "skipped",
    Action.ACCEPT: "kept the LLM's label",
    Action.REJECT: "no label fits",
    Action.FLAG: "marked",
    Action.UNFLAG: "mark removed",
    Action.NOTE: "a comment",
}


def undone(event: LabelEvent | None, text: str = "") -> str:
    """What an undo took back, and from which item."""
    if event is None:
        return "Nothing to undo."
    if event.action is Action.ACCEPT_BULK:
        return "Undone: the labels kept below a risk wait for review again."
    words = UNDONE[event.action].format(label=one_line(event.label or "", 22))
    return f"Undone: {words} · {one_line(text, 44)}" if text else f"Undone: {words}"


def failure_lines(jobs: Jobs) -> list[Line]:
    """Why the rounds stopped, and what helps."""
    failure = jobs.failure
    if failure is None or jobs.rounds is not None:
        return []
    return [
        line(""),
        line(("  ✗ stopped: ", "bad"), (one_line(failure.message, 300), "bad")),
        line(("    ", ""), (one_line(failure.hint, 300), "dim")),
    ]


def _review_words() -> list[Span]:
    return [
        Span("Meanwhile ", "dim"),
        Span("esc", "key", command="app.home"),
        Span(" "),
        Span("r", "key", command="home.review"),
        Span(" reviews the LLM's labels.", "dim"),
    ]


def _time_lines(status: Status) -> list[Line]:
    """That the person's minutes are spent, and how to get more."""
    limit = status.budget.minutes_limit
    if not status.minutes_spent_up or limit is None:
        return []
    command = f"imfl-tui config {safe_text(pasteable(status.path))} budget.minutes N"
    return [
        line("  ", (f"Your time budget of {limit:g} min is reached.", "strong")),
        line(("  To label more, raise it: ", "dim"), command),
        line(""),
    ]


def end_lines(status: Status, jobs: Jobs, price: str, answers: Sequence[Answer]) -> list[Line]:
    """What stands in the item's place when nothing waits for the person."""
    step = status.step
    labelled = [
        answer
        for answer in answers
        if answer.label is not None and answer.item.round == answers[-1].item.round
    ]
    lines: list[Line] = [line("")]
    if labelled:
        seconds = sum(answer.seconds for answer in labelled)
        words = f"{plural(len(labelled), 'item')} labelled in {duration(seconds)}. "
        lines.extend([line("  ", ("✓ ", "good"), (words, "strong")), line("")])
    lines.extend(_time_lines(status))
    if step.kind is StepKind.LABEL:
        count = max(step.total - step.done, 0)
        waiting = f"{plural(count, 'item')} {'waits' if count == 1 else 'wait'} for you"
        lines.append(
            line(
                "  ",
                ENTER,
                (" start ", "strong"),
                f"round {max(step.round, 1)}: {waiting}",
            )
        )
    elif step.kind is StepKind.FINISHED and status.offered:
        words = f"{plural(status.offered, 'item')} that the LLM could not label"
        lines.append(line("  ", ("enter ", "key"), ("label ", "strong"), words))
    elif step.kind is StepKind.FINISHED:
        lines.append(
            line("  ", "The annotation budget is used up. ", ENTER, " goes to the export.")
        )
    elif jobs.rounds is not None:
        lines.append(line("  ", ("▸ ", "accent"), describe(jobs, "rounds")))
        lines.append(line(""))
        lines.append(
            line(
                ("  It goes on by itself. ", "dim"),
                *(_review_words() if status.trust.labels else ()),
            )
        )
    elif step.kind is StepKind.ANNOTATE:
        about = f" for about {price}" if price else ""
        left = plural(max(step.total - step.done, 0), "item")
        words = f"{left} by {one_line(status.annotator, 40)}{about}"
        lines.append(line("  ", ENTER, (" annotate ", "strong"), words))
    else:
        lines.append(line("  ", ENTER, (" go on ", "strong"), (STEP_WORDS[step.kind], "dim")))
    return [*lines, *failure_lines(jobs)]
