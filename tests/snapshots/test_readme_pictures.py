"""The pictures in the README: the real app, drawn by these tests.

``SNAPSHOTS=write pytest tests/snapshots/test_readme_pictures.py`` draws them anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path

import pytest
from driving import go, until
from fake_project import FakeProject, embedding_script, training_script

from imfl_engine.events import Event
from imfl_tui.app import ImflApp
from imfl_tui.screens.label import LabelScreen

FOLDER = Path(__file__).parent / "readme"
LARGEST = 150_000

PICTURES: list[tuple[str, list[Event], Sequence[str], str]] = [
    ("home", embedding_script(), (), "Test accuracy"),
    ("label", training_script(), ("1", "3", "2"), "guidelines"),
    ("review", [], ("j", "a", "1", "j"), "to review"),
]


@pytest.mark.parametrize(("screen", "script", "keys", "words"), PICTURES)
async def test_the_picture_shows_the_screen(
    screen: str, script: list[Event], keys: Sequence[str], words: str, tmp_path: Path
):
    project = FakeProject()
    project.script, project.hold = script, bool(script)
    app = ImflApp(
        project.path, project, preferences_file=tmp_path / "settings.toml", start_jobs=False
    )
    async with app.run_test(size=(104, 30)) as pilot:
        await go(app, pilot, screen, words)
        if isinstance(app.screen, LabelScreen):
            app.screen._clock = iter(range(0, 10_000, 3)).__next__
            await until(app, ".81")
        if script:
            app.start_rounds()
            await until(app, "▸ ")
        await pilot.press(*keys)
        await pilot.pause(0.4)
        picture = app.export_screenshot(title=f"imfl-tui · {screen}")
    path = FOLDER / f"{screen}.svg"
    if os.environ.get("SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    for svg in (picture, path.read_text(encoding="utf-8")):
        assert len(svg.encode()) < LARGEST
        text = unescape(re.sub(r"<[^>]+>", "", svg)).replace("\xa0", " ")
        assert words in text
