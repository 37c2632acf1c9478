"""Errors that nobody foresaw, in words a person can use; the traceback goes to the log file."""

from __future__ import annotations

from imfl_engine.errors import ImflError
from imfl_engine.redacting import without_keys


def unexpected(error: Exception) -> ImflError:
    """The sentence and the hint for an error that is not one of ours."""
    name = type(error).__name__
    first = without_keys(str(error)).strip().split("\n")[0][:200]
    return ImflError(
        f"Something unexpected stopped this: {name}{': ' + first if first else ''}",
        "What was committed is safe. The log file has the details (`imfl-tui doctor` says where).",
    )
