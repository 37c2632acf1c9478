"""A model folder is replaced as a whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from imfl_engine.compute.checkpoints import (
    CheckpointRecord,
    clear_unfinished,
    existing,
    read_record,
    replacing,
    write_record,
)
from imfl_engine.errors import ModelError


def write_model(folder: Path, text: str) -> None:
    with replacing(folder) as fresh:
        (fresh / "weights").write_text(text)


def fail_half_way(folder: Path) -> None:
    with replacing(folder) as fresh:
        (fresh / "weights").write_text("half")
        raise OSError(errno.ENOSPC, "disk full")


def test_a_new_model_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_model(tmp_path / "model", "one")
    write_model(tmp_path / "model", "two")
    assert (tmp_path / "model" / "weights").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_error_while_writing_leaves_the_old_model_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(folder, "one")
    with pytest.raises(OSError, match="disk"):
        fail_half_way(folder)
    assert (folder / "weights").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_kill_between_the_two_renames_loses_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(folder, "one")
    folder.rename(tmp_path / ".model.old")
    assert (existing(folder) / "weights").read_text() == "one"


def test_the_rests_of_a_killed_write_are_cleared_and_the_model_brought_back(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(folder, "one")
    folder.rename(tmp_path / ".model.old")
    (tmp_path / ".model.new").mkdir()
    clear_unfinished(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    clear_unfinished(tmp_path / "none")


def test_the_rests_of_a_killed_write_do_not_disturb_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".model.new"
    left.mkdir()
    (left / "weights").write_text("half")
    write_model(tmp_path / "model", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = CheckpointRecord("encoder", "classification", ("ja", "né"), "minilm", 64)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_a_folder_without_a_model_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no trained model"):
        read_record(tmp_path / "none")
