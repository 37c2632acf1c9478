"""What the next round will cost: calls, tokens, money from low to high, minutes of the person."""

from __future__ import annotations

from imfl_engine.loop.annotation import build_requests, demonstrations_for
from imfl_engine.loop.runner import Loop
from imfl_engine.store import items, labels, selections
from imfl_engine.store.items import labels_of
from imfl_engine.store.vectors import missing
from imfl_engine.types import AnnotationRequest, Demonstration, Item, Purpose
from imfl_engine.views import CostEstimate

SAMPLE = 50
"""Items whose real prompts are measured when the batch is not chosen yet."""

SECONDS_PER_LABEL = 8.0
"""Assumed until the person has labelled something."""


async def estimate_next_round(loop: Loop) -> CostEstimate:
    """Estimate the current round if anything of it is open, else the next one.

    Prompts are built for real items, so tokens are counted, not guessed; demonstrations are taken
    from the labels there are.
    """
    context = loop.context
    state = await loop.state()
    seconds = await context.database.read(labels.median_seconds)
    human = max(0, state.human - state.human_closed) or state.next_human
    minutes = human * (seconds or SECONDS_PER_LABEL) / 60
    open_llm = max(0, state.llm - state.llm_closed)
    calls = open_llm or state.next_llm
    calibrating = 0
    if context.settings.annotator.calibrate and calls:
        name = context.annotator.name
        pending = await context.database.read(lambda con: selections.pending_calibration(con, name))
        calibrating = len(pending) + human
    if context.settings.annotator.kind == "none" or calls == 0:
        return CostEstimate(0, 0, 0, 0, 0, 0.0, 0.0, minutes, True, "no LLM labels are asked for")
    requests = await _sample_requests(loop, state.round, bool(open_llm))
    if not requests:
        return CostEstimate(
            calls + calibrating, 0, 0, 0, 0, None, None, minutes, False, "the pool is empty"
        )
    estimate = context.annotator.estimate(requests, calls=calls + calibrating)
    return CostEstimate(
        estimate.calls,
        estimate.input_tokens_low,
        estimate.input_tokens_high,
        estimate.output_tokens_low,
        estimate.output_tokens_high,
        estimate.money_low,
        estimate.money_high,
        minutes,
        estimate.price_known,
        estimate.price_source,
    )


async def _sample_requests(
    loop: Loop, round: int | None, batch_is_open: bool
) -> list[AnnotationRequest]:
    context = loop.context
    embedder = context.settings.embedder
    if batch_is_open and round is not None:
        ids = await context.database.read(selections.labelled_ids)
        pending = await context.database.read(lambda con: selections.pending_llm(con, round))
        if not await context.database.read(lambda con: missing(con, embedder, [*ids, *pending])):
            return (await build_requests(context, round))[:SAMPLE]
    drawn = await context.database.read(
        lambda con: items.draw_sub_sample(con, SAMPLE, salt="estimate")
    )
    human = await context.database.read(labels.human_labels)
    lacking = await context.database.read(lambda con: missing(con, embedder, [*drawn, *human]))
    found = await context.items_of(drawn)
    stand_ins = bool(lacking) or not human
    shown = (
        [_stand_ins(loop, found, place) for place in range(len(found))]
        if stand_ins
        else await demonstrations_for(context, drawn)
    )
    return [
        AnnotationRequest(item, round or 0, Purpose.ANNOTATE, demonstrations)
        for item, demonstrations in zip(found, shown, strict=True)
    ]


def _stand_ins(loop: Loop, found: list[Item], place: int) -> tuple[Demonstration, ...]:
    """Return as many demonstrations as the run will have, of other items of the pool.

    The first estimate comes before the first label; prompts without examples would promise less
    than is then spent.
    """
    settings = loop.context.settings
    if settings.retrieval.method == "zero-shot":
        return ()
    others = [*found[place + 1 :], *found[:place]][: settings.retrieval.shots]
    return tuple(
        Demonstration(other, labels_of(other, settings.task.label_names)[0]) for other in others
    )
