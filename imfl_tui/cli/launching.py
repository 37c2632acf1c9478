"""Showing the app, on a project that is open or that the set-up will make."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imfl_engine.errors import UsageError
from imfl_tui.cli.guarding import guarded

if TYPE_CHECKING:
    from imfl_engine.project import Project

PROJECT_SUFFIX = ".db"


def need_terminal() -> None:
    """Raise unless there is a terminal to draw the app in."""
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return
    raise UsageError(
        "The app needs a terminal, and this is none.",
        "In a script use `imfl-tui new`, `run`, `next`, `label` and `status`, or `demo --headless`.",
    )


async def show_app(path: Path, project: Project | None) -> int:
    """Run the app until the person leaves it; returns the exit code."""
    return await _show(path, project=project)


async def _show(path: Path, **how: Any) -> int:
    # Textual reads it when it is imported: half the wait for the first frame after a key.
    os.environ.setdefault("TEXTUAL_FPS", "500")
    from imfl_tui.app import ImflApp

    app = ImflApp(path, **how)
    await app.run_async()
    # What stopped the app is told as every other error is.
    stopped_by = app.failure or app._exception
    if stopped_by is not None:
        raise stopped_by
    return app.return_code or 0


def means_open(words: list[str]) -> bool:
    """Whether the command line is nothing but a project file that is there."""
    return len(words) == 1 and Path(words[0]).suffix == PROJECT_SUFFIX and Path(words[0]).is_file()


def launch(path: Path) -> int:
    """Do what ``open`` does for a file that is there, as fast as can be; returns the exit code.

    The first frame is on the screen before the file is open: importing DuckDB and reading the
    settings takes as long as importing the app.
    """
    logging.captureWarnings(True)
    code = 0

    async def run() -> None:
        nonlocal code
        need_terminal()
        code = await _show(path, opening=partial(_open, path))

    return guarded(run) or code


def _open(path: Path) -> Project:
    from imfl_engine.project import Project

    return Project.open_now(path)
