"""The columns of our export, which are also what a reader of it may rely on."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

EXPORT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),  # the key of the person's own file
        pa.field("text", pa.string()),
        pa.field("context", pa.string()),
        pa.field("options", pa.list_(pa.string())),  # empty but for multiple choice
        pa.field("label", pa.int64()),  # number of label_text in the schema, from 0
        pa.field("label_text", pa.string()),  # the final label; the letter for multiple choice
        pa.field("source", pa.string()),  # human, llm, llm_reviewed or model
        pa.field("split", pa.string()),  # pool or test
        pa.field("round", pa.int64()),
        pa.field("annotator", pa.string()),
        pa.field("human_label", pa.string()),
        pa.field("llm_label", pa.string()),
        pa.field("llm_confidence", pa.float64()),
        pa.field("p_wrong", pa.float64()),  # probability that llm_label is wrong
        pa.field("model_label", pa.string()),
        pa.field("model_confidence", pa.float64()),
        pa.field("review_status", pa.string()),  # unreviewed, accepted or corrected
        pa.field("control", pa.bool_()),  # of the random slice that measures the LLM
        pa.field("flag", pa.bool_()),
        pa.field("comment", pa.string()),
        pa.field("seconds", pa.float64()),  # the person's, or the request's
        pa.field("llm_model", pa.string()),
        pa.field("prompt_hash", pa.string()),
        pa.field("demonstration_ids", pa.list_(pa.string())),  # ids, as in the column id
        pa.field("input_tokens", pa.int64()),
        pa.field("output_tokens", pa.int64()),
        pa.field("cost_usd", pa.float64()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("meta", pa.string()),  # the source's other columns: JSON text of an object
    ]
)


def with_label_numbers(table: pa.Table | pa.RecordBatch, labels: Sequence[str]) -> pa.Table:
    """``table`` cast to `EXPORT_SCHEMA`, its column ``label`` filled from ``label_text``."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if "label" not in table.schema.names:
        table = table.append_column("label", pa.nulls(len(table), pa.int64()))
    table = table.select(EXPORT_SCHEMA.names).cast(EXPORT_SCHEMA)
    numbers = pc.index_in(table.column("label_text"), value_set=pa.array(labels, pa.string()))
    place = EXPORT_SCHEMA.get_field_index("label")
    return table.set_column(place, EXPORT_SCHEMA.field("label"), numbers.cast(pa.int64()))
