"""Records of other tools: written in their shapes, read back to the same labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imfl_engine.data.guess import Columns
from imfl_engine.data.identity import content_hash
from imfl_engine.data.labels import read_labels, recognise_labels
from imfl_engine.data.schema import EXPORT_SCHEMA
from imfl_engine.data.writing import write_export
from imfl_engine.errors import UsageError

LABELS = ("bad", "good")
FILES = {
    "imfl-tui": ("out.jsonl", None),
    "imfl-tui as parquet": ("out.parquet", None),
    "imfl-tui as csv": ("out.csv", None),
    "prodigy": ("out.jsonl", "prodigy"),
    "labelstudio": ("out.json", "labelstudio"),
    "argilla": ("out.parquet", "argilla"),
    "doccano": ("out.jsonl", "doccano"),
}
HOSTILE = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from('",;\n\r\t\x00\x1b[]{}=@|\u2028\u202e\ufeff'),
    ),
    max_size=30,
)
SOURCES = st.sampled_from(["human", "llm", "llm_reviewed", "model"])


@pytest.mark.parametrize("tool", FILES)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_shape_comes_back_with_the_same_labels(
    tmp_path: Path, tool: str, data: st.DataObject
) -> None:
    words = HOSTILE.map(str.strip).filter(bool)
    labels = data.draw(st.lists(words, min_size=2, max_size=4, unique=True), "labels")
    rows = data.draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "text": HOSTILE,
                    "context": st.none() | HOSTILE.filter(bool),
                    "label_text": st.sampled_from(labels),
                    "source": SOURCES,
                    "llm_label": st.none() | st.sampled_from(labels),
                    "model_label": st.none() | st.sampled_from(labels),
                    "annotator": words,
                    "comment": st.none() | words,
                    "meta": st.dictionaries(words, HOSTILE, max_size=2).map(json.dumps),
                }
            ),
            min_size=1,
            max_size=4,
        ),
        "rows",
    )
    for number, row in enumerate(rows):
        row |= {"id": f"key {number}", "options": [], "demonstration_ids": [], "split": "pool"}
    table = pa.Table.from_pylist(
        [dict.fromkeys(EXPORT_SCHEMA.names) | row for row in rows], schema=EXPORT_SCHEMA
    )
    name, format_name = FILES[tool]
    path = tmp_path / name
    write_export([table], path, labels=labels, format_name=format_name)
    assert recognise_labels(path) == tool.partition(" ")[0]
    found = list(read_labels(path))
    assert [label.key for label in found] == [row["id"] for row in rows]
    assert [label.text for label in found] == [row["text"] for row in rows]
    assert [label.context for label in found] == [row["context"] for row in rows]
    assert [label.label for label in found] == [row["label_text"] for row in rows]
    assert [label.comment for label in found] == [row["comment"] for row in rows]
    people = [row["source"] in ("human", "llm_reviewed") for row in rows]
    if tool not in ("prodigy", "doccano"):
        assert [label.by == "human" for label in found] == people
    hashes = [content_hash(row["text"], row["context"]) for row in rows]
    assert [label.content_hash for label in found] == hashes


@pytest.mark.parametrize("tool", ["imfl-tui", "prodigy", "labelstudio", "argilla"])
def test_multiple_choice_keeps_its_options(
    tmp_path: Path, tool: str, export_table: Callable[..., pa.Table]
) -> None:
    options = ["a cold", "the flu"]
    about = {"text": "Which?", "options": options, "label_text": "B", "source": "human"}
    name, format_name = FILES[tool]
    path = tmp_path / name
    rows = export_table({"id": "1", "annotator": "ana", **about})
    write_export([rows], path, labels=("A", "B"), format_name=format_name)
    (label,) = read_labels(path)
    assert (label.label, label.options) == ("B", tuple(options))


def test_prodigy_records_have_the_fields_it_reads(tmp_path: Path, three_rows: pa.Table) -> None:
    path = tmp_path / "out.jsonl"
    write_export([three_rows], path, labels=LABELS, format_name="prodigy")
    first = json.loads(path.read_bytes().split(b"\n")[0])
    assert first["options"] == [{"id": "bad", "text": "bad"}, {"id": "good", "text": "good"}]
    assert (first["accept"], first["answer"], first["_view_id"]) == (["good"], "accept", "choice")
    assert first["meta"]["stars"] == 5
    assert isinstance(first["_input_hash"], int)
    assert isinstance(first["_task_hash"], int)
    assert first["_timestamp"] == 1772368215


def test_label_studio_knows_what_a_machine_said(tmp_path: Path, three_rows: pa.Table) -> None:
    path = tmp_path / "out.json"
    write_export([three_rows], path, labels=LABELS, format_name="labelstudio")
    human, llm, model = json.loads(path.read_bytes())
    (annotation,) = human["annotations"]
    assert annotation["lead_time"] == 2.5
    assert annotation["was_cancelled"] is False
    result = {"from_name": "label", "to_name": "text", "type": "choices"}
    assert annotation["result"] == [result | {"value": {"choices": ["good"]}}]
    assert llm["annotations"] == []
    assert [p["model_version"] for p in llm["predictions"]] == ["gpt", "model"]
    assert llm["predictions"][0]["score"] == 0.75
    assert llm["data"]["context"] == "with a context"
    assert model["predictions"][0]["result"][0]["value"] == {"choices": ["good"]}


def test_argilla_has_its_columns(tmp_path: Path, three_rows: pa.Table) -> None:
    path = tmp_path / "out.parquet"
    write_export([three_rows], path, labels=LABELS, format_name="argilla")
    human, llm, _ = pq.read_table(path).to_pylist()
    assert human["status"] == "completed"
    assert human["label.responses"] == ["good"]
    assert human["label.responses.users"] == ["ana"]
    assert human["label.responses.status"] == ["submitted"]
    assert llm["status"] == "pending"
    assert (llm["label.suggestion"], llm["label.suggestion.score"]) == ("bad", 0.75)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_damaged_record_does_not_hide_whose_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    rows = [{"text": f"t{n}", "label": "a", "answer": "accept"} for n in range(4)]
    rows[2]["answer"] = "maybe"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    assert recognise_labels(path) == "prodigy"
    assert [one.label for one in read_labels(path)] == ["a", "a", None, "a"]


def test_prodigy_as_it_comes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "db.jsonl",
        {"text": "a", "label": "SPAM", "answer": "accept", "_timestamp": 1700000000},
        {"text": "b", "label": "SPAM", "answer": "reject"},
        {"text": "c", "options": [{"id": 1, "text": "x"}], "accept": [1], "answer": "accept"},
        {"text": "d", "options": [], "accept": [], "answer": "ignore", "_session_id": "db-ana"},
    )
    found = list(read_labels(path))
    assert [label.label for label in found] == ["SPAM", None, "1", None]
    assert found[0].created_at is not None
    assert found[0].created_at.year == 2023
    assert found[3].annotator == "db-ana"


def test_label_studio_as_it_comes(tmp_path: Path) -> None:
    def annotation(choice: str, **more: Any) -> dict[str, Any]:
        value = {"type": "choices", "value": {"choices": [choice]}}
        return {"result": [value], "completed_by": 7, "lead_time": 4.3, **more}

    path = tmp_path / "project.json"
    tasks = [
        {
            "id": 1,
            "data": {"review": "Good soup", "stars": 5},
            "annotations": [
                annotation("bad", was_cancelled=True),
                annotation("good", created_at="2026-01-02T03:04:05.6Z"),
            ],
            "predictions": [{"model_version": "m", "score": 0.5, "result": []}],
        },
        {"id": 2, "data": {"review": "Unseen"}, "annotations": [], "predictions": []},
    ]
    path.write_text(json.dumps(tasks))
    first, second = read_labels(path)
    assert (first.text, first.label, first.annotator, first.seconds) == (
        "Good soup",
        "good",
        "7",
        4.3,
    )
    assert first.key == "1"
    assert first.created_at is not None
    assert (second.text, second.label) == ("Unseen", None)


def test_argilla_with_another_question_and_drafts(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "status": "completed",
            "review": "Good soup",
            "mood.responses": ["bad", "good"],
            "mood.responses.users": ["u1", "u2"],
            "mood.responses.status": ["discarded", "submitted"],
            "mood.suggestion": "bad",
            "mood.suggestion.score": 0.4,
            "mood.suggestion.agent": "m",
        }
    ]
    path = tmp_path / "records.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    (label,) = read_labels(path)
    assert (label.text, label.label, label.annotator) == ("Good soup", "good", "u2")


def test_doccano_as_it_comes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "all.jsonl",
        {"id": 10, "text": "a", "label": ["good"], "Comments": ["sure"]},
        {"id": 11, "text": "b", "label": []},
        {"id": 12, "text": "c", "label": ["good", "bad"]},
    )
    found = list(read_labels(path))
    assert [label.label for label in found] == ["good", None, "good, bad"]
    assert (found[0].key, found[0].comment) == ("10", "sure")


@pytest.mark.parametrize(
    "rows",
    [[{"text": "a", "label": "x"}], [{"text": "a", "answer": "42"}], [{"data": "x"}], [{"a": 1}]],
)
def test_a_plain_file_is_no_record_of_labels(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert recognise_labels(write(tmp_path / "data.jsonl", *rows)) is None


def test_a_plain_file_gives_a_persons_labels_from_its_column(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", {"id": "k", "text": "a", "mine": "x", "label": "y"})
    (found,) = read_labels(path, columns=Columns(label="mine"))
    assert (found.key, found.text, found.label, found.by) == ("k", "a", "x", "human")
    (guessed,) = read_labels(path)
    assert guessed.label == "y"


def test_a_plain_file_without_labels_names_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", {"text": "a", "place": "x"})
    with pytest.raises(UsageError, match="no column of labels") as caught:
        list(read_labels(path))
    assert "text, place" in caught.value.hint
