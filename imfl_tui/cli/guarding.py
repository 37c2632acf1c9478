"""Running a command: its errors become two lines on stderr, a log entry and an exit code.

Without Typer, because opening the app does not wait for it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imfl_engine.errors import ImflError
from imfl_engine.redacting import without_keys
from imfl_tui.cli.interrupts import INTERRUPTED, interrupt_as_usual

FAILED = 1
LOG_BYTES = 1_000_000
LOG_FILES = 3

log = logging.getLogger("imfl_tui")


class KeylessFormatter(logging.Formatter):
    """Leaves keys out of messages and tracebacks, also of errors that nobody foresaw."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return without_keys(super().format(record))


def guarded(function: Callable[[], Any], *, passed: tuple[type[Exception], ...] = ()) -> int:
    """Run a plain or async function and return the exit code; only ``passed`` errors get out."""
    log_file = configure_logging()
    try:
        interrupt_as_usual()
        result = function()
        if inspect.iscoroutine(result):
            asyncio.run(result)
        sys.stdout.flush()
    except ImflError as error:
        log.info("%s: %s", type(error).__name__, error.message, exc_info=error)
        say_error(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        say("Interrupted. Everything committed so far is kept.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`); the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if isinstance(error, passed):
            raise
        log.exception("unexpected error")
        say_error(
            f"Something unexpected went wrong: {type(error).__name__}: {without_keys(str(error))}".rstrip(
                ". "
            )
            + ".",
            f"The details are in {log_file}."
            if log_file
            else "No log file could be written; check the permissions of your home folder.",
        )
        return FAILED
    return 0


def configure_logging() -> Path | None:
    """Send all logging to one rotating file and return its path; None where none can be written."""
    root = logging.getLogger()
    for handler in root.handlers:
        if getattr(handler, "imfl_log", False):
            return Path(handler.baseFilename)  # type: ignore[attr-defined]
    from logging.handlers import RotatingFileHandler

    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True
        )
        path.touch()
    except OSError:
        root.addHandler(logging.NullHandler())
        return None
    handler.imfl_log = True  # type: ignore[attr-defined]
    handler.setFormatter(
        KeylessFormatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    )
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in ("imfl_tui", "imfl_engine"):
        logging.getLogger(name).setLevel(logging.INFO)
    return path


def log_path() -> Path:
    """The one log file of this person."""
    from platformdirs import user_log_path

    return user_log_path("imfl-tui", appauthor=False) / "imfl-tui.log"


def say(text: str) -> None:
    """Tell the person something, on stderr, with nothing in it that a terminal would obey."""
    print(visible(text), file=sys.stderr, flush=True)


def say_error(message: str, hint: str = "") -> None:
    """One sentence that says what and where, one that says what to do."""
    say(message)
    if hint:
        say(hint)


def visible(text: str) -> str:
    """``text`` with every control character shown as a symbol; line ends stay."""
    from imfl_tui.text import safe_text

    return safe_text(text, newlines=True)
