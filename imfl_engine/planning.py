"""What is to come, and what it costs: calls, tokens, money from low to high, minutes of the person.

Prompts are built for real items, so tokens are counted, not guessed; demonstrations are taken from
the labels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imfl_engine.annotate.build import build_annotator
from imfl_engine.loop.annotation import build_requests, demonstrations_for
from imfl_engine.loop.annotators import countable
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.lookahead import fitting, rounds_to_come, under_way
from imfl_engine.loop.runner import Loop
from imfl_engine.loop.steps import LoopState, RoundSizes
from imfl_engine.settings import Settings
from imfl_engine.store import items, labels, replies, selections
from imfl_engine.store.items import labels_of
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import AnnotationRequest, Demonstration, Item, Purpose
from imfl_engine.views import CostEstimate

SAMPLE = 50
"""Items whose real prompts are measured when the batch is not chosen yet."""

SECONDS_PER_LABEL = 8.0
"""Assumed until the person has labelled something."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the person and the LLM will be asked; ``round`` is the first that asks the LLM."""

    human: int
    llm: int
    round: int | None = None


def next_paid(state: LoopState, plan: tuple[RoundSizes, ...]) -> Ahead:
    """Return what is asked up to the end of the next round with LLM labels.

    The first batch, which only the person labels, counts as the beginning of the first round.
    """
    now = under_way(state, plan)
    human = now.human
    if now.llm:
        return Ahead(human, now.llm, state.round)
    for number, sizes in rounds_to_come(state, plan):
        human += sizes.human
        if sizes.llm:
            return Ahead(human, sizes.llm, number)
    return Ahead(human, 0)


def all_ahead(state: LoopState, plan: tuple[RoundSizes, ...]) -> Ahead:
    """Return what all of the plan that is left will ask."""
    every = [under_way(state, plan), *(sizes for _, sizes in rounds_to_come(state, plan))]
    return Ahead(
        sum(sizes.human for sizes in every),
        sum(sizes.llm for sizes in every),
        next_paid(state, plan).round,
    )


async def estimate_next_round(loop: Loop) -> CostEstimate:
    """Estimate the current round if it still asks the LLM, else the next one that does.

    The minutes are those of the batch that waits for the person, or else of the next one.
    """
    state = await loop.state()
    plan = loop.plan()
    coming = (sizes.human for _, sizes in rounds_to_come(state, plan))
    batch = under_way(state, plan).human or next(coming, 0)
    return await _estimate(loop.context, state, next_paid(state, plan), batch)


async def estimate_rest(loop: Loop) -> CostEstimate:
    """Estimate everything that is left of the plan."""
    state = await loop.state()
    ahead = all_ahead(state, loop.plan())
    return await _estimate(loop.context, state, ahead, ahead.human)


async def _estimate(
    context: LoopContext, state: LoopState, ahead: Ahead, human: int
) -> CostEstimate:
    seconds = await context.database.read(labels.median_seconds)
    minutes = human * (seconds or SECONDS_PER_LABEL) / 60
    estimate = await _estimate_llm(context, state, ahead, minutes)
    budget = context.settings.budget
    spent = await context.database.read(lambda con: replies.balance(con).committed)
    taken = await context.database.read(labels.minutes_spent)
    return within_limits(
        estimate,
        money_left=None if budget.money_usd is None else budget.money_usd - spent,
        minutes_left=None if budget.minutes is None else budget.minutes - taken,
    )


def within_limits(
    estimate: CostEstimate, *, money_left: float | None, minutes_left: float | None
) -> CostEstimate:
    """Return the estimate with no more US dollars and minutes than are left; None is no limit."""
    low, high = estimate.money_low, estimate.money_high
    if money_left is not None and low is not None and high is not None:
        left = max(0.0, money_left)
        estimate = replace(
            estimate,
            money_low=min(low, left),
            money_high=min(high, left),
            stops_at_money_limit=high > left,
        )
    if minutes_left is not None:
        minutes = min(estimate.minutes_of_person, max(0.0, minutes_left))
        estimate = replace(
            estimate,
            minutes_of_person=minutes,
            stops_at_time_limit=estimate.minutes_of_person > minutes,
        )
    return estimate


