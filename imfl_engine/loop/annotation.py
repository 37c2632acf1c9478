"""ANNOTATE: the LLM's share of the round, and its opinion on what the human labelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from imfl_engine.annotate.retrieval import retrieve
from imfl_engine.errors import AnnotatorError, BudgetReached
from imfl_engine.events import Annotated, Event, Notice
from imfl_engine.loop.context import LoopContext
from imfl_engine.store import labels, selections
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import AnnotationRequest, Demonstration, Purpose


async def build_requests(context: LoopContext, round: int) -> list[AnnotationRequest]:
    """Return what is still to be asked in a round, with demonstrations from the human labels.

    The control slice comes first, so that the LLM's accuracy is known even when the money does
    not last; then the LLM's batch; then the other human-labelled items, each shown without itself.
    """
    batch = await context.database.read(lambda con: selections.pending_llm(con, round))
    calibrating: list[int] = []
    again: list[int] = []
    control: set[int] = set()
    if context.settings.annotator.calibrate:
        name = context.annotator.name
        calibrating = await context.database.read(
            lambda con: selections.pending_calibration(con, name)
        )
        control = await context.database.read(selections.control_ids)
        if context.annotator.free and context.annotator.shots != 0:
            # With more examples it is another annotator; what is paid for is not asked twice.
            again = await context.database.read(
                lambda con: selections.control_to_ask_again(con, name, round)
            )
    ordered = [
        *((item_id, Purpose.CALIBRATE) for item_id in calibrating if item_id in control),
        *((item_id, Purpose.ANNOTATE) for item_id in batch),
        *((item_id, Purpose.CONTROL) for item_id in again),
        *((item_id, Purpose.CALIBRATE) for item_id in calibrating if item_id not in control),
    ]
    shown = await demonstrations_for(context, [item_id for item_id, _ in ordered])
    found = {item.item_id: item for item in await context.items_of([i for i, _ in ordered])}
    return [
        AnnotationRequest(found[item_id], round, purpose, demonstrations)
        for (item_id, purpose), demonstrations in zip(ordered, shown, strict=True)
    ]


async def demonstrations_for(
    context: LoopContext, item_ids: Sequence[int]
) -> list[tuple[Demonstration, ...]]:
    """Retrieve each item's demonstrations; the items must have vectors."""
    human = await context.database.read(labels.human_labels)
    # What the person has labelled since the step embedded has no vector yet.
    for item_id in await context.lacking_vectors(list(human)):
        del human[item_id]
    retrieval = context.settings.retrieval
    shots = context.annotator.shots
    if not human or not item_ids:
        return [() for _ in item_ids]
    human_ids = list(human)
    retrieved = await asyncio.to_thread(
        retrieve,
        await context.vectors_of(item_ids),
        list(item_ids),
        human_ids,
        await context.vectors_of(human_ids),
        [human[item_id] for item_id in human_ids],
        retrieval.method,
        retrieval.shots if shots is None else shots,
        context.settings.seed,
    )
    needed = sorted({item_id for hits in retrieved for item_id, _ in hits})
    shown = {item.item_id: item for item in await context.items_of(needed)}
    return [
        tuple(Demonstration(shown[i], human[i], similarity) for i, similarity in hits)
        for hits in retrieved
    ]


async def annotate(
    context: LoopContext, round: int, details: dict[str, float]
) -> AsyncGenerator[Event, None]:
    """Ask the annotator about everything that is open; every reply is on disk before its event.

    The hard stop in money ends the step, not the loop: what was bought is trained on, and
    ``details`` is given the limit, ``stopped_at_usd``. Raises
    `AnnotatorError` when the endpoint cannot be used at all or no request got an answer.
    """
    requests = await build_requests(context, round)
    if not requests:
        return
    labelled = 0
    last: Annotated | None = None
    try:
        async with aclosing(
            context.annotator.annotate(
                requests,
                DuckReplyStore(context.database),
                limit_usd=context.settings.budget.money_usd,
            )
        ) as events:
            async for event in events:
                if isinstance(event, Annotated):
                    labelled += event.reply.status.has_label
                    last = event
                yield event
    except BudgetReached as reached:
        details["stopped_at_usd"] = context.settings.budget.money_usd or 0.0
        yield Notice("warning", reached.message, reached.hint)
        return
    if labelled == 0 and last is not None and not last.reply.status.is_final:
        raise AnnotatorError(
            f"None of the {len(requests)} requests got an answer; the last one ended with: "
            f"{last.reply.error or last.reply.status.value}.",
            "Check the endpoint with `imfl-tui doctor`, then start the step again.",
        )
