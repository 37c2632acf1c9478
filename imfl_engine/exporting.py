"""The annotated set, out of the store into any format, with its card."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from imfl_engine.data.card import CardFacts, LabelShare
from imfl_engine.data.writing import ExportResult, export_format, write_export
from imfl_engine.errors import ANY_PROJECT, UsageError
from imfl_engine.events import Event, Notice, Progress
from imfl_engine.loop.runner import Loop
from imfl_engine.overview import read_status
from imfl_engine.store import predictions, reports, rounds
from imfl_engine.store.database import Connection
from imfl_engine.types import StepKind
from imfl_engine.views import Status


class _Stopped(Exception):
    """The person stopped the export."""


async def export(loop: Loop, destination: Path, format: str | None) -> AsyncGenerator[Event, None]:
    """Write every labelled pool item to ``destination``; complete or untouched.

    Raises `UsageError` for a format nobody knows or when nothing is labelled yet.
    """
    context = loop.context
    export_format(destination, format)
    status = await read_status(loop)
    total = sum(count.human + count.llm for count in status.label_counts)
    if total == 0:
        raise UsageError(
            "Nothing is labelled yet, so there is nothing to export.",
            f"Label the first batch, or start the loop with `imfl-tui run {ANY_PROJECT}`.",
        )
    classes = await context.class_names()
    facts = await card_facts(loop, status)
    model_round = await context.database.read(predictions.newest_round)
    done: asyncio.Queue[int] = asyncio.Queue()
    stopped = threading.Event()
    event_loop = asyncio.get_running_loop()

    def tell(rows: int) -> None:
        if stopped.is_set():
            raise _Stopped
        event_loop.call_soon_threadsafe(done.put_nowait, rows)

    def write(con: Connection) -> ExportResult:
        return write_export(
            reports.export_rows(con, labels=classes, model_round=model_round),
            destination,
            labels=classes,
            format_name=format,
            facts=facts,
            progress=tell,
        )

    writing = asyncio.ensure_future(context.database.stream(write))
    try:
        while not writing.done():
            waiting = asyncio.ensure_future(done.get())
            await asyncio.wait({writing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                yield Progress("export", min(waiting.result(), total), total, "rows")
            else:
                waiting.cancel()
        result = await writing
    finally:
        if not writing.done():
            # A thread cannot be cancelled: it stops at its next rows, and nothing appears later.
            stopped.set()
            await asyncio.wait({writing})
            with suppress(_Stopped):
                writing.result()
    yield Progress("export", result.rows, result.rows, "rows")
    size = result.size / 1024
    yield Notice("info", f"Wrote {result.rows:,} rows to {destination} ({size:,.0f} kB).")


async def card_facts(loop: Loop, status: Status) -> CardFacts:
    """Return what the data-set card says about this project."""
    context = loop.context
    settings = context.settings
    steps = await context.database.read(lambda con: rounds.completed(con, kind=StepKind.TRAIN))
    counts = {count.label: count for count in status.label_counts}
    names = [*settings.task.label_names] or sorted(counts)
    descriptions = {label.name: label.description for label in settings.task.labels}
    kept = status.trust.kept
    last = status.curve[-1] if status.curve else None
    return CardFacts(
        name=status.path.stem,
        kind=settings.task.kind,
        labels=[
            LabelShare(
                name,
                descriptions.get(name, ""),
                counts[name].human if name in counts else 0,
                counts[name].llm if name in counts else 0,
            )
            for name in names
        ],
        guidelines=settings.task.guidelines,
        human=sum(count.human for count in status.label_counts),
        llm=sum(count.llm for count in status.label_counts) - kept,
        llm_reviewed=kept,
        llm_name=settings.annotator.spec,
        llm_accuracy=status.trust.accuracy,
        expected_errors=status.trust.expected_errors,
        target=settings.training.target if steps else "",
        model_accuracy=last.accuracy if last else None,
        model_scope=last.scope if last else "test",
        strategy=settings.query.strategy,
        rounds=sum(1 for one in status.rounds if one.state == "done" and one.round > 0),
        seed=settings.seed,
        cost_usd=status.budget.money_spent,
        minutes=status.budget.minutes_spent or None,
        version=installed_version(),
    )


def installed_version() -> str:
    """Return the installed version of the package, or an empty text in a bare checkout."""
    try:
        return version("imfl-tui")
    except PackageNotFoundError:
        return ""
