"""Home, Review, Explore, Export, Annotate, Train, Results, Set-up, help, palette: what keys do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from driving import go, shown, until
from fake_project import FakeProject, annotation_script, training_script

from imfl_engine.errors import ANY_PROJECT, ComputeError, EndpointError, ImflError
from imfl_engine.settings import replace_setting
from imfl_engine.views import ItemFilter, Status
from imfl_tui.app import ImflApp
from imfl_tui.lines.annotate import waiting_lines
from imfl_tui.screens.dialogs import Confirm, Reader
from imfl_tui.screens.help import Help
from imfl_tui.spans import plain
from imfl_tui.widgets.canvas import Canvas
from imfl_tui.widgets.field import Field
from imfl_tui.widgets.lossplot import loss_lines
from imfl_tui.widgets.rows import Rows


async def test_enter_on_home_does_what_comes_next(make_app):
    app = make_app()
    async with app.run_test() as pilot:
        await until(app, "enter label 28 items")
        await pilot.press("enter")
        assert app.current_mode == "label"
        await pilot.press("escape", "r")
        assert app.current_mode == "review"


async def test_keys_and_palette_follow_a_remapped_keyboard(make_app, tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_text('[keys]\n"label.skip" = "w"\n"label.undo" = "space"\n"label.flag" = "n"\n')
    project = FakeProject()
    app = make_app(project, preferences_file=file)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(app, "Your settings file")
        assert "label.note has it" in app.problems[0].message
        await go(app, pilot, "label", "12 of 40")
        assert "w skip" in shown(app)
        assert "f flag" in shown(app)
        await pilot.press("w")
        assert project.events[-1].action.value == "skip"
        await pilot.press("space")
        assert project.events[-1].action.value == "undo"


async def test_what_names_a_key_names_the_remapped_one(make_app, tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_text(
        '[keys]\n"label.guidelines" = "w"\n"label.opinions" = "e"\n"home.review" = "c"\n'
        '"home.next" = "g"\n"reader.close" = "w"\n"label.skip" = "y"\n'
    )
    project = FakeProject()
    app = make_app(project, preferences_file=file)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(app, "c review")
        await until(app, "g label 28 items")
        await go(app, pilot, "label", "w guidelines")
        await pilot.press("enter")
        await until(app, "Press e to see")
        await pilot.press("d")
        await until(app, "w close")
        await pilot.press("w")
        assert app.current_mode == "label"
        assert not isinstance(app.screen, Reader)
        await pilot.press("question_mark")
        await until(app, "y puts an item at the end of the batch")


async def test_help_shows_the_keys_that_work_here(make_app):
    app = make_app()
    async with app.run_test(size=(100, 40)) as pilot:
        await go(app, pilot, "label")
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        assert "label.skip" in shown(app)
        assert not any(word in str(app.screen._rows) for word in ("Focus", "Copy selected"))
        await pilot.press("escape")
        assert app.current_mode == "label"
        help_texts = [command.help for command in app.get_system_commands(app.screen)]
        for name, key in (("app.quit", "q"), ("app.help", "?"), ("app.palette", "ctrl+p")):
            assert any(text.endswith(f"key {key} · {name}") for text in help_texts)
        commands = {command.title for command in app.get_system_commands(app.screen)}
        assert {"label: skip", "go: review", "view: theme", "app: quit"} <= commands


async def test_review_keeps_and_corrects_with_one_key_and_counts(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(120, 34)) as pilot:
        await go(app, pilot, "review", "to review")
        first, second = (row.item_id for row in project._review_rows()[:2])
        await pilot.press("a", "2")
        assert project.reviewed == {first: "accepted", second: "corrected"}
        assert project.answers[second] == "negative"
        assert "278 to review" in shown(app)
        assert "found 7 in 20" in shown(app)
        await pilot.press("u")
        assert project.reviewed == {first: "accepted"}


async def test_the_llms_own_label_keeps_instead_of_correcting(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "review", "to review")
        await pilot.press("1")
        assert list(project.reviewed.values()) == ["accepted"]


async def test_everything_below_a_risk_is_kept_after_a_question(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "review", "to review")
        (below,) = await project.labels_below([0.1])
        await pilot.press("A")
        said = f"below .10  {below.count} labels, about {below.expected_errors:.0f} wrong"
        await until(app, said)
        await pilot.press("enter")
        await until(app, lambda: len(project.reviewed) == below.count > 100)
        assert all((r.risk or 0) < 0.1 for r in project._review_rows() if r.status == "accepted")


async def test_the_risk_that_is_proposed_gives_way_to_the_one_that_is_typed(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "review", "to review")
        await pilot.press("A", *".30", "enter")
        await until(app, lambda: project.reviewed)
        assert any((r.risk or 0) > 0.1 for r in project._review_rows() if r.status == "accepted")


async def test_where_no_label_is_below_a_risk_no_undo_is_offered(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(notifications=True) as pilot:
        await go(app, pilot, "review", "to review")
        await pilot.press("A", *".30", "enter")
        await until(app, lambda: project.reviewed)
        await pilot.press("A", *".20", "enter")
        await until(app, "No label has a risk below .20.")


async def test_the_exact_prompt_can_be_read(make_app):
    app = make_app()
    async with app.run_test() as pilot:
        await go(app, pilot, "review", "to review")
        await pilot.press("p")
        assert isinstance(app.screen, Reader)
        assert "Judge the effect on the company." in shown(app)


async def test_explore_searches_while_typing_and_relabels(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "explore", "400 items")
        await pilot.press("slash", *"ferries")
        found = await project.search(ItemFilter(text="ferries"))
        await until(app, f"{len(found)} items match")
        await pilot.press("enter", "j", "2")
        assert project.answers[found[1].item_id] == "negative"


async def test_explore_fetches_the_next_page_when_the_cursor_comes_near_the_end(make_app):
    app = make_app()
    async with app.run_test() as pilot:
        await go(app, pilot, "explore", "400 items")
        rows = app.screen.query_one(Rows)
        assert rows.count == 200
        rows.move(199)
        await until(app, lambda: rows.count == 400)


async def test_export_writes_beside_the_project_and_says_where(make_app, tmp_path: Path):
    project = FakeProject(path=tmp_path / "p.db")
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "export")
        await pilot.press("down", "enter")
        await until(app, "written:")
        assert ("export", (tmp_path / "p.jsonl", "jsonl")) in project.calls


async def test_an_export_that_is_older_than_the_labels_says_so(
    make_app, monkeypatch, tmp_path: Path
):
    project = FakeProject(path=tmp_path / "p.db")
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "export")
        await pilot.press("enter")
        await until(app, "written:")
        assert "Labels have changed" not in shown(app)
        before = project.status

        async def with_one_more() -> Status:
            status = await before()
            first, *others = status.label_counts
            return replace(status, label_counts=(replace(first, human=first.human + 1), *others))

        monkeypatch.setattr(project, "status", with_one_more)
        await app.refresh_status()
        await until(app, "Labels have changed since: enter writes it again")
        project.calls.clear()
        await pilot.press("enter")
        await until(app, lambda: "written:" in shown(app) and "have changed" not in shown(app))
        assert [name for name, _ in project.calls].count("export") == 1


async def test_export_asks_before_it_replaces_a_file(make_app, tmp_path: Path):
    project = FakeProject(path=tmp_path / "p.db")
    (tmp_path / "p.parquet").touch()
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "export")
        await pilot.press("enter")
        assert isinstance(app.screen, Confirm)
        await pilot.press("n")
        assert not [call for call in project.calls if call[0] == "export"]


async def test_after_an_export_that_failed_the_place_can_be_corrected(make_app, tmp_path: Path):
    project = FakeProject(path=tmp_path / "p.db")
    project.error = EndpointError("There is no such place.", "Choose another.")
    app = make_app(project)
    async with app.run_test(notifications=True) as pilot:
        await go(app, pilot, "export")
        await pilot.press("d", "enter")
        await until(app, "There is no such place.")
        assert isinstance(app.screen.focused, Field)
        project.error = None
        await pilot.press("enter")
        await until(app, "written:")
        assert app.screen.focused is None


@pytest.mark.parametrize("mode", ["export", "train"])
async def test_a_command_in_a_hint_is_about_the_open_project(make_app, mode: str):
    project = FakeProject(path=Path("my notes.db"))
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(app, pilot, mode)
        error = ImflError("Nothing is labelled yet.", f"Start with `imfl-tui run {ANY_PROJECT}`.")
        if mode == "export":
            project.error = error
            await pilot.press("d", "enter")
        else:
            app.show_problem(error)
        await until(app, "`imfl-tui run 'my notes.db'`")


async def test_why_an_export_failed_stays_on_the_screen_and_esc_leaves_the_field(
    make_app, tmp_path: Path
):
    project = FakeProject(path=tmp_path / "p.db")
    project.error = EndpointError("There is no such place.", "Choose another.")
    app = make_app(project)
    async with app.run_test() as pilot:  # without toasts
        await go(app, pilot, "export")
        await pilot.press("d", "enter")
        await until(app, "✗ There is no such place.")
        await until(app, "Choose another.")
        await pilot.press("escape")
        assert app.current_mode == "export"
        await pilot.press("escape", "e", "j")
        await until(app, "✗ There is no such place.")
        screen = app.screen
        assert screen._format.name == "JSON Lines"
        assert screen.query_one(Field).value.endswith("p.jsonl")
        project.error = None
        await pilot.press("enter")
        await until(app, "written:")
        assert "no such place" not in shown(app)


@pytest.mark.parametrize(
    ("downs", "name", "sentence"),
    [
        (2, "foo", "“foo” does not end in .csv"),
        (0, "out.jsonl", "“out.jsonl” does not end in .parquet"),
        (3, "out.csv", "“out.csv” ends in .csv"),
    ],
)
async def test_an_export_whose_name_says_another_format_is_refused_with_a_reason(
    make_app, tmp_path: Path, downs: int, name: str, sentence: str
):
    project = FakeProject(path=tmp_path / "p.db")
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "export")
        await pilot.press(*["down"] * downs, "d", "end", "ctrl+u", *name)
        await until(app, sentence)
        await pilot.press("enter")
        assert not [call for call in project.calls if call[0] == "export"]
        assert sentence in shown(app)


async def test_the_chosen_format_is_what_is_written(make_app, tmp_path: Path):
    project = FakeProject(path=tmp_path / "p.db")
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "export")
        await pilot.press("down", "down", "down", "enter")
        await until(app, "written:")
        assert ("export", (tmp_path / "p-dataset", "dataset")) in project.calls


async def test_review_takes_a_new_order_up_while_it_is_shown(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test() as pilot:
        await go(app, pilot, "review", "to review")
        first = project._review_rows()[0].item_id
        project.reviewed[first] = "accepted"  # what another training may do to the queue
        assert "280 to review" in shown(app)
        app.status = replace(app.status, curve=(*app.status.curve, app.status.curve[-1]))
        await until(app, "279 to review")


async def test_jobs_run_beside_the_keyboard_on_every_screen(make_app):
    project = FakeProject()
    project.script, project.hold = annotation_script(24), True
    app = make_app(project)
    async with app.run_test(size=(120, 34)) as pilot:
        app.start_rounds()
        await go(app, pilot, "annotate", "LLM 24/160 $0.67")
        assert "16 in flight" in shown(app)
        await pilot.press("space")
        await until(app, "(paused)")
        assert project.calls[-1] == ("pause", True)
        await pilot.press("space")
        await go(app, pilot, "label", "12 of 40")
        assert "LLM 24/160 $0.67" in shown(app)
        await pilot.press("1")
        assert "13 of 40" in shown(app)
        await pilot.press("escape", "a", "c")
        await until(app, lambda: app.jobs.rounds is None)


async def test_training_shows_its_curve(make_app):
    project = FakeProject()
    project.script, project.hold = training_script(), True
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        app.start_rounds()
        await go(app, pilot, "train", "60 / 95")
        assert ".74 right" in shown(app)


async def test_home_wraps_its_advice_and_the_reason_for_a_stop_at_80_columns(make_app):
    project = FakeProject()
    project.advice = "The last round gained less than its interval is wide. " * 3 + "Stop here."
    project.error = EndpointError("api.example.org/" + "a/" * 30 + " does not answer at all.", "")
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(app, pilot, "home", "Stop here.")
        app.start_rounds()
        await until(app, "does not answer at all.")
        assert "enter label 28 items" in shown(app)


async def test_a_training_of_one_step_shows_no_curve_of_a_single_dot(make_app):
    project = FakeProject()
    project.script, project.hold = training_script(1, 1), True
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        app.start_rounds()
        await go(app, pilot, "train", "1 / 1")
        assert "trained so far" in shown(app)
        assert "⡀" not in shown(app)
    assert "one step has no curve" in "".join(
        span.text for row in loss_lines(app.jobs.training, 80, 10) for span in row
    )


@pytest.mark.parametrize("steps", [0, 20])
async def test_train_says_why_it_ended(make_app, steps: int):
    project = FakeProject()
    project.script = training_script(steps)
    project.error = ComputeError("The device has not enough memory.", "Use a smaller model.")
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(app, pilot, "train")
        app.start_rounds()
        await until(app, "✗ stopped: The device has not enough memory.")
        assert "Use a smaller model." in shown(app)
        assert "▸ ended" not in shown(app)
        assert ("20 / 95" in shown(app)) is bool(steps)


async def test_a_small_screen_shows_one_notice_at_a_time_and_a_large_one_several(make_app):
    app = make_app()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        for screen, row in (("review", -1), ("label", 0)):
            await go(app, pilot, screen)
            for number in range(4):
                app.notify(f"Notice {number}", timeout=60)
                await until(app, f"Notice {number}")
            await until(app, lambda row=row: "Notice 3" in shown(app).splitlines()[row])
            assert not any(f"Notice {number}" in shown(app) for number in range(3))
    app = make_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await go(app, pilot, "home")
        app.notify("Notice 1", timeout=60)
        app.notify("Notice 2", timeout=60)
        await until(app, lambda: "Notice 1" in shown(app) and "Notice 2" in shown(app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_notices_cover_neither_rows_nor_items_nor_labels(make_app, size):
    app = make_app()
    error = ImflError(
        "The endpoint http://localhost:8000/v1 refused the connection with 12 requests under way.",
        "Check that the server runs; every paid reply is kept.",
    )

    def read_now(rows: tuple[int, int]) -> list[str]:
        return shown(app).splitlines()[slice(*rows)]

    async with app.run_test(size=size, notifications=True) as pilot:
        for screen, kept in {
            "review": (2, -5),
            "explore": (4, -2),
            "annotate": (6, -1),
            "label": (3, -1),
        }.items():
            await go(app, pilot, screen)
            await pilot.pause(0.3)
            before = read_now(kept)
            app.notify("A short notice.", timeout=60)
            await until(app, "A short notice.")
            assert read_now(kept) == before
            app.clear_notifications()
            await until(app, lambda: "A short notice." not in shown(app))
            app.notify_problem(error)
            await until(app, "✗ Stopped: The endpoint")
            await until(app, "kept.")
            assert read_now(kept) == before
            app.clear_notifications()
            await until(app, lambda: "✗ Stopped" not in shown(app))


async def test_a_failed_job_is_told_without_taking_the_focus(make_app):
    project = FakeProject()
    project.error = EndpointError("The endpoint does not answer.", "Is the server running?")
    app = make_app(project)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await go(app, pilot, "explore", "400 items")
        app.start_rounds()
        await until(app, "The endpoint does not answer.")
        assert app.current_mode == "explore"
        assert not app.jobs.busy


async def test_a_flood_of_events_is_published_at_most_ten_times_a_second(make_app):
    project = FakeProject()
    project.script, project.hold = training_script(2_000, 2_000), True
    app = make_app(project)
    changes: list[object] = []
    async with app.run_test() as pilot:
        await pilot.pause()
        app.watch(app, "jobs", lambda jobs: changes.append(jobs), init=False)
        started = time.monotonic()
        app.start_rounds()
        await until(app, lambda: app.jobs.training and app.jobs.training.last.step == 2_000)
        assert len(changes) <= 3 + 10 * (time.monotonic() - started)


async def test_quitting_asks_only_when_a_job_would_be_cut_short(make_app):
    project = FakeProject()
    project.script, project.hold = training_script(5), True
    app = make_app(project)
    async with app.run_test() as pilot:
        await pilot.pause()
        app.start_rounds()
        await until(app, "training 5 %")
        await pilot.press("q")
        assert isinstance(app.screen, Confirm)
        assert "training 5 %" in shown(app)
        assert "The training so far is lost; it starts again." in shown(app)
        assert "goes on from there" not in shown(app)
        await pilot.press("n", "q", "y")
        await pilot.pause(0.1)
    assert app.return_code == 0


async def test_what_the_confusion_panel_is_called_fits_what_it_shows(make_app):
    project = FakeProject()
    names = ("appointment", "medication", "results", "symptoms", "admin")
    three = await project.evaluation()
    rows = tuple(tuple(9 if i == j else 1 for j in range(5)) for i in range(5))
    five = replace(three, labels=names, confusion=rows)
    project.evaluation = lambda number=None: asyncio.sleep(0, five)
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(app, pilot, "results", ".794")
        await until(app, "confused most")
        assert "confusion · truth →" in shown(app)
        await pilot.resize_terminal(160, 45)
        await until(app, lambda: "confused most" not in shown(app))
        assert "confusion · truth down, prediction across" in shown(app)
        assert all(name in shown(app).split("truth down")[1].splitlines()[1] for name in names)


async def test_results_show_intervals_beside_every_figure(make_app):
    app = make_app()
    async with app.run_test(size=(120, 34)) as pilot:
        await go(app, pilot, "results", ".794 (.768–.819)")
        assert "✓ better than the floor" in shown(app)
        assert "off by 4.1 points" in shown(app)


async def test_the_set_up_makes_a_project_from_a_file(tmp_path: Path, sample_data: Path):
    target = tmp_path / "new.db"
    app = ImflApp(target, None, preferences_file=tmp_path / "s.toml", start_jobs=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        app.screen.query_one("#f-data").value = str(sample_data / "boiler-urgent" / "train.jsonl")
        for _ in range(6):
            await pilot.press("enter")
            for _ in range(100):
                await pilot.pause(0.02)
                if not getattr(app.screen, "_busy", ""):
                    break
        for _ in range(100):
            if app.current_mode == "home":
                break
            await pilot.pause(0.05)
        assert app.current_mode == "home"
        assert target.exists()
        assert app.project.settings.task.label_names


async def test_in_the_set_up_arrows_change_the_field_and_chosen_columns_stay(tmp_path: Path):
    data = tmp_path / "orders.csv"
    data.write_text("id,order,body\n1,o1,cheap and fine\n2,o2,never again\n3,o3,so so\n")
    app = ImflApp(tmp_path / "new.db", None, preferences_file=tmp_path / "s.toml", start_jobs=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        screen = app.screen
        screen.query_one("#f-data").value = str(data)
        await pilot.press("down")
        assert screen.focused.id == "f-test"
        await pilot.press("up")
        assert screen.focused.id == "f-data"
        await pilot.press("enter")
        await until(app, "step 2")
        screen.query_one("#f-context").focus()
        await pilot.press("right", "right")
        assert screen.query_one("#f-context").value == "order"
        await pilot.press("enter")
        await until(app, "step 3")
        await pilot.press("escape", "escape")
        await until(app, "step 1")
        await pilot.press("enter")
        await until(app, "step 2")
        assert screen.query_one("#f-context").value == "order"


async def test_annotate_shows_what_was_bought_before_the_start_and_its_prompts(make_app):
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "annotate", "✓ neutral")
        assert "c cancel" not in shown(app), "nothing runs"
        await pilot.press("j", "p")
        await until(app, lambda: isinstance(app.screen, Reader))


async def test_train_lists_the_trainings_so_far(make_app):
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "train", "trained so far")
        assert ".794" in shown(app)


async def test_an_undo_on_home_names_the_label_and_the_text(make_app):
    project = FakeProject()
    await project.label(13, "negative")
    app = make_app(project)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(app, "Test accuracy")
        await pilot.press("u")
        await until(app, "Undone: “negative”")


async def test_review_follows_the_loop_however_fast_it_goes_on(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(app, pilot, "review", "to review")
        begun, let_go = 0, asyncio.Event()
        fetch = project.review

        async def slow(*args, **options):
            nonlocal begun
            begun += 1
            await let_go.wait()
            return await fetch(*args, **options)

        project.review = slow
        for labels in (281, 282):
            trust = replace(app.status.trust, labels=labels)
            app.screen.status_changed(replace(app.status, trust=trust))
            await until(app, lambda wanted=labels - 280: begun == wanted)
        let_go.set()
        await pilot.pause()
        app.screen.status_changed(replace(app.status, trust=replace(trust, labels=283)))
        await until(app, lambda: begun == 3)


async def test_decisions_in_review_and_explore_count_as_the_persons_time(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(app, pilot, "review", "to review")
        for key in ("a", "x", "1"):
            before = len(project.events)
            await pilot.press(key)
            await until(app, lambda was=before: len(project.events) > was)
            assert 0 < project.events[-1].seconds < 60
        await go(app, pilot, "explore", "in the pool")
        before = len(project.events)
        await pilot.press("1")
        await until(app, lambda: len(project.events) > before)
        assert 0 < project.events[-1].seconds < 60


async def test_a_label_has_one_key_on_every_screen(make_app):
    project = FakeProject(labels=tuple(f"label {n:02}" for n in range(77)))
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        found = {}
        for mode in ("label", "review", "explore"):
            await go(app, pilot, mode)
            found[mode] = dict(app.screen._by_key)
        assert len(found["label"]) >= 20
        assert found["review"] == found["label"]
        # what is a command in Explore gives no label there
        assert found["explore"].items() <= found["label"].items()
        assert len(found["explore"]) >= 9


async def test_why_the_rounds_stopped_stays_to_be_read_until_they_go_on(make_app):
    project = FakeProject()
    project.error = EndpointError("api.example.org does not answer.", "Check that it runs.")
    app = make_app(project)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(app, pilot, "home")
        app.start_rounds()
        await until(app, "✗ stopped: api.example.org does not answer.")
        project.error, project.hold = None, True
        app.start_rounds()
        await until(app, lambda: "✗ stopped" not in shown(app))


async def test_enter_does_not_confirm_what_stops_or_replaces(make_app):
    project = FakeProject()
    project.script, project.hold = training_script(5), True
    app = make_app(project)
    async with app.run_test() as pilot:
        await pilot.pause()
        app.start_rounds()
        await until(app, "training 5 %")
        await pilot.press("q", "enter")
        await pilot.pause(0.1)
        assert isinstance(app.screen, Confirm)
        assert app.return_code is None
        await pilot.press("n")


async def test_label_opens_the_item_with_its_options_and_the_guidelines(make_app):
    options = tuple(f"option {n} " + "with many words " * 30 for n in range(4))
    project = FakeProject(labels=(), options=options)
    project.settings = replace_setting(project.settings, "task.guidelines", "Read to the end.")
    app = make_app(project)
    async with app.run_test(size=(100, 40)) as pilot:
        await go(app, pilot, "label", "d in full")
        await pilot.press("d")
        await until(app, lambda: isinstance(app.screen, Reader))
        for _ in range(40):
            if "Read to the end." in shown(app):
                break
            await pilot.press("pagedown")
        assert "Read to the end." in shown(app)
        await pilot.press("escape")
        assert project.events == []


async def test_explore_shows_the_exact_prompt_the_reply_and_the_cost_of_a_label(make_app):
    app = make_app(FakeProject())
    async with app.run_test(size=(120, 60)) as pilot:
        await go(app, pilot, "explore", "items")
        await pilot.press("enter")
        await until(app, lambda: isinstance(app.screen, Reader))
        seen = shown(app)
        for _ in range(20):
            await pilot.press("pagedown")
            seen += shown(app)
        assert "LLM · system" in seen
        assert '{"label": "neutral"}' in seen
        assert "tokens in" in seen


async def test_what_got_no_answer_in_the_last_round_is_told_with_what_to_do():
    status = await FakeProject("finished").status()
    assert "no answer" not in "".join(map(plain, waiting_lines(status, None, False)))
    told = [plain(spans) for spans in waiting_lines(replace(status, unanswered=3), None, False)]
    assert told[1] == "3 items got no answer: label them in Explore."
    told = [plain(spans) for spans in waiting_lines(replace(status, offered=2), None, False)]
    assert told[1] == "2 items it could not label: they wait for you in Label."


@pytest.mark.parametrize(
    ("screen", "panels", "key"),
    [("results", ("calibration",), "j"), ("export", ("content",), "pagedown")],
)
async def test_what_does_not_fit_a_small_screen_is_reached_by_a_key(make_app, screen, panels, key):
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await go(app, pilot, screen)
        await pilot.pause(0.2)
        cut = [app.screen.query_one(f"#{name}", Canvas) for name in panels]
        assert all(panel.hidden_below for panel in cut)
        for _ in range(20):
            await pilot.press(key)
        assert not any(panel.hidden_below for panel in cut)


async def test_labels_that_do_not_fit_the_set_up_are_reached_by_a_key(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"a text with the number {n},intent {n % 60}\n" for n in range(240))
    Path("intents.csv").write_text("text,label\n" + rows)
    app = ImflApp(Path("new.db"), None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.screen.query_one("#f-data", Field).value = "intents.csv"
        for step in ("step 2 of 6", "step 3 of 6"):
            await pilot.press("enter")
            await until(app, step)
        facts = app.screen.query_one("#facts", Canvas)
        await until(app, lambda: facts.hidden_below)
        for _ in range(20):
            await pilot.press("pagedown")
        assert not facts.hidden_below
