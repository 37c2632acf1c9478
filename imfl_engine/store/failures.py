"""DuckDB's errors and the disk's in our words: what happened to which file, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from imfl_engine.errors import (
    ImflError,
    NotAProject,
    ProjectError,
    ProjectLocked,
    StorageError,
)


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into `StorageError` (the disk) or `ProjectError`, in our words."""
    try:
        yield
    except ImflError:
        raise
    except duckdb.Error as error:
        text = str(error)
        if "No space left" in text:  # a commit that failed for it is no IOException
            raise disk_full(path) from error
        if isinstance(
            error, duckdb.IOException | duckdb.FatalException | duckdb.OutOfMemoryException
        ):
            raise disk_refuses(path, first_line(text)) from error
        raise ProjectError(
            f"{path} could not answer: {first_line(str(error))}",
            "Nothing was changed; the log file has the details.",
        ) from error


def disk_full(path: Path) -> StorageError:
    """Return the error of a disk without room."""
    return StorageError(
        f"The disk that holds {path} is full.",
        "Free some space and start again; everything saved so far is safe.",
    )


def disk_refuses(path: Path, reason: str) -> StorageError:
    """Return the error of a disk that will not be read or written."""
    return StorageError(
        f"{path} cannot be read or written: {reason}",
        "Check the disk and its permissions, then start again.",
    )


def not_opened(path: Path, error: duckdb.Error) -> ImflError:
    """Return the error of a file that DuckDB will not open."""
    text = str(error)
    if not isinstance(error, duckdb.IOException):
        return NotAProject(
            f"{path} cannot be read as a project: {first_line(text)}", "Choose another file."
        )
    if "lock" in text:
        found = re.search(r"\(PID (\d+)\)", text)
        who = f"process {found.group(1)}" if found else "another process"
        return ProjectLocked(
            f"{path} is open in {who}.",
            "Close it there, or wait until it has finished, then try again.",
        )
    if "not a valid DuckDB" in text:
        return NotAProject(f"{path} is not an imfl-tui project.", "Choose another file.")
    if "No space left" in text:
        return disk_full(path)
    return StorageError(
        f"{path} cannot be opened: {first_line(text)}", "Check the path and its permissions."
    )


def first_line(text: str) -> str:
    """Return the first line of a library's message, without its class prefix."""
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", line)
