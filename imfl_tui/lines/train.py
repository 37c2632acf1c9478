"""Train: steps, speed, device and validation, or why nothing is trained now."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.types import StepKind
from imfl_engine.views import CurvePoint, Status
from imfl_tui.jobs import Jobs, TrainingRun
from imfl_tui.lines.results import left_out_lines, llm_labels
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import (
    bytes_size,
    duration,
    fraction,
    one_line,
    pad,
    plural,
    safe_text,
    thousands,
    wrap,
)
from imfl_tui.widgets.bars import bar

NAME, FIGURES = 9, 15
"""Columns of a line's name and of its figures."""


def waiting_words(status: Status, jobs: Jobs) -> str:
    """Why nothing is trained now."""
    kind = status.step.kind
    if kind is StepKind.TRAIN:
        return "The training is about to begin." if jobs.rounds else "The training comes next."
    if kind is StepKind.FINISHED:
        return "All rounds are trained; Results says how good the model is."
    if kind is StepKind.LABEL:
        left = plural(max(status.step.total - status.step.done, 0), "item")
        return f"Training follows your labels ({left} to go) and the LLM's."
    return "Training begins by itself when this round's labels are there."


def past_lines(curve: Sequence[CurvePoint], width: int) -> list[Line]:
    """The trainings so far: how many labels each had, how long it took, how good the model is."""
    if not curve:
        return []
    rows: list[Line] = [line(("round     you     LLM         took   accuracy", "dim"))]
    for point in curve:
        llm = llm_labels(point)
        rows.append(
            line(
                f"{point.round:>5}{thousands(point.human):>8}",
                llm._replace(text=f"{llm.text:>8}"),
                (f"{duration(point.seconds):>13}", "dim"),
                (f"{fraction(point.accuracy.value, 3):>11}", "strong"),
                (f" ({fraction(point.accuracy.low)}–{fraction(point.accuracy.high)})", "dim"),
            )
        )
    return [*rows, *left_out_lines(curve, width)]


def stopped_lines(jobs: Jobs, width: int) -> list[Line]:
    """Why the rounds stopped, and what helps; nothing while they run."""
    failure = jobs.failure
    if failure is None or jobs.rounds is not None:
        return []
    reason = wrap(safe_text(f"stopped: {failure.message}", 600), max(width - 2, 1))
    hint = wrap(safe_text(failure.hint, 400), max(width - 2, 1)) if failure.hint else []
    return [
        *(line(("✗ " if n == 0 else "  ", "bad"), (row, "bad")) for n, row in enumerate(reason)),
        *(line(("  " + row, "dim")) for row in hint),
    ]


def panel_lines(status: Status, jobs: Jobs, width: int) -> list[Line]:
    """The training run, or why there is none; a reason it stopped for comes first."""
    run = jobs.training
    stopped = stopped_lines(jobs, width)
    if run is None:
        return stopped or [line((waiting_words(status, jobs), "dim"))]
    if stopped and run.last is None:
        return stopped
    return [*stopped, *figure_lines(run, width)]


def figure_lines(run: TrainingRun, width: int) -> list[Line]:
    """Steps, speed, device, validation."""
    if run.last is None:
        return [line(("▸ ", "accent"), "starting" if run.running else "ended")]
    last = run.last
    state = ("running", "accent") if run.running else ("ended", "dim")
    if run.ready is not None:
        state = (f"✓ done in {duration(run.ready.seconds)}", "good")
    facts: list[tuple[str, str]] = [
        state,
        (f"epoch {last.epoch:.1f}".removesuffix(".0"), ""),
        (f"loss {last.loss:.3f}", ""),
    ]
    if last.samples_per_second >= 1:
        facts.append((f"{last.samples_per_second:.0f} samples/s", ""))
    if run.running and run.ready is None:
        facts.append((f"{duration(last.eta_seconds)} left", ""))
    device = one_line(last.device, 40)
    if last.memory_bytes is not None:
        device += f", {bytes_size(last.memory_bytes)}"
    spans: list[Span] = []
    for text, style in facts:
        spans.extend([Span(" · ", "dim")] if spans else [])
        spans.append(Span(text, style))
    best = max((accuracy for _, _, accuracy in run.validation), default=None)
    words = [Span(pad("device", NAME), "dim"), Span(device)]
    if run.validation and best is not None:
        now = run.validation[-1][2]
        words.extend([Span("   validation ", "dim"), Span(f"{fraction(now)} right", "human")])
        if best > now:
            words.append(Span(f" (best {fraction(best)})", "dim"))
    return [
        _steps_line(last.step, last.total, width),
        spans,
        words,
    ]


def _steps_line(done: int, total: int, width: int) -> Line:
    """How many steps are done, in figures and as a bar over the rest of the line."""
    steps = f"{thousands(done)} / {thousands(total)}"
    return line(
        (pad("steps", NAME), "dim"),
        (pad(steps, FIGURES, "right"), "strong"),
        "  ",
        *bar(done / max(total, 1), max(width - NAME - FIGURES - 2, 6), "accent"),
    )
