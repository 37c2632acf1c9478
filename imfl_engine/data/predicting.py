"""Predictions out: the rows of a file as they were, and what the model says about each.

Three things are added: ``label``, ``confidence`` (the label's probability) and one probability per
label — columns ``probability:LABEL`` in Parquet and CSV, an object ``probabilities`` in JSON Lines.
A name that the file uses itself becomes ``predicted_label`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from imfl_engine.data.arrow import json_objects, json_texts, to_list
from imfl_engine.data.chunks import ArrowChunk, Chunk, ObjectChunk
from imfl_engine.data.reading import Batch, Source
from imfl_engine.data.sinks import CsvSink, JsonLinesSink, ParquetSink, Sink
from imfl_engine.data.values import dump_json
from imfl_engine.data.writing import whole_file
from imfl_engine.errors import UsageError

_PREDICTED = "predicted_"


class PredictionWriter:
    """Takes batches of a source with their probabilities, in any number; see `open_predictions`."""

    def __init__(
        self, path: Path, ending: str, names: Sequence[str], labels: Sequence[str]
    ) -> None:
        self._ending = ending
        self._path = path
        self._names = list(names)
        self._labels = list(labels)
        self._sink: Sink | None = None
        self._schema: pa.Schema | None = None
        self.rows = 0

    def write(self, batch: Batch, probabilities: npt.NDArray[np.floating[Any]]) -> None:
        """Write ``batch`` with ``probabilities`` of shape (rows, labels)."""
        if probabilities.shape != (len(batch.rows), len(self._labels)):
            raise ValueError(f"{probabilities.shape} probabilities for {len(batch.rows)} rows")
        best = probabilities.argmax(axis=1)
        confidence = probabilities[np.arange(len(best)), best]
        added: dict[str, pa.Array] = {
            "label": pa.array([self._labels[place] for place in best], pa.string()),
            "confidence": pa.array(confidence.astype(np.float64)),
        }
        values = probabilities.astype(np.float64)
        if self._ending == ".jsonl":
            columns = [pa.array(values[:, place]) for place in range(len(self._labels))]
            added["probabilities"] = json_objects(self._labels, columns)
            self._write_objects(batch.rows, added)
        else:
            for place, label in enumerate(self._labels):
                added[f"probability:{label}"] = pa.array(values[:, place])
            self._write_table(batch.rows, added)
        self.rows += len(batch.rows)

    def _write_objects(self, rows: Chunk, added: dict[str, pa.Array]) -> None:
        if isinstance(rows, ObjectChunk):  # a later row may have keys that the first ones had not
            used = set(self._names).union(*(row.keys() for row in rows.rows))
            texts = [dump_json(row) for row in rows.rows]
        else:
            used = set(self._names)
            texts = list(to_list(pa.array(rows.rest(frozenset()), pa.string())))
        names = [_free(name, used) for name in added]
        columns = [
            column if name == "probabilities" else json_texts(column)
            for name, column in added.items()
        ]
        extra = to_list(json_objects(names, columns, encoded=True))
        lines = [
            (old[:-1] + "," if len(old) > 2 else "{") + new[1:]
            for old, new in zip(texts, extra, strict=True)
        ]
        if self._sink is None:
            self._sink = JsonLinesSink(self._path)
        assert isinstance(self._sink, JsonLinesSink)
        self._sink.write_lines(lines)

    def _write_table(self, rows: Chunk, added: dict[str, pa.Array]) -> None:
        columns = {name: _column(rows, name) for name in self._names}
        used = set(columns)
        columns |= {_free(name, used): column for name, column in added.items()}
        table = pa.table(columns)
        if self._schema is None:
            self._schema = table.schema
        table = table.cast(self._schema)
        if self._sink is None:
            csv = self._ending == ".csv"
            self._sink = CsvSink(self._path) if csv else ParquetSink(self._path, self._schema)
        self._sink.write(table)

    def close(self) -> None:
        """Finish the file."""
        if self._sink is not None:
            self._sink.close()


@contextmanager
def open_predictions(
    destination: Path, source: Source, labels: Sequence[str]
) -> Iterator[PredictionWriter]:
    """A writer for ``destination`` (``.parquet``, ``.jsonl`` or ``.csv``), for `Source.rows`.

    The file appears when the block ends without an error, and not before.
    """
    ending = destination.suffix.lower()
    if ending not in (".parquet", ".jsonl", ".csv"):
        raise UsageError(
            f"'{destination}' has an ending that predictions cannot be written to.",
            "End it in .parquet, .jsonl or .csv.",
        )
    with whole_file(destination) as temporary:
        writer = PredictionWriter(temporary, ending, source.column_names, labels)
        try:
            yield writer
        finally:
            writer.close()


def _column(rows: Chunk, name: str) -> pa.Array:
    """A column as it is where it has a type of its own; of JSON objects, as text."""
    if isinstance(rows, ArrowChunk) and name not in rows.class_names:
        if name in rows.batch.schema.names:
            return rows.batch.column(name)
        return pa.nulls(len(rows), pa.string())
    values = rows.values(name)
    texts = [v if v is None or isinstance(v, str) else dump_json(v) for v in values]
    return pa.array(texts, pa.string())


def _free(name: str, used: set[str]) -> str:
    while name in used:
        name = _PREDICTED + name
    return name
