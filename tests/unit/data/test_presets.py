"""Published data sets, in small files of the shapes their authors publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.data.presets import HEADLINE_COLUMNS, Preset, open_preset
from imfl_engine.errors import DataError, ImflError, UsageError


def rows_of(preset: Preset) -> list[dict[str, Any]]:
    return [row for table in preset.source.tables() for row in table.to_pylist()]


def test_fpb_is_latin1_with_crlf_and_the_last_at_sign_counts(tmp_path: Path) -> None:
    path = tmp_path / "Sentences_75Agree.txt"
    path.write_bytes(
        "Sales at Nestlé rose .@positive\r\nWrite to ir@x.fi @neutral\r\n\r\nLoss .@negative".encode(
            "latin-1"
        )
    )
    preset = open_preset("fpb", path)
    assert preset.task.label_names == ("positive", "neutral", "negative")
    rows = rows_of(preset)
    assert [row["text"] for row in rows] == [
        "Sales at Nestlé rose .",
        "Write to ir@x.fi",
        "Loss .",
    ]
    assert [row["gold"] for row in rows] == ["positive", "neutral", "negative"]
    assert [row["key"] for row in rows] == ["fpb-0", "fpb-1", "fpb-3"]
    assert json.loads(rows[0]["meta"]) == {"agreement": "75Agree"}
    path.write_bytes(path.read_bytes().decode("latin-1").encode())
    assert rows_of(open_preset("fpb", path))[0]["text"] == "Sales at Nestlé rose ."


HEADLINES = (
    "Dates,URL,News," + ",".join(HEADLINE_COLUMNS) + ",Price Sentiment\n"
    '28-01-2016,http://x,"april gold down 20 cents, again",0,0,1,0,1,0,negative\n'
    "01-02-2016,http://y,gold holds,0,1,0,1,0,0,neutral\n"
)


def test_headline_is_four_way_or_one_of_six_questions(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text(HEADLINES)
    four = open_preset("headline", path)
    assert four.task.label_names == ("positive", "negative", "neutral", "none")
    assert [row["gold"] for row in rows_of(four)] == ["negative", "neutral"]
    assert rows_of(four)[0]["text"] == "april gold down 20 cents, again"
    for column, answers in (
        ("Price Direction Down", ["yes", "no"]),
        ("price direction constant", ["no", "yes"]),
        ("Asset Comparison", ["no", "yes"]),
        ("Past Information", ["yes", "no"]),
    ):
        preset = open_preset(f"headline:{column}", path)
        assert preset.task.label_names == ("yes", "no")
        assert [row["gold"] for row in rows_of(preset)] == answers
        assert preset.source.label_counts() == {"yes": 1, "no": 1}
    assert len({open_preset(f"headline:{c}", path).task.guidelines for c in HEADLINE_COLUMNS}) == 6


ARTICLES = {
    "1": {
        "QUESTION": "Does it?",
        "CONTEXTS": ["one", "two"],
        "final_decision": "yes",
        "YEAR": "2011",
    },
    "2": {"QUESTION": "Is it?", "CONTEXTS": ["three"], "final_decision": "maybe", "YEAR": None},
}


def test_pubmedqa_joins_contexts_and_uses_the_official_split(tmp_path: Path) -> None:
    path = tmp_path / "ori_pqal.json"
    path.write_text(json.dumps(ARTICLES))
    rows = rows_of(open_preset("pubmedqa", path))
    assert [row["split"] for row in rows] == ["pool", "pool"]
    assert (rows[0]["text"], rows[0]["context"], rows[0]["gold"]) == ("Does it?", "one\ntwo", "yes")
    assert rows[0]["key"] == "pqal-1"
    assert json.loads(rows[0]["meta"]) == {"YEAR": "2011"}
    truth = tmp_path / "test_ground_truth.json"
    truth.write_text(json.dumps({"2": "maybe"}))
    beside = rows_of(open_preset("pubmedqa", path))
    assert {row["key"]: row["split"] for row in beside} == {"pqal-1": "pool", "pqal-2": "test"}
    elsewhere = tmp_path / "other.json"
    truth.rename(elsewhere)
    named = rows_of(open_preset("pubmedqa", [path, elsewhere]))
    assert named == beside


def test_medqa_has_four_or_five_options(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(
        '{"question": "Q1", "answer": "b", "options": {"A": "a", "B": "b", "C": "c", "D": "d"}, '
        '"meta_info": "step1", "answer_idx": "B"}\n'
        '{"question": "Q2", "answer": "e", "options": {"A": "a", "B": "b", "C": "c", "D": "d", '
        '"E": "e"}, "meta_info": "step2", "answer_idx": "E"}\n'
    )
    preset = open_preset("medqa", path, split="test")
    assert preset.task.kind == "multiple-choice"
    rows = rows_of(preset)
    assert [row["options"] for row in rows] == [list("abcd"), list("abcde")]
    assert [row["gold"] for row in rows] == ["B", "E"]
    assert {row["split"] for row in rows} == {"test"}
    assert json.loads(rows[0]["meta"]) == {"answer": "b", "meta_info": "step1"}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("fpb", b"A sentence without a label\n", DataError),
        ("headline", b"text,label\na,b\n", DataError),
        (
            "headline:Price Direction Up",
            HEADLINES.replace("0,0,1,0", "7,0,1,0").encode(),
            DataError,
        ),
        ("headline:Weather", HEADLINES.encode(), UsageError),
        ("pubmedqa", b"[1]", DataError),
        ("pubmedqa", b"{", DataError),
        ("pubmedqa", b'{"1": {"TITLE": "x"}}', DataError),
        ("medqa", b'{"text": "x"}\n', DataError),
        ("imdb", b"x", UsageError),
        ("fpb:x", b"x", UsageError),
        ("fpb", b"", DataError),
    ],
)
def test_a_file_of_another_shape_is_refused(
    tmp_path: Path, name: str, content: bytes, kind: type[ImflError]
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        rows_of(open_preset(name, path))
    assert type(caught.value) is kind
    assert caught.value.hint
