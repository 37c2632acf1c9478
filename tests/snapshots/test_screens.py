"""Every screen in every state at two sizes, compared with the text of the cells it drew.

A snapshot is the text of the screen, so that a change reads as a diff and a release of Textual that
moves a colour breaks nothing. ``SNAPSHOTS=write pytest tests/snapshots`` accepts the present look.
One app a state walks through all screens: starting it costs more than drawing them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from driving import until
from fake_project import (
    HOSTILE,
    FakeProject,
    annotation_script,
    embedding_script,
    training_script,
)
from textual.pilot import Pilot

from imfl_engine.errors import StorageError
from imfl_engine.types import Step, StepKind
from imfl_tui.app import ImflApp
from imfl_tui.new_project import NewProject
from imfl_tui.widgets.field import Field

FOLDER = Path(__file__).parent / "text"
SIZES = ((80, 24), (120, 40))
SCREENS = ("home", "label", "annotate", "train", "review", "explore", "results", "export")
HOSTILE_NAME = "bad\x1b[2J[b red]\u202e.db"
STATES = ("empty", "normal", "error", "running", "hostile")


def project_in(state: str) -> FakeProject:
    """The fake project that makes the state."""
    if state == "hostile":
        return hostile_project()
    project = FakeProject("empty" if state == "empty" else "normal")
    if state == "empty":
        project.items, project.batch, project.step = [], [], Step(StepKind.START, 0)
    if state == "running":
        project.script = [*embedding_script(), *training_script(), *annotation_script(24)]
        project.hold = True
    return project


def hostile_project() -> FakeProject:
    """A project in which everything that comes from outside tries to be obeyed."""
    labels = ("[/foo]", "\x1b[31mred", "a\u202egnirts")
    project = FakeProject(texts=HOSTILE, labels=labels, path=Path(HOSTILE_NAME))
    project.annotator = project.target = "small\x1b[2J[/b]\u202emodel"
    project.advice = "[bold red]Buy\x07 more[/]"
    training = training_script(device="cpu\x1b]0;owned\x07[/red]")
    project.script = [*annotation_script(24, labels=labels), *training]
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
        if state in ("running", "hostile"):
            app.start_rounds()
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for screen in SCREENS:
                await app.action_go(screen)
                await pilot.pause()
                if state == "error":
                    app.show_problem(StorageError("The disk is full.", "Free some space on it."))
                    await pilot.pause()
                yield f"{screen}-{state}-{size[0]}x{size[1]}"
                if state == "error":
                    await pilot.press("escape")


async def compare_at_both_sizes(name: str, app: ImflApp, pilot: Pilot[int]) -> None:
    """Compare what is shown now at each size."""
    for size in SIZES:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        await compare(f"{name}-{size[0]}x{size[1]}", app)


def is_harmless(text: str) -> bool:
    """Whether nothing in what is drawn would be obeyed by a terminal."""
    plain = text.replace("\n", "")
    return "\u202e" not in plain and not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in plain)


@pytest.mark.parametrize("state", STATES)
async def test_screens_look_as_they_did(state: str, tmp_path: Path):
    project = project_in(state)
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async for name in walk(app, state):
        await compare(name, app)
        assert is_harmless(drawn(app))


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
        await pilot.pause()
        await compare(f"{screen}-normal-{size[0]}x{size[1]}", app)


async def test_the_set_up_looks_as_it_did(tmp_path: Path):
    app = ImflApp(tmp_path / "new.db", None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=SIZES[0]) as pilot:
        await compare_at_both_sizes("setup-empty", app, pilot)
        await pilot.press("enter")
        await until(app, "✗")
        await compare_at_both_sizes("setup-error", app, pilot)


async def test_the_set_up_on_the_way_looks_as_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def never(self: NewProject) -> None:
        await asyncio.Event().wait()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(NewProject, "create", never)
    monkeypatch.setattr(NewProject, "share_read", 0.42)
    rows = "".join(f"{n},a text with the number {n},{('good', 'bad')[n % 2]}\n" for n in range(40))
    Path("reviews.csv").write_text("id,text,label\n" + rows)
    app = ImflApp(Path("new.db"), None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=SIZES[0]) as pilot:
        await pilot.pause()
        app.screen.query_one("#f-data", Field).value = "reviews.csv"
        for step in range(2, 7):
            await pilot.press("enter")
            await until(app, f"step {step} of 6")
            if step == 2:
                await compare_at_both_sizes("setup-normal", app, pilot)
        await pilot.press("enter")
        await until(app, "reading 42 %")
        await compare_at_both_sizes("setup-running", app, pilot)


async def test_the_set_up_of_hostile_data_looks_as_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"text": t[:5_000], "la[/b]\u202ebel": f"[red]{n}\x1b[2J"} for n, t in enumerate(HOSTILE)
    ]
    Path("hostile.jsonl").write_text("\n".join(map(json.dumps, rows)))
    app = ImflApp(Path(HOSTILE_NAME), None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=SIZES[0]) as pilot:
        await pilot.pause()
        app.screen.query_one("#f-data", Field).value = "hostile.jsonl"
        await pilot.press("enter")
        await until(app, "step 2 of 6")
        await compare_at_both_sizes("setup-hostile", app, pilot)
        assert is_harmless(drawn(app))


@pytest.mark.parametrize("theme", ["imfl-light", "ansi-dark", "ansi-light", "nord"])
async def test_other_themes_draw_the_same_words(theme: str, tmp_path: Path):
    settings = tmp_path / "settings.toml"
    settings.write_text(f'theme = "{theme}"\n')
    project = project_in("normal")
    app = ImflApp(project.path, project, preferences_file=settings, start_jobs=False)
    async with app.run_test(size=SIZES[0]):
        assert app.theme == theme
        for screen in SCREENS:
            await app.action_go(screen)
            await compare(f"{screen}-normal-80x24", app)
