"""What a narrow screen says in fewer words, and what it wraps; nothing a person needs is cut."""

from __future__ import annotations

import pytest

from imfl_engine.events import Progress, StepStarted
from imfl_engine.types import Step, StepKind
from imfl_engine.views import ReviewPage, RoundProgress
from imfl_tui.jobs import Jobs, describe, fold, start
from imfl_tui.lines.home import advice_lines
from imfl_tui.lines.progress import progress_line
from imfl_tui.lines.review import totals_line
from imfl_tui.spans import plain, width_of
from imfl_tui.widgets.aids import guideline_lines, similar_lines
from imfl_tui.widgets.header import header_line
from imfl_tui.widgets.keybar import Key, key_line
from imfl_tui.widgets.rounds import rounds_lines


def test_the_time_left_stays_beside_a_running_job():
    jobs = fold(start(Jobs(), "prefetch"), "prefetch", Progress("embed", 612, 2000, "items"))
    short = describe(jobs, "prefetch", short=True)
    assert short == "embedding 30 %"

    def place(room: int):
        return progress_line(12, 40, 3, 212.0, room)

    shown = plain(header_line("earnings-tone.db", place, [short], 80))
    assert "12 of 40 " in shown
    assert "about 4 min left" in shown
    assert "…" not in shown
    wide = plain(header_line("earnings-tone.db", place, ["embedding ahead 612/2,000"], 120))
    assert "label · round 3" in wide


@pytest.mark.parametrize("room", range(8, 60))
def test_the_count_of_the_batch_is_never_cut(room: int):
    words = plain(progress_line(12, 40, 3, 212.0, room))
    assert words.startswith("12 of 40")
    assert len(words) <= max(room, 9)


def test_a_short_job_says_its_share_and_an_llm_run_its_count():
    jobs = fold(start(Jobs(), "rounds"), "rounds", StepStarted(Step(StepKind.SCORE, 2)))
    jobs = fold(jobs, "rounds", Progress("score", 500, 1000, "items"))
    assert describe(jobs, "rounds", short=True) == "scoring 50 %"


def test_the_totals_of_review_end_with_a_whole_part():
    page = ReviewPage((), 0, 280, 280, 64.0, 18, 6, 16.0)
    assert plain(totals_line(page, 61)).endswith("found 6 in 18")
    for room in range(14, 70):
        shown = plain(totals_line(page, room))
        assert len(shown) <= room
        assert shown.startswith("280 to review")


def test_advice_is_wrapped_and_nothing_of_it_lost():
    advice = "The last round gained less than its interval is wide. " * 3
    rows = [plain(row) for row in advice_lines(advice.strip(), 78)]
    assert len(rows) > 1
    assert " ".join(row.strip() for row in rows) == advice.strip()


def test_the_figures_of_a_round_are_never_cut():
    rounds = [
        RoundProgress(n, 40, 12 if n == 3 else 0, 160, 0, "now" if n == 3 else "planned")
        for n in range(1, 6)
    ]
    for width in range(20, 130):
        assert all("…" not in plain(row) for row in rounds_lines(rounds, width))
    assert "12/40·0/160" in plain(rounds_lines(rounds, 76)[1])
    big = [RoundProgress(n, 40_000, 1_200, 160_000, 7, "now") for n in range(1, 6)]
    assert all("…" not in plain(row) for row in rounds_lines(big, 76))


def test_empty_panels_beside_the_labels_are_wrapped():
    rows = similar_lines([], 30)
    assert len(rows) > 1
    assert all(width_of(row) <= 30 for row in rows)
    from imfl_engine.settings import Task

    task = Task.model_validate({"labels": [{"name": "a"}, {"name": "b"}]})
    assert all(width_of(row) <= 34 for row in guideline_lines(task, 34, "p.db"))
    (command,) = guideline_lines(task, 90, "my notes.db")
    assert "config 'my notes.db' task.guidelines" in plain(command)


def test_keys_stand_closer_where_that_shows_them_all():
    keys = [Key(letter, "words", "act") for letter in "abcdefghi"] + [Key("?", "", "help", True)]
    for width in range(20, 100):
        row = plain(key_line(keys, width)).rstrip()
        assert len(row) <= width
        assert row.endswith("?")
    known = [*keys[:-1], Key("?", "help", "help", True, True)]
    assert "i words  ? help" in plain(key_line(known, 88))
    assert plain(key_line(known, 87)).rstrip().endswith("i words  ?")
    assert "i words  ?" in plain(key_line(keys, 83))
    assert "h words i words ?" in plain(key_line(keys, 74))
    assert "i words" not in plain(key_line(keys, 73))
