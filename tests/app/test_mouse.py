"""The mouse: never needed, but what looks like a key, a row or a choice does its thing at a click."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import go, shown, until
from fake_project import FakeProject, embedding_script
from textual.pilot import Pilot

from imfl_engine.errors import StorageError
from imfl_tui.app import ImflApp
from imfl_tui.screens.dialogs import Ask, Confirm, Picker, Problem, Reader
from imfl_tui.screens.help import Help
from imfl_tui.text import cells
from imfl_tui.widgets.choice import Choice
from imfl_tui.widgets.field import Field
from imfl_tui.widgets.rows import Rows


async def click(
    app: ImflApp, pilot: Pilot[int], words: str, *, within: str | None = None, nth: int = 0
) -> None:
    """Click the first letter of words on the screen, or in one widget of it.

    ``nth`` says which, where they are there several times.
    """
    await until(app, words)
    await pilot.pause(0.05)  # what stands above it may still take its place
    places = [
        (cells(row[:column]), y)
        for y, row in enumerate(shown(app).splitlines())
        for column in range(len(row))
        if row.startswith(words, column)
    ]
    if within is not None:
        places = [place for place in places if place in app.screen.query_one(within).region]
    await pilot.click(offset=places[nth])
    await pilot.pause()


async def test_home_goes_on_and_to_every_screen(make_app):
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        for words in ("enter label 28", "label 28 items", "28 items, about"):
            await click(app, pilot, words)
            assert app.current_mode == "label"
            await click(app, pilot, "esc home")
            assert app.current_mode == "home"
        for mode in ("label", "annotate", "train", "review", "explore", "results", "export"):
            await click(app, pilot, f" {mode}  ", within="#keybar")
            assert app.current_mode == mode
            await click(app, pilot, "esc home")
        await click(app, pilot, "r review", within="#keybar")
        assert app.current_mode == "review"


async def test_label_labels_skips_undoes_and_asks(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        first = app.screen._batch.current.item.item_id
        await click(app, pilot, "negative ")
        assert project.answers[first] == "negative"
        await click(app, pilot, "1 positive")
        assert project.answers[first + 1] == "positive"
        await click(app, pilot, "u undo")
        await until(app, lambda: first + 1 not in project.answers)
        await click(app, pilot, "n note")
        assert isinstance(app.screen, Ask)
        await pilot.press("h", "i")
        await click(app, pilot, "enter save")
        assert project.notes[first + 1] == "hi"
        await click(app, pilot, "n note")
        await click(app, pilot, "esc cancel")
        assert app.current_mode == "label"
        await click(app, pilot, "/ pick")
        assert isinstance(app.screen, Picker)
        await click(app, pilot, "neutral", within="#found")
        assert project.answers[first + 1] == "neutral"
        await click(app, pilot, "d open")
        assert isinstance(app.screen, Reader)
        await pilot.click(offset=(0, 15))
        assert not isinstance(app.screen, Reader)


async def test_a_label_is_given_by_a_click_whatever_is_in_its_name(make_app):
    labels = ("it's [bold]", 'a "b" (c)', "back\\slash)")
    project = FakeProject(labels=labels)
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        given = []
        for label in labels:
            given.append(app.screen._batch.current.item.item_id)
            await click(app, pilot, label)
        assert [project.answers[item_id] for item_id in given] == list(labels)


async def test_options_and_a_folded_context_take_clicks(make_app):
    project = FakeProject(options=("aspirin", "rest"), labels=(), context="A line of it.\n" * 60)
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        await click(app, pilot, "z unfolds")
        await until(app, "↓ ")
        before = shown(app)
        await click(app, pilot, "↓ ")
        assert shown(app) != before
        item_id = app.screen._batch.current.item.item_id
        await click(app, pilot, "rest")
        assert project.answers[item_id] == "B"


async def test_review_moves_to_a_row_opens_it_and_labels(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "review", "1 of 280")
        await click(app, pilot, ".88")
        await until(app, "4 of 280")
        await click(app, pilot, ".88")
        assert isinstance(app.screen, Reader)
        await click(app, pilot, "esc close")
        item_id = app.screen.item_id
        await click(app, pilot, "2 negative")
        assert project.answers[item_id] == "negative"
        await click(app, pilot, "A keep all below")
        await click(app, pilot, "enter keep them")
        await until(app, lambda: len(project.reviewed) > 1)


async def test_explore_filters_opens_and_leaves_the_field(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(app, pilot, "explore", "400 items")
        await click(app, pilot, "any source")
        await until(app, "by you")
        await until(app, "12 items match")
        await click(app, pilot, "any label")
        await click(app, pilot, "negative", within="#found")
        await until(app, "4 items match")
        await click(app, pilot, "c clear")
        await until(app, "400 items in the pool")
        await click(app, pilot, "/ search the texts")
        assert isinstance(app.screen.focused, Field)
        await pilot.press("l", "a", "b")
        await until(app, "items match")
        rows = app.screen.query_one(Rows)
        await click(app, pilot, "The lab reports", within="#rows", nth=1)
        assert app.screen.focused is None
        assert rows.cursor == 1
        await pilot.press("1")
        assert project.answers[app.screen.item_id] == "positive"


async def test_annotate_results_and_export(make_app, tmp_path: Path):
    project = FakeProject(path=tmp_path / "p.db")
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(app, pilot, "annotate", "newest first")
        await until(app, "✓ neutral")
        await click(app, pilot, "✓ neutral", nth=2)
        await click(app, pilot, "✓ neutral", nth=2)
        assert isinstance(app.screen, Reader)
        await click(app, pilot, "esc close")
        await go(app, pilot, "results", "per class")
        await click(app, pilot, "← round before")
        await click(app, pilot, "e export")
        await until(app, "what it will contain")
        await click(app, pilot, "CSV")
        await click(app, pilot, "writes the file")
        await until(app, "written:")
        assert ("export", (tmp_path / "p.csv", "csv")) in project.calls
        await pilot.click("#destination")
        assert isinstance(app.screen.focused, Field)
        await click(app, pilot, "what it will")
        assert app.screen.focused is None


async def test_questions_errors_and_help_are_answered_and_closed(make_app):
    project = FakeProject()
    project.script, project.hold = embedding_script(), True
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "home", "Rounds")
        app.start_rounds()
        await until(app, "▸ ")
        await pilot.press("q")
        assert isinstance(app.screen, Confirm)
        await pilot.click(offset=(0, 10))
        assert isinstance(app.screen, Confirm), "a question is not answered by a click beside it"
        await click(app, pilot, "n stay")
        assert "rounds" in app.jobs.running
        await click(app, pilot, "?", nth=-1)
        assert isinstance(app.screen, Help)
        await pilot.click(offset=(0, 10))
        assert not isinstance(app.screen, Help)
        app.show_problem(StorageError("The disk is full.", "Free some space on it."))
        await until(app, "did not work")
        assert isinstance(app.screen, Problem)
        await click(app, pilot, "esc close")
        assert app.current_mode == "home"
        await pilot.press("q")
        await click(app, pilot, "stop and quit")
    assert not app.jobs.running


@pytest.mark.parametrize("side", ["right", "left"])
async def test_the_set_up_goes_through_its_steps(tmp_path: Path, monkeypatch, side: str):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n},a text with the number {n},{('good', 'bad')[n % 2]}\n" for n in range(40))
    Path("reviews.csv").write_text("id,text,label\n" + rows)
    app = ImflApp(Path("new.db"), None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        app.screen.query_one("#f-data", Field).value = "reviews.csv"
        await click(app, pilot, "enter goes on")
        await until(app, "step 2 of 6")
        choice = app.screen.query(Choice).first()
        values, before = choice._values, choice.value
        x, y = choice.content_region.offset
        await pilot.click(offset=(x + (5 if side == "right" else 0), y))
        step = 1 if side == "right" else -1
        assert choice.value == values[(values.index(before) + step) % len(values)]
        await click(app, pilot, "esc back")
        await until(app, "step 1 of 6")