async def _estimate_llm(
    context: LoopContext, state: LoopState, ahead: Ahead, minutes: float
) -> CostEstimate:
    settings = context.settings
    if settings.annotator.kind != "none" and state.money_spent_up:
        nothing = CostEstimate(0, 0, 0, 0, 0, 0.0, 0.0, minutes, True, "the money limit is reached")
        return replace(nothing, money_limit_reached=True)
    if settings.annotator.kind == "none" or ahead.llm == 0:
        return CostEstimate(0, 0, 0, 0, 0, 0.0, 0.0, minutes, True, "no LLM labels are asked for")
    context = countable(context)
    calls = ahead.llm
    if settings.annotator.calibrate:
        name = context.annotator.name
        pending = await context.database.read(lambda con: selections.pending_calibration(con, name))
        calls += len(pending) + ahead.human
    requests = await _sample_requests(context, state)
    if not requests:
        return CostEstimate(calls, 0, 0, 0, 0, None, None, minutes, False, "the pool is empty")
    await context.annotator.recall(DuckReplyStore(context.database))
    estimate = context.annotator.estimate(requests, calls=calls)
    return replace(estimate, minutes_of_person=minutes, round=ahead.round)


async def _sample_requests(context: LoopContext, state: LoopState) -> list[AnnotationRequest]:
    round = state.round
    if state.llm > state.llm_closed and round is not None:
        ids = await context.database.read(selections.labelled_ids)
        pending = await context.database.read(lambda con: selections.pending_llm(con, round))
        if not await context.lacking_vectors([*ids, *pending]):
            return (await build_requests(context, round))[:SAMPLE]
    drawn = await context.database.read(
        lambda con: items.draw_sub_sample(con, SAMPLE, salt="estimate")
    )
    human = await context.database.read(labels.human_labels)
    lacking = await context.lacking_vectors([*drawn, *human])
    found = await context.items_of(drawn)
    stand_ins = bool(lacking) or not human
    shown = (
        [_stand_ins(context.settings, found, place) for place in range(len(found))]
        if stand_ins
        else await demonstrations_for(context, drawn)
    )
    return [
        AnnotationRequest(item, round or 0, Purpose.ANNOTATE, demonstrations)
        for item, demonstrations in zip(found, shown, strict=True)
    ]


def estimate_new(
    settings: Settings, sample: Sequence[Item], *, pool: int | None = None
) -> CostEstimate:
    """Estimate the whole plan of a project that does not exist yet, from some of its items.

    ``pool`` is the number of items where it is known. Needs no key. Raises `SettingsError` for an
    address that cannot be used.
    """
    wanted = RoundSizes(settings.budget.human, settings.budget.llm)
    sizes = wanted if pool is None else fitting(wanted, pool)
    minutes = sizes.human * SECONDS_PER_LABEL / 60
    calls = sizes.llm + (sizes.human if settings.annotator.calibrate else 0)
    if settings.annotator.kind != "openai" or not sizes.llm:
        return CostEstimate(0, 0, 0, 0, 0, 0.0, 0.0, minutes, True, "costs no money")
    annotator = build_annotator(settings, need_key=False)
    assert annotator is not None
    requests = [
        AnnotationRequest(item, 1, Purpose.ANNOTATE, _stand_ins(settings, sample, place))
        for place, item in enumerate(sample[:SAMPLE])
    ]
    return replace(annotator.estimate(requests, calls=calls), minutes_of_person=minutes)


def _stand_ins(settings: Settings, found: Sequence[Item], place: int) -> tuple[Demonstration, ...]:
    """Return as many demonstrations as the run will have, of other items of the pool.

    The first estimate comes before the first label; prompts without examples would promise less
    than is then spent.
    """
    if settings.retrieval.method == "zero-shot":
        return ()
    others = [*found[place + 1 :], *found[:place]][: settings.retrieval.shots]
    return tuple(
        Demonstration(other, labels_of(other, settings.task.label_names)[0]) for other in others
    )
