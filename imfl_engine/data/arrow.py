"""Arrow columns to Python values and to JSON text, whole columns at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imfl_engine.data.values import dump_json

_CONTROL = r"[\x00-\x1f]"


def to_list(array: pa.Array) -> list[Any]:
    """An Arrow array as Python values; strings go through NumPy, which is several times faster."""
    array = _plain(array)
    if is_text(array.type):
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return values
    values = array.to_pylist()
    return values


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def json_texts(array: pa.Array) -> pa.Array:
    """Each value of ``array`` as JSON text, ``null`` for a null."""
    array = _plain(array)
    kind = array.type
    if is_text(kind):
        encoded = _quote(array)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        encoded = array.cast(pa.string())
    elif pa.types.is_null(kind):
        encoded = pa.nulls(len(array), pa.string())
    else:
        encoded = pa.array([dump_json(value) for value in array.to_pylist()], pa.string())
    return encoded.fill_null("null")


def json_objects(names: Sequence[str], arrays: Sequence[pa.Array]) -> pa.Array:
    """Rows of columns as the JSON text of objects; there is at least one column."""
    parts: list[Any] = []
    for position, (name, array) in enumerate(zip(names, arrays, strict=True)):
        parts += [("," if position else "{") + dump_json(name) + ":", json_texts(array)]
    return pc.binary_join_element_wise(*parts, "}", "")


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def _quote(array: pa.Array) -> pa.Array:
    array = array.cast(pa.string())
    if pc.any(pc.match_substring_regex(array, _CONTROL), min_count=0).as_py():
        values = array.to_pylist()
        return pa.array([None if v is None else dump_json(v) for v in values], pa.string())
    escaped = pc.replace_substring(pc.replace_substring(array, "\\", "\\\\"), '"', '\\"')
    return pc.binary_join_element_wise('"', escaped, '"', "")
