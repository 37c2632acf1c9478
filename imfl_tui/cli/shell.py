"""What every command shares: exit codes, the two output streams, JSON and the log file."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, ParamSpec

import typer

from imfl_engine.errors import ImflError

P = ParamSpec("P")
INTERRUPTED = 130
LOG_BYTES = 1_000_000
LOG_FILES = 3

log = logging.getLogger("imfl_tui")


def command(function: Callable[P, Any]) -> Callable[P, None]:
    """Make a function, plain or async, a command: its errors become two lines and an exit code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        log_file = configure_logging()
        try:
            result = function(*args, **kwargs)
            if inspect.iscoroutine(result):
                asyncio.run(result)
            sys.stdout.flush()
        except ImflError as error:
            log.info("%s: %s", type(error).__name__, error.message, exc_info=error)
            say_error(error.message, error.hint)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say("Interrupted. Everything committed so far is kept.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader went away (`| head`); the interpreter must not complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            if isinstance(error, USAGE_ERRORS):
                raise
            log.exception("unexpected error")
            say_error(
                f"Something unexpected went wrong: {type(error).__name__}: {error}".rstrip(". ")
                + ".",
                f"The details are in {log_file}."
                if log_file
                else "No log file could be written; check the permissions of your home folder.",
            )
            raise typer.Exit(1) from None

    return run


# Newer Typer releases carry their own copy of Click, so its base classes are reached through the
# public names: BadParameter < UsageError < ClickException.
_CLICK_EXCEPTION: type[Exception] = typer.BadParameter.__mro__[2]
USAGE_ERRORS: tuple[type[Exception], ...] = (_CLICK_EXCEPTION, typer.Exit, typer.Abort)


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
        logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
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


def show(text: str = "") -> None:
    """Print a line of a command's result on stdout, made safe where a terminal reads it."""
    print(visible(text) if sys.stdout.isatty() else text)


def show_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(jsonable(value), ensure_ascii=False, indent=2, allow_nan=False))


def jsonable(value: Any) -> Any:
    """``value`` in terms of JSON: dataclasses become objects, NaN becomes null, paths strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def visible(text: str) -> str:
    """``text`` with every control character shown as a symbol; line ends stay."""
    from imfl_tui.text import safe_text

    return safe_text(text, newlines=True)
