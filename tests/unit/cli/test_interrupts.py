"""Ctrl+c before a command runs ends it as quietly as one later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from imfl_tui.cli import main
main()
"""


def interrupt(handler: signal.Handlers, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, *words],
        cwd=cwd, capture_output=True, text=True, timeout=60, env={**os.environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    )  # fmt: skip


def test_ctrl_c_while_the_commands_are_imported_ends_quietly_with_130(tmp_path: Path) -> None:
    done = interrupt(signal.SIG_DFL, "typer", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupt_that_is_to_be_ignored_stays_ignored(tmp_path: Path) -> None:
    done = interrupt(signal.SIG_IGN, "typer", cwd=tmp_path)
    assert done.returncode == 2
    assert "typer" in done.stderr  # taken for a command, which there is none of
