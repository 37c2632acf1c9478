"""Gauges, plots and tables as lines of text, at every size."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imfl_engine.types import Action, Interval, Item, LabelEvent, Origin
from imfl_engine.views import (
    BudgetUse,
    CalibrationBin,
    CostEstimate,
    CurvePoint,
    ItemDetail,
    LabelCount,
    LlmTrust,
    Opinion,
    ReviewRow,
    RoundProgress,
    SimilarItem,
)
from imfl_tui.jobs import TrainingRun
from imfl_tui.keymap import LabelKey
from imfl_tui.lines.annotate import finished_words
from imfl_tui.lines.label import undone
from imfl_tui.lines.results import LEFT_OUT, cost_lines
from imfl_tui.lines.review import risk_words
from imfl_tui.lines.train import past_lines
from imfl_tui.spans import Span, fit, plain, remapped, spread, width_of
from imfl_tui.widgets.bars import bar, mixed_bar
from imfl_tui.widgets.budget import budget_lines
from imfl_tui.widgets.calibration import calibration_lines
from imfl_tui.widgets.confusion import confusion_lines
from imfl_tui.widgets.curve import curve_lines
from imfl_tui.widgets.distribution import distribution_lines
from imfl_tui.widgets.header import header_line
from imfl_tui.widgets.item import ItemFace, item_lines
from imfl_tui.widgets.keybar import Key, key_line
from imfl_tui.widgets.labels import label_lines, option_lines
from imfl_tui.widgets.lossplot import loss_lines
from imfl_tui.widgets.raster import nice_ticks
from imfl_tui.widgets.rounds import folded, rounds_lines
from imfl_tui.widgets.trust import trust_lines

WIDTHS = (20, 36, 60, 98, 200)
ROUNDS = [
    RoundProgress(0, 20, 20, 0, 0, "done"),
    RoundProgress(1, 47, 47, 133, 133, "done"),
    RoundProgress(2, 53, 12, 147, 0, "now"),
    *(RoundProgress(n, 40, 0, 160, 0, "planned") for n in range(3, 13)),
]
BUDGET = BudgetUse(132, 200, 280, 800, 4.62, 0.1, 5.0, 41.0, None)
ESTIMATE = CostEstimate(160, 1, 2, 3, 4, 0.38, 0.44, 6.0, True, "table")
POINTS = [
    CurvePoint(
        n,
        Interval(0.6 + n / 20, 0.55 + n / 20, 0.66 + n / 20, 900),
        0.5,
        "test",
        60 * n,
        100 * n,
        60,
        n,
    )
    for n in range(5)
]


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.001, 0.5, 0.999, 1.0, 7.0])
@pytest.mark.parametrize("width", [1, 7, 40])
def test_a_bar_has_its_width_and_is_only_full_when_the_share_is(share: float, width: int):
    spans = bar(share, width)
    assert width_of(spans) == width
    text = plain(spans)
    assert (text == "█" * width) == (share >= 1)
    if 0 < share < 1:
        assert not text.startswith("·")


def test_parts_of_a_bar_add_up():
    assert (
        plain(mixed_bar([(1 / 3, "a", ""), (1 / 3, "b", ""), (1 / 3, "c", "")], 10)).count("·") == 0
    )
    assert width_of(mixed_bar([(0.2, "a", ""), (0.1, "b", "")], 17)) == 17


def test_round_zero_is_part_of_round_one():
    first = folded(ROUNDS)[0]
    assert (first.round, first.human_done, first.human_planned, first.llm_done) == (1, 67, 67, 133)


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_fit_their_width(width: int):
    counts = [LabelCount(f"label {n} with a long name", n, 2 * n) for n in range(12)]
    trust = LlmTrust(Interval(0.8, 0.63, 0.9, 30), 31.4, 280, 18, 12, 6, ("a" * 40, "b" * 40, 5, 9))
    blocks = [
        rounds_lines(ROUNDS, width),
        budget_lines(BUDGET, ESTIMATE, width),
        distribution_lines(counts, width, 6),
        curve_lines(POINTS, ("neutral", 0.59), width, 9),
        loss_lines(
            TrainingRun(
                losses=tuple((n, 1 / (n + 1)) for n in range(500)), validation=((400, 0.2, 0.8),)
            ),
            width,
            9,
        ),
        trust_lines(trust, width),
    ]
    for lines in blocks:
        for spans in lines:
            assert width_of(fit(spans, width)) <= width
    for lines in (blocks[0], blocks[3], blocks[4]):
        assert all(width_of(spans) <= width for spans in lines)


def test_the_budget_warns_near_a_limit_without_relying_on_colour():
    money = plain(budget_lines(BUDGET, ESTIMATE, 60)[3])
    assert "$4.62 / $5.00!" in money
    minutes = plain(budget_lines(BUDGET, ESTIMATE, 60)[1])
    assert "no limit" in minutes
    capped = replace(ESTIMATE, money_high=0.38, stops_at_money_limit=True)
    assert "! $0.38, stops at the limit" in plain(budget_lines(BUDGET, capped, 60)[4])
    reached = replace(ESTIMATE, calls=0, money_limit_reached=True)
    assert (
        plain(budget_lines(BUDGET, reached, 60)[4])
        == "! money limit reached: raise budget.money_usd"
    )


def test_the_curve_shows_the_last_value_with_its_interval_and_the_floor():
    text = "\n".join(plain(spans) for spans in curve_lines(POINTS, ("neutral", 0.59), 70, 12))
    assert ".800 ± .055" in text
    assert "always .590" in text
    assert text.count("●") == 5


def test_labels_that_do_not_fit_are_summed():
    counts = [LabelCount(f"l{n}", 1, 1) for n in range(9)]
    assert "and 6 more labels" in plain(distribution_lines(counts, 40, 4)[-1])


def test_a_small_confusion_matrix_is_drawn_and_a_large_one_becomes_its_worst_pairs():
    lines = confusion_lines(("a", "b"), ((8, 2), (1, 9)), 40, 8)
    assert "8" in plain(lines[1])
    names = [f"intent number {n}" for n in range(77)]
    counts = [
        [3 if i == j else (5 if (i, j) == (4, 7) else 0) for j in range(77)] for i in range(77)
    ]
    lines = confusion_lines(names, counts, 60, 10)
    assert "intent number 4 → intent number 7" in plain(lines[1])


def test_names_that_are_confused_are_cut_only_where_both_do_not_fit():
    counts = ((0, 7, 0), (16, 0, 0), (0, 1, 24))
    pairs = [
        plain(spans)
        for spans in confusion_lines(("appointment", "medication", "x" * 40), counts, 36, 3)
    ]
    assert pairs[1].split() == ["medication", "→", "appointment", "16", "of", "16"]
    assert all(len(pair) <= 36 for pair in pairs)
    (long,) = [plain(spans) for spans in confusion_lines(("x" * 40, "y"), ((0, 3), (0, 0)), 36, 2)][
        1:
    ]
    assert "… → y" in long
    assert long.endswith("3 of 3")


def test_calibration_says_in_words_which_way_it_is_off():
    bins = [CalibrationBin(0.8, 0.9, 0.85, 0.60, 40), CalibrationBin(0.9, 1.0, 0.95, 0.94, 90)]
    text = "\n".join(plain(spans) for spans in calibration_lines(bins, 0.08, 60))
    assert "over" in text
    assert "≈" in text
    assert "8.0 points" in text


def test_a_running_job_is_never_pushed_out_of_the_header():
    line = header_line("a-very-long-project-name.db", [Span("x" * 200)], ["training 63 %"], 80)
    assert plain(line).rstrip().endswith("training 63 % ▸")
    assert width_of(line) == 80


def test_the_footer_keeps_help_and_palette_however_narrow_it_is():
    keys = [Key(c, "word", f"screen.{c}") for c in "abcdefghij"]
    keys += [Key("ctrl+p", "", "", True), Key("?", "", "", True)]
    text = plain(key_line(keys, 40))
    assert "ctrl+p" in text
    assert "?" in text
    assert width_of(key_line(keys, 40)) <= 42


def test_an_item_with_a_long_context_folds_only_when_it_must():
    face = ItemFace("question", context="word " * 2_000, reason="because")
    folded_lines = item_lines(face, 80, 20)
    assert len(folded_lines) <= 20
    assert any("unfolds" in plain(spans) for spans in folded_lines)
    short = ItemFace("question", context="short")
    assert not any("unfolds" in plain(spans) for spans in item_lines(short, 80, 20))


def test_seventy_seven_labels_leave_a_way_to_the_rest():
    keys = [LabelKey(str(n % 10), f"intent_{n:02}", "") for n in range(77)]
    lines = label_lines(keys, 80, 8)
    assert len(lines) <= 8
    assert "more" in plain(lines[-1])


def test_labels_stand_on_one_line_where_they_fit_and_in_columns_where_not():
    names = ("appointment", "medication", "symptoms", "results", "admin")
    keys = [LabelKey(str(n), name) for n, name in enumerate(names, start=1)]
    assert len(label_lines(keys, 80, 8)) == 1
    assert "4 results    5 admin" in plain(label_lines(keys, 80, 8)[0]).replace(" ✓", "  ")
    columns = [plain(spans) for spans in label_lines(keys, 60, 8, chosen="results")]
    assert columns[0].index("2 medication") == columns[1].index("5 admin")
    assert "4 results ✓" in columns[1]
    assert max(map(len, columns)) <= 60


def test_ten_thousand_options_are_cut_and_say_so():
    keys = [LabelKey("1", "A", "x" * 5_000) for _ in range(10_000)]
    lines = option_lines(keys, 80, 10)
    assert len(lines) <= 12
    assert "more options" in plain(lines[-1])


def test_both_ends_of_a_line_stay_apart():
    assert plain(spread([Span("left" * 10)], [Span("right")], 30)).endswith("right")


def test_ticks_are_round_numbers_inside_the_range():
    assert nice_ticks(0.55, 0.82, 6) == pytest.approx([0.55, 0.6, 0.65, 0.7, 0.75, 0.8])
    assert all(0 <= tick <= 1.3 for tick in nice_ticks(0, 1.3, 5))


def test_a_round_that_ended_short_is_not_marked_as_complete():
    full = RoundProgress(1, 20, 20, 80, 80, "done")
    short = RoundProgress(2, 20, 20, 80, 31, "done")
    top, below = (plain(spans) for spans in rounds_lines([full, short], 80))
    assert top.index("✓") < top.index("◑")
    assert "31/80" in below
    assert "80/80" not in below


def test_when_nothing_is_left_to_buy_no_next_round_is_priced():
    nothing = CostEstimate(0, 0, 0, 0, 0, 0.0, 0.0, 0.0, True, "table")
    assert plain(budget_lines(BUDGET, nothing, 60)[4]) == "nothing more is planned"


@pytest.mark.parametrize("width", [36, 51, 60, 98])
def test_what_a_round_gained_is_divided_by_the_minutes_and_dollars_it_cost(width: int):
    points = [
        CurvePoint(1, Interval(0.70, 0.6, 0.8, 900), 0.7, "test", 60, 100, 60, 1.0, 10.0),
        CurvePoint(2, Interval(0.76, 0.7, 0.8, 900), 0.7, "test", 90, 200, 60, 3.0, 22.0),
    ]
    lines = [plain(spans) for spans in cost_lines(points, width)]
    assert all(len(text) <= width for text in lines[:3])
    titles, last = lines[0].split(), lines[2].split()
    found = dict(zip(titles, last, strict=True))
    assert found["gain"] == "+6.0"
    if width >= 51:
        assert (found["gain/min"], found["gain/$"]) == ("+0.5", "+3.0")
    if width >= 98:
        assert (found["min"], found["cost"]) == ("12", "$2.00")
    below = " ".join(text.strip() for text in lines[3:])
    assert "+6.0 points: +0.5 a minute, +3.0 a dollar" in below
    assert all(len(text) <= width for text in lines)


def test_columns_of_minutes_and_dollars_are_left_out_where_none_were_spent():
    free = [CurvePoint(n, Interval(0.7, 0.6, 0.8, 9), 0.7, "test", 6, 1, 6, 0.0) for n in (1, 2)]
    assert plain(cost_lines(free, 120)[0]).split() == ["round", "you", "LLM", "right", "gain"]


@pytest.mark.parametrize("width", [36, 60, 98])
def test_llm_labels_that_no_model_was_trained_on_are_in_brackets_and_it_is_said_why(width: int):
    learned = CurvePoint(1, Interval(0.7, 0.6, 0.8, 900), 0.7, "test", 60, 100, 60, 1.0)
    left_out = replace(learned, round=2, llm=1200, llm_weight=0.0)
    for rows in (cost_lines([learned, left_out], width), past_lines([learned, left_out], width)):
        lines = [plain(spans) for spans in rows]
        assert "(100)" not in lines[1]
        assert "(1,200)" in lines[2]
        assert lines[1].index("100") + 3 == lines[2].index("(1,200)") + 7
        assert LEFT_OUT in " ".join(text.strip() for text in lines)
    assert "(…)" not in "".join(plain(row) for row in cost_lines([learned], width))


def test_a_finished_run_says_how_much_of_its_share_the_llm_labelled():
    assert "280 of 800" in finished_words(BUDGET)
    assert "$4.62 of $5.00" in finished_words(BUDGET)
    whole = BudgetUse(200, 200, 800, 800, 1.0, 0.0, None, 41.0, None)
    assert finished_words(whole) == "All 800 labels of the LLM are there."


def test_an_undo_names_what_it_took_back_and_from_which_item():
    event = LabelEvent(
        7, 99, Action.LABEL, "negative", 1, Origin.BATCH, "me", 2.0, None, None, datetime.now(UTC)
    )
    assert undone(event, "The mill stood still.") == "Undone: “negative” · The mill stood still."
    for action in set(Action) - {Action.UNDO}:
        assert "99" not in undone(replace(event, action=action), "The mill stood still.")


def test_a_span_that_names_a_commands_key_follows_the_keymap():
    spans = [Span("r", "key", command="home.review"), Span(" riskiest first")]
    assert plain(remapped(spans, {"home.review": "c"})) == "c riskiest first"
    assert remapped(spans, {"home.label": "c"}) is spans


def test_review_says_in_words_why_a_label_may_be_wrong():
    row = ReviewRow(1, "text", "refund", 0.8, 1, "unreviewed")
    similar = [SimilarItem(n, "like it", "card", 0.9) for n in range(4)]
    detail = ItemDetail(
        item=Item(1, "k", "text"), label="refund", source="llm", history=(),
        model=Opinion("card", 0.91), llm=Opinion("refund", 0.42), risk=0.8, reason="", round=1,
        control=False, demonstrations=(*similar, SimilarItem(9, "other", "refund", 0.8)),
        messages=None, raw_reply=None, reply_status="ok", input_tokens=0, output_tokens=0,
        cost_usd=0.0, flagged=False, comment=None,
    )  # fmt: skip
    words = risk_words(detail, row)
    assert "the model says card .91" in words
    assert "4 of your 5 similar labels say card" in words
    assert "the LLM itself is unsure (.42)" in words
    agreed = replace(
        detail,
        model=Opinion("refund", 0.9),
        llm=Opinion("refund", 0.9),
        demonstrations=(SimilarItem(2, "same", "refund", 0.9),),
    )
    assert "Nobody says otherwise" in risk_words(agreed, row)
    assert risk_words(replace(agreed, model=None, demonstrations=()), row) == ""
