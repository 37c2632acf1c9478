"""A real terminal for tests: a tmux session that runs the app."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path


class Tmux:
    """One tmux server of its own; `close` ends it and what runs in it."""

    def __init__(self, folder: Path, *, columns: int = 100, lines: int = 30) -> None:
        self.folder = folder
        self._socket = f"imfl-{uuid.uuid4().hex[:8]}"
        self._size = (str(columns), str(lines))
        self.environment: dict[str, str] = {}
        """Variables for what is started, besides those that keep it to its folder."""

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    def start(self, *arguments: str) -> None:
        """Run ``imfl-tui ARGUMENTS`` in a fresh session; afterwards the exit code is shown."""
        command = shlex.join([sys.executable, "-m", "imfl_tui", *arguments])
        self._begin(f"{self._setting} {command}; echo EXIT=$?; sleep 600")

    def start_shell(self) -> None:
        """Begin a session with a shell in which ``imfl-tui`` is a command."""
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        script = bin_folder / "imfl-tui"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m imfl_tui "$@"\n')
        script.chmod(0o755)
        path = f"PATH={shlex.quote(str(bin_folder))}:$PATH"
        self._begin(f"export {path} {self._setting} PS1='$ '; exec sh")

    @property
    def _setting(self) -> str:
        variables = {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "IMFL_TUI_CONFIG": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "OMP_NUM_THREADS": "1",
            "LANG": "C.UTF-8",
            **self.environment,
        }
        return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())

    def _begin(self, command: str) -> None:
        script = f"cd {shlex.quote(str(self.folder))}; unset COLUMNS LINES; {command}"
        columns, lines = self._size
        self._tmux("new-session", "-d", "-s", "app", "-x", columns, "-y", lines, script)

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        for key in keys:
            self._tmux("send-keys", "-t", "app", key)
            # A terminal cannot tell Escape from the start of a sequence but by what follows soon.
            time.sleep(0.5 if key == "Escape" else 0.05)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-t", "app", "-l", text)

    def text(self) -> str:
        """What the terminal shows."""
        return self._tmux("capture-pane", "-p", "-t", "app")

    def coloured(self) -> str:
        """What the terminal shows, with the sequences that colour it."""
        return self._tmux("capture-pane", "-e", "-p", "-t", "app")

    def wait(self, *words: str, seconds: float = 90.0) -> str:
        """Wait until one of the words is shown; returns the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            text = self.text()
            if any(word in text for word in words):
                return text
            time.sleep(0.1)
        raise AssertionError(f"never came: {words}\n{self.text()}")

    def end(self) -> None:
        """End the session, whatever runs in it, and with it the server, which takes a moment."""
        self._tmux("kill-session", "-t", "app")
        asked = ["tmux", "-L", self._socket, "list-sessions"]
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if subprocess.run(asked, capture_output=True, check=False).returncode:
                return
            time.sleep(0.05)

    def close(self) -> None:
        """End the server."""
        subprocess.run(
            ["tmux", "-L", self._socket, "kill-server"],
            capture_output=True,
            check=False,
            env={**os.environ},
        )
