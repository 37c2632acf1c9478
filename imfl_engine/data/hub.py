"""A Hugging Face data set as a folder: ``load_dataset(folder)`` reads it as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imfl_engine.data.card import CardFacts, LabelShare, dataset_card
from imfl_engine.data.schema import EXPORT_SCHEMA
from imfl_engine.data.sinks import ParquetSink

_SPLITS = {"pool": "train", "test": "test"}


def write_dataset(
    tables: Iterable[pa.Table], folder: Path, labels: Sequence[str], facts: CardFacts | None
) -> int:
    """Write ``tables`` of the export schema into ``folder`` and return the number of rows.

    Items of the pool become the split ``train``, those of the test set ``test``.
    """
    (folder / "data").mkdir()
    schema = EXPORT_SCHEMA.with_metadata({"huggingface": json.dumps(_info(labels))})
    sinks: dict[str, ParquetSink] = {}
    rows: dict[str, int] = {}
    sizes: dict[str, int] = {}

    def write(split: str, table: pa.Table) -> None:
        if split not in sinks:
            path = folder / "data" / f"{split}-00000-of-00001.parquet"
            sinks[split] = ParquetSink(path, schema)
        sinks[split].write(table.replace_schema_metadata(schema.metadata))
        rows[split] = rows.get(split, 0) + table.num_rows
        sizes[split] = sizes.get(split, 0) + table.nbytes

    try:
        for table in tables:
            is_test = pc.equal(table.column("split"), "test").fill_null(False)
            for split, mask in (("pool", pc.invert(is_test)), ("test", is_test)):
                part = table.filter(mask)
                if part.num_rows:
                    write(_SPLITS[split], part)
        if not sinks:
            write("train", schema.empty_table())
    finally:
        for sink in sinks.values():
            sink.close()
    ordered = {split: (rows[split], sizes[split]) for split in _SPLITS.values() if split in rows}
    card = dataset_card(
        facts or CardFacts(labels=tuple(LabelShare(name) for name in labels)),
        features=_features_yaml(labels),
        splits=ordered,
        columns=EXPORT_SCHEMA.names,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return sum(rows.values())


def _info(labels: Sequence[str]) -> dict[str, Any]:
    features: dict[str, Any] = {}
    for column in EXPORT_SCHEMA:
        if column.name == "label":
            features["label"] = {"names": list(labels), "_type": "ClassLabel"}
        elif pa.types.is_list(column.type):
            value = {"dtype": _dtype(column.type.value_type), "_type": "Value"}
            features[column.name] = {"feature": value, "_type": "Sequence"}
        else:
            features[column.name] = {"dtype": _dtype(column.type), "_type": "Value"}
    return {"info": {"features": features}}


def _features_yaml(labels: Sequence[str]) -> str:
    lines: list[str] = []
    for column in EXPORT_SCHEMA:
        lines.append(f"  - name: {column.name}")
        if column.name == "label":
            lines += ["    dtype:", "      class_label:", "        names:"]
            # JSON strings are YAML strings, whatever is in them
            lines += [f"          '{n}': {json.dumps(name)}" for n, name in enumerate(labels)]
        elif pa.types.is_list(column.type):
            lines.append(f"    sequence: {_dtype(column.type.value_type)}")
        else:
            lines.append(f"    dtype: {_dtype(column.type)}")
    return "\n".join(lines)


def _dtype(kind: pa.DataType) -> str:
    return {"double": "float64"}.get(str(kind), str(kind))
