"""Writing the annotated set: every format, whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imfl_engine.data.schema import EXPORT_SCHEMA
from imfl_engine.data.writing import export_format, write_export
from imfl_engine.errors import StorageError, UsageError

LABELS = ("bad", "good")
COLUMNS = [
    "id",
    "text",
    "context",
    "options",
    "label",
    "label_text",
    "source",
    "split",
    "round",
    "annotator",
    "human_label",
    "llm_label",
    "llm_confidence",
    "p_wrong",
    "model_label",
    "model_confidence",
    "review_status",
    "control",
    "flag",
    "comment",
    "seconds",
    "llm_model",
    "prompt_hash",
    "demonstration_ids",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "created_at",
    "meta",
]


def test_the_columns_are_the_promised_ones() -> None:
    assert EXPORT_SCHEMA.names == COLUMNS


def test_parquet_holds_the_rows_unchanged_with_label_numbers(
    tmp_path: Path, three_rows: pa.Table
) -> None:
    result = write_export([three_rows, three_rows], tmp_path / "out.parquet", labels=LABELS)
    assert (result.rows, result.format) == (6, "parquet")
    assert result.size == (tmp_path / "out.parquet").stat().st_size
    table = pq.read_table(result.path)
    assert table.schema.equals(EXPORT_SCHEMA)
    assert table.column("label").to_pylist() == [1, 0, 1] * 2
    expected = three_rows.drop_columns(["label"]).slice(0, 2)  # the third row has a NaN
    assert table.drop_columns(["label"]).slice(0, 2).equals(expected)


def test_json_lines_hold_the_rows_unchanged(tmp_path: Path, three_rows: pa.Table) -> None:
    path = tmp_path / "out.jsonl"
    write_export(three_rows.to_batches(), path, labels=LABELS)
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    assert [list(row) for row in rows] == [COLUMNS] * 3
    assert rows[0]["text"] == 'He said "no",\r\nthen =1+1 \x1b[2J\x00 漢字 😀'
    assert rows[0]["meta"] == {"stars": 5, "deep": {"a": [1, None]}}
    assert rows[0]["created_at"] == "2026-03-01T12:30:15.250000Z"
    assert rows[1]["demonstration_ids"] == ["a"]
    assert rows[1]["label"] == 0
    assert rows[2]["model_confidence"] is None
    assert rows[2]["text"] == ""


def test_csv_holds_the_rows_unchanged(tmp_path: Path, three_rows: pa.Table) -> None:
    path = tmp_path / "out.csv"
    write_export([three_rows, three_rows], path, labels=LABELS)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert len(rows) == 6
    assert list(rows[0]) == COLUMNS
    assert rows[3]["text"] == 'He said "no",\r\nthen =1+1 \x1b[2J\x00 漢字 😀'
    assert rows[0]["meta"] == '{"stars":5,"deep":{"a":[1,null]}}'
    assert rows[1]["demonstration_ids"] == '["a"]'
    assert (rows[0]["control"], rows[1]["control"]) == ("false", "true")
    assert rows[0]["label"] == "1"


def test_a_label_outside_the_schema_has_no_number(tmp_path: Path, three_rows: pa.Table) -> None:
    write_export([three_rows], tmp_path / "out.parquet", labels=("good",))
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("label").to_pylist() == [0, None, 0]


def test_progress_counts_rows(tmp_path: Path, three_rows: pa.Table) -> None:
    seen: list[int] = []
    write_export([three_rows] * 3, tmp_path / "o.csv", labels=LABELS, progress=seen.append)
    assert seen == [3, 6, 9]


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet", "folder"])
def test_a_failure_half_way_leaves_what_was_there(
    tmp_path: Path, three_rows: pa.Table, name: str
) -> None:
    path = tmp_path / name
    write_export([three_rows], path, labels=LABELS)
    before = sorted((p, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file())

    def breaks() -> Iterator[pa.Table]:
        yield three_rows
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="The disk is full"):
        write_export(breaks(), path, labels=LABELS)
    after = sorted((p, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file())
    assert after == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_disk_that_is_really_full_is_a_storage_error(
    tmp_path: Path, three_rows: pa.Table, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_the_full_disk(**options: object) -> tuple[int, str]:
        name = tmp_path / "full"
        name.symlink_to("/dev/full")
        return os.open(name, os.O_RDWR), str(name)

    monkeypatch.setattr("imfl_engine.data.writing.tempfile.mkstemp", on_the_full_disk)
    with pytest.raises(StorageError, match="The disk is full"):
        write_export([three_rows] * 5, tmp_path / f"out.{ending}", labels=LABELS)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_folder_is_a_storage_error(
    tmp_path: Path, three_rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("imfl_engine.data.writing.tempfile.mkstemp", refuse)
    with pytest.raises(StorageError, match="may not be written"):
        write_export([three_rows], tmp_path / "out.csv", labels=LABELS)


def test_a_folder_with_something_else_in_it_is_not_replaced(
    tmp_path: Path, three_rows: pa.Table
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds something else"):
        write_export([three_rows], tmp_path / "home", labels=LABELS)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("name", "format_name", "expected"),
    [
        ("a.parquet", None, "parquet"),
        ("a.JSONL", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("folder", None, "dataset"),
        ("a.jsonl", "prodigy", "prodigy"),
        ("a.json", "labelstudio", "labelstudio"),
        ("a.parquet", "argilla", "argilla"),
        ("a.jsonl", "doccano", "doccano"),
    ],
)
def test_the_destination_says_the_format(name: str, format_name: str | None, expected: str) -> None:
    assert export_format(Path(name), format_name) == expected


@pytest.mark.parametrize(
    ("name", "format_name", "said"),
    [
        ("a.xlsx", None, "no export format has"),
        ("a.csv", "prodigy", r"does not end in \.jsonl"),
        ("a.csv", "excel", "no export format called 'excel'"),
    ],
)
def test_a_destination_that_makes_no_sense(name: str, format_name: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export_format(Path(name), format_name)


def test_a_destination_in_no_folder(tmp_path: Path, three_rows: pa.Table) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        write_export([three_rows], tmp_path / "none" / "out.csv", labels=LABELS)


def test_a_destination_below_a_file(tmp_path: Path, three_rows: pa.Table) -> None:
    (tmp_path / "notes").touch()
    for name in ("notes/out.csv", "notes/more/out.csv"):
        with pytest.raises(UsageError, match="notes' is a file, and nothing can be written below"):
            write_export([three_rows], tmp_path / name, labels=LABELS)


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path, three_rows: pa.Table) -> None:
    (tmp_path / "plain").touch()
    write_export([three_rows], tmp_path / "out.csv", labels=LABELS)
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "out.csv")}
    assert len(modes) == 1
