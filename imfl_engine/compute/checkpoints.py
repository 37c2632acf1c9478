"""Model folders: written beside their final place and renamed, so a good model is never damaged.

A checkpoint is what ``save_pretrained`` writes (config, safetensors, tokenizer) plus
``imfl_checkpoint.json``, which says how its inputs are to be built. Imports no torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from imfl_engine.errors import ModelError
from imfl_engine.types import TaskKind

RECORD = "imfl_checkpoint.json"
FORMAT = 1

Architecture = Literal["encoder", "probe", "causal"]
Pooling = Literal["stock", "mean"]


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """What a checkpoint needs to be used again. ``base`` is the target it was trained from."""

    architecture: Architecture
    task: TaskKind
    labels: tuple[str, ...]
    base: str
    max_length: int
    embedder: str = "minilm"
    pooling: Pooling = "stock"


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` when the block succeeds.

    Everything is on disk before the rename. On any error the new folder is removed and ``folder``
    is as it was; between the two renames of a replacement a kill leaves the old model under
    ``.NAME.old``, which `existing` finds.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.parent / f".{folder.name}.new"
    old = _set_aside(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        for path in fresh.rglob("*"):
            if path.is_file():
                _sync(path)
        _sync(fresh)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        fresh.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def existing(folder: Path) -> Path:
    """``folder``, brought back first if a kill in the middle of `replacing` had moved it away."""
    old = _set_aside(folder)
    if not folder.exists() and old.exists():
        old.rename(folder)
    return folder


def is_there(folder: Path) -> bool:
    """Whether `existing` would find a model; moves nothing, as another process may be replacing it."""
    return folder.is_dir() or _set_aside(folder).is_dir()


def _set_aside(folder: Path) -> Path:
    """Where `replacing` keeps the model before until the new one is in its place."""
    return folder.parent / f".{folder.name}.old"


def clear_unfinished(folder: Path) -> None:
    """Remove what a process that was killed in `replacing` has left, and bring back what it moved."""
    shutil.rmtree(folder.parent / f".{folder.name}.new", ignore_errors=True)
    existing(folder)


def write_record(folder: Path, record: CheckpointRecord) -> None:
    """Write ``record`` into a checkpoint's folder."""
    text = json.dumps({"format": FORMAT, **asdict(record)}, ensure_ascii=False, indent=1)
    (folder / RECORD).write_text(text, encoding="utf-8")


def read_record(folder: Path) -> CheckpointRecord:
    """Read a checkpoint's record; raises `ModelError` where there is none we can read."""
    try:
        values = json.loads((existing(folder) / RECORD).read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ModelError(
                f"The model in {folder} was written by another version of imfl-tui.", "Train again."
            )
        values["labels"] = tuple(values["labels"])
        return CheckpointRecord(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"There is no trained model in {folder}.", "Train one first.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
