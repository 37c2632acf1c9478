"""Predictions keep the rows of the file as they were."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imfl_engine.data.predicting import open_predictions
from imfl_engine.data.reading import open_source
from imfl_engine.errors import UsageError

LABELS = ("no", "ye,s")
PROBABILITIES = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)


def predict(source_path: Path, destination: Path) -> None:
    source = open_source(source_path)
    with open_predictions(destination, source, LABELS) as writer:
        for batch in source.rows():
            assert batch.items.num_rows == 2
            writer.write(batch, PROBABILITIES)
    assert writer.rows == 2


@pytest.fixture
def json_file(tmp_path: Path) -> Path:
    path = tmp_path / "new.jsonl"
    path.write_text(
        '{"n": 1, "text": "one\\u0000", "deep": {"a": [1]}}\n{"text": "two", "label": "mine", "late": 2}\n'
    )
    return path


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "new.csv"
    path.write_text('n,text\n1,"one, and ""more"""\n2,\n')
    return path


def test_json_lines_to_json_lines(tmp_path: Path, json_file: Path) -> None:
    predict(json_file, tmp_path / "out.jsonl")
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first == {
        "n": 1,
        "text": "one\x00",
        "deep": {"a": [1]},
        "predicted_label": "ye,s",
        "confidence": 0.75,
        "probabilities": {"no": 0.25, "ye,s": 0.75},
    }
    assert (second["label"], second["late"], second["predicted_label"]) == ("mine", 2, "no")


def test_csv_to_csv(tmp_path: Path, csv_file: Path) -> None:
    predict(csv_file, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file, strict=True))
    assert rows == [
        ["n", "text", "label", "confidence", "probability:no", "probability:ye,s"],
        ["1", 'one, and "more"', "ye,s", "0.75", "0.25", "0.75"],
        ["2", "", "no", "0.5", "0.5", "0.5"],
    ]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    path = tmp_path / "new.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "n": [1, 2], "tags": [["x"], []]}), path)
    predict(path, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("n").type == pa.int64()
    assert table.column("tags").to_pylist() == [["x"], []]
    assert table.column("label").to_pylist() == ["ye,s", "no"]
    assert table.column("probability:no").to_pylist() == [0.25, 0.5]


def test_json_lines_to_parquet_become_text(tmp_path: Path, json_file: Path) -> None:
    predict(json_file, tmp_path / "out.parquet")
    row = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert (row["n"], row["deep"], row["label"]) == ("1", '{"a":[1]}', None)
    assert row["predicted_label"] == "ye,s"


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_csv_to_every_format(tmp_path: Path, csv_file: Path, ending: str) -> None:
    predict(csv_file, tmp_path / f"out.{ending}")
    source = open_source(tmp_path / f"out.{ending}")
    assert source.preview()[0]["text"] == 'one, and "more"'


def test_an_unknown_ending_is_refused(tmp_path: Path, csv_file: Path) -> None:
    with (
        pytest.raises(UsageError, match="cannot be written to"),
        open_predictions(tmp_path / "out.xlsx", open_source(csv_file), LABELS),
    ):
        pass


def test_a_failure_leaves_nothing(tmp_path: Path, csv_file: Path) -> None:
    source = open_source(csv_file)
    with (
        pytest.raises(ValueError, match="probabilities for 2 rows"),
        open_predictions(tmp_path / "out.csv", source, LABELS) as writer,
    ):
        writer.write(next(source.rows()), PROBABILITIES[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]
