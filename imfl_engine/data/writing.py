"""The annotated set out: Parquet, JSON Lines, CSV, a Hugging Face data set, other tools' records.

`write_export` takes tables of `EXPORT_SCHEMA` one after another and never holds more than one of
them. What it writes appears under its name only when it is whole: it is written beside it, flushed
to the disk, and renamed.

A CSV holds every text exactly as it is, formula-like ones included (``=1+1``): it is data, and a
program that runs cells should be told to read them as text.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from imfl_engine.data import records
from imfl_engine.data.card import CardFacts
from imfl_engine.data.hub import write_dataset
from imfl_engine.data.schema import EXPORT_SCHEMA, with_label_numbers
from imfl_engine.data.sinks import CsvSink, JsonLinesSink, ParquetSink, Sink, TextSink
from imfl_engine.errors import ImflError, StorageError, UsageError

ExportFormat = Literal[
    "parquet", "jsonl", "csv", "dataset", "prodigy", "labelstudio", "argilla", "doccano"
]

_BY_ENDING: dict[str, ExportFormat] = {".parquet": "parquet", ".jsonl": "jsonl", ".csv": "csv"}
_ENDINGS: dict[ExportFormat, str] = {
    "parquet": ".parquet",
    "jsonl": ".jsonl",
    "csv": ".csv",
    "prodigy": ".jsonl",
    "labelstudio": ".json",
    "argilla": ".parquet",
    "doccano": ".jsonl",
}


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written: ``files`` are all of them, ``size`` their bytes together."""

    path: Path
    format: ExportFormat
    rows: int
    size: int
    files: tuple[Path, ...]


def export_format(destination: Path, name: str | None = None) -> ExportFormat:
    """The format that a destination, or the ``--format`` beside it, asks for.

    Raises `UsageError` for a name nobody knows and for an ending that contradicts it.
    """
    ending = destination.suffix.lower()
    if name is None:
        if ending in _BY_ENDING:
            return _BY_ENDING[ending]
        if not ending or destination.is_dir():
            return "dataset"
        raise UsageError(
            f"'{destination}' has an ending that no export format has.",
            "End it in .parquet, .jsonl or .csv, name a folder for a Hugging Face data set, or "
            "choose the format of Prodigy, Label Studio or Argilla (--format).",
        )
    for known in ("dataset", *_ENDINGS):
        if name == known:
            wanted = _ENDINGS.get(known, "")
            if wanted and ending != wanted:
                raise UsageError(
                    f"'{destination}' does not end in {wanted}, as a {name} file does.",
                    f"Call it '{destination.with_suffix(wanted)}'.",
                )
            return known
    raise UsageError(
        f"There is no export format called '{name}'.",
        f"The formats are {', '.join(('dataset', *_ENDINGS))}.",
    )


def write_export(
    tables: Iterable[pa.Table | pa.RecordBatch],
    destination: Path,
    *,
    labels: Sequence[str],
    format_name: str | None = None,
    facts: CardFacts | None = None,
    progress: Callable[[int], None] | None = None,
) -> ExportResult:
    """Write ``tables`` of `EXPORT_SCHEMA` to ``destination``, replacing what was there.

    ``labels`` is the schema in order (option letters for multiple choice); the column ``label`` is
    filled from it, so a caller may leave it null. ``format_name`` is what `export_format` takes.
    ``facts`` make the card of a data-set folder.
    ``progress`` is told the number of rows written so far. Raises `UsageError` for a destination
    that makes no sense and `StorageError` when the disk refuses; either way nothing is left behind
    and what was there before is still there.
    """
    kind = export_format(destination, format_name)
    numbered = _counted((with_label_numbers(table, labels) for table in tables), progress)
    if kind == "dataset":
        with _whole_folder(destination) as folder:
            rows = write_dataset(numbered, folder, labels, facts)
        files = tuple(sorted(path for path in destination.rglob("*") if path.is_file()))
    else:
        with whole_file(destination) as temporary:
            rows = _write_file(kind, numbered, temporary, labels)
        files = (destination,)
    return ExportResult(destination, kind, rows, sum(path.stat().st_size for path in files), files)


