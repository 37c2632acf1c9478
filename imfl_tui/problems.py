"""Errors in words a person can use: those nobody foresaw, and hints that name the open project."""

from __future__ import annotations

from pathlib import Path

from imfl_engine.errors import ANY_PROJECT, ImflError
from imfl_engine.redacting import without_keys
from imfl_tui.text import pasteable


def about_project(error: ImflError, path: Path) -> ImflError:
    """The same ``error``, whose hint about any project is now one about that at ``path``."""
    error.hint = error.hint.replace(ANY_PROJECT, pasteable(path))
    return error


def unexpected(error: Exception) -> ImflError:
    """The sentence and the hint for an error that is not one of ours; its traceback is for the log."""
    name = type(error).__name__
    first = without_keys(str(error)).strip().split("\n")[0][:200]
    return ImflError(
        f"Something unexpected stopped this: {name}{': ' + first if first else ''}",
        "What was committed is safe. The log file has the details (`imfl-tui doctor` says where).",
    )
