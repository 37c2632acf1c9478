"""The pictures in the README: the real app on the sample data, after rounds the engine really did.

``SNAPSHOTS=write pytest -m slow tests/snapshots/test_readme_pictures.py`` draws them anew.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from html import unescape
from pathlib import Path

import pytest
from driving import go, until
from fake_project import FakeProject

from imfl_engine.project import Project
from imfl_engine.types import StepKind
from imfl_tui.app import ImflApp
from imfl_tui.cli.creation import create_sample
from imfl_tui.screens.label import LabelScreen
from imfl_tui.screens.review import ReviewScreen
from imfl_tui.stopwatch import Stopwatch

README = Path(__file__).parents[2] / "README.md"
FOLDER = Path(__file__).parent / "readme"
SIZE = (104, 32)
LARGEST = 150_000
SCREENS = {
    "label": "similar, labelled by you",
    "review": "found ",
    "results": "per class",
    "home": "Test accuracy",
}
"""The screens in the order they are walked through, and words that each has to show."""
BUDGET = {"human": 90, "llm": 360, "rounds": 5, "minutes": 30}
ANSWERED, REVIEWED = 9, 8
"""Items of the third round that are labelled by keys, and labels of the LLM that are checked."""


async def in_the_third_round(path: Path) -> Project:
    """A project of the sample data with two rounds done, the gold labels as the person's answers."""
    await create_sample(path, "clinic-inbox", budget=BUDGET, target="probe", seed=0)
    project = await Project.open(path)
    while (step := (await project.status()).step).round < 3 or step.kind is not StepKind.LABEL:
        if step.kind is StepKind.LABEL:
            await answer(project)
        async for _ in project.advance():
            pass
    return project


async def answer(project: Project) -> None:
    """Label the batch as somebody who knows would, at a reader's pace."""
    for item in (one.item for one in await project.queue(limit=100)):
        assert item.gold is not None
        await project.label(item.item_id, item.gold, seconds=2 + len(item.text) / 25)


async def label_some(app: ImflApp, press: Callable[[str], Awaitable[None]]) -> None:
    """Answer by keys, at a reader's pace."""
    assert isinstance(app.screen, LabelScreen)
    app.screen.stopwatch = Stopwatch(itertools.count(0, 2).__next__)
    assert app.status is not None
    keys = {label: str(number) for number, label in enumerate(app.status.labels, start=1)}
    for _ in range(ANSWERED):
        item = app.screen._batch.current
        assert item is not None
        await press(keys[item.item.gold or ""])
    await until(app, f"{ANSWERED} of ")


async def review_some(app: ImflApp, press: Callable[[str], Awaitable[None]]) -> None:
    """Keep what is right and correct what is wrong, by keys."""
    assert isinstance(app.screen, ReviewScreen)
    await until(app, "to review")
    app.screen.stopwatch = Stopwatch(itertools.count(0, 2).__next__)
    assert app.status is not None
    keys = {label: str(number) for number, label in enumerate(app.status.labels, start=1)}
    for _ in range(REVIEWED):
        assert app.screen.item_id is not None
        item = (await app.project.detail(app.screen.item_id)).item
        await press(keys[item.gold or ""])


@pytest.mark.slow
async def test_the_pictures_are_of_the_app_as_it_is_now(tmp_path: Path):
    project = await in_the_third_round(tmp_path / "inbox.db")
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async with app.run_test(size=SIZE) as pilot:
        for screen, words in SCREENS.items():
            await go(app, pilot, screen)
            if screen == "label":
                await label_some(app, pilot.press)
            elif screen == "review":
                await review_some(app, pilot.press)
            await until(app, words)
            await pilot.pause(0.6)
            picture = app.export_screenshot(title=f"imfl-tui · {screen}")
            assert words in words_of(picture)
            if os.environ.get("SNAPSHOTS") == "write":
                FOLDER.mkdir(exist_ok=True)
                (FOLDER / f"{screen}.svg").write_text(picture, encoding="utf-8")
    await project.close()


@pytest.mark.parametrize("screen", SCREENS)
async def test_the_pictures_show_the_keys_that_the_screens_have_now(screen: str, tmp_path: Path):
    project = FakeProject()
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async with app.run_test(size=SIZE) as pilot:
        await go(app, pilot, screen)
        await pilot.pause(0.3)
        picture = app.export_screenshot()
    stored = (FOLDER / f"{screen}.svg").read_text(encoding="utf-8")
    assert len(stored.encode()) < LARGEST
    assert last_row(stored) == last_row(picture)
    assert f"tests/snapshots/readme/{screen}.svg" in README.read_text(encoding="utf-8")


def words_of(svg: str) -> str:
    """All text of a picture."""
    return unescape(re.sub(r"<[^>]+>", "", svg)).replace("\xa0", " ")


def last_row(svg: str) -> Sequence[str]:
    """The words in the lowest row of cells."""
    cells = re.findall(r'<text [^>]*y="([\d.]+)"[^>]*clip-path[^>]*>(.*?)</text>', svg)
    lowest = max(float(y) for y, _ in cells)
    row = "".join(words_of(text) for y, text in cells if float(y) == lowest)
    return row.split()
