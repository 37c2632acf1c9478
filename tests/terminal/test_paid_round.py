"""A round with an OpenAI-compatible server, from the set-up to the export, by keys alone."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tmux import Tmux

INPUT_PRICE, OUTPUT_PRICE = 100, 200
"""US dollars per million tokens: enough for a few labels to cost cents."""

FAULT_TOOLS = Path(__file__).parents[1] / "faults" / "conftest.py"


@pytest.fixture
def server() -> Iterator[Any]:
    """A server on loopback that answers with labels and counts what it would have billed."""
    spec = importlib.util.spec_from_file_location("fault_tools", FAULT_TOOLS)
    assert spec is not None
    assert spec.loader is not None
    tools = importlib.util.module_from_spec(spec)
    sys.modules["fault_tools"] = tools
    spec.loader.exec_module(tools)
    running = tools.start(latency=0.02)
    yield running
    running.stop()


def next_field(terminal: Tmux) -> None:
    """Go to the next field; what is typed before it has the focus goes into the one before."""
    terminal.keys("Tab")
    time.sleep(0.5)


def test_a_paid_round_costs_what_the_server_counted(
    terminal: Tmux, sample_data: Path, server: Any
) -> None:
    terminal.start("p.db")
    terminal.wait("Which texts?")
    terminal.type(str(sample_data / "boiler-urgent" / "train.jsonl"))
    terminal.keys("Enter")
    terminal.wait("What is in the columns?")
    terminal.keys("Enter")
    terminal.wait("Which labels?")
    terminal.keys("Enter")
    terminal.wait("what is trained?")
    terminal.keys("Right")  # openai
    terminal.wait("2 of 4")
    for value in ("test-model", server.base_url, f"{INPUT_PRICE} {OUTPUT_PRICE}"):
        next_field(terminal)
        terminal.type(value)
        terminal.wait(value)
    next_field(terminal)
    terminal.keys("Right")  # probe
    terminal.wait("2 of 2")
    terminal.keys("C-t")
    terminal.wait("✓ it answers")
    tried = billed(server)  # before there is a project, so on no project's account
    terminal.keys("Enter")
    terminal.wait("What may it cost?")
    for value in ("12", "10", "1"):
        terminal.keys(*["BSpace"] * 4)
        terminal.type(value)
        next_field(terminal)
    terminal.keys("Enter")
    terminal.wait("Ready?")
    screen = terminal.wait("12 by you, 10 by the LLM, in 1 round")
    assert "$" in screen, screen
    terminal.keys("Enter")
    terminal.wait("your turn:")
    terminal.keys("Enter")
    terminal.wait("0 of 12")
    for number in range(12):
        terminal.keys("12"[number % 2])
    # The LLM costs money, so it waits for the person's word.
    terminal.wait("enter annotate", seconds=120)
    assert billed(server) == tried
    terminal.keys("Enter")
    terminal.wait("annotation budget is used up", seconds=180)
    terminal.keys("Escape", "r")
    terminal.wait("to review")
    terminal.keys("a")
    terminal.wait("✓")
    terminal.keys("Escape", "e")
    terminal.wait("what it will contain")
    terminal.keys("Down", "Enter")
    terminal.wait("written:")
    terminal.keys("Escape", "q")
    if "Quit while jobs run?" in terminal.wait("EXIT=0", "Quit while jobs run?"):
        terminal.keys("y")
        terminal.wait("EXIT=0")

    rows = (terminal.folder / "p.jsonl").read_text(encoding="utf-8").splitlines()
    sources = Counter(json.loads(row)["source"] for row in rows)
    assert sources == {"human": 12, "llm": 9, "llm_reviewed": 1}, sources
    command = [sys.executable, "-m", "imfl_tui", "status", str(terminal.folder / "p.db"), "--json"]
    status = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert status["budget"]["money_spent"] == pytest.approx(billed(server) - tried)


def billed(server: Any) -> float:
    """US dollars for what the server has answered."""
    return sum(
        (entry["input"] * INPUT_PRICE + entry["output"] * OUTPUT_PRICE) / 1e6
        for entry in server.log()
        if entry["delivered"]
    )
