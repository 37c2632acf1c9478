"""The Label screen: one key labels, saves, goes on; everything can be taken back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from driving import go, shown, until
from fake_project import HOSTILE, FakeProject
from textual.pilot import Pilot

from imfl_engine.errors import StorageError
from imfl_engine.events import Progress
from imfl_engine.types import Action, Step, StepKind
from imfl_tui import jobs as job_states
from imfl_tui.screens.dialogs import Picker, Problem
from imfl_tui.screens.label import LabelScreen


async def label_screen(app, pilot: Pilot[int]) -> LabelScreen:
    await go(app, pilot, "label", " of 40")
    assert isinstance(app.screen, LabelScreen)
    return app.screen


async def test_one_key_labels_saves_and_shows_the_next(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label_screen(app, pilot)
        first = screen._batch.current.item
        await pilot.press("2")
        assert project.answers[first.item_id] == "negative"
        assert screen._batch.current.item.item_id == first.item_id + 1
        assert "13 of 40" in shown(app)
        assert "✓ negative" in shown(app)


async def test_undo_brings_items_back_one_by_one_with_their_labels_gone(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        start = screen._batch.current.item.item_id
        await pilot.press("1", "2", "3")
        await pilot.press("u", "backspace")
        assert screen._batch.current.item.item_id == start + 1
        assert start in project.answers
        assert start + 1 not in project.answers
        await pilot.press("u")
        assert screen._batch.current.item.item_id == start


async def test_undo_reaches_labels_of_an_earlier_session(make_app):
    project = FakeProject()
    item_id = project.batch[12]
    await project.label(item_id, "positive")
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        assert screen._batch.current.item.item_id == item_id + 1
        await pilot.press("u")
        await until(app, lambda: item_id not in project.answers)
        assert screen._batch.current.item.item_id == item_id
        assert item_id not in project.answers


async def test_skip_flag_and_note_are_saved(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("f", "n", "h", "m", "enter")
        assert project.flags == {item_id}
        assert project.notes == {item_id: "hm"}
        await pilot.press("space")
        assert project.events[-1].action is Action.SKIP
        assert screen._batch.current.item.item_id == item_id + 1


async def test_undo_takes_a_flag_and_a_note_off_the_item_and_keeps_it_in_view(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("f", "n", "h", "m", "enter")
        await until(app, "✎ hm")
        await pilot.press("u")
        await until(app, lambda: "✎ hm" not in shown(app))
        assert "⚑ flagged" in shown(app)
        await pilot.press("u")
        await until(app, lambda: "⚑ flagged" not in shown(app))
        assert screen._batch.current.item.item_id == item_id
        assert "12 of 40" in shown(app)
        assert not project.flags
        assert not project.notes


async def test_undo_of_a_flag_on_the_item_before_takes_back_no_label_of_it(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("1", "left", "f", "u")
        assert "13 of 40" in shown(app)
        assert screen._batch.current.item.item_id == item_id
        await pilot.press("2")
        assert "13 of 40" in shown(app)


async def test_undo_of_a_flag_on_an_item_out_of_view_says_so_and_stays_where_it_is(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("f", "right", "u")
        await until(app, "Undone: marked")
        assert screen._batch.current.item.item_id == item_id + 1
        await pilot.press("left")
        assert "⚑ flagged" not in shown(app)
        assert "12 of 40" in shown(app)


async def test_undo_of_a_second_answer_leaves_the_first_one_counted(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("1", "left", "2", "u")
        assert project.answers[item_id] == "positive"
        assert screen._batch.current.item.item_id == item_id
        assert "13 of 40" in shown(app)
        assert "1 positive ✓" in shown(app)
        await pilot.press("u")
        assert item_id not in project.answers
        assert "12 of 40" in shown(app)


async def test_opinions_stay_hidden_until_asked_for_and_hide_again_for_the_next_item(make_app):
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await label_screen(app, pilot)
        assert "model says" not in shown(app)
        assert "picked because the model is unsure" in shown(app)
        assert ".38" not in shown(app)
        await pilot.press("o")
        assert "model says neutral .38" in shown(app)
        assert "unlike the other picks: neutral .38, positive .31" in shown(app)
        await pilot.press("1")
        assert "model says" not in shown(app)


async def test_enter_accepts_a_suggestion_only_when_it_is_visible(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("enter")
        assert item_id not in project.answers
        await pilot.press("o", "a")
        assert project.answers[item_id] == "neutral"


async def test_the_item_before_can_be_answered_again(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("1", "left", "2")
        assert project.answers[item_id] == "negative"
        assert screen._batch.current.item.item_id == item_id + 1
        assert "13 of 40" in shown(app)


async def test_a_label_that_cannot_be_saved_keeps_the_item_and_says_why(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        project.error = StorageError("The disk is full.", "Free some space.")
        await pilot.press("1")
        assert isinstance(app.screen, Problem)
        assert "The disk is full." in shown(app)
        await pilot.press("escape")
        assert screen._batch.current.item.item_id == item_id


async def test_the_picker_finds_one_of_many_labels_in_three_keys(make_app):
    labels = tuple(
        f"{a}_{b}" for a in ("card", "cash", "pin") for b in "abcdefghijklmnopqrstuvwxyz"
    )
    project = FakeProject(labels=labels)
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("slash")
        assert isinstance(app.screen, Picker)
        await pilot.press("p", "z", "enter")
        assert project.answers[item_id] == "pin_z"


async def test_the_picker_shows_long_names_whole_where_labels_have_no_description(make_app):
    ending = "_of_a_name_that_tells_two_labels_apart"
    project = FakeProject(labels=(f"first{ending}", f"second{ending}", "third"))
    app = make_app(project)
    async with app.run_test() as pilot:
        await label_screen(app, pilot)
        await pilot.press("slash")
        await until(app, f"first{ending}")


async def test_the_arrows_move_in_the_picker_while_its_field_has_the_focus(make_app):
    project = FakeProject(labels=("card_arrival", "card_lost", "card_payment"))
    app = make_app(project)
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        await pilot.press("slash", *"card", "down", "down", "up", "enter")
        assert project.answers[item_id] == "card_lost"


async def test_options_of_the_item_are_its_labels_in_multiple_choice(make_app):
    project = FakeProject(options=("aspirin", "warfarin", "rest"), labels=())
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await label_screen(app, pilot)
        item_id = screen._batch.current.item.item_id
        assert "warfarin" in shown(app)
        await pilot.press("2")
        assert project.answers[item_id] == "B"


async def test_a_long_context_folds_scrolls_and_leaves_the_labels_in_view(make_app):
    context = " ".join(f"word{n}" for n in range(3000))
    app = make_app(FakeProject(context=context))
    async with app.run_test(size=(80, 24)) as pilot:
        await label_screen(app, pilot)
        assert "z unfolds" in shown(app)
        assert "1 positive" in shown(app)
        await pilot.press("z", "pagedown", "pagedown")
        assert "word0 " not in shown(app)
        assert "1 positive" in shown(app)


async def test_hostile_text_is_shown_as_text(make_app):
    app = make_app(FakeProject(texts=HOSTILE, labels=("[/foo]", "\x1b[31mred", "a\u202eb")))
    async with app.run_test(size=(80, 24)) as pilot:
        await label_screen(app, pilot)
        for _ in range(len(HOSTILE)):
            screen = shown(app)
            assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in screen if c != "\n")
            assert "\u202e" not in screen
            assert "[/foo]" in screen
            await pilot.press("1")


async def test_after_the_last_item_the_free_steps_begin_by_themselves(make_app):
    project = FakeProject(answered=38)
    project.settings = project.settings.model_copy(
        update={"annotator": project.settings.annotator.model_copy(update={"spec": "neighbours"})}
    )
    project.script = [Progress("annotate", 3, 160)]
    project.hold = True
    app = make_app(project)
    async with app.run_test() as pilot:
        await label_screen(app, pilot)
        await pilot.press("1", "1")
        await until(app, "2 items labelled")
        await until(app, lambda: ("advance", {}) in project.calls)


async def test_money_is_never_spent_without_a_key(make_app):
    project = FakeProject(answered=38)
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await label_screen(app, pilot)
        await pilot.press("1", "1")
        await until(app, "$0.38–0.44")
        assert ("advance", {}) not in project.calls
        await pilot.press("enter")
        await until(app, lambda: ("advance", {}) in project.calls)
        step = (await project.status()).step
        assert project.may(step)
        assert not project.may(replace(step, round=step.round + 1)), "agreed to this round alone"


async def test_the_last_answer_of_a_batch_goes_on_even_while_a_fetch_is_under_way(make_app):
    project = FakeProject(answered=34)
    project.settings = project.settings.model_copy(
        update={"annotator": project.settings.annotator.model_copy(update={"spec": "neighbours"})}
    )
    project.hold = True
    quick = project.queue

    async def slow(limit: int = 20):
        found = await quick(limit)
        await asyncio.sleep(0.3)
        return found

    app = make_app(project)
    async with app.run_test() as pilot:
        await label_screen(app, pilot)
        project.queue = slow
        await pilot.press(*"111111")
        await until(app, lambda: ("advance", {}) in project.calls)


async def test_the_next_batch_is_offered_as_soon_as_it_is_chosen(make_app):
    project = FakeProject(answered=38)
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await label_screen(app, pilot)
        await pilot.press("1", "1")
        await until(app, "$0.38–0.44")
        await until(app, lambda: not app._status_lock.locked())
        assert app.status is not None
        app.status = replace(app.status, step=Step(StepKind.LABEL, 4, 0, 13))
        await until(app, "enter start round 4: 13 items wait for you")


async def test_when_the_batch_is_done_the_footer_names_only_what_still_works(make_app):
    app = make_app(FakeProject(answered=38))
    async with app.run_test(size=(120, 30)) as pilot:
        await label_screen(app, pilot)
        assert "space skip" in shown(app)
        await pilot.press("1", "1")
        await until(app, "2 items labelled")
        await until(app, lambda: "space skip" not in shown(app))
        assert "u undo" in shown(app)
        await pilot.press("u")
        await until(app, "space skip")


async def test_an_earlier_answer_that_is_undone_leaves_the_line_of_the_last_ones(make_app):
    project = FakeProject(answered=12)
    await project.label(project.batch[12], "negative")
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await label_screen(app, pilot)
        await until(app, "last  ✓ negative")
        await pilot.press("u")
        await until(app, lambda: "✓ negative" not in shown(app))


async def test_progress_of_a_job_repaints_its_words_and_not_the_whole_screen(make_app, monkeypatch):
    app = make_app(FakeProject())
    async with app.run_test() as pilot:
        screen = await label_screen(app, pilot)
        repainted = []
        monkeypatch.setattr(screen, "refresh", lambda *_, **how: repainted.append(how))
        app.jobs = job_states.start(app.jobs, "prefetch")
        await until(app, lambda: "embedding ▸" in shown(app))
        assert repainted == []


async def test_the_answer_that_spends_the_last_minutes_ends_the_batch(make_app):
    project = FakeProject(answered=10)
    quick, state = project.queue, project.status

    async def queue(limit: int = 20):
        return await quick(limit) if len(project.answers) < 12 else []

    async def status():
        spent = len(project.answers) >= 12
        found = replace(await state(), minutes_spent_up=spent)
        return replace(found, step=Step(StepKind.ANNOTATE, 3, 0, 160)) if spent else found

    project.queue, project.status = queue, status
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await label_screen(app, pilot)
        await pilot.press("1")
        assert "budget" not in shown(app)
        await pilot.press("1")
        await until(app, "Your time budget of 120 min is reached.")
        assert "imfl-tui config earnings-tone.db budget.minutes N" in shown(app)
        await until(app, "enter annotate 160 items by ")
        await pilot.press("u")
        await until(app, lambda: app.screen.takes_label)


async def test_what_the_llm_could_not_label_is_offered_after_the_last_round(make_app):
    project = FakeProject("finished", offered=3)
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(app, "3 items that the LLM could not label")
        await pilot.press("enter")
        await until(app, "0 of 3")
        assert isinstance(app.screen, LabelScreen)
        await pilot.press("1", "2", "3")
        assert project.answers == {1: "positive", 2: "negative", 3: "neutral"}
        await until(app, "goes to the export")


async def test_the_label_screen_goes_on_with_them_where_it_is_open_at_the_end(make_app):
    project = FakeProject("finished")
    project.batch = []
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "goes to the export")
        project.batch, project.offered = [1, 2], 2
        await app.refresh_status()
        await until(app, "2 items that the LLM could not label")
        await pilot.press("enter")
        await until(app, "0 of 2")
