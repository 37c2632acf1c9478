"""Arrow columns to Python values and to JSON text, whole columns at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from imfl_engine.data.values import dump_json


def to_list(array: pa.Array) -> list[Any]:
    """An Arrow array as Python values; strings go through NumPy, which is several times faster."""
    array = _plain(array)
    if is_text(array.type):
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return values
    values = array.to_pylist()
    return values


def rows(table: pa.Table, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each row of the columns ``names`` as an object."""
    columns = [to_list(table.column(name).combine_chunks()) for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


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
        values = array.to_numpy(zero_copy_only=False).tolist()  # a null is a NaN, and that is null
        encoded = pa.array(orjson.dumps(values).decode()[1:-1].split(","))
    else:
        encoded = pa.array([dump_json(value) for value in array.to_pylist()], pa.string())
    return encoded.fill_null("null")


def json_lists(array: pa.Array) -> pa.Array:
    """Lists of strings as JSON text, null for a null."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.null_count:
        texts = [None if values is None else dump_json(values) for values in array.to_pylist()]
        return pa.array(texts, pa.string())
    offsets = pc.subtract(array.offsets, array.offsets[0])
    quoted = pa.ListArray.from_arrays(offsets, json_texts(array.flatten()))
    return pc.binary_join_element_wise("[", pc.binary_join(quoted, ","), "]", "")


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
    characters = string_bytes(array)
    if bool((characters < ord(" ")).any()):
        values = array.to_pylist()
        return pa.array([None if v is None else dump_json(v) for v in values], pa.string())
    for special in ("\\", '"'):
        if bool((characters == ord(special)).any()):
            array = pc.replace_substring(array, special, "\\" + special)
    return pc.binary_join_element_wise('"', array, '"', "")


def string_bytes(array: pa.Array) -> npt.NDArray[np.uint8]:
    """The bytes of all strings of ``array`` one after another, without a copy."""
    _, offsets, data = array.buffers()
    if data is None:
        return np.empty(0, np.uint8)
    places = np.frombuffer(offsets, np.int32, len(array) + 1, array.offset * 4)
    return np.frombuffer(data, np.uint8, places[-1])[places[0] :]
