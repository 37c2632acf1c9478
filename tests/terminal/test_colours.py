"""What a terminal is sent that has sixteen colours, or whose person wants none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from steps import quit_app
from tmux import Tmux

COLOUR = re.compile(r"[34]8;2;(\d+);(\d+);(\d+)")
CODES = re.compile(r"\x1b\[[\d;]*m")
INDEXED = re.compile(r"[34]8;5;(\d+)")


@pytest.fixture
def explored(terminal: Tmux, sample_data: Path):
    """Show Explore of a new project in a terminal with these variables; returns what it shows."""
    data = sample_data / "boiler-urgent" / "train.jsonl"
    command = [sys.executable, "-m", "imfl_tui", "new", "p.db", str(data), "--target", "probe"]
    subprocess.run(
        [*command, "--human", "20", "--llm", "10", "--rounds", "1"],
        cwd=terminal.folder,
        capture_output=True,
        check=True,
    )

    def show(**environment: str) -> str:
        terminal.environment = environment
        terminal.start("p.db")
        terminal.wait("Rounds")
        terminal.keys("x")
        terminal.wait("in the pool")
        return terminal.coloured()

    yield show
    quit_app(terminal)


def cursor_row(screen: str) -> str:
    rows = screen.splitlines()
    return next(row for row in rows if CODES.sub("", row).startswith("│ ▸"))


def test_no_color_leaves_greys_alone_and_the_cursor_is_marked(explored):
    screen = explored(NO_COLOR="1", COLORTERM="truecolor")
    colours = COLOUR.findall(screen)
    assert colours, "nothing is drawn in any colour: this terminal tells nothing"
    assert all(red == green == blue for red, green, blue in colours)
    assert re.search(r"[;\[]7[;m]", cursor_row(screen)), "reversed"


def test_sixteen_colours_are_enough_and_the_cursor_is_marked(explored):
    screen = explored(TERM="screen", COLORTERM="")
    assert not COLOUR.search(screen)
    assert all(int(number) < 16 for number in INDEXED.findall(screen))
    assert re.search(r"[;\[](7|4[1-7]|10\d)[;m]", cursor_row(screen)), "a ground of its own"
