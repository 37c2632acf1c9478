from __future__ import annotations

import asyncio
import json
import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from imfl_engine.errors import BudgetReached, DataError, ImflError, ProjectLocked, UsageError
from imfl_engine.types import StepKind
from imfl_tui.cli import guarding, shell


@pytest.mark.parametrize(
    ("error", "code"),
    [(DataError, 1), (ImflError, 1), (UsageError, 2), (ProjectLocked, 3), (BudgetReached, 4)],
)
def test_an_error_is_a_sentence_a_hint_and_its_exit_code(
    error: type[ImflError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @shell.command
    def fails() -> None:
        raise error("It went wrong.", "Do this.")

    with pytest.raises(typer.Exit) as caught:
        fails()
    assert caught.value.exit_code == code
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "It went wrong.\nDo this.\n")


def test_ctrl_c_in_an_async_command_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    cleaned = []

    @shell.command
    async def waits() -> None:
        try:
            await asyncio.sleep(0)
            raise KeyboardInterrupt
        finally:
            cleaned.append(True)

    with pytest.raises(typer.Exit) as caught:
        waits()
    assert caught.value.exit_code == 130
    assert cleaned
    assert "Interrupted" in capsys.readouterr().err


def test_a_traceback_goes_to_the_log_file_only(capsys: pytest.CaptureFixture[str]) -> None:
    @shell.command
    def breaks() -> None:
        raise ZeroDivisionError("division by nothing")

    with pytest.raises(typer.Exit) as caught:
        breaks()
    told = capsys.readouterr().err
    assert caught.value.exit_code == 1
    assert "Traceback" not in told
    assert "division by nothing" in told
    log = shell.log_path()
    assert str(log) in told
    assert "Traceback" in log.read_text("utf-8")


def test_logging_is_configured_once() -> None:
    first = guarding.configure_logging()
    assert guarding.configure_logging() == first
    handlers = [h for h in logging.getLogger().handlers if getattr(h, "imfl_log", False)]
    assert len(handlers) == 1


def test_a_log_folder_that_cannot_be_made_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocker))
    assert guarding.configure_logging() is None


def test_messages_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    shell.say_error("No file '\x1b]0;owned\x07\x1b[2J'.", "Check \u202eit.")
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\u202e" not in told


def test_json_has_no_nan_and_no_python_types(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Row:
        where: Path
        kind: StepKind
        score: float
        when: datetime
        parts: tuple[int, ...]

    shell.show_json(
        {
            "row": Row(
                Path("a/b"), StepKind.TRAIN, math.nan, datetime(2026, 1, 2, tzinfo=UTC), (1, 2)
            )
        }
    )
    assert json.loads(capsys.readouterr().out) == {
        "row": {
            "where": "a/b",
            "kind": "train",
            "score": None,
            "when": "2026-01-02T00:00:00+00:00",
            "parts": [1, 2],
        }
    }
