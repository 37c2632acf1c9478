"""``imfl-tui PROJECT.db`` in a real terminal: a key labels, and the label is there afterwards."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pyte

Cli = Callable[..., Any]
SECONDS = 90


class Terminal:
    """A program in a pseudo-terminal of 100 x 30, seen through a terminal emulator."""

    def __init__(self, *words: object) -> None:
        self._screen = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self._screen)
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "imfl_tui", *map(str, words)],
            dimensions=(30, 100),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            timeout=SECONDS,
        )
        self.child.delaybeforesend = None

    def wait_for(self, text: str) -> None:
        """Read until ``text`` is on the screen."""
        end = time.monotonic() + SECONDS
        while text not in self.text:
            assert time.monotonic() < end, f"no {text!r} in:\n{self.text}"
            try:
                self._stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        assert text in self.text, self.text

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def leave(self) -> int | None:
        """Press q, agree to stop what runs, and return the exit code."""
        self.child.send("q")
        end = time.monotonic() + SECONDS
        while self.child.isalive():
            assert time.monotonic() < end, self.text
            try:
                self._stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                break
            if "Quit while jobs run?" in self.text:
                self.child.send("y")
        self.child.close()
        code: int | None = self.child.exitstatus
        return code


def test_a_label_given_in_the_app_is_on_disk(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text("text\n" + "".join(f"a text with number {n}\n" for n in range(30)), "utf-8")
    project = tmp_path / "p.db"
    made = cli("new", project, data, "--labels", "yes,no", "--human", 9, "--llm", 0)
    assert made.code == 0, made.err
    terminal = Terminal(project)
    terminal.wait_for("enter label")
    terminal.child.send("\r")
    terminal.wait_for("a text with number")
    terminal.child.send("1")
    terminal.wait_for("1 of")
    assert terminal.leave() == 0
    assert cli("status", project, "--json").json["budget"]["human_done"] == 1


def test_a_file_that_does_not_exist_opens_the_set_up_and_leaves_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "new.db")
    terminal.wait_for("ctrl+p")
    assert "new.db" in terminal.text
    terminal.child.send("\x1b")
    terminal.child.send("\x11")  # ctrl+q
    assert terminal.leave() == 0
    assert not (tmp_path / "new.db").exists()


def test_a_missing_folder_is_told_before_the_set_up_begins(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "nowhere" / "new.db")
    terminal.wait_for("There is no folder")
    terminal.wait_for("Create it first")
    terminal.child.wait()
    assert terminal.child.exitstatus == 1


def test_a_file_that_cannot_be_opened_is_told_after_the_terminal_is_given_back(
    tmp_path: Path,
) -> None:
    file = tmp_path / "notes.db"
    file.write_text("these are notes\n" * 500)
    terminal = Terminal(file)
    terminal.wait_for("is not an imfl-tui project")
    terminal.wait_for("Choose another file.")
    terminal.child.wait()
    assert terminal.child.exitstatus == 1
    assert file.read_text() == "these are notes\n" * 500


def test_a_key_pressed_before_the_file_is_open_counts_once_it_is(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text("text\n" + "".join(f"a text with number {n}\n" for n in range(30)), "utf-8")
    project = tmp_path / "p.db"
    assert cli("new", project, data, "--labels", "yes,no", "--human", 9, "--llm", 0).code == 0
    terminal = Terminal(project)
    terminal.wait_for("p.db")
    terminal.child.send("l")
    terminal.wait_for("label · round")
    assert terminal.leave() == 0
