"""What several terminal tests do: steps of the set-up, export, quit."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tmux import Tmux


def next_field(terminal: Tmux) -> None:
    """Go to the next field; what is typed before it has the focus goes into the one before."""
    terminal.keys("Tab")
    time.sleep(0.5)


def describe_data(terminal: Tmux, data: Path) -> None:
    """Name the file and take every guess, up to the page of the annotator."""
    terminal.wait("Which texts?")
    terminal.type(str(data))
    terminal.keys("Enter")
    terminal.wait("What is in the columns?")
    terminal.keys("Enter")
    terminal.wait("Which labels?")
    terminal.keys("Enter")
    terminal.wait("what is trained?")


def set_budget(terminal: Tmux, *, human: int, llm: int, rounds: int) -> str:
    """Leave the annotator's page and fill in the budget; returns the last page, checked."""
    terminal.keys("Enter")
    terminal.wait("What may it cost?")
    for value in (human, llm, rounds):
        terminal.keys(*["BSpace"] * 4)
        terminal.type(str(value))
        next_field(terminal)
    terminal.keys("Enter")
    terminal.wait("Ready?")
    screen = terminal.wait("probe")
    plural = "s" if rounds > 1 else ""
    assert f"{human} by you, {llm} by the LLM, in {rounds} round{plural}" in screen, screen
    return screen


def item_text(screen: str) -> str:
    """The item under the header, without the frame."""
    rows = [row.strip("│ ") for row in screen.splitlines()[2:8]]
    return " ".join(row for row in rows if row)


def create(terminal: Tmux) -> None:
    """Agree to the last page."""
    terminal.keys("Enter")
    terminal.wait("your turn:")


def export_json_lines(terminal: Tmux) -> list[dict[str, Any]]:
    """Go from the review over Home to the export, write, and return the rows."""
    terminal.keys("Escape", "e")
    terminal.wait("what it will contain")
    terminal.keys("Down", "Enter")
    terminal.wait("written:")
    lines = (terminal.folder / "p.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def quit_app(terminal: Tmux) -> None:
    """Leave from any screen, whatever runs."""
    terminal.keys("Escape", "q")
    if "Quit while jobs run?" in terminal.wait("EXIT=0", "Quit while jobs run?"):
        terminal.keys("y")
        terminal.wait("EXIT=0")
