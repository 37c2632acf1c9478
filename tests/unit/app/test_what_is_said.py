"""Titles, counts and warnings say what is so: rounds, plurals, headings, what is lost, what is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from imfl_engine.events import StepStarted
from imfl_engine.types import Step, StepKind
from imfl_engine.views import LlmTrust, RoundProgress, SimilarItem
from imfl_tui import jobs as job_states
from imfl_tui.drafts import Draft
from imfl_tui.jobs import Jobs, TrainingRun
from imfl_tui.lines.home import place_words
from imfl_tui.lines.review import risk_in
from imfl_tui.lines.setup import summary_lines
from imfl_tui.prompts import demonstration_parts
from imfl_tui.spans import plain
from imfl_tui.widgets.confusion import confusion_lines
from imfl_tui.widgets.rounds import folded, rounds_lines
from imfl_tui.widgets.trust import trust_lines


def test_the_headings_of_a_confusion_matrix_use_the_width_there_is():
    labels = ("appointment", "medication", "results", "symptoms", "admin")
    counts = [[9 if i == j else 1 for j in range(5)] for i in range(5)]
    wide = confusion_lines(labels, counts, 76, 8)
    assert all(label in plain(wide[0]) for label in labels)
    assert all(label in plain(row) for label, row in zip(labels, wide[1:], strict=True))
    assert "…" not in "".join(map(plain, wide))
    assert all(len(plain(row)) <= 76 for row in wide)
    for width in range(20, 120):
        lines = confusion_lines(labels, counts, width, 8)
        if len(lines) == 6 and "→" not in plain(lines[1]):
            assert all(len(plain(row)) <= width for row in lines)


def test_the_word_round_counts_from_one_also_where_the_first_batch_is_the_whole_pool():
    only = [RoundProgress(0, 57, 20, 0, 0, "now")]
    assert [cell.round for cell in folded(only)] == [1]
    assert plain(rounds_lines(only, 80)[0]).startswith("1 ▸")
    status = SimpleNamespace(rounds=only, step=Step(StepKind.LABEL, 0, 20, 57))
    assert place_words(status) == "round 1 of 1 · your turn: 37 items"
    over = [replace(only[0], human_done=57, state="done")]
    status = SimpleNamespace(rounds=over, step=Step(StepKind.FINISHED, 0))
    assert place_words(status) == "the only round is done"


@pytest.mark.parametrize(("rounds", "words"), [("1", "in 1 round"), ("5", "in 5 rounds")])
def test_the_summary_of_the_set_up_counts_one_round_as_one(rounds: str, words: str):
    lines = summary_lines(Draft(rounds=rounds), None, "p.db")
    assert any(plain(row).endswith(words) for row in lines)


def test_leaving_says_that_a_training_is_lost_and_that_everything_else_goes_on():
    for kind, ready, lost in (
        (StepKind.TRAIN, False, True),
        (StepKind.TRAIN, True, False),
        (StepKind.ANNOTATE, False, False),
    ):
        started = job_states.start(Jobs(), "rounds")
        jobs = job_states.fold(started, "rounds", StepStarted(Step(kind, 1)))
        if ready:
            jobs = replace(jobs, training=TrainingRun(ready=object()))
        words = " ".join(job_states.quitting_words(jobs, ["rounds"]))
        assert ("The training so far is lost; it starts again." in words) is lost
        assert ("goes on from there" in words) is not lost


def test_similarities_that_are_not_known_are_no_numbers():
    shown = (SimilarItem(1, "far", "card", 0.4), SimilarItem(2, "near", "card", 0.81))
    detail = SimpleNamespace(messages=None, demonstrations=shown)
    ((_, text),) = demonstration_parts(detail)
    assert text.index(".81  card") < text.index(".40  card")
    detail.demonstrations = (SimilarItem(1, "text", "card", None),)
    ((_, text),) = demonstration_parts(detail)
    assert "." not in text


@pytest.mark.parametrize(
    ("reviewed", "wrong", "words"),
    [(18, 6, "wrong 6 (1 in 3)"), (8, 7, "wrong 7"), (9, 0, "wrong 0")],
)
def test_home_says_one_in_how_many_only_where_that_says_something(reviewed, wrong, words):
    rows = trust_lines(LlmTrust(None, None, 40, reviewed, reviewed - wrong, wrong, None), 60)
    assert plain(rows[-1]).endswith(words)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"test": "0.2", "label": "label"}, "20 % of its items"),
        ({"money": "", "minutes": ""}, "no limit of money · no limit of your time"),
        ({"money": "5.00", "minutes": "90"}, "$5.00 · 90 min of yours"),
    ],
)
def test_the_summary_of_the_set_up_says_shares_and_limits_in_words(answers, words):
    draft = replace(Draft(), **answers)
    rows = summary_lines(draft, None, "p.db")
    assert any(words in plain(row) for row in rows)


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        (".10", 0.1),
        (" 0,3 ", 0.3),
        ("30", 0.3),
        ("1", 0.01),
        ("1 %", 0.01),
        ("0.5%", 0.005),
        ("100%", 1.0),
        ("0", None),
        ("-.1", None),
        ("101", None),
        ("nan", None),
        ("inf", None),
        ("all", None),
    ],
)
def test_a_written_risk_is_never_taken_for_a_larger_one(text: str, risk: float | None):
    assert risk_in(text) == (None if risk is None else pytest.approx(risk))
