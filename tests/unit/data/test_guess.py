"""What is guessed from a preview."""

from __future__ import annotations

from typing import Any

import pytest

from imfl_engine.data.guess import Columns, guess_columns, guess_kind, guess_labels

LONG = "a sentence of several words that somebody wrote"


def guess(row: dict[str, Any], given: Columns | None = None) -> Columns:
    return guess_columns(list(row), [row], given or Columns()).columns


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": LONG, "label": "x"}, Columns("text", "", "", "label", "")),
        ({"label": 1, "Text": LONG, "ID": 3}, Columns("Text", "", "", "label", "ID")),
        ({"a": "x", "b": LONG}, Columns("b", "", "", "", "")),
        ({"title": "Short", "abstract": LONG}, Columns("abstract", "", "", "", "")),
        (
            {"question": "Why so?", "context": LONG, "final_decision": "yes", "pubid": 7},
            Columns("question", "context", "", "final_decision", "pubid"),
        ),
        (
            {"question": "Which?", "options": {"A": "x", "B": "y"}, "answer_idx": "B"},
            Columns("question", "", "options", "answer_idx", ""),
        ),
        ({"text": LONG, "label": 0, "label_text": "no"}, Columns("text", "", "", "label_text", "")),
        ({"text": LONG, "options": "none"}, Columns("text", "", "", "", "")),
        ({"text": LONG, "label": LONG * 5}, Columns("text", "", "", "", "")),
        ({"text": "", "note": LONG}, Columns("text", "", "", "", "")),
        ({"sentence": 12, "note": LONG}, Columns("note", "", "", "", "")),
    ],
)
def test_columns_by_name_and_content(row: dict[str, Any], expected: Columns) -> None:
    assert guess(row) == expected


def test_what_is_given_is_kept_and_an_empty_name_means_none() -> None:
    row = {"text": LONG, "other": LONG, "label": "x", "id": 1}
    found = guess(row, Columns(text="other", label="", id=""))
    assert found == Columns("other", "", "", "", "")


def test_equally_long_columns_are_ambiguous() -> None:
    row = {"a": LONG, "b": LONG + "!", "c": "x"}
    found = guess_columns(list(row), [row], Columns())
    assert found.columns.text == ""
    assert set(found.ambiguous) == {"a", "b"}


def test_the_kind_follows_from_the_options() -> None:
    assert guess_kind(Columns(options="choices")) == "multiple-choice"
    assert guess_kind(Columns(options="")) == "classification"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"bad": 2, "good": 5}, ("good", "bad")),
        ({"b": 1, "a": 1}, ("a", "b")),
        ({"10": 5, "9": 1, "2": 3}, ("2", "9", "10")),
        ({"only": 9}, ()),
        ({}, ()),
        ({f"text {n}": 1 for n in range(30)}, ()),
        ({f"label {n}": 9 for n in range(201)}, ()),
        (["a", None, "b", "a", ""], ("a", "b")),
    ],
)
def test_labels_are_ordered_and_only_where_they_can_be_a_schema(
    values: Any, expected: tuple[str, ...]
) -> None:
    assert guess_labels(values) == expected
