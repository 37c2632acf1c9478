"""The settings a command line gives: options by their dotted names, and ``--set`` for the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imfl_engine.errors import ANY_PROJECT, SettingsError, UsageError

if TYPE_CHECKING:
    from imfl_engine.settings import Settings


FLAGS = {
    "budget.human": "--human",
    "budget.llm": "--llm",
    "budget.rounds": "--rounds",
    "budget.money_usd": "--money",
    "budget.minutes": "--minutes",
    "query.strategy": "--query",
    "query.schedule": "--schedule",
    "retrieval.method": "--retrieval",
    "annotator.spec": "--annotator",
    "annotator.base_url": "--base-url",
    "annotator.key_name": "--key-name",
    "annotator.price_input": "--price",
    "annotator.price_output": "--price",
    "annotator.price_cached": "--price-cached",
    "task.kind": "--task",
    "task.labels": "--labels",
    "training.target": "--target",
    "training.loss": "--loss",
    "training.device": "--device",
    "embedder": "--embedder",
    "seed": "--seed",
}
"""The flag that gives a setting, which is what errors call it where it was given so."""


def settings_of(values: dict[str, Any], changes: Sequence[str] | None, command: str) -> Settings:
    """The settings that the flags of a ``command`` and its ``--set`` give.

    Raises `SettingsError` in the words of the command line, also for models that cannot be meant.
    """
    from imfl_engine.given_names import check_names
    from imfl_engine.settings import parse_settings, replace_setting

    set_to = dict(map(read_change, changes or ()))
    try:
        settings = parse_settings(values)
        for name, value in set_to.items():
            settings = replace_setting(settings, name, value)
        check_names(settings)
    except SettingsError as error:
        hint = error.hint
        if ANY_PROJECT in hint:  # there is none yet
            hint = f"Run `imfl-tui {command} --help` to see what can be given."
        raise error.renamed(FLAGS | {name: f"--set {name}" for name in set_to}, hint) from error
    return settings


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


def read_change(change: str) -> tuple[str, Any]:
    """The name and the value in ``budget.llm=300``. Raises `UsageError` without the ``=``."""
    name, equals, value = change.partition("=")
    if not (name and equals):
        raise UsageError(
            f"--set {change} changes nothing.",
            "Write a name and a value, as in --set training.frozen_layers=3.",
        )
    return name, parse_value(value)


def parse_value(text: str) -> Any:
    """A value from the command line: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
