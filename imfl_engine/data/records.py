"""Our export in the shapes of other annotation tools.

A label that a person gave or looked at is an annotation there; one that only the LLM or the model
gave is a suggestion, wherever the tool knows the difference (Label Studio, Argilla).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa

from imfl_engine.data.arrow import rows
from imfl_engine.data.schema import EXPORT_SCHEMA
from imfl_engine.data.values import dump_json
from imfl_engine.types import option_letter

_UNUSED = frozenset({"demonstration_ids", "prompt_hash", "input_tokens", "output_tokens"})
_USED = [name for name in EXPORT_SCHEMA.names if name not in _UNUSED]

BY_PERSON = frozenset({"human", "llm_reviewed"})
"""The sources whose label a person answers for."""

ARGILLA_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("status", pa.string()),
        pa.field("text", pa.string()),
        pa.field("context", pa.string()),
        pa.field("options", pa.list_(pa.string())),
        pa.field("label.responses", pa.list_(pa.string())),
        pa.field("label.responses.users", pa.list_(pa.string())),
        pa.field("label.responses.status", pa.list_(pa.string())),
        pa.field("label.suggestion", pa.string()),
        pa.field("label.suggestion.score", pa.float64()),
        pa.field("label.suggestion.agent", pa.string()),
        pa.field("comment", pa.string()),
    ]
)


def to_prodigy(table: pa.Table, labels: Sequence[str]) -> Iterator[bytes]:
    """JSON lines of Prodigy's ``choice`` interface; an item without a label is an ``ignore``."""
    schema = [{"id": name, "text": name} for name in labels]
    for row in rows(table, _USED):
        own = row["options"]
        options = (
            [{"id": option_letter(n), "text": text} for n, text in enumerate(own)]
            if own
            else schema
        )
        label = row["label_text"]
        meta = _meta(row) | {"id": row["id"], "source": row["source"], "round": row["round"]}
        record = {
            "text": row["text"],
            **({"context": row["context"]} if row["context"] else {}),
            "options": options,
            "accept": [] if label is None else [label],
            "answer": "ignore" if label is None else "accept",
            "meta": meta,
            "_input_hash": _number(row["text"], row["context"]),
            "_task_hash": _number(row["text"], row["context"], dump_json(options)),
            "_timestamp": int(row["created_at"].timestamp()) if row["created_at"] else None,
            "_view_id": "choice",
            "_annotator_id": row["annotator"],
            **({"comment": row["comment"]} if row["comment"] else {}),
            **({"seconds": row["seconds"]} if row["seconds"] is not None else {}),
        }
        yield dump_json(record).encode()


def to_label_studio(table: pa.Table) -> Iterator[bytes]:
    """Tasks of a Label Studio project whose choices are called ``label`` on the text ``text``."""
    for row in rows(table, _USED):
        label = row["label_text"]
        data = {"id": row["id"], "text": row["text"], "meta": _meta(row)}
        if row["context"]:
            data["context"] = row["context"]
        if row["options"]:
            data["options"] = row["options"]
        annotations = []
        if label is not None and row["source"] in BY_PERSON:
            annotation = {
                "result": [_choice(label)],
                "was_cancelled": False,
                "ground_truth": False,
                "lead_time": row["seconds"],
                "completed_by": {"email": row["annotator"] or ""},
            }
            annotations.append(annotation)
        predictions = []
        for name, score, version in _suggestions(row):
            predictions.append(
                {"model_version": version, "score": score, "result": [_choice(name)]}
            )
        task: dict[str, Any] = {"data": data, "annotations": annotations}
        task["predictions"] = predictions
        if row["comment"]:
            task["comments"] = [{"text": row["comment"]}]
        yield dump_json(task).encode()


def to_argilla(table: pa.Table) -> pa.Table:
    """Records as Argilla's ``to_datasets`` writes them, for a question called ``label``."""
    records: list[dict[str, Any]] = []
    for row in rows(table, _USED):
        label = row["label_text"]
        person = label is not None and row["source"] in BY_PERSON
        suggestion, score, agent = next(iter(_suggestions(row)), (None, None, None))
        records.append(
            {
                "id": row["id"],
                "status": "completed" if person else "pending",
                "text": row["text"],
                "context": row["context"],
                "options": row["options"],
                "label.responses": [label] if person else None,
                "label.responses.users": [row["annotator"] or "human"] if person else None,
                "label.responses.status": ["submitted"] if person else None,
                "label.suggestion": suggestion,
                "label.suggestion.score": score,
                "label.suggestion.agent": agent,
                "comment": row["comment"],
            }
        )
    return pa.Table.from_pylist(records, schema=ARGILLA_SCHEMA)


def to_doccano(table: pa.Table) -> Iterator[bytes]:
    """doccano's JSON lines; an item without a label has an empty list."""
    for number, row in enumerate(rows(table, _USED)):
        label = row["label_text"]
        record = {
            "id": row["id"] or str(number),
            "text": row["text"],
            "label": [] if label is None else [label],
            "Comments": [row["comment"]] if row["comment"] else [],
            **({"context": row["context"]} if row["context"] else {}),
            "source": row["source"],
        }
        yield dump_json(record).encode()


def _suggestions(row: dict[str, Any]) -> list[tuple[str, float | None, str]]:
    """What machines say about an item as (label, confidence, who), the final label's first."""
    llm = (row["llm_label"], row["llm_confidence"], row["llm_model"] or "llm")
    model = (row["model_label"], row["model_confidence"], "model")
    if row["source"] in BY_PERSON or row["label_text"] is None:
        return [said for said in (llm, model) if said[0] is not None]
    ranked = [model, llm] if row["source"] == "model" else [llm, model]
    if ranked[0][0] != row["label_text"]:  # for example a label that came with the data
        ranked.insert(0, (row["label_text"], None, row["annotator"] or row["source"] or "model"))
    return [said for said in ranked if said[0] is not None]


def _choice(label: str) -> dict[str, Any]:
    return {
        "from_name": "label",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": [label]},
    }


def _meta(row: dict[str, Any]) -> dict[str, Any]:
    meta = orjson.loads(row["meta"]) if row["meta"] else {}
    return meta if isinstance(meta, dict) else {"meta": meta}


def _number(*parts: str | None) -> int:
    """A steady 31-bit number; Prodigy compares such numbers and never recomputes them."""
    text = "\x1f".join(part or "" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
