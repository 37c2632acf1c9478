"""The settings a command line gives: options by their dotted names, and ``--set`` for the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imfl_engine.errors import UsageError

if TYPE_CHECKING:
    from imfl_engine.settings import Settings


def setting_values(**given: Any) -> dict[str, Any]:
    """Nested settings from dotted names written with ``__``; None leaves the default."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        *parents, leaf = name.split("__")
        node = values
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = value
    return values


def changed(settings: Settings, changes: Sequence[str] | None) -> Settings:
    """``settings`` with others given as ``budget.llm=300``. Raises `UsageError` without the ``=``."""
    from imfl_engine.settings import replace_setting

    for change in changes or ():
        name, equals, value = change.partition("=")
        if not (name and equals):
            raise UsageError(
                f"--set {change} changes nothing.",
                "Write a name and a value, as in --set training.frozen_layers=3.",
            )
        settings = replace_setting(settings, name, parse_value(value))
    return settings


def parse_value(text: str) -> Any:
    """A value from the command line: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
