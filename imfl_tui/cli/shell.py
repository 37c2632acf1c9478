"""What every command shares: how it is run, the two output streams, JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, ParamSpec

import typer

from imfl_tui.cli.guarding import guarded, log_path, say, say_error, visible

__all__ = [
    "USAGE_ERRORS",
    "command",
    "jsonable",
    "log_path",
    "say",
    "say_error",
    "show",
    "show_json",
    "visible",
]

P = ParamSpec("P")


def command(function: Callable[P, Any]) -> Callable[P, None]:
    """Make a function, plain or async, a command: its errors become two lines and an exit code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        code = guarded(lambda: function(*args, **kwargs), passed=USAGE_ERRORS)
        if code:
            raise typer.Exit(code)

    return run


# Newer Typer releases carry their own copy of Click, so its base classes are reached through the
# public names: BadParameter < UsageError < ClickException.
_CLICK_EXCEPTION: type[Exception] = typer.BadParameter.__mro__[2]
USAGE_ERRORS: tuple[type[Exception], ...] = (_CLICK_EXCEPTION, typer.Exit, typer.Abort)


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
