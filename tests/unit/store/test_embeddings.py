"""The cache of vectors: what is added is found again, whatever happened in between."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from imfl_engine.errors import StorageError
from imfl_engine.store.embeddings import Embeddings


def keys(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def rows(*values: float, width: int = 3) -> np.ndarray:
    return np.repeat(np.array(values, np.float32)[:, None], width, axis=1)


def test_vectors_come_back_in_the_order_asked_for_and_after_reopening(tmp_path: Path) -> None:
    store = Embeddings(tmp_path / "vectors")
    store.add("minilm", keys(7, 2**64 - 1, 3), rows(7, 9, 3))
    store.add("minilm", keys(5), rows(5))
    for opened in (store, Embeddings(tmp_path / "vectors")):
        assert opened.has("minilm", keys(5, 4, 7)).tolist() == [True, False, True]
        found = opened.fetch("minilm", keys(3, 2**64 - 1, 5, 3))
        assert found[:, 0].tolist() == [3, 9, 5, 3]
        assert found.dtype == np.float32


def test_a_key_keeps_its_first_vector_and_counts_once(tmp_path: Path) -> None:
    store = Embeddings(tmp_path)
    store.add("minilm", keys(1, 1, 2), rows(1, 8, 2))
    store.add("minilm", keys(2, 3), rows(8, 3))
    assert store.fetch("minilm", keys(1, 2, 3))[:, 0].tolist() == [1, 2, 3]
    assert sum(file.stat().st_size for file in tmp_path.glob("*.keys")) == 3 * 8


def test_embedders_do_not_see_each_other_however_alike_their_names(tmp_path: Path) -> None:
    store = Embeddings(tmp_path)
    store.add("owner/name", keys(1), rows(1))
    store.add("owner-name", keys(1), rows(2))
    assert store.fetch("owner/name", keys(1))[0, 0] == 1
    assert store.fetch("owner-name", keys(1))[0, 0] == 2
    assert not store.has("../../elsewhere", keys(1)).any()
    store.add("../../elsewhere", keys(1), rows(3))
    assert len(list(tmp_path.rglob("*.f32"))) == 3


def test_a_missing_vector_is_an_error_and_an_empty_request_is_not(tmp_path: Path) -> None:
    store = Embeddings(tmp_path / "not made yet")
    assert store.fetch("minilm", keys()).shape == (0, 0)
    with pytest.raises(KeyError):
        store.fetch("minilm", keys(1))
    assert not (tmp_path / "not made yet").exists()


@pytest.mark.parametrize(("file", "cut"), [("*.f32", 5), ("*.keys", 3), ("*.f32", 12)])
def test_what_a_kill_cut_short_is_written_again(tmp_path: Path, file: str, cut: int) -> None:
    Embeddings(tmp_path).add("minilm", keys(1, 2, 3), rows(1, 2, 3))
    path = next(tmp_path.glob(file))
    os.truncate(path, path.stat().st_size - cut)
    opened = Embeddings(tmp_path)
    assert opened.has("minilm", keys(1, 2, 3)).tolist() == [True, True, False]
    opened.add("minilm", keys(4, 3), rows(4, 3))
    assert Embeddings(tmp_path).fetch("minilm", keys(1, 2, 3, 4))[:, 2].tolist() == [1, 2, 3, 4]


def test_rows_without_a_key_are_written_over(tmp_path: Path) -> None:
    Embeddings(tmp_path).add("minilm", keys(1), rows(1))
    with next(tmp_path.glob("*.f32")).open("ab") as file:
        file.write(b"\xff" * 40)
    opened = Embeddings(tmp_path)
    opened.add("minilm", keys(2), rows(2))
    assert Embeddings(tmp_path).fetch("minilm", keys(2, 1))[:, 1].tolist() == [2, 1]


def test_another_width_means_another_model_and_starts_over(tmp_path: Path) -> None:
    store = Embeddings(tmp_path)
    store.add("folder", keys(1, 2), rows(1, 2, width=3))
    store.add("folder", keys(2), rows(5, width=4))
    for opened in (store, Embeddings(tmp_path)):
        assert opened.has("folder", keys(1, 2)).tolist() == [False, True]
        assert opened.fetch("folder", keys(2)).tolist() == [[5, 5, 5, 5]]


def test_a_disk_that_refuses_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "vectors").write_text("a file where the folder should be")
    with pytest.raises(StorageError) as refused:
        Embeddings(tmp_path / "vectors").add("minilm", keys(1), rows(1))
    assert "cannot be read or written" in refused.value.message


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Embeddings(tmp_path)
    store.add("minilm", keys(1), rows(1))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="is full"):
            store.add("minilm", keys(2), rows(2))
    assert store.has("minilm", keys(1, 2)).tolist() == [True, False]
    store.add("minilm", keys(3), rows(3))
    assert Embeddings(tmp_path).fetch("minilm", keys(1, 3))[:, 0].tolist() == [1, 3]


def test_a_folder_that_is_removed_while_it_is_in_use_counts_as_empty(tmp_path: Path) -> None:
    store = Embeddings(tmp_path / "vectors")
    store.add("minilm", keys(1), rows(1))
    shutil.rmtree(tmp_path / "vectors")
    assert not store.has("minilm", keys(1)).any()
    store.add("minilm", keys(2), rows(2))
    assert store.fetch("minilm", keys(2))[0, 0] == 2
