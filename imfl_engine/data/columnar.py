"""Parquet files, and data sets of the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imfl_engine.data.chunks import CHUNK_ROWS, ArrowChunk
from imfl_engine.data.files import check_file, reading
from imfl_engine.errors import DataError, ImflError, UsageError


class ParquetReader:
    """A Parquet file; class numbers written by Hugging Face datasets are read as their names."""

    def __init__(self, path: Path) -> None:
        check_file(path)
        self._path = path
        self._done = 0
        with reading(path):
            try:
                self._file = pq.ParquetFile(path)
            except pa.ArrowException as error:
                raise self._broken(error) from error
        self._rows = max(self._file.metadata.num_rows, 1)
        self._names = list(self._file.schema_arrow.names)
        self._class_names = class_names(self._file.schema_arrow.metadata)

    @property
    def names(self) -> list[str]:
        """The top-level columns."""
        return self._names

    @property
    def share(self) -> float:
        """See `Reader`."""
        return float(self._done / self._rows)

    def chunks(self) -> Iterator[ArrowChunk]:
        """See `Reader`."""
        with reading(self._path):
            try:
                for batch in self._file.iter_batches(batch_size=CHUNK_ROWS):
                    self._done += batch.num_rows
                    if batch.num_rows:
                        yield ArrowChunk(batch, self._class_names)
            except pa.ArrowException as error:
                raise self._broken(error) from error

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()

    def _broken(self, error: Exception) -> DataError:
        reason = str(error).splitlines()[0].rstrip(".")
        return DataError(
            f"'{self._path}' is not a readable Parquet file: {reason}.",
            "Copy or write the file again.",
        )


class HubReader:
    """``hf:owner/name[:split]`` through the ``datasets`` library, which downloads and caches it.

    Without a split it is ``train``, or the only one there is. ``owner/name/subset`` names one of
    several configurations.
    """

    def __init__(self, name: str) -> None:
        repository, _, split = name.removeprefix("hf:").partition(":")
        parts = repository.split("/")
        if not all(parts) or len(parts) > 3:
            raise UsageError(
                f"'{name}' names no data set.", "Write hf:owner/name or hf:owner/name:split."
            )
        data = _load(name, "/".join(parts[:2]), parts[2] if len(parts) == 3 else None)
        splits = list(data)
        split = split or ("train" if "train" in splits or len(splits) != 1 else splits[0])
        if split not in splits:
            raise UsageError(
                f"'{name}' has no split '{split}'.", f"Its splits are {', '.join(splits)}."
            )
        self._data = data[split]
        self._names = list(self._data.column_names)
        self._done = 0
        self._class_names = {
            column: tuple(feature.names)
            for column, feature in self._data.features.items()
            if type(feature).__name__ == "ClassLabel"
        }

    @property
    def names(self) -> list[str]:
        """The columns."""
        return self._names

    @property
    def share(self) -> float:
        """See `Reader`."""
        return self._done / max(len(self._data), 1)

    def chunks(self) -> Iterator[ArrowChunk]:
        """See `Reader`."""
        for table in self._data.with_format("arrow").iter(batch_size=CHUNK_ROWS):
            for batch in table.combine_chunks().to_batches():
                self._done += batch.num_rows
                yield ArrowChunk(batch, self._class_names)

    def close(self) -> None:
        """See `Reader`."""


def class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """The class names that Hugging Face datasets keeps in a Parquet file's own metadata."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: tuple(map(str, feature["names"]))
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # another tool's metadata, or none: numbers stay numbers


def _load(name: str, repository: str, subset: str | None) -> Mapping[str, Any]:
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"Reading '{name}' needs the datasets library, which is not installed.",
            "Install it with: pip install 'imfl-tui[hf]'.",
        ) from error
    datasets.disable_progress_bars()
    try:
        data: Mapping[str, Any] = datasets.load_dataset(repository, subset)
        return data
    except ImflError:
        raise
    except Exception as error:  # the library documents no error tree: network, hub, disk, format
        reason = " ".join(str(error).split())[:200].rstrip(".")
        offline = any(
            word in f"{type(error).__name__} {reason}".lower()
            for word in ("connect", "offline", "timeout", "couldn't reach", "resolve")
        )
        raise DataError(
            f"'{name}' cannot be loaded from the Hugging Face hub: {reason}.",
            "Check the network, or give a file that has been downloaded."
            if offline
            else "Check its name on huggingface.co; a private one needs `hf auth login`.",
        ) from error
