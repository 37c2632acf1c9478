"""A person's own settings: theme, keys, habits. One TOML file in the platform's config folder.

::

    theme = "imfl-dark"          # or any theme of the palette, for example "ansi-dark"
    show_opinions = false        # model and LLM opinion visible before you answer
    [keys]
    "label.skip" = "space,tab"   # the palette shows every command's id

The file is written atomically and never loses keys it does not know.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from imfl_engine.errors import SettingsError, StorageError

DEFAULT_THEME = "imfl-dark"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the file says; ``other`` keeps what this version does not know."""

    theme: str = DEFAULT_THEME
    show_opinions: bool = False
    keys: dict[str, str] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)


def preferences_path() -> Path:
    """Where the file lies; ``IMFL_TUI_CONFIG`` names another folder."""
    folder = os.environ.get("IMFL_TUI_CONFIG")
    return (
        Path(folder) if folder else user_config_path("imfl-tui", appauthor=False)
    ) / "settings.toml"


def load_preferences(path: Path) -> Preferences:
    """Read the file; a missing one means the defaults.

    Raises `SettingsError` that names the file and the wrong value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences()
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The settings file {path} is not valid TOML: {error}.",
            "Correct it or delete it; the defaults are used until then.",
        ) from error
    theme = values.pop("theme", DEFAULT_THEME)
    opinions = values.pop("show_opinions", False)
    keys = values.pop("keys", {})
    wrong = [
        name
        for name, good in (
            ("theme", isinstance(theme, str)),
            ("show_opinions", isinstance(opinions, bool)),
            (
                "keys",
                isinstance(keys, dict) and all(isinstance(key, str) for key in keys.values()),
            ),
        )
        if not good
    ]
    if wrong:
        raise SettingsError(
            f"The settings file {path} has a wrong value for {', '.join(wrong)}.",
            "theme is a name, show_opinions true or false, keys a table of names and keys.",
        )
    return Preferences(theme, opinions, dict(keys), values)


def save_preferences(path: Path, preferences: Preferences) -> None:
    """Write the file by way of a temporary sibling, so that a crash leaves the old one."""
    values: dict[str, Any] = {
        "theme": preferences.theme,
        "show_opinions": preferences.show_opinions,
    }
    tables: dict[str, dict[str, Any]] = {"keys": dict(preferences.keys)}
    for name, value in preferences.other.items():
        if isinstance(value, dict):
            tables[name] = value
        else:
            values[name] = value
    lines = [f"{_toml_key(name)} = {_toml(value)}" for name, value in values.items()]
    for name, table in tables.items():
        if table:
            lines.extend(["", f"[{_toml_key(name)}]"])
            lines.extend(f"{_toml_key(key)} = {_toml(value)}" for key, value in table.items())
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"The settings file {path} cannot be written: {error.strerror}.",
            "Your labels are not affected; check the folder's permissions.",
        ) from error


def _toml_key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _toml(value: Any) -> str:
    """JSON of strings, numbers, booleans and lists of them is TOML too; tables go inline."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str | bool | int | float):
        return json.dumps(value)
    return str(value)