def _write_file(
    kind: ExportFormat, tables: Iterator[pa.Table], path: Path, labels: Sequence[str]
) -> int:
    sink: Sink
    if kind == "parquet":
        sink = ParquetSink(path, EXPORT_SCHEMA)
    elif kind == "csv":
        sink = CsvSink(path)
    elif kind == "jsonl":
        sink = JsonLinesSink(path)
    elif kind == "argilla":
        sink = ParquetSink(path, records.ARGILLA_SCHEMA, records.to_argilla)
    elif kind == "prodigy":
        sink = TextSink(path, lambda table: records.to_prodigy(table, labels))
    elif kind == "doccano":
        sink = TextSink(path, records.to_doccano)
    else:
        sink = TextSink(path, records.to_label_studio, start="[\n", between=",\n", end="\n]\n")
    rows = 0
    try:
        for table in tables:
            sink.write(table)
            rows += table.num_rows
    finally:
        sink.close()
    return rows


def _counted(
    tables: Iterable[pa.Table], progress: Callable[[int], None] | None
) -> Iterator[pa.Table]:
    done = 0
    for table in tables:
        yield table
        done += table.num_rows
        if progress:
            progress(done)


@contextmanager
def whole_file(destination: Path) -> Iterator[Path]:
    """A temporary path beside ``destination`` that takes its place when the block succeeds."""
    with _disk(destination):
        if destination.is_dir():
            raise UsageError(f"'{destination}' is a directory.", "Name a file in it.")
        handle, name = tempfile.mkstemp(
            prefix=f".{destination.name[:60]}.", suffix=".part", dir=_parent(destination)
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(destination)
            _flush_folder(destination.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _whole_folder(destination: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``destination`` when the block succeeds.

    Only an empty folder, or one that holds a data set written here before, is replaced.
    """
    with _disk(destination):
        if destination.exists() and not destination.is_dir():
            raise UsageError(f"'{destination}' is a file.", "Name a folder.")
        if destination.is_dir() and not _is_ours(destination):
            raise UsageError(
                f"The folder '{destination}' holds something else.", "Name a new or empty folder."
            )
        temporary = Path(
            tempfile.mkdtemp(
                prefix=f".{destination.name[:60]}.", suffix=".part", dir=_parent(destination)
            )
        )
        aside = temporary.with_suffix(".old")
        try:
            yield temporary
            for path in temporary.rglob("*"):
                _flush(path) if path.is_file() else _flush_folder(path)
            temporary.chmod(0o777 & ~_umask())
            if destination.exists():
                destination.rename(aside)
            try:
                temporary.rename(destination)
            except OSError:
                if aside.exists():
                    aside.rename(destination)
                raise
            _flush_folder(destination.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _disk(destination: Path) -> Iterator[None]:
    """Map what the operating system says about writing to our errors."""
    try:
        yield
    except ImflError:
        raise
    except (OSError, pa.ArrowException) as error:
        number = getattr(error, "errno", None)
        if number is None and not isinstance(error, OSError):
            raise StorageError(f"'{destination}' cannot be written: {error}.", "") from error
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The disk is full: '{destination}' was not written.",
                "Free some space, or name a destination on another disk.",
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"'{destination}' may not be written here.",
                "Name a destination in a folder that you may write to.",
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"'{destination}' cannot be written: {reason}.", "Check the path and the disk."
        ) from error


def _parent(destination: Path) -> Path:
    parent = destination.absolute().parent
    if parent.is_dir():
        return parent
    there = next(folder for folder in (parent, *parent.parents) if folder.exists())
    if not there.is_dir():
        raise UsageError(
            f"'{there}' is a file, and nothing can be written below one.",
            "Name a destination in a folder.",
        )
    raise UsageError(
        f"There is no folder '{destination.parent}'.",
        f"Make it: mkdir -p {shlex.quote(str(parent))}.",
    )


def _is_ours(folder: Path) -> bool:
    return {entry.name for entry in folder.iterdir()} <= {"README.md", "data"}


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems cannot flush a folder; the file itself is safe
    finally:
        os.close(handle)
