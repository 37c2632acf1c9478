"""A run in a process of its own that can be killed: ``worker.py DB BASE_URL ITEMS CONCURRENCY``.

Prints how many items have a reply on disk after each one, and exits 0 when every item has one.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.limits import Patience
from imfl_engine.settings import Annotator, LabelSpec, Settings, Task
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import AnnotationRequest, Item, Purpose


async def main(database: Database, base_url: str, items: int, concurrency: int) -> None:
    settings = Settings(
        task=Task(labels=tuple(LabelSpec(name=x) for x in ("positive", "negative", "neutral"))),
        annotator=Annotator(
            spec="openai:test-model",
            base_url=base_url,
            price_input=1.0,
            price_output=2.0,
            concurrency=concurrency,
            timeout_seconds=20.0,
        ),
    )
    annotator = build_annotator(settings, environ={}, patience=Patience(first=0.02, most=0.2))
    assert annotator is not None
    requests = [
        AnnotationRequest(Item(i, str(i), f"Item {i} went up by {i}."), 1, Purpose.ANNOTATE)
        for i in range(items)
    ]
    async for event in annotator.annotate(requests, DuckReplyStore(database)):
        if hasattr(event, "reply"):
            print(event.done, flush=True)
    await annotator.close()
    database.close()


if __name__ == "__main__":
    file = Path(sys.argv[1])
    project = Database.open(file) if file.exists() else Database.create(file)
    asyncio.run(main(project, sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
