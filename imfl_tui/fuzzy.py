"""Find a name by a few of its letters: starts of words count most, then runs, then order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

_BREAKS = re.compile(r"[\s_\-./:]+")


def score(query: str, name: str) -> float | None:
    """How well ``query`` fits ``name``; None when its letters are not there in this order.

    Highest for the start of the name, then for the starts of its words (``cp`` finds
    ``card_payment``), then for a part of it, then for letters spread over it.
    """
    query = query.casefold().strip()
    if not query:
        return 0.0
    if _gaps(query, name.casefold()) is None:  # most names; what follows takes longer
        return None
    name, words, initials = _read(name)
    if _BREAKS.search(query):  # what separates words is all the same
        query, name = _BREAKS.sub(" ", query), _BREAKS.sub(" ", name)
    length = len(name) / 1000
    if name.startswith(query):
        return 4.0 - length
    if f" {query}" in words:
        return 3.0 - length
    if initials.startswith(query):
        return 2.5 - length
    if query in name:
        return 2.0 - length
    return 1.0 - min(_gaps(query, name) or 0, 500) / 1000 - length / 10


def _gaps(query: str, name: str) -> int | None:
    """How many letters lie between those of ``query``; None when ``name`` lacks them in this order."""
    position, gaps = -1, 0
    for letter in _BREAKS.sub("", query):
        found = name.find(letter, position + 1)
        if found < 0:
            return None
        gaps += found - position - 1
        position = found
    return gaps


@lru_cache(maxsize=1 << 14)
def _read(name: str) -> tuple[str, str, str]:
    """``name`` in small letters, its words with a blank before each, and their first letters."""
    folded = name.casefold()
    words = [word for word in _BREAKS.split(folded) if word]
    return folded, "".join(f" {word}" for word in words), "".join(word[0] for word in words)


def ranked(
    query: str,
    names: Sequence[str],
    *,
    weights: Mapping[str, int] | None = None,
    words: Mapping[str, str] | None = None,
) -> list[str]:
    """The names that fit, best first; among equals the often used (``weights``), then as given.

    A query that no name has may be found in their descriptions (``words``).
    """
    weights, words = weights or {}, words or {}
    if not query.strip():
        return sorted(names, key=lambda name: -weights.get(name, 0)) if weights else list(names)
    found: list[tuple[float, int, int, str]] = []
    for index, name in enumerate(names):
        value = score(query, name)
        if value is None and len(query) > 2 and query.casefold() in words.get(name, "").casefold():
            value = 0.1
        if value is not None:
            found.append((-round(value, 1), -weights.get(name, 0), index, name))
    return [name for *_, name in sorted(found)]
