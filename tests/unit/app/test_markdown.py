"""Guidelines and help pages read as words, without the marks of Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imfl_tui
from imfl_tui.keymap import bindings_by_id
from imfl_tui.lines.markdown import markdown_lines
from imfl_tui.screens import registry
from imfl_tui.screens.help import named_keys
from imfl_tui.spans import plain, width_of


def shown(text: str, width: int = 30) -> list[str]:
    return [plain(row) for row in markdown_lines(text, width)]


def test_headings_points_and_emphasis_lose_their_marks():
    rows = markdown_lines("# What counts\n\n**First** of `all`:\n- *never* two words", 40)
    assert [plain(row) for row in rows] == [
        "What counts",
        "",
        "First of all:",
        "· never two words",
    ]
    assert rows[0][0].style == "accent"


def test_a_row_of_a_table_becomes_a_point_and_its_rule_nothing():
    assert shown("| Label | Meaning |\n|---|:--|\n| `good` | a *rise* |") == [
        "· Label — Meaning",
        "· good — a rise",
    ]


def test_a_point_hangs_with_the_lines_that_belong_to_it():
    assert shown("1. One request\n   among several.\n2. None", 16) == [
        "1. One request",
        "   among",
        "   several.",
        "2. None",
    ]


def test_a_paragraph_flows_over_its_full_lines_and_short_ones_stay():
    full = "Each item is one message to a small family practice, from a patient"
    assert shown(f"{full}\nor a carer.\n- {full}\nor a school.\n# Labels", 120) == [
        f"{full} or a carer.",
        f"· {full} or a school.",
        "Labels",
    ]
    assert shown("good: rises\nbad: falls") == ["good: rises", "bad: falls"]
    table = f"| {full} | a |"
    assert len(shown(f"{table}\n{table}\nand so on", 120)) == 3


@pytest.mark.parametrize("text", ["2 * 3 * 4", "snake_case_name", "a|b", "--- not a table", "5 `"])
def test_what_is_no_markdown_stays_as_it_is(text: str):
    assert shown(text) == [text]


def test_the_guidelines_of_the_sample_data_fit_and_keep_every_word(sample_data: Path):
    text = (sample_data / "clinic-inbox" / "guidelines.md").read_text(encoding="utf-8")
    rows = markdown_lines(text, 40)
    assert all(width_of(row) <= 40 for row in rows)
    words = re.findall(r"[a-z]+", " ".join(plain(row) for row in rows).lower())
    assert words == re.findall(r"[a-z]+", text.lower())


@pytest.mark.parametrize("mode", [entry.mode for entry in registry.SCREENS])
def test_a_help_page_names_keys_by_commands_of_its_screen(mode: str):
    page = Path(imfl_tui.__file__).with_name("help") / f"{mode}.md"
    commands = bindings_by_id([(mode, registry.bindings_of(mode))])
    text = named_keys(page.read_text(encoding="utf-8"), lambda name: f"<{commands[name].key}>")
    assert "<" in text
    assert "{" not in text
