"""A whole round with an OpenAI-compatible server, by keys alone, in a real terminal.

Set-up, label, undo, a kill and a new start, undo again, annotate, review, train, export: with the
real compute process, and with the money that the server counted.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Running, start
from steps import (
    create,
    describe_data,
    export_json_lines,
    item_text,
    next_field,
    quit_app,
    set_budget,
)
from tmux import Tmux

INPUT_PRICE, OUTPUT_PRICE = 100, 200
"""US dollars per million tokens: enough for a few labels to cost cents."""


@pytest.fixture
def server() -> Iterator[Running]:
    """A server on loopback that answers with labels and counts what it would have billed."""
    running = start(latency=0.02)
    yield running
    running.stop()


def test_a_whole_paid_round_survives_a_kill_and_costs_what_the_server_counted(
    terminal: Tmux, sample_data: Path, server: Running
) -> None:
    terminal.start("p.db")
    describe_data(terminal, sample_data / "boiler-urgent" / "train.jsonl")
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
    assert "$" in set_budget(terminal, human=12, llm=10, rounds=1)
    create(terminal)
    terminal.keys("Enter")
    first = item_text(terminal.wait("0 of 12"))
    terminal.keys("1", "2", "1")
    terminal.wait("3 of 12")
    third_left = item_text(terminal.text())
    terminal.keys("u")
    terminal.wait("2 of 12")
    terminal.keys("2")
    terminal.wait("3 of 12")
    terminal.end()  # as a lost connection or a kill would
    terminal.start("p.db")
    terminal.wait("your turn: 9")
    terminal.keys("l")
    terminal.wait("3 of 12")
    assert item_text(terminal.text()) == third_left
    terminal.keys("u", "u", "u")
    terminal.wait("0 of 12")
    assert item_text(terminal.text()) == first
    for number in range(12):
        terminal.keys("12"[number % 2])
    # The LLM costs money, so it waits for the person's word.
    terminal.wait("enter annotate", seconds=120)
    assert billed(server) == tried
    terminal.keys("Enter")
    terminal.wait("annotation budget is used up", seconds=180)
    terminal.keys("Escape", "t")
    assert re.search(r"^│ +1 +12 +10 ", terminal.wait("trained so far"), re.MULTILINE)
    terminal.keys("Escape", "r")
    terminal.wait("to review")
    terminal.keys("a")
    terminal.wait("✓")
    sources = Counter(row["source"] for row in export_json_lines(terminal))
    assert sources == {"human": 12, "llm": 9, "llm_reviewed": 1}, sources
    quit_app(terminal)
    # What the set-up found out about the endpoint is known to the project.
    assert sum("sky" in entry["item"] for entry in server.log()) == 1
    command = [sys.executable, "-m", "imfl_tui", "status", str(terminal.folder / "p.db"), "--json"]
    status = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert status["budget"]["money_spent"] == pytest.approx(billed(server) - tried)


def billed(server: Running) -> float:
    """US dollars for what the server has answered."""
    return sum(
        (entry["input"] * INPUT_PRICE + entry["output"] * OUTPUT_PRICE) / 1e6
        for entry in server.log()
        if entry["delivered"]
    )
