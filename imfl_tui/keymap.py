"""Keys: how they are written, which label gets which, and what a person's own keymap may say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from textual.binding import Binding, BindingType
from textual.keys import _character_to_key

SYMBOLS = {
    "question_mark": "?",
    "slash": "/",
    "space": "space",
    "escape": "esc",
    "backspace": "⌫",
    "enter": "enter",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "plus": "+",
    "minus": "-",
    "tab": "tab",
}
FORBIDDEN = {"ctrl+s", "ctrl+j", "ctrl+o", "ctrl+b", "ctrl+z", "ctrl+c"}
"""Keys that terminals, multiplexers or shells take for themselves."""


def key_name(key: str) -> str:
    """A key as a person reads it: ``question_mark`` is ``?``, ``A`` is ``A``."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    return "+".join([*modifiers, SYMBOLS.get(last, last)])


def key_code(key: str) -> str:
    """A key as Textual calls it: ``?`` is ``question_mark``."""
    return _character_to_key(key) if len(key) == 1 else key


@dataclass(frozen=True, slots=True)
class LabelKey:
    """A label and the key that gives it; ``key`` is empty where only the picker reaches it."""

    key: str
    label: str
    description: str = ""


def assign_label_keys(
    labels: Sequence[tuple[str, str, str]],
    reserved: Collection[str],
    avoided: Collection[str] = (),
) -> tuple[LabelKey, ...]:
    """Give each label ``(name, wished key, description)`` a key.

    A wished key wins unless it is reserved or taken; labels that *are* one digit (0 and 1) keep
    it; then come 1–9 and the letters that are neither reserved nor ``avoided``.
    """
    taken: dict[int, str] = {}
    for index, (name, wish, _) in enumerate(labels):
        own = wish or (name if len(name) == 1 and name.isdigit() else "")
        if len(own) == 1 and own not in reserved and own not in taken.values():
            taken[index] = own
    commands = {*reserved, *avoided}
    pool = [key for key in "123456789abcdefghijklmnopqrstuvwxyz" if key not in commands]
    spare = iter([key for key in pool if key not in taken.values()])
    return tuple(
        LabelKey(taken[index] if index in taken else next(spare, ""), name, description)
        for index, (name, _, description) in enumerate(labels)
    )


def option_keys(options: Sequence[str], letters: Sequence[str]) -> tuple[LabelKey, ...]:
    """The keys of a multiple-choice item: 1 is the first option. Its label is the letter."""
    return tuple(
        LabelKey(str(n) if n <= 9 else "", letter, option)
        for n, (letter, option) in enumerate(zip(letters, options, strict=True), start=1)
    )


def bindings_by_id(groups: Iterable[tuple[str, Iterable[BindingType]]]) -> dict[str, Binding]:
    """All bindings that have an id, from ``(owner, BINDINGS)`` pairs."""
    found: dict[str, Binding] = {}
    for _, bindings in groups:
        for binding in bindings:
            if isinstance(binding, Binding) and binding.id:
                found[binding.id] = binding
    return found


def command_letters(
    groups: Iterable[Iterable[BindingType]], codes: Mapping[str, str]
) -> frozenset[str]:
    """The single characters among the keys of bindings; ``codes`` are the remapped ones by id."""
    bindings = (one for group in groups for one in group if isinstance(one, Binding))
    keys = (codes.get(one.id or "", one.key).split(",") for one in bindings)
    return frozenset(key for several in keys for key in several if len(key) == 1)


def check_keymap(
    wishes: dict[str, str],
    groups: Sequence[tuple[str, Sequence[BindingType]]],
    windows: Sequence[tuple[str, Sequence[BindingType]]] = (),
) -> tuple[dict[str, str], list[str]]:
    """Split a person's keymap into what can be used and sentences about what cannot.

    ``wishes`` maps binding ids to keys (several joined by commas). A wish is refused when its id
    is unknown, when a terminal eats the key, or when another command of the same screen (or of the
    whole app) has it and is not moved away. In ``windows`` the app's commands do not work.
    """
    known = bindings_by_id([*groups, *windows])
    problems: list[str] = []
    accepted: dict[str, str] = {}
    for name, keys in wishes.items():
        codes = [key_code(key.strip()) for key in keys.split(",") if key.strip()]
        if name not in known:
            problems.append(f"'{name}' is no command; the palette lists them.")
        elif not codes:
            problems.append(f"'{name}' has no key; write for example \"x\".")
        elif eaten := [c for c in codes if c in FORBIDDEN or c.startswith("alt+")]:
            problems.append(f"'{name}' cannot be {eaten[0]}: terminals keep that key.")
        else:
            accepted[name] = ",".join(codes)
    for owner, bindings in groups:
        shared = [b for group, bs in groups if group in (owner, "app") for b in bs]
        _refuse_clashes(accepted, bindings, shared, problems)
    for _, bindings in windows:
        _refuse_clashes(accepted, bindings, bindings, problems)
    return accepted, problems


def _refuse_clashes(
    accepted: dict[str, str],
    bindings: Sequence[BindingType],
    shared: Sequence[BindingType],
    problems: list[str],
) -> None:
    def keys_now(binding: Binding) -> set[str]:
        keys = accepted.get(binding.id or "", binding.key)
        return {key_code(key.strip()) for key in keys.split(",")}

    for binding in bindings:
        if not isinstance(binding, Binding) or binding.id not in accepted:
            continue
        for other in shared:
            if not isinstance(other, Binding) or other.id == binding.id:
                continue
            both = keys_now(binding) & keys_now(other)
            if both and binding.id in accepted:
                key = key_name(sorted(both)[0])
                problems.append(
                    f"'{key}' cannot be {binding.id}: {other.id or other.action} has it."
                )
                del accepted[binding.id]
