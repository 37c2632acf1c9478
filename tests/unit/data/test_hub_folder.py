"""The data-set folder opens unchanged in the datasets library."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow as pa
import pytest

from imfl_engine.data.card import CardFacts, LabelShare
from imfl_engine.data.reading import open_source
from imfl_engine.data.writing import write_export

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    datasets = pytest.importorskip("datasets")

LABELS = ("bad", 'go"od: {x}\n[/b] \u2028 ü', "good")


@pytest.fixture
def folder(tmp_path: Path, three_rows: pa.Table) -> Path:
    facts = CardFacts(name="A [set]", labels=tuple(LabelShare(name) for name in LABELS))
    write_export([three_rows] * 2, tmp_path / "set", labels=LABELS, facts=facts)
    return tmp_path / "set"


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore")
def test_load_dataset_reads_the_folder(folder: Path, tmp_path: Path) -> None:
    data = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == {"train": 4, "test": 2}
    assert data["train"].features["label"].names == list(LABELS)
    assert type(data["train"].features["label"]).__name__ == "ClassLabel"
    assert data["train"]["label"][:2] == [2, 0]
    assert data["train"]["label_text"][:2] == ["good", "bad"]
    assert data["train"][0]["text"] == 'He said "no",\r\nthen =1+1 \x1b[2J\x00 漢字 😀'
    assert data["train"][1]["demonstration_ids"] == ["a"]
    assert data["train"][0]["created_at"].year == 2026


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore")
def test_a_hub_name_is_read_through_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner").mkdir()
    folder.rename(tmp_path / "owner" / "name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    source = open_source("hf:owner/name:test")
    assert [row["gold"] for table in source.tables() for row in table.to_pylist()] == ["good"] * 2


def test_its_parquet_is_read_back_with_label_names(folder: Path) -> None:
    source = open_source(folder / "data" / "train-00000-of-00001.parquet")
    assert source.columns.label == "label_text"
    assert source.label_counts() == {"good": 2, "bad": 2}


def test_a_set_of_nothing_is_still_a_set(tmp_path: Path, three_rows: pa.Table) -> None:
    result = write_export([], tmp_path / "set", labels=LABELS)
    assert result.rows == 0
    assert (tmp_path / "set" / "data" / "train-00000-of-00001.parquet").exists()


def test_a_set_replaces_the_one_before(folder: Path, three_rows: pa.Table) -> None:
    write_export([three_rows.slice(0, 1)], folder, labels=LABELS)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert names == ["README.md", "data", "data/train-00000-of-00001.parquet"]
