"""Bars are for terminals and for work that takes more than a second; lines are for everything else."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

import pytest

from imfl_engine.events import (
    Annotated,
    ModelReady,
    Notice,
    Progress,
    StepFinished,
    StepStarted,
    TrainingProgress,
)
from imfl_engine.types import Purpose, Reply, ReplyStatus, Step, StepKind
from imfl_tui.cli import progress
from imfl_tui.cli.progress import Reporter, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def train(step: int) -> TrainingProgress:
    return TrainingProgress(step, 100, step / 50, 0.5, 42.0, None, "cpu")


def test_the_bar_says_how_replies_ended_and_only_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {ReplyStatus.OK: 8, ReplyStatus.REFUSED: 1, ReplyStatus.FAILED: 2}
    reply = Reply(1, 1, Purpose.ANNOTATE, ReplyStatus.FAILED, None, "openai:m", "h")
    said: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "_update", lambda text, *_: said.append(text))
    reporter.show(Annotated(reply, 11, 20, 4, 0, counts, 0.25, 0.0, 5.0, 200.0, None))
    assert said == ["annotate · $0.25 · 8 ok · 1 refused · 2 failed"]


def test_without_a_terminal_each_step_is_one_line(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    step = Step(StepKind.TRAIN, 2)
    with Reporter() as reporter:
        reporter.show(StepStarted(step))
        for n in range(0, 100, 10):
            clock[0] += 3
            reporter.show(train(n))
        reporter.show(ModelReady(Path("m"), 30.0, "cpu", 42.0))
        reporter.show(StepFinished(step))
        reporter.show(Notice("warning", "Two texts were cut.", "Raise max_length."))
    assert capsys.readouterr().err.splitlines() == [
        "training on cpu",
        "round 2 · train done in 30.0 s · 42 samples/s",
        "warning: Two texts were cut.",
        "Raise max_length.",
    ]


def test_a_bar_with_an_eta_appears_after_a_second_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Reporter() as reporter:
        reporter.show(StepStarted(Step(StepKind.EVALUATE, 1)))
        clock[0] += 0.5
        reporter.show(Progress("evaluate", 10, 100))
        assert screen.getvalue() == ""
        clock[0] += 9.0
        reporter.show(Progress("evaluate", 55, 100))
        assert reporter._bars is not None
        task = reporter._bars.tasks[0]
        assert task.fields["count"] == "55/100 items"
        assert task.fields["eta"] == "about 9 s left"


def test_foreign_text_in_a_detail_cannot_drive_the_terminal(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Reporter() as reporter:
        reporter.show(StepStarted(Step(StepKind.ANNOTATE, 1)))
        clock[0] += 5
        reporter.show(Progress("annotate", 1, 2, detail="[bold]\x1b]0;owned\x07"))
        reporter.show(Notice("info", "item \x1b[2J gone"))
    assert "\x1b]0;" not in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
async def test_what_cannot_say_how_far_it_is_shows_that_it_goes_on(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "SECONDS_BEFORE_A_BAR", 0.0)
    async with shown(lambda: Progress("export", 0, 0, detail="saving the model")):
        await asyncio.sleep(0.01)
    assert ("saving the model" in screen.getvalue()) is terminal
    assert "items" not in screen.getvalue()
