"""Reading an answer: strictly, because a guessed label is worse than an item given to a person.

Nothing is searched for inside prose. An answer is a label, or a JSON object with a label, give or
take quotes, a full stop, capitals and a code fence; anything else has no label.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from imfl_engine.annotate.prompts import LOOK_ALIKES

_FENCE = re.compile(r"^```[a-zA-Z]*\s*\n?(.*?)\n?\s*```$", re.DOTALL)
_THINKING = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_PREFIX = re.compile(r"^(?:the\s+)?(?:label|answer|option)\s*(?:is\s*)?[:=]?\s+", re.IGNORECASE)
_SPACES = re.compile(r"[\s_\-]+")
_OPTION = re.compile(r"^\(?([A-Za-z]{1,2})(?:\)|\.|:|$)\s*(.*)$", re.DOTALL)
_REFUSAL = re.compile(
    r"^(?:i['’]?m sorry|i am sorry|sorry|i can(?:no|['’])t|i cannot|i['’]?m (?:not able|unable)|"
    r"i am (?:not able|unable)|as an ai)\b",
    re.IGNORECASE,
)
_MEANT = str.maketrans({shown: meant for meant, shown in LOOK_ALIKES.items()})
FLOOR = 1e-6


def parse_label(text: str, labels: Sequence[str], options: Sequence[str] = ()) -> str | None:
    """The label that ``text`` gives, or None. ``options`` are the texts behind option letters."""
    text = _THINKING.sub("", text).strip()
    fenced = _FENCE.match(text)
    if fenced:
        text = fenced.group(1).strip()
    if text.startswith(("{", "[", '"')):
        try:
            value = json.loads(text, object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, dict):
            if set(value) != {"label"}:
                return None
            value = value["label"]
        return _match(value, labels, options) if isinstance(value, str) else None
    return _match(text, labels, options) or _match(_PREFIX.sub("", text, count=1), labels, options)


def is_refusal(text: str) -> bool:
    """Whether an answer without a label is a polite no (asking again would only cost)."""
    return _REFUSAL.match(text.strip()) is not None


def label_log_probabilities(
    tokens: Sequence[Mapping[str, Any]], label: str, labels: Sequence[str]
) -> dict[str, float] | None:
    """Natural-log probability of every label, from the tokens' ``top_logprobs``; None if unusable.

    The answer's tokens are walked through the label: wherever the server names an alternative
    token that would have begun another label, that label gets the alternative's probability times
    that of the way there. Labels the server never mentions share what is left. Sums to 1.
    """
    texts = [str(token.get("token", "")) for token in tokens]
    whole = "".join(texts)
    start = whole.casefold().rfind(label.casefold())
    if start < 0:
        return None
    mass = dict.fromkeys(labels, 0.0)
    chain = 1.0
    position = 0
    for token, text in zip(tokens, texts, strict=True):
        begin, end = position, position + len(text)
        position = end
        # One token after the label counts too: it decides between "news" and "news-us".
        if end <= start or begin > start + len(label):
            continue
        lead = text[: max(0, start - begin)]
        prefix = whole[start : max(start, begin)]
        for alternative in token.get("top_logprobs") or ():
            other, weight = str(alternative.get("token", "")), _probability(alternative)
            if other == text or weight is None:
                continue
            other = other[len(lead) :] if other.startswith(lead) else other.lstrip(' "')
            heirs = _heirs(prefix + other, labels)
            for heir in heirs:
                mass[heir] += chain * weight / len(heirs)
        own = _probability(token)
        if own is None:
            return None
        chain *= own
    mass[label] += chain
    unseen = [name for name, value in mass.items() if value <= 0.0]
    left = max(1.0 - sum(mass.values()), 0.0)
    for name in unseen:
        mass[name] = max(left / len(unseen) if left < 0.5 else 0.0, FLOOR)
    total = sum(mass.values())
    if not math.isfinite(total) or total <= 0.0:
        return None
    return {name: math.log(max(value / total, FLOOR)) for name, value in mass.items()}


def _heirs(candidate: str, labels: Sequence[str]) -> list[str]:
    """The labels that ``candidate`` is the beginning of, or that it completes."""
    text = candidate.casefold()
    if not text:
        return []
    begun = [label for label in labels if label.casefold().startswith(text)]
    complete = [
        label
        for label in labels
        if text.startswith(label.casefold()) and not text[len(label) : len(label) + 1].isalnum()
    ]
    # "news-us" completes "news" too; the longest is meant.
    longest = max(complete, key=len, default=None)
    return begun + ([longest] if longest is not None and longest not in begun else [])


def _probability(token: Mapping[str, Any]) -> float | None:
    value = token.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return math.exp(min(float(value), 0.0))


def _match(text: str, labels: Sequence[str], options: Sequence[str]) -> str | None:
    """The one label that ``text`` spells; exactly first, then give or take form."""
    if text in labels:
        return text
    spelled = _normal(text)
    close = [label for label in labels if _normal(label) == spelled]
    if len(close) == 1:
        return close[0]
    if close or not options:
        return None
    lettered = _OPTION.match(text.strip())
    if lettered:
        letter, rest = lettered.group(1).upper(), _normal(lettered.group(2))
        if letter in labels:
            own = options[list(labels).index(letter)]
            return letter if not rest or rest == _normal(own) else None
    named = [
        label for label, option in zip(labels, options, strict=False) if _normal(option) == spelled
    ]
    return named[0] if len(named) == 1 else None


def _normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).strip().strip("\"'`*“”‘’").rstrip(".!").strip()
    return _SPACES.sub(" ", text).translate(_MEANT).casefold()


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice")
    return values
