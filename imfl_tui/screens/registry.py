"""Which screens there are; each module is imported when its screen is first shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from textual.binding import BindingType
from textual.screen import Screen


@dataclass(frozen=True, slots=True)
class Entry:
    """A screen: its mode, where its class is, and what a person finds there."""

    mode: str
    module: str
    name: str
    title: str
    words: str

    def load(self) -> type[Screen[Any]]:
        """Import the class."""
        loaded: type[Screen[Any]] = getattr(import_module(self.module), self.name)
        return loaded

    def make(self) -> Screen[Any]:
        """A new instance."""
        return self.load()()


SCREENS: tuple[Entry, ...] = tuple(
    Entry(mode, f"imfl_tui.screens.{mode}", f"{mode.capitalize()}Screen", mode.capitalize(), words)
    for mode, words in (
        ("home", "Rounds, budgets, accuracy, and what comes next"),
        ("label", "One key labels an item, saves it and shows the next"),
        ("annotate", "The LLM's labels as they come, and what they cost"),
        ("train", "Loss, validation, device"),
        ("review", "LLM labels, most likely wrong first"),
        ("explore", "Search and filter all items"),
        ("results", "Per class, confusion, calibration"),
        ("export", "Write the annotated set to a file"),
        ("setup", "A new project from a file"),
    )
)


def modes() -> dict[str, str | Callable[[], Screen[Any]]]:
    """The app's modes; the values import their module when called."""
    return {entry.mode: entry.make for entry in SCREENS}


def bindings_of(mode: str) -> Sequence[BindingType]:
    """The bindings of one screen, which imports it."""
    return next(entry for entry in SCREENS if entry.mode == mode).load().BINDINGS


WINDOWS: tuple[tuple[str, str], ...] = (
    *(
        ("imfl_tui.screens.dialogs", name)
        for name in ("Problem", "Confirm", "Ask", "Picker", "Reader")
    ),
    ("imfl_tui.screens.help", "Help"),
    ("imfl_tui.widgets.choice", "Choice"),
)
"""What has keys of its own above or within a screen: module and class."""


def window_bindings() -> list[tuple[str, Sequence[BindingType]]]:
    """The bindings of windows and fields, where the screen's do not work."""
    return [
        (name.lower(), getattr(import_module(module), name).BINDINGS) for module, name in WINDOWS
    ]


def bindings() -> list[tuple[str, Sequence[BindingType]]]:
    """The bindings of every screen, which imports them all: only for a remapped keyboard."""
    return [(entry.mode, entry.load().BINDINGS) for entry in SCREENS]
