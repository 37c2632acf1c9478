"""What is answered or taken back on one screen is so on every other one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import go, shown, until
from fake_project import FakeProject

from imfl_engine.types import Origin
from imfl_tui.jobs import Jobs
from imfl_tui.lines.label import end_lines
from imfl_tui.queue import Batch
from imfl_tui.screens.label import LabelScreen
from imfl_tui.spans import plain


@pytest.mark.parametrize("elsewhere", ["review", "home", "explore"])
async def test_an_answer_of_label_that_is_undone_elsewhere_is_asked_for_again(make_app, elsewhere):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        screen = app.screen
        assert isinstance(screen, LabelScreen)
        first = screen._batch.current.item.item_id
        await pilot.press("1", "2", "3")
        await until(app, "15 of 40")
        await go(app, pilot, elsewhere)
        await pilot.press("u", "u")
        await until(app, lambda: first + 1 not in project.answers)
        await go(app, pilot, "label", "13 of 40")
        assert screen._batch.current.item.item_id == first + 1
        assert "✓ positive" in shown(app)
        assert "✓ neutral" not in shown(app)
        await pilot.press("1", "1", "1")
        await until(app, "16 of 40")
        assert list(project.answers)[-3:] == [first + 1, first + 2, first + 3]


async def test_an_item_of_the_batch_that_is_labelled_elsewhere_is_not_asked_for_again(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        screen = app.screen
        assert isinstance(screen, LabelScreen)
        await pilot.press("1")
        current = screen._batch.current.item.item_id
        await go(app, pilot, "explore")
        for item_id in (current, current + 2):
            await project.label(item_id, "neutral", origin=Origin.EXPLORE)
        await go(app, pilot, "label", "15 of 40")
        assert screen._batch.current.item.item_id == current + 1
        await pilot.press("2")
        assert screen._batch.current.item.item_id == current + 3


async def test_a_mark_that_is_written_elsewhere_is_shown_on_label(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        await pilot.press("1")
        current = app.screen._batch.current.item.item_id
        await go(app, pilot, "explore")
        await project.note(current, "look again")
        await project.flag(current + 1, True)
        await go(app, pilot, "label", "✎ look again")
        await pilot.press("1")
        await until(app, "⚑ flagged")


async def test_the_end_of_a_batch_is_open_again_once_its_last_answer_is_undone_on_home(make_app):
    project = FakeProject(answered=38)
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "38 of 40")
        screen = app.screen
        assert isinstance(screen, LabelScreen)
        last = project.batch[-1]
        await pilot.press("1", "1")
        await until(app, "items labelled in")
        await go(app, pilot, "home")
        await pilot.press("u")
        await until(app, lambda: last not in project.answers)
        await go(app, pilot, "label", "39 of 40")
        assert screen._batch.current.item.item_id == last


async def test_the_end_of_a_batch_counts_what_was_labelled_in_it():
    project = FakeProject()
    batch = Batch()
    batch.add([project._queue_item(n) for n in (1, 2)])
    batch.answer("a", 1.0)
    batch.answer("b", 1.0)
    batch.add([replace(project._queue_item(n), round=7) for n in (3, 4, 5)])
    batch.answer("a", 2.0)
    batch.answer(None, 2.0)
    batch.answer("b", 2.0)
    words = "\n".join(map(plain, end_lines(await project.status(), Jobs(), "", batch.answers)))
    assert "2 items labelled in 4 s" in words


def test_what_a_part_of_the_queue_does_not_name_still_waits():
    project = FakeProject()
    items = [project._queue_item(n) for n in (1, 2, 3, 4)]
    batch = Batch()
    batch.add(items)
    batch.answer("a", 1.0)
    batch.reconcile(items[1:3], complete=False)
    batch.answer("b", 1.0)
    batch.answer("b", 1.0)
    assert batch.current == items[3]
    batch.reconcile([], complete=True)
    assert batch.current is None
