"""Home: which round it is and whose turn, and what Enter does next."""

from __future__ import annotations

from imfl_engine.types import StepKind
from imfl_engine.views import CostEstimate, Status
from imfl_tui.jobs import STEP_WORDS, Jobs, describe
from imfl_tui.lines.price import price_words
from imfl_tui.spans import Line, Span, line, width_of
from imfl_tui.text import one_line, plural, roughly, safe_text, wrap
from imfl_tui.widgets.rounds import folded


def place_words(status: Status) -> str:
    """``round 3 of 5 · your turn: 28 items``."""
    rounds = folded(status.rounds)
    step = status.step
    total = max((cell.round for cell in rounds), default=0)
    left = max(step.total - step.done, 0)
    what = {
        StepKind.START: "a sub-sample is drawn",
        StepKind.EMBED: "embedding",
        StepKind.SCORE: "the model looks at the pool",
        StepKind.SELECT: "items are chosen",
        StepKind.LABEL: f"your turn: {plural(left, 'item')}",
        StepKind.ANNOTATE: f"the LLM's turn: {plural(left, 'item')}",
        StepKind.TRAIN: "training",
        StepKind.EVALUATE: "measuring the model",
        StepKind.FINISHED: "finished",
    }[step.kind]
    if step.kind is StepKind.FINISHED:
        done = sum(cell.state == "done" for cell in rounds)
        every = f"all {plural(total, 'round')}" if total > 1 else "the only round is"
        return f"{every} done" if done == total else f"ended after {plural(done, 'round')}"
    return f"round {max(step.round, 1)} of {max(total, step.round)} · {what}"


def next_lines(
    status: Status, estimate: CostEstimate | None, jobs: Jobs, width: int, *, asks_money: bool
) -> list[Line]:
    """What Enter does now, in one sentence with its cost, and why the last try stopped."""
    now = _what_enter_does(status, estimate, jobs, asks_money=asks_money)
    if jobs.failure is None or jobs.rounds is not None:
        return [now]
    words = f"✗ stopped: {safe_text(jobs.failure.message, 300)}"
    together = [*now, Span(f"   {words}", "bad")]
    if width_of(together) <= width:
        return [together]
    return [now, *(line(("  " + row, "bad")) for row in wrap(words, max(width - 3, 1)))]


def advice_lines(advice: str, width: int) -> list[Line]:
    """What the figures suggest, on as many lines as it takes."""
    if not advice:
        return []
    return [line((" " + row, "dim")) for row in wrap(safe_text(advice, 400), max(width - 2, 1))]


def _what_enter_does(
    status: Status, estimate: CostEstimate | None, jobs: Jobs, *, asks_money: bool
) -> Line:
    step = status.step
    left = max(step.total - step.done, 0)
    if step.kind is StepKind.LABEL:
        minutes = estimate.minutes_of_person * 60 if estimate else None
        about = f", about {roughly(minutes)}" if minutes else ""
        return _enter("label", Span(f"{plural(left, 'item')}{about}"))
    if jobs.rounds is not None:
        return line(
            (" ▸ ", "accent"),
            describe(jobs, "rounds"),
            (" · it goes on by itself; meanwhile ", "dim"),
            Span("r", "key", command="home.review"),
            (" review or ", "dim"),
            Span("x", "key", command="home.explore"),
            (" explore", "dim"),
        )
    if step.kind is StepKind.FINISHED and status.offered:
        words = f"{plural(status.offered, 'item')} that the LLM could not label"
        return line((" enter ", "key"), ("label ", "strong"), words)
    if step.kind is StepKind.FINISHED:
        words = one_line(step.reason, 60) if step.reason else "the budget is used up"
        return _enter("export", Span(words, "dim"))
    if step.kind is StepKind.ANNOTATE:
        price = ""
        if estimate and asks_money:
            price = f" for about {price_words(estimate)}"
        words = f"{plural(left, 'item')} by {one_line(status.annotator, 40)}{price}"
        return _enter("annotate", Span(words))
    return _enter("go on", Span(STEP_WORDS[step.kind], "dim"))


def _enter(verb: str, what: Span) -> Line:
    """``enter label 20 items``, every word of which does it at a click."""
    key = Span("enter", "key", command="home.next")
    words = Span(f" {verb} ", "strong", "screen.next")
    return [Span(" "), key, words, what._replace(action="screen.next")]
