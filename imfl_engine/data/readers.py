"""Which reader a file gets."""

from __future__ import annotations

from pathlib import Path

from imfl_engine.data.chunks import Reader
from imfl_engine.data.columnar import HubReader, ParquetReader
from imfl_engine.data.delimited import DelimitedReader, LineReader
from imfl_engine.data.files import check_file, format_of
from imfl_engine.data.objects import JsonLinesReader, JsonReader, looks_like_lines


def open_reader(name: str, encoding: str | None = None) -> Reader:
    """The reader for a file, by its name's ending, or for ``hf:owner/name[:split]``."""
    if name.startswith("hf:"):
        return HubReader(name)
    path = Path(name)
    if path.is_dir() or not path.exists():
        check_file(path)  # before its ending: a missing file is missing, whatever its name
    kind = format_of(path)
    if kind == "parquet":
        return ParquetReader(path)
    if kind == "txt":
        return LineReader(path, encoding)
    if kind in ("csv", "tsv"):
        return DelimitedReader(path, tabs=kind == "tsv", encoding=encoding)
    if kind == "json" and not looks_like_lines(path, encoding):
        return JsonReader(path, encoding)
    return JsonLinesReader(path, encoding)
