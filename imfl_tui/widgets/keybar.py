"""The last line of every screen: the keys that work here, as they are mapped now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from textual.binding import Binding
from textual.screen import Screen

from imfl_tui.keymap import key_name
from imfl_tui.spans import Line, Span, width_of
from imfl_tui.widgets.canvas import Canvas

WELL_KNOWN = ("app.help", "app.palette")
"""Bindings that stand without their words where there is no room for all."""

KEPT = ("app.home", "explore.leave", "export.leave", *WELL_KNOWN)
"""Bindings that are named however narrow the terminal is: the way out, and to all others."""


class Key(NamedTuple):
    """A key, what it does in a word or two, and the action a click runs."""

    key: str
    words: str
    action: str = ""
    keep: bool = False
    """Whether it is shown however narrow the terminal is."""
    well_known: bool = False
    """Whether its words are the first to go."""


def key_line(keys: Sequence[Key], width: int) -> Line:
    """As many keys as fit, first ones first; kept keys (help, palette) always, at the end.

    Where that makes room for all, the well-known ones lose their words, and then all stand a little
    closer.
    """
    ordered = [*_unkept(keys), *_kept(keys)]
    brief = [key._replace(words="") if key.well_known else key for key in ordered]
    for some, gap in ((ordered, 2), (brief, 2), (brief, 1)):
        every = [spans_of(key) for key in some]
        if 1 + sum(width_of(spans) + gap for spans in every) - gap <= width:
            return _row(every, gap)
    kept = [spans_of(key) for key in _kept(brief)]
    room = width - 1 - sum(width_of(spans) + 2 for spans in kept)
    shown: list[list[Span]] = []
    for key in _unkept(keys):
        spans = spans_of(key)
        if width_of(spans) + 2 > room:
            break
        room -= width_of(spans) + 2
        shown.append(spans)
    return _row([*shown, *kept], 2)


def _kept(keys: Sequence[Key]) -> list[Key]:
    return [key for key in keys if key.keep]


def _unkept(keys: Sequence[Key]) -> list[Key]:
    return [key for key in keys if not key.keep]


def _row(every: Sequence[list[Span]], gap: int) -> Line:
    row: list[Span] = [Span(" ")]
    for spans in every:
        row.extend([*spans, Span(" " * gap)])
    return row


def spans_of(key: Key) -> list[Span]:
    """One key with its words."""
    words = [Span(f" {key.words}", "dim", key.action)] if key.words else []
    return [Span(key.key, "key", key.action), *words]


def keys_of(screen: Screen[Any]) -> list[Key]:
    """The shown bindings of a screen, each action once, in the order they are declared."""
    # A keymap puts the bindings it changes behind the others.
    declared = {binding.id: place for place, binding in enumerate(_declared(screen))}
    keys: dict[str, Key] = {}
    for active in sorted(
        screen.active_bindings.values(),
        key=lambda active: declared.get(active.binding.id, len(declared)),
    ):
        binding = active.binding
        if not binding.show or not active.enabled or not binding.description:
            continue
        namespace = "app" if active.node is screen.app else "screen"
        action = binding.action if "." in binding.action else f"{namespace}.{binding.action}"
        words = binding.description.lower()
        keep, well_known = binding.id in KEPT, binding.id in WELL_KNOWN
        keys.setdefault(action, Key(key_name(binding.key), words, action, keep, well_known))
    return sorted(keys.values(), key=lambda key: key.keep)


def _declared(screen: Screen[Any]) -> list[Binding]:
    """The bindings of the screen's class, then those of the app's, as they are written."""
    given = [*type(screen).BINDINGS, *type(screen.app).BINDINGS]
    return [binding for binding in given if isinstance(binding, Binding)]


class KeyBar(Canvas):
    """The footer of a screen."""

    def __init__(self) -> None:
        super().__init__(id="keybar")
        self._keys: Sequence[Key] = ()

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self.follow)

    def follow(self, screen: Screen[Any]) -> None:
        """Show the keys of ``screen`` as they are now."""
        if screen is self.screen and screen.is_current:
            keys = keys_of(screen)
            if keys != self._keys:
                self._keys = keys
                self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The line."""
        return [key_line(self._keys, width)]
