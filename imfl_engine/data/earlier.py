"""Whether a file is an export of ours, which a new one may replace."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_COLUMNS = ("label_text", "review_status", "p_wrong")
"""Columns that no other tool's files have together."""
_HEAD = 65_536
"""Bytes looked at: the header of a csv, the first record of a jsonl."""


def is_export(path: Path) -> bool:
    """Whether ``path`` was written by `writing.write_export` as parquet, jsonl or csv."""
    try:
        if path.suffix.lower() == ".parquet":
            return set(_COLUMNS) <= set(pq.read_schema(path).names)
        with path.open("rb") as file:
            head = file.read(_HEAD).split(b"\n", 1)[0]
    except (OSError, pa.ArrowException):
        return False
    return all(name.encode() in head for name in _COLUMNS)
