"""Set-up: what it says, where it goes on, and that nothing it says is cut."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from driving import shown, until

from imfl_engine.annotate.connecting import _NO_SERVER
from imfl_engine.annotate.money import unknown_price
from imfl_engine.errors import DataError, ImflError
from imfl_tui.app import ImflApp
from imfl_tui.drafts import Draft
from imfl_tui.lines.setup import lost_lines, price_lines, scarce_lines, summary_lines
from imfl_tui.new_project import NewProject, lost_labels
from imfl_tui.setup_words import in_fields
from imfl_tui.spans import Line


def words(lines: list[Line]) -> str:
    return " ".join("".join(span.text for span in row) for row in lines)


def reviews(folder: Path, rows: int = 12) -> Path:
    file = folder / "reviews.csv"
    names = ("good", "bad", "odd")
    lines = [f"{n},a text with the number {n},{names[n % 3]}\n" for n in range(rows)]
    file.write_text("id,text,label\n" + "".join(lines))
    return file


def make(tmp_path: Path) -> ImflApp:
    return ImflApp(
        tmp_path / "new.db", None, preferences_file=tmp_path / "s.toml", start_jobs=False
    )


@pytest.mark.parametrize(
    "error",
    [
        unknown_price("m", "http://h/v1"),
        ImflError("No server answers.", _NO_SERVER),
        DataError("'a.csv' is not UTF-8.", "Convert the file to UTF-8, or name its encoding with "
                  "--encoding, often cp1252 or latin-1."),
        ImflError("No key.", "Set it with `export K=…`, or name another variable with "
                  "`imfl-tui config PROJECT.db annotator.key_name NAME`."),
        ImflError("Which?", "Name it with --text; the columns are a, b."),
        ImflError("Something.", "Do this. Or run `imfl-tui config PROJECT.db` --some-flag."),
    ],
)  # fmt: skip
def test_errors_in_the_set_up_name_its_fields_and_no_flags(error: ImflError):
    message, hint = in_fields(error)
    assert message == error.message
    assert hint.endswith(".")
    for foreign in ("--", "imfl-tui", "PROJECT.db", "annotator.", "encoding"):
        assert foreign not in hint


def test_labels_that_are_dropped_are_told_with_their_rows():
    counts = Counter(good=5, bad=3, odd=1)
    lost = lost_labels(counts, Draft(labels="good"))
    assert "4 rows of the data lose their label: bad, odd." in words(lost_lines(lost, 60))
    assert not lost_labels(counts, Draft(labels="good, bad, odd"))
    assert not lost_labels(counts, Draft(labels="good", options="answers"))


def test_more_labels_than_items_are_warned_of():
    draft = Draft(human="200", llm="800")
    assert "1,000 labels are asked for, but the data has about 80 items" in words(
        scarce_lines(draft, 80, 70)
    )
    assert scarce_lines(draft, 1000, 70) == []
    assert scarce_lines(Draft(human="x"), 8, 70) == []


def test_one_round_and_a_free_annotator_are_called_that():
    assert "in 1 round" in (said := words(summary_lines(Draft(rounds="1"), None, "p.db")))
    assert "1 rounds" not in said
    from imfl_engine.views import CostEstimate

    free = CostEstimate(0, 0, 0, 0, 0, 0.0, 0.0, 3.0, True, "costs no money")
    assert "none  labels by neighbours are free" in words(price_lines(Draft(), free, 70))


def test_the_last_page_names_the_guidelines_and_no_llm_where_there_is_none():
    asked = words(summary_lines(Draft(guidelines="tone.md"), None, "p.db"))
    assert "tone.md" in asked
    assert "200 by you, 800 by the LLM" in asked
    alone = words(summary_lines(Draft(annotator="none"), None, "p.db"))
    assert "200 by you, in 5 rounds" in alone
    assert "guidelines" not in alone


async def test_a_mark_says_which_field_has_the_keys(tmp_path: Path):
    app = ImflApp(tmp_path / "new.db", None, preferences_file=tmp_path / "settings.toml")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, "▸ file")
        await pilot.press("down")
        await until(app, "▸ test set")
        assert "▸ file" not in shown(app)


async def test_a_missing_folder_is_told_at_the_first_step(tmp_path: Path):
    new = NewProject(tmp_path / "nowhere" / "p.db", tmp_path)
    new.answer("data", str(reviews(tmp_path)))
    with pytest.raises(ImflError, match="There is no folder"):
        await new.check("data")


async def test_a_file_with_two_columns_that_could_be_the_text_lets_the_person_choose(
    tmp_path: Path,
):
    file = tmp_path / "two.csv"
    rows = "".join(f"some longer words {n},other longer words {n}\n" for n in range(9))
    file.write_text("front,back\n" + rows)
    new = NewProject(tmp_path / "p.db", tmp_path)
    new.answer("data", str(file))
    await new.check("data")
    assert new.draft.text in ("front", "back")


async def test_the_set_up_goes_on_at_the_step_where_it_was_left(tmp_path: Path):
    app = make(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.screen.query_one("#f-data").value = str(reviews(tmp_path))
        for step in (2, 3, 4, 5):
            await pilot.press("enter")
            await until(app, f"step {step} of 6")
        await until(app, "but the data has about 9 items to label")
    again = make(tmp_path)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(again, "step 5 of 6")
        await until(again, "labels by neighbours are free")
        assert "Your earlier answers are here again." in shown(again)
        await pilot.press("enter")
        await until(again, "Ready?")


async def test_the_set_up_goes_on_where_the_kept_answers_do_not_fit_any_more(tmp_path: Path):
    file = reviews(tmp_path)
    new = NewProject(tmp_path / "new.db", tmp_path)
    new.answer("data", str(file))
    await new.check("data")
    new.stand_at("budget")
    file.unlink()
    again = NewProject(tmp_path / "new.db", tmp_path)
    assert again.was_kept
    assert await again.take_up() == 0


async def test_a_long_error_is_wrapped_and_shown_whole_at_80_columns(tmp_path: Path):
    app = make(tmp_path)
    long = tmp_path / ("a" * 120) / "b.csv"
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        field = app.screen.query_one("#f-data")
        field.value = str(long)
        await pilot.press("enter")
        await until(app, "✗")
        message = app.screen.query_one("#problem")
        assert message.size.height >= len(message.lines) > 3
        app.screen._say("word " * 60, "bad", "hint " * 20 + "end.")
        await until(app, "end.")
