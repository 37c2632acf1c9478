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
    if array.null_count == len(array):
        return pa.repeat("null", len(array))
    if is_text(kind):
        encoded = _quote(array)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        encoded = array.cast(pa.string())
    elif pa.types.is_list(kind) and is_text(kind.value_type):
        encoded = json_lists(array)
    elif pa.types.is_floating(kind):
        encoded = pa.array(list(map(dump_json, array.to_numpy(zero_copy_only=False).tolist())))
    else:
        encoded = pa.array([dump_json(value) for value in array.to_pylist()], pa.string())
    return encoded.fill_null("null")


def json_lists(array: pa.Array) -> pa.Array:
    """Lists of strings as JSON text, null for a null; quick where most lists are empty."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    filled = pc.greater(pc.list_value_length(array), 0).fill_null(False)
    texts = [dump_json(value) for value in array.filter(filled).to_pylist()]
    empty = pc.if_else(array.is_valid(), "[]", None).cast(pa.string())
    return pc.replace_with_mask(empty, filled, pa.array(texts, pa.string())) if texts else empty


def json_objects(
    names: Sequence[str], arrays: Sequence[pa.Array], *, encoded: bool = False, end: str = "}"
) -> pa.Array:
    """Rows of one or more columns as the JSON text of objects, each ended by ``end``.

    ``encoded`` columns hold JSON text already.
    """
    parts: list[Any] = []
    for position, (name, array) in enumerate(zip(names, arrays, strict=True)):
        parts += [
            ("," if position else "{") + dump_json(name) + ":",
            array if encoded else json_texts(array),
        ]
    return pc.binary_join_element_wise(*parts, end, "")


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def _quote(array: pa.Array) -> pa.Array:
    array = array.cast(pa.string())
    if pc.any(pc.match_substring_regex(array, _CONTROL), min_count=0).as_py():
        values = array.to_pylist()
        return pa.array([None if v is None else dump_json(v) for v in values], pa.string())
    escaped = pc.replace_substring(pc.replace_substring(array, "\\", "\\\\"), '"', '\\"')
    return pc.binary_join_element_wise('"', escaped, '"', "")
