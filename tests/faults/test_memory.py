"""A run keeps nothing of the items it is through with."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import psutil

from imfl_engine.annotate.completion import Answer
from imfl_engine.annotate.hand import ItemInHand
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import Reply

LABELS = 1000
CONCURRENCY = 64
MOST_GROWTH = 40_000_000
"""Bytes; 4 million were measured, most of them the database's."""


def kept() -> int:
    """What lives of replies, answers and items under way."""
    gc.collect()
    return sum(isinstance(found, Reply | Answer | ItemInHand) for found in gc.get_objects())


async def test_memory_stays_flat_over_a_thousand_labels(
    serve: Any, annotator_for: Any, label_requests: Any, tmp_path: Path
) -> None:
    database = Database.create(tmp_path / "p.db")
    annotator = annotator_for(serve(), concurrency=CONCURRENCY, timeout_seconds=60.0)
    alive, resident = [], []
    events = annotator.annotate(label_requests(LABELS, shots=3), DuckReplyStore(database))
    async for event in events:
        if hasattr(event, "reply") and event.done in (LABELS // 4, LABELS - 1):
            alive.append(kept())
            resident.append(psutil.Process().memory_info().rss)
    database.close()
    under_way = 3 * (2 * CONCURRENCY + 1) + 256  # of each worker, and replies that wait to be read
    assert max(alive) <= under_way < LABELS
    assert resident[1] - resident[0] < MOST_GROWTH
