"""``open`` and ``demo``: the app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imfl_engine.errors import UsageError
from imfl_engine.settings import Settings
from imfl_tui.cli import options as opt
from imfl_tui.cli.launching import need_terminal, show_app
from imfl_tui.cli.opened import opened
from imfl_tui.cli.progress import Reporter
from imfl_tui.cli.shell import say

DEMO_DATA = "clinic-inbox"
DEMO_FILE = Path("demo.db")
DEMO_BUDGET = {"human": 60, "llm": 240, "rounds": 3}


async def open_(project: opt.ProjectPath) -> None:
    """Open the app. A file that does not exist starts the set-up screen."""
    need_terminal()
    if project.is_dir():
        raise UsageError(f"'{project}' is a directory.", "Name a project file in it.")
    if not project.exists():
        from imfl_tui.new_project import check_place

        check_place(project)
        _leave(await show_app(project, None))
        return
    async with opened(project) as opened_project:
        code = await show_app(project, opened_project)
    _leave(code)


def is_demo(settings: Settings) -> bool:
    """Whether a project was made of the sample data, and asks nobody who costs money."""
    from imfl_tui.cli.sources import read_guidelines
    from imfl_tui.samples import sample_folder

    guidelines = read_guidelines(sample_folder() / DEMO_DATA / "guidelines.md")
    return settings.annotator.spec == "neighbours" and settings.task.guidelines == guidelines


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)


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
            _leave(await show_app(project, opened_project))
            return
        if not is_demo(opened_project.settings):
            raise UsageError(
                f"{project} is a project of its own, not the demo.",
                "Name a file that does not exist yet; `imfl-tui run` goes on with a project.",
            )
        with Reporter() as reporter:
            await reporter.follow(opened_project.advance(gold=True))
        report(await opened_project.status(), project, json=json)
