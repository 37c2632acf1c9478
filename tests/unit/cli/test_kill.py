"""``kill -9`` in the middle of a run: the next start goes on, nothing is lost, nothing done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

Cli = Callable[..., Any]
TIMEOUT = 240


def run_until(project: Path, line_with: str, stop: signal.Signals = signal.SIGKILL) -> int:
    """Start a run in a process of its own and stop it as soon as it says ``line_with``."""
    with subprocess.Popen(
        [sys.executable, "-m", "imfl_tui", "run", str(project), "--human", "gold"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell that started the tests in the background has them ignore the interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if line_with in line:
                process.send_signal(stop)
                break
        else:
            pytest.fail(f"the run ended without {line_with!r}: {''.join(told)}")
        process.stderr.read()
        return process.wait(TIMEOUT)


def test_killed_runs_lose_no_label_and_do_no_step_twice(
    cli: Cli, tmp_path: Path, sample_data: Path
) -> None:
    rows = (sample_data / "clinic-inbox" / "train.jsonl").read_text("utf-8").splitlines()[:60]
    data = tmp_path / "d.jsonl"
    data.write_text("\n".join(rows) + "\n", "utf-8")
    project = tmp_path / "p.db"
    made = cli("new", project, data, "--human", 16, "--llm", 14, "--rounds", 2, "--target", "probe")
    assert made.code == 0, made.err

    assert run_until(project, "round 0 · label done", signal.SIGINT) == 130
    kept = cli("status", project, "--json").json
    assert kept["budget"]["human_done"] == kept["rounds"][0]["human_done"] > 0
    assert run_until(project, "round 1 · annotate done") == -signal.SIGKILL
    assert cli("status", project, "--json").json["budget"]["llm_done"] > 0

    finished = cli("run", project, "--human", "gold", "--json")
    assert finished.code == 0, finished.err
    assert finished.json["step"]["kind"] == "finished"
    assert finished.json["budget"]["human_done"] == 16
    assert finished.json["budget"]["llm_done"] == 14
    with duckdb.connect(str(project), read_only=True) as store:
        events, items = store.execute(
            "SELECT count(*), count(DISTINCT item_id) FROM label_events"
        ).fetchone()  # type: ignore[misc]
    assert events == items == 16
