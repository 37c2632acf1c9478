"""How many tokens a text has when the model's tokenizer is not at hand.

The servers' tokenizers cannot be downloaded for every model, so the number is a range: ``likely``
from how byte-pair encoders split text, ``high`` a bound that holds for every byte-level encoder (no
token is shorter than a byte). Money is reserved by ``high``; estimates are corrected by what the
endpoint's own usage says (`Calibration`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

MESSAGE_OVERHEAD = 4
"""Tokens a chat template puts around a message, typically."""
MESSAGE_OVERHEAD_HIGH = 48
"""The same at worst; some templates add a default system text of this length."""

_PIECES = re.compile(
    r"([A-Za-z]+)|([0-9]+)|(\n\s*)|([ \t]+)|([\x21-\x7e])|([^\x00-\x7f]+)|([\x00-\x1f])"
)


@dataclass(frozen=True, slots=True)
class TokenRange:
    """Token counts: ``low`` <= ``likely`` <= ``high``; ``high`` is never exceeded."""

    low: int
    likely: int
    high: int

    def __add__(self, other: TokenRange) -> TokenRange:
        return TokenRange(self.low + other.low, self.likely + other.likely, self.high + other.high)


@lru_cache(maxsize=1024)
def count_tokens(text: str) -> TokenRange:
    """The range of the number of tokens of ``text`` (without any chat template)."""
    likely = 0.0
    for match in _PIECES.finditer(text):
        kind, length = match.lastindex, match.end() - match.start()
        if kind == 1:  # a word: common ones are one token, long and rare ones several
            likely += 1 if length <= 6 else length / 5
        elif kind == 2:
            likely += ceil(length / 2)
        elif kind == 4:  # a space belongs to the word after it
            likely += 0 if length == 1 else 1
        elif kind == 6:
            likely += len(match.group().encode("utf-8", "surrogatepass")) / 2.5
        else:
            likely += 1
    guess = ceil(likely)
    high = len(text.encode("utf-8", "surrogatepass"))
    return TokenRange(min(int(guess * 0.75), high), min(guess, high), high)


def count_messages(messages: Sequence[Mapping[str, str]], extra: str = "") -> TokenRange:
    """The range for a chat request; ``extra`` is what else is sent (a schema) and may count."""
    total = TokenRange(3, 3, MESSAGE_OVERHEAD_HIGH)
    for message in messages:
        total += count_tokens(message["content"])
        total += TokenRange(3, MESSAGE_OVERHEAD, MESSAGE_OVERHEAD_HIGH)
    return total + TokenRange(0, 0, len(extra.encode())) if extra else total


class Calibration:
    """The endpoint's count over our guess, from the usages seen; 1 until there are any."""

    def __init__(self) -> None:
        self.guessed = 0
        self.counted = 0
        self.cached = 0

    def observe(self, guessed: int, counted: int, cached: int = 0) -> None:
        """Note that prompts we guessed at ``guessed`` tokens counted, ``cached`` of them cheaper."""
        self.guessed += guessed
        self.counted += counted
        self.cached += cached

    @property
    def observed(self) -> bool:
        """Whether any usage has been seen."""
        return self.guessed > 0

    @property
    def factor(self) -> float:
        """What to multiply a likely count with."""
        return self.counted / self.guessed if self.guessed else 1.0

    @property
    def cached_share(self) -> float:
        """The part of the counted tokens that the endpoint had in its cache."""
        return self.cached / self.counted if self.counted else 0.0
