"""Keys are taken out of whatever is kept or shown: answers, errors, the log, an unforeseen crash."""

from __future__ import annotations

import re

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|gsk|hf|xai)[-_][A-Za-z0-9_\-*.…]{6,}|Bearer\s+\S+")
_LEAST = 4
"""Characters that a secret must have: shorter ones are part of ordinary words."""
_in_use: set[str] = set()


class Redactor:
    """Takes the key, and what looks like one, out of any text that may be kept or shown."""

    def __init__(self, *secrets: str | None) -> None:
        self._secrets = [s for s in secrets if s and len(s) >= _LEAST]

    def __call__(self, text: str) -> str:
        """``text`` without secrets."""
        return _KEY_LIKE.sub("[key]", self.exactly(text))

    def exactly(self, text: str) -> str:
        """Only our own secrets out; for answers, where something like a key may be the data."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text


def use_key(key: str) -> str:
    """Note that this process has read ``key`` from its environment, and return it."""
    _in_use.add(key)
    return key


def without_keys(text: str) -> str:
    """``text`` without the keys this process uses, for where no endpoint is at hand to ask."""
    return Redactor(*_in_use)(text)
