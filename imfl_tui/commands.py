"""The command palette: every action that works here, found by its words, shown with its key."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from imfl_tui.keymap import bindings_by_id, key_name
from imfl_tui.screens import registry

if TYPE_CHECKING:
    from imfl_tui.app import ImflApp


def palette_commands(app: ImflApp, screen: Screen[Any]) -> Iterable[SystemCommand]:
    """Commands of the screen first, then the other screens, then the app's own."""
    seen: set[str] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        if (
            not binding.description
            or not binding.id  # Textual's own, such as “Focus Next”
            or binding.system
            or binding.id in seen
            or not active.enabled
        ):
            continue
        if binding.action in ("command_palette", "help", "quit"):
            continue
        seen.add(binding.id)
        yield SystemCommand(
            f"{_group(binding)}: {binding.description.lower()}",
            _help(binding),
            partial(app.run_action, binding.action, active.node),
        )
    if app.has_project:
        for entry in registry.SCREENS:
            if entry.mode != app.current_mode and entry.mode != "setup":
                yield SystemCommand(
                    f"go: {entry.title.lower()}", entry.words, partial(app.action_go, entry.mode)
                )
    if app.jobs.rounds is None and app.has_project:
        yield SystemCommand("rounds: go on", "Do every step that needs no person", app.start_rounds)
    for name in app.jobs.running:
        yield SystemCommand(
            f"job: stop {name}", "Cancel it; what is committed stays", partial(app.stop_job, name)
        )
    yield SystemCommand(
        "view: dark or light", "Change between the two themes", app.action_toggle_dark
    )
    yield SystemCommand(
        "view: theme", "Choose a theme, ANSI ones included", app.action_change_theme
    )
    for name, title, words, act in (
        ("app.palette", "app: palette", "All commands", app.action_command_palette),
        ("app.help", "help: this screen", "What is on it and every key", app.action_help),
        ("app.quit", "app: quit", "Leave; nothing committed is lost", app.action_quit),
    ):
        yield SystemCommand(title, f"{words} · key {app.key_of(name)} · {name}", act)


async def run_command(app: ImflApp, name: str) -> None:
    """Run a command of the screen or the window in view, or one that goes to another screen."""
    for active in app.screen.active_bindings.values():
        if active.binding.id == name:
            if active.enabled:
                await app.run_action(active.binding.action, active.node)
            return
    own = bindings_by_id([("here", type(app.screen).BINDINGS)])
    if name in own:  # a field with the focus has the key for itself
        await app.run_action(own[name].action, app.screen)
        return
    elsewhere = bindings_by_id(registry.bindings())[name]
    if elsewhere.action.startswith("app."):
        await app.run_action(elsewhere.action)


def _group(binding: Binding) -> str:
    return (binding.id or "here").partition(".")[0]


def _help(binding: Binding) -> str:
    words = binding.tooltip or binding.description
    name = f" · {binding.id}" if binding.id else ""
    return f"{words} · key {key_name(binding.key)}{name}"
