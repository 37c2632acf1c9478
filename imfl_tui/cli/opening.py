"""``open`` and ``demo``: the app."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imfl_engine.errors import UsageError
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.progress import Reporter
from imfl_tui.cli.shell import say

if TYPE_CHECKING:
    from imfl_engine.project import Project

DEMO_DATA = "clinic-inbox"
DEMO_FILE = Path("demo.db")
DEMO_BUDGET = {"human": 60, "llm": 240, "rounds": 3}


async def open_(project: opt.ProjectPath) -> None:
    """Open the app. A file that does not exist starts the set-up screen."""
    need_terminal()
    if project.is_dir():
        raise UsageError(f"'{project}' is a directory.", "Name a project file in it.")
    if not project.exists():
        await show_app(project, None)
        return
    async with opened(project) as opened_project:
        await show_app(project, opened_project)


def need_terminal() -> None:
    """Raise unless there is a terminal to draw the app in."""
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return
    raise UsageError(
        "The app needs a terminal, and this is none.",
        "In a script use `imfl-tui run`, `next`, `label` and `status`.",
    )


async def show_app(path: Path, project: Project | None) -> None:
    """Run the app until the person leaves it."""
    # Textual reads it when it is imported: half the wait for the first frame after a key.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    from imfl_tui.app import ImflApp
    from imfl_tui.preloading import release

    app = ImflApp(path, project)
    try:
        await app.run_async()
    finally:
        release()
    if app._exception is not None:  # what stopped the app is told as every other error is
        raise app._exception
    if app.return_code:
        raise typer.Exit(app.return_code)


async def demo(
    project: Annotated[
        Path, typer.Argument(metavar="[PROJECT.db]", help="Where to keep it.")
    ] = DEMO_FILE,
    headless: Annotated[
        bool, typer.Option("--headless", help="Run it through with the gold labels, no app.")
    ] = False,
    target: opt.Target = "probe",
    seed: opt.Seed = 0,
    json: opt.AsJson = False,
) -> None:
    """Try the whole thing on sample data: no network, no key, nothing to prepare.

    A demo that is there already goes on where it was left.
    """
    from imfl_tui.cli.creation import create_sample
    from imfl_tui.cli.rounds import report

    if not headless:
        need_terminal()
    if not project.exists():
        await create_sample(project, DEMO_DATA, budget=DEMO_BUDGET, target=target, seed=seed)
        say(f"Made {project} from the sample data '{DEMO_DATA}'.")
    async with opened(project) as opened_project:
        if not headless:
            await show_app(project, opened_project)
            return
        with Reporter() as reporter:
            await reporter.follow(opened_project.advance(gold=True))
        report(await opened_project.status(), project, json=json)
