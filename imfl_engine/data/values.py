"""What a source's values become: text, label, options.

A value keeps its type in ``meta``; as a text or a label it becomes a string, and always the same
one: ``1`` and ``1.0`` are both ``"1"``, because a column of integers with a hole in it is read as
floating point by half of the tools that write such files.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson

from imfl_engine.types import option_letter

_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` with surrogates, which no UTF-8 file can hold, replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub("�", text)


def as_text(value: Any) -> str:
    """A value as a text to read: strings unchanged, null as empty, lists one entry a line."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, list | tuple):
        return "\n".join(as_text(part) for part in value)
    if isinstance(value, Mapping):
        contexts = value.get("contexts")  # PubMedQA as published on the Hugging Face hub
        return as_text(contexts) if isinstance(contexts, list) else dump_json(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def as_label(value: Any) -> str | None:
    """A value as a label; null, an empty string and an empty list mean that there is none.

    A list of one label is that label. Several are joined with a comma, which is no label of a
    schema: the import then reports the item among the unknown labels and loses nothing.
    """
    if type(value) is str:
        return value.strip() or None
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(as_label, value))) or None
    return as_text(value).strip() or None


def as_options(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options of a multiple-choice item as (names, texts), both of the same length.

    Understood are a list of texts, an object of name to text, the same two as JSON text,
    ``first|second|third``, and the object of two lists ``{"text": [...], "label": [...]}``.
    Names are the source's own (``A``, ``1``); without any they are ``A``, ``B``, ….
    """
    if isinstance(value, str):
        stripped = value.strip()
        if stripped[:1] in ("[", "{"):
            try:
                value = json.loads(stripped)
            except ValueError:
                value = None
        if not isinstance(value, list | dict):
            value = [part.strip() for part in stripped.split("|")] if stripped else []
    if isinstance(value, Mapping):
        texts, names = value.get("text"), value.get("label")
        if isinstance(texts, list) and isinstance(names, list) and len(texts) == len(names):
            return tuple(map(as_text, names)), tuple(map(as_text, texts))
        present = {str(name): text for name, text in value.items() if text is not None}
        return tuple(present), tuple(as_text(text) for text in present.values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(map(option_letter, range(len(value)))), tuple(map(as_text, value))
    return (), ()


def option_label(value: Any, names: Sequence[str], texts: Sequence[str]) -> str | None:
    """The letter of the option that ``value`` means, by name, by text, or by position from 0.

    A value that means none of them is returned as it is, so that it can be reported.
    """
    label = as_label(value)
    if label is None:
        return None
    if label in names:
        return option_letter(names.index(label))
    stripped = [text.strip() for text in texts]
    if label in stripped:
        return option_letter(stripped.index(label))
    if label.isdecimal() and int(label) < len(texts):
        return option_letter(int(label))
    return label


def dump_json(value: Any) -> str:
    """``value`` as compact JSON text; what JSON has no word for becomes text."""
    try:
        return orjson.dumps(value, default=_for_json).decode()
    except TypeError:  # an integer beyond 64 bits, a surrogate, or a key that is no string
        return json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"))


def _for_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _jsonable(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(name)): _jsonable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(part) for part in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else clean(str(value))
