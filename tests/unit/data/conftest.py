"""Tables of the export schema for the tests of writing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from imfl_engine.data.schema import EXPORT_SCHEMA

EMPTY: dict[str, Any] = dict.fromkeys(EXPORT_SCHEMA.names) | {
    "options": [],
    "demonstration_ids": [],
    "split": "pool",
    "control": False,
    "flag": False,
    "meta": "{}",
}


@pytest.fixture
def export_table() -> Callable[..., pa.Table]:
    """Makes a table from rows that name only the columns they are about."""

    def make(*rows: dict[str, Any]) -> pa.Table:
        return pa.Table.from_pylist([EMPTY | row for row in rows], schema=EXPORT_SCHEMA)

    return make


@pytest.fixture
def three_rows(export_table: Callable[..., pa.Table]) -> pa.Table:
    """A label by a person, one by the LLM and one by the model, the last in the test set."""
    when = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    return export_table(
        {
            "id": "a",
            "text": 'He said "no",\r\nthen =1+1 \x1b[2J\x00 漢字 😀',
            "label_text": "good",
            "source": "human",
            "round": 1,
            "annotator": "ana",
            "human_label": "good",
            "comment": "[/b] sure?",
            "seconds": 2.5,
            "created_at": when,
            "meta": '{"stars":5,"deep":{"a":[1,null]}}',
        },
        {
            "id": "b",
            "text": "second",
            "context": "with a context",
            "label_text": "bad",
            "source": "llm",
            "round": 1,
            "annotator": "gpt",
            "llm_label": "bad",
            "llm_confidence": 0.75,
            "p_wrong": 0.1,
            "model_label": "good",
            "model_confidence": 0.5,
            "review_status": "unreviewed",
            "llm_model": "gpt",
            "demonstration_ids": ["a"],
            "input_tokens": 100,
            "output_tokens": 2,
            "cost_usd": 0.0001,
            "control": True,
        },
        {
            "id": "c",
            "text": "",
            "label_text": "good",
            "source": "model",
            "split": "test",
            "model_label": "good",
            "model_confidence": float("nan"),
        },
    )
