"""The app in a real terminal, on a real project, with the real compute process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from steps import create, describe_data, export_json_lines, quit_app, set_budget
from tmux import Tmux


def set_up(terminal: Tmux, data: Path, *, human: int, llm: int, rounds: int) -> None:
    """Go through the set-up screen with a small budget and the quick target."""
    describe_data(terminal, data)
    terminal.keys("BTab", "Right")
    set_budget(terminal, human=human, llm=llm, rounds=rounds)
    create(terminal)


@pytest.mark.slow
def test_a_whole_round_from_set_up_to_export(terminal: Tmux, sample_data: Path):
    terminal.start("p.db")
    set_up(terminal, sample_data / "boiler-urgent" / "train.jsonl", human=40, llm=20, rounds=2)
    terminal.keys("Enter")
    screen = terminal.wait("0 of")
    found = re.search(r"0 of (\d+)", screen)
    assert found is not None
    for number in range(int(found.group(1))):
        terminal.keys("12"[number % 2])
    terminal.wait("items labelled in", seconds=120)
    terminal.wait("enter start round 2", seconds=300)
    terminal.keys("Escape", "v")
    terminal.wait("accuracy .")
    terminal.keys("Escape", "r")
    terminal.wait("to review")
    terminal.keys("a", "1")
    terminal.wait("✓")
    assert len(export_json_lines(terminal)) >= int(found.group(1))
    quit_app(terminal)
