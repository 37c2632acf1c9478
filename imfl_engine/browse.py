"""Snapshots of items for the screens: the queue, the review, one item, its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from imfl_engine.errors import UsageError
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.runner import Loop
from imfl_engine.loop.standing import minutes_are_spent
from imfl_engine.loop.steps import is_over
from imfl_engine.store import items, labels, predictions, replies, reports, rounds, selections
from imfl_engine.store.database import Connection
from imfl_engine.types import Interval, Item, Purpose, Reply, StepKind
from imfl_engine.views import (
    REVIEW_AHEAD,
    CalibrationBin,
    ClassScore,
    Evaluation,
    ItemDetail,
    Opinion,
    QueueItem,
    ReviewPage,
    SimilarItem,
)


async def read_queue(loop: Loop, limit: int) -> list[QueueItem]:
    """Return the open items of the newest round's human batch; skipped ones come last.

    After the last round what the LLM gave no label for follows the batch. There are none once the
    person's minutes are spent.
    """
    context = loop.context
    waits = await context.database.read(
        lambda con: bool(selections.pending_human(con, rounds.newest_round(con)))
    )
    over = not waits and is_over(await loop.state())

    def read(con: Connection) -> tuple[Any, ...]:
        opened = rounds.newest_round(con)
        in_time = not minutes_are_spent(context.settings.budget, labels.minutes_spent(con))
        batch = [one for one in selections.selected(con, round=opened) if one.role == "human"]
        if over:
            offered = selections.unanswerable(con, limit)
            why = selections.NOT_BY_THE_LLM
            batch += [
                selections.Selected(opened, item_id, "human", len(batch) + rank, reason=why)
                for rank, item_id in enumerate(offered)
            ]
        actions = labels.decided_actions(con)
        waiting = [one for one in batch if one.item_id not in actions]
        skipped = [one for one in batch if actions.get(one.item_id) == "skip"]
        shown = [*waiting, *skipped][: limit if in_time else 0]
        ids = [one.item_id for one in shown]
        found = {item.item_id: item for item in items.by_ids(con, ids)}
        return (
            [(one, found[one.item_id]) for one in shown],
            len(batch),
            labels.flagged_ids(con),
            labels.comments(con),
            predictions.before_round(con, opened, ids),
            replies.latest_of(con, ids),
        )

    shown, total, flagged, comments, predicted, answered = await context.database.read(read)
    classes = context.labels
    result = []
    for selected, item in shown:
        result.append(
            QueueItem(
                item=item,
                round=selected.round,
                rank=selected.rank,
                total=total,
                reason=selected.reason,
                control=selected.control,
                model=_model_opinion(predicted.get(item.item_id), items.labels_of(item, classes)),
                llm=_llm_opinion(answered.get(item.item_id)),
                flagged=item.item_id in flagged,
                comment=comments.get(item.item_id),
            )
        )
    return result


async def read_review(
    context: LoopContext, offset: int, limit: int, order: Literal["risk", "round"]
) -> ReviewPage:
    """Return a page of the review queue and the totals above it."""

    def read(con: Connection) -> tuple[Any, reports.ReviewTotals]:
        return (
            reports.review_page(con, offset=offset, limit=limit, order=order),
            reports.review_totals(con, upcoming=REVIEW_AHEAD),
        )

    rows, totals = await context.database.read(read)
    return ReviewPage(
        rows=tuple(rows),
        offset=offset,
        total=totals.labels,
        unreviewed=totals.unreviewed,
        expected_errors=totals.expected_in_queue,
        reviewed=totals.reviewed,
        found_wrong=totals.found_wrong,
        expected_in_next=totals.expected_in_next,
    )


async def read_detail(context: LoopContext, item_id: int) -> ItemDetail:
    """Return one item with everything known about it. Raises `UsageError` for an unknown id."""

    def read(con: Connection) -> tuple[Any, ...]:
        return (
            items.by_ids(con, [item_id]),
            labels.history(con, limit=50, item_id=item_id),
            labels.decided(con, item_id),
            labels.current(con, item_id),
            replies.of_item(con, item_id),
            reports.risk_of(con, item_id),
            selections.of_item(con, item_id),
            predictions.newest_of_item(con, item_id),
        )

    (
        found,
        history,
        decided,
        (label, source),
        answers,
        risk,
        selected,
        probabilities,
    ) = await context.database.read(read)
    if not found:
        raise UsageError(f"There is no item {item_id}.", "See `imfl-tui next` for items.")
    item: Item = found[0]
    # The label that is trained on, rather than a later measurement of the LLM on this item.
    labelled = [one for one in answers if one.purpose is Purpose.ANNOTATE and one.label is not None]
    measured = [one for one in answers if one.purpose is not Purpose.CONTROL]
    reply: Reply | None = next(iter([*labelled, *measured]), None)
    return ItemDetail(
        item=item,
        label=label,
        source=source,
        history=tuple(history),
        model=_model_opinion(probabilities, items.labels_of(item, context.labels)),
        llm=_llm_opinion(reply),
        risk=risk,
        reason=selected.reason if selected else "",
        round=selected.round if selected else None,
        control=bool(selected and selected.control),
        demonstrations=await _demonstrations(context, reply),
        messages=reply.messages if reply else None,
        raw_reply=reply.raw if reply else None,
        reply_status=reply.status.value if reply else None,
        input_tokens=sum(answer.input_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        cost_usd=sum(answer.cost_usd for answer in answers),
        flagged=decided.flagged,
        comment=decided.comment,
    )


async def read_similar(context: LoopContext, item_id: int, k: int) -> list[SimilarItem]:
    """Return the ``k`` nearest human-labelled items by cosine, nearest first."""
    human = await context.database.read(labels.human_labels)
    wanted = [item_id, *(other for other in human if other != item_id)]
    lacking = await context.lacking_vectors(wanted)
    others = [other for other in wanted[1:] if other not in lacking]
    if item_id in lacking or not others:
        return []
    own = (await context.vectors_of([item_id]))[0]
    cosine = (await context.vectors_of(others)) @ own
    nearest = np.argsort(-cosine, kind="stable")[:k]
    shown = {item.item_id: item for item in await context.items_of([others[i] for i in nearest])}
    return [
        SimilarItem(others[i], shown[others[i]].text[:300], human[others[i]], float(cosine[i]))
        for i in nearest
    ]


async def read_evaluation(context: LoopContext, round: int | None) -> Evaluation | None:
    """Return the stored evaluation of a round, or of the newest round that has one."""
    steps = await context.database.read(lambda con: rounds.completed(con, kind=StepKind.EVALUATE))
    for step in reversed(steps):
        if "evaluation" in step.details and round in (None, step.round):
            return evaluation_from(step.details["evaluation"])
    return None


def evaluation_from(stored: dict[str, Any]) -> Evaluation:
    """Rebuild an `Evaluation` from its JSON form."""
    majority = stored["majority"]
    return Evaluation(
        scope=stored["scope"],
        accuracy=Interval(**stored["accuracy"]),
        macro_f1=Interval(**stored["macro_f1"]),
        classes=tuple(ClassScore(**one) for one in stored["classes"]),
        labels=tuple(stored["labels"]),
        confusion=tuple(tuple(row) for row in stored["confusion"]),
        calibration=tuple(CalibrationBin(**one) for one in stored["calibration"]),
        expected_calibration_error=stored["expected_calibration_error"],
        majority=(str(majority[0]), float(majority[1])),
        round=stored["round"],
        details=stored["details"],
    )


async def _demonstrations(context: LoopContext, reply: Reply | None) -> tuple[SimilarItem, ...]:
    if reply is None or not reply.demonstration_ids:
        return ()
    human = await context.database.read(labels.human_labels)
    shown = await context.items_of(reply.demonstration_ids)
    cosines = await _stored_cosines(context, reply.item_id, [item.item_id for item in shown])
    return tuple(
        SimilarItem(
            item.item_id,
            item.text[:300],
            human.get(item.item_id, "?"),
            cosines.get(item.item_id),
        )
        for item in shown
    )


async def _stored_cosines(
    context: LoopContext, item_id: int, others: Sequence[int]
) -> dict[int, float]:
    """Return the cosine of the item with each of ``others`` whose vector is there; embeds nothing."""
    lacking = await context.lacking_vectors([item_id, *others])
    known = [other for other in others if other not in lacking]
    if item_id in lacking or not known:
        return {}
    own, *rest = await context.vectors_of([item_id, *known])
    return {other: float(vector @ own) for other, vector in zip(known, rest, strict=True)}


def _model_opinion(probabilities: Any, names: tuple[str, ...]) -> Opinion | None:
    if probabilities is None:
        return None
    values = {name: float(value) for name, value in zip(names, probabilities, strict=False)}
    if not values:
        return None
    best = max(values, key=lambda name: values[name])
    return Opinion(best, values[best], values)


def _llm_opinion(reply: Reply | None) -> Opinion | None:
    if reply is None or reply.label is None:
        return None
    probabilities = {
        name: float(np.exp(value)) for name, value in (reply.log_probabilities or {}).items()
    }
    return Opinion(reply.label, reply.confidence, probabilities)
