"""Every screen in every state at two sizes, compared with the text of the cells it drew.

A snapshot is the text of the screen, so that a change reads as a diff and a release of Textual that
moves a colour breaks nothing. ``SNAPSHOTS=write pytest tests/snapshots`` accepts the present look.
One app a state walks through all screens: starting it costs more than drawing them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_project import (
    HOSTILE,
    FakeProject,
    annotation_script,
    embedding_script,
    opinion_script,
    training_script,
)

from imfl_engine.errors import StorageError
from imfl_tui.app import ImflApp
from imfl_tui.screens.label import LabelScreen

FOLDER = Path(__file__).parent / "text"
SIZES = ((80, 24), (120, 40))
SCREENS = ("home", "label", "annotate", "train", "review", "explore", "results", "export")
STATES = ("empty", "normal", "error", "running", "hostile")


def project_in(state: str) -> FakeProject:
    """The fake project that makes the state."""
    if state == "hostile":
        labels = ("[/foo]", "\x1b[31mred", "a\u202egnirts")
        return FakeProject(texts=HOSTILE, labels=labels, path=Path("bad\x1b[2J[/b].db"))
    project = FakeProject("empty" if state == "empty" else "normal")
    if state == "running":
        project.script = [*embedding_script(), *training_script(), *annotation_script(24)]
        project.hold = True
    return project


def drawn(app: ImflApp) -> str:
    """The text of the cells, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


async def compare(name: str, app: ImflApp) -> None:
    """Compare the screen with the file once it has come to rest, or write the file."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("SNAPSHOTS") == "write":
        await asyncio.sleep(0.5)
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn(app), encoding="utf-8")
    assert path.exists(), f"no snapshot {path.name}: look at the screen, then SNAPSHOTS=write"
    wanted = path.read_text(encoding="utf-8")
    for _ in range(1000):
        if drawn(app) == wanted:
            return
        await asyncio.sleep(0.02)
    assert drawn(app) == wanted


async def walk(app: ImflApp, state: str) -> AsyncIterator[str]:
    """Show every screen and yield its name."""
    async with app.run_test(size=SIZES[0]) as pilot:
        await pilot.pause()
        if state == "running":
            app.start_rounds()
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for screen in SCREENS:
                await app.action_go(screen)
                if isinstance(app.screen, LabelScreen):
                    app.screen._clock = lambda: 0.0
                await pilot.pause()
                if state == "error":
                    app.show_problem(StorageError("The disk is full.", "Free some space on it."))
                    await pilot.pause()
                yield f"{screen}-{state}-{size[0]}x{size[1]}"
                if state == "error":
                    await pilot.press("escape")


@pytest.mark.parametrize("state", STATES)
async def test_screens_look_as_they_did(state: str, tmp_path: Path):
    project = project_in(state)
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async for name in walk(app, state):
        await compare(name, app)
        text = drawn(app)
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text.replace("\n", ""))
        assert "\u202e" not in text


@pytest.mark.parametrize(
    ("screen", "size"),
    [("home", (160, 45)), ("label", (160, 45)), ("results", (160, 45)), ("explore", (80, 42))],
)
async def test_high_terminals_show_all_that_lower_ones_do(
    screen: str, size: tuple[int, int], tmp_path: Path
):
    project = project_in("normal")
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async with app.run_test(size=size) as pilot:
        await app.action_go(screen)
        if isinstance(app.screen, LabelScreen):
            app.screen._clock = lambda: 0.0
        await pilot.pause()
        await compare(f"{screen}-normal-{size[0]}x{size[1]}", app)


async def test_the_second_opinion_looks_as_it_did(tmp_path: Path):
    project = FakeProject()
    project.script, project.hold = opinion_script(), True
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async with app.run_test(size=SIZES[0]) as pilot:
        app.start_rounds()
        await app.action_go("train")
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await compare(f"train-opinion-{size[0]}x{size[1]}", app)


async def test_the_set_up_looks_as_it_did(tmp_path: Path):
    app = ImflApp(tmp_path / "new.db", None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=SIZES[0]) as pilot:
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await compare(f"setup-empty-{size[0]}x{size[1]}", app)
        await pilot.press("enter")
        await compare("setup-error-120x40", app)


@pytest.mark.parametrize("theme", ["imfl-light", "ansi-dark", "ansi-light", "nord"])
async def test_other_themes_draw_the_same_words(theme: str, tmp_path: Path):
    settings = tmp_path / "settings.toml"
    settings.write_text(f'theme = "{theme}"\n')
    project = project_in("normal")
    app = ImflApp(project.path, project, preferences_file=settings, start_jobs=False)
    async with app.run_test(size=SIZES[0]):
        assert app.theme == theme
        await compare("home-normal-80x24", app)
