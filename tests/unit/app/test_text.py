"""Foreign text: nothing active, nothing invisible, nothing too long reaches the terminal."""

from __future__ import annotations

import itertools
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imfl_tui.text import (
    ELLIPSIS,
    MAX_CHARACTERS,
    clip,
    duration,
    fraction,
    joined,
    money,
    money_range,
    one_line,
    pad,
    safe_text,
    wrap,
)

ANY_TEXT = st.text(st.characters(), max_size=300)
NASTY_TEXT = st.text(
    st.one_of(
        st.characters(max_codepoint=0x2FF),
        st.sampled_from(
            "\x1b\x07\x9b\x9d\x7f\u202e\u2066\u200b\u200d\ufeff\ufe0f\u0301\U000e0041\ud800"
        ),
        st.sampled_from("[]/=@日本語👩‍💻"),
    ),
    max_size=200,
)


@given(st.one_of(ANY_TEXT, NASTY_TEXT), st.booleans())
def test_nothing_that_a_terminal_obeys_or_hides_survives(text: str, newlines: bool):
    shown = safe_text(text, newlines=newlines)
    for character in shown.replace("\n", "") if newlines else shown:
        assert unicodedata.category(character) not in ("Cc", "Cs")
        assert not 0x202A <= ord(character) <= 0x202E
        assert not 0x2066 <= ord(character) <= 0x2069
        assert character not in "\u200b\u200c\u200d\u200e\u200f\u2028\u2029\ufeff"


@given(st.one_of(ANY_TEXT, NASTY_TEXT))
def test_safe_text_is_stable_and_markup_is_left_alone(text: str):
    once = safe_text(text, newlines=True)
    assert safe_text(once, newlines=True, limit=10**9) == once
    assert once.count("[") >= text[:19_000].count("[")


@given(st.one_of(ANY_TEXT, NASTY_TEXT), st.integers(1, 40))
def test_wrapped_lines_fit_and_lose_no_visible_character(text: str, width: int):
    safe = safe_text(text, newlines=True)
    lines = wrap(safe, width)
    assert all(cell_len(row) <= max(width, 2) for row in lines)
    kept = "".join("".join(lines).split())
    assert kept == "".join(safe.replace("\n", " ").split())


@given(st.one_of(ANY_TEXT, NASTY_TEXT), st.integers(0, 40))
def test_one_line_and_pad_never_exceed_their_width(text: str, width: int):
    assert cell_len(one_line(text, width)) <= width
    assert "\n" not in one_line(text, width)
    assert cell_len(pad(safe_text(text), width)) == width


def test_control_characters_become_visible_symbols():
    assert safe_text("a\x1b]0;x\x07") == "a␛]0;x␇"
    assert safe_text("\u202eabc") == "<U+202E>abc"
    assert safe_text("a\u200bb\ufeff") == "a␣b␣"
    assert safe_text("\x9b1m\x7f") == "\\x9b1m␡"
    assert safe_text("a\r\nb\rc\td", newlines=True) == "a\nb\nc    d"


def test_emoji_are_as_wide_as_every_terminal_draws_them():
    assert safe_text("👍🏽 ✔\ufe0f 1\ufe0f\u20e3") == "👍 ✔ 1"


def test_stacks_of_combining_marks_are_cut():
    assert safe_text("e" + "\u0301" * 500) == "e" + "\u0301" * 3


def test_of_endless_rows_only_those_are_made_that_a_screen_shows():
    text = joined(f"row {number}" for number in itertools.count())
    assert MAX_CHARACTERS < len(text) < 2 * MAX_CHARACTERS
    assert safe_text(text, newlines=True).endswith(ELLIPSIS)


def test_a_line_of_a_megabyte_is_cut_before_it_is_laid_out():
    started = time.process_time()
    lines = wrap(safe_text("x" * 1_000_000, newlines=True), 80)
    wrap(safe_text("日" * 1_000_000, newlines=True), 80)
    one_line("y" * 1_000_000, 80)
    assert time.process_time() - started < 0.2
    assert len(lines) == 250
    assert lines[-1].endswith("…")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "—"),
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (600, "10 min"),
        (5400, "1 h 30 min"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float | None, words: str):
    assert duration(seconds) == words


def test_small_sums_are_not_shown_as_nothing():
    assert money(0.0021) == "$0.002"
    assert money(0.0000002) == "<$0.001"
    assert money(0) == "$0.00"
    assert money(1234.5) == "$1,234.50"


def test_a_range_whose_ends_read_the_same_is_one_number():
    assert money_range(0.381, 0.4399) == "$0.38–0.44"
    assert money_range(1.001, 1.002) == "$1.00"
    assert money_range(None, 2) == "an unknown price"


def test_fractions_are_written_as_in_tables():
    assert fraction(0.384) == ".38"
    assert fraction(1.0) == "1.00"
    assert clip("abcdef", 4) == "abc…"
