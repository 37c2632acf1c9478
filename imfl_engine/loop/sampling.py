"""START, SCORE and SELECT: which items a round is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import numpy as np

from imfl_engine import label_model, query
from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import ProbabilityChunk
from imfl_engine.events import Event, Progress
from imfl_engine.loop.context import LoopContext, model_input
from imfl_engine.loop.steps import RoundSizes
from imfl_engine.store import items, labels, predictions, rounds, selections
from imfl_engine.store.database import Connection
from imfl_engine.types import StepKind

SAMPLE_FACTOR = 10
"""The sub-sample is this many times the round's labels, unless the settings say otherwise."""

STOP_SET_ROUND = -1
"""The pseudo-round under which the fixed unlabelled stop set is kept."""
STOP_SET_SIZE = 300
STOP_SET_SHARE = 0.2

CONTROL_DIVISOR = 3
"""A small human budget gives at most this part of itself to the control slice."""

UNANSWERABLE_SHARE = 0.25
"""At most this share of a human batch is spent on items the LLM could not label.

Later rounds take the others; what is left after the last one is offered beside the budget.
"""


def sub_sample_size(context: LoopContext, round: int, sizes: RoundSizes) -> int:
    """Return the size of U_s: round 0 needs just its random batch."""
    if round == 0:
        return sizes.human
    return context.settings.query.sub_sample or SAMPLE_FACTOR * (sizes.human + sizes.llm)


async def start(
    context: LoopContext, round: int, sizes: RoundSizes, limits: dict[str, float | None]
) -> None:
    """Open the round, draw its sub-sample of the pool and note the limits it began under."""
    drawn = await upcoming_sample(context, round, sizes)
    stop_set: list[int] = []
    if not await context.database.read(lambda con: rounds.sub_sample(con, STOP_SET_ROUND)):
        pool = await context.database.read(lambda con: items.count(con, "pool"))
        wanted = min(STOP_SET_SIZE, int(pool * STOP_SET_SHARE))
        stop_salt = f"{context.settings.seed}:stop"
        stop_set = await context.database.read(
            lambda con: items.draw_sub_sample(con, wanted, salt=stop_salt)
        )

    def save(con: Connection) -> None:
        rounds.open_round(con, rounds.OpenedRound(round, sizes.human, sizes.llm), drawn)
        if stop_set:
            rounds.add_sub_sample(con, STOP_SET_ROUND, stop_set)
        rounds.complete(con, round, StepKind.START, details=limits)

    await context.database.write(save)


async def upcoming_sample(context: LoopContext, round: int, sizes: RoundSizes) -> list[int]:
    """Return the sub-sample that `start` would draw now, for embedding it early.

    What the LLM's batch will ask about again belongs to it.
    """
    size = sub_sample_size(context, round, sizes)
    salt = f"{context.settings.seed}:{round}"

    def draw(con: Connection) -> list[int]:
        again = selections.unanswered(con, sizes.llm)
        drawn = items.draw_sub_sample(con, size, salt=salt)
        return list(dict.fromkeys([*again, *drawn]))[: max(size, len(again))]

    return await context.database.read(draw)


async def score(context: LoopContext, round: int) -> AsyncGenerator[Event, None]:
    """Let last round's model score the sub-sample; without a model there is nothing to do."""
    model = await context.newest_model()
    if model is None:
        return
    model_round, folder = model
    sample = await context.database.read(lambda con: rounds.sub_sample(con, round))
    known = await context.database.read(lambda con: predictions.of_round(con, model_round, sample))
    wanted = [item_id for item_id in sample if item_id not in known]
    if not wanted:
        return
    found = await context.items_of(wanted)
    features = None
    if context.settings.training.target == "probe":
        features = await context.vectors_of(wanted)
    collected = Collected(len(wanted))
    async with aclosing(
        context.compute.predict(folder, [model_input(item) for item in found], features=features)
    ) as events:
        async for event in events:
            if isinstance(event, ProbabilityChunk):
                collected.put(event)
            elif isinstance(event, Progress):
                yield event
    matrix = collected.matrix
    if matrix is not None:
        await context.database.write(
            lambda con: predictions.replace(con, model_round, wanted, matrix)
        )


async def select(context: LoopContext, round: int) -> None:
    """Choose the human and the LLM batch, both before anything is labelled."""
    opened = (await context.database.read(rounds.opened))[-1]
    sample = await context.database.read(lambda con: rounds.sub_sample(con, round))
    if round == 0:
        chosen = _first_batch(context, sample)
    else:
        chosen = await _query(context, round, sample, opened)

    def save(con: Connection) -> None:
        selections.add(con, chosen)
        rounds.complete(con, round, StepKind.SELECT)

    await context.database.write(save)


def _first_batch(context: LoopContext, sample: list[int]) -> list[selections.Selected]:
    settings = context.settings
    control = _draw_control(context, sample)
    order = np.random.default_rng([settings.seed, 0]).permutation(np.asarray(sorted(sample)))
    return [
        selections.Selected(
            0, int(item_id), "human", rank, int(item_id) in control, None, "it was drawn at random"
        )
        for rank, item_id in enumerate(order)
    ]


def _draw_control(context: LoopContext, ids: list[int]) -> set[int]:
    settings = context.settings
    drawn = query.choose_control(
        np.asarray(ids, dtype=np.int64),
        total_human=settings.budget.human,
        share=settings.query.control_share,
        minimum=min(settings.query.control_minimum, settings.budget.human // CONTROL_DIVISOR),
        seed=settings.seed,
    )
    return set(drawn.tolist())


async def _query(
    context: LoopContext, round: int, sample: list[int], opened: rounds.OpenedRound
) -> list[selections.Selected]:
    settings = context.settings
    taken = await context.database.read(selections.taken)
    drawn = set(sample)
    again = [
        item_id
        for item_id in await context.database.read(selections.unanswered)
        if item_id in drawn
    ][: opened.llm_planned]
    sample = [item_id for item_id in sample if item_id not in taken.union(again)]
    unanswerable = await context.database.read(
        lambda con: selections.unanswerable(con, int(opened.human_planned * UNANSWERABLE_SHARE))
    )
    model = await context.newest_model()
    probabilities = None
    if model is not None and sample:
        known = await context.database.read(lambda con: predictions.of_round(con, model[0], sample))
        if all(item_id in known for item_id in sample):
            probabilities = np.stack([known[item_id] for item_id in sample])
    matrix = await context.vectors_of(sample) if sample else None
    pick = partial(
        query.select,
        ids=np.asarray(sample, dtype=np.int64),
        vectors=matrix,
        probabilities=probabilities,
    )
    if settings.query.routing == "gain" and probabilities is not None and matrix is not None:
        unlabelled = query.Candidates(np.asarray(sample, dtype=np.int64), matrix, probabilities)
        in_question = await _labels_in_question(context, classes=probabilities.shape[1])
        if in_question is not None:
            pick = partial(query.route, unlabelled=unlabelled, llm_labelled=in_question)
    selection = await asyncio.to_thread(
        pick,
        settings.query.strategy,
        human=max(0, opened.human_planned - len(unanswerable)),
        llm=opened.llm_planned - len(again),
        seed=settings.seed * 1000 + round,
        uncertainty=settings.query.uncertainty,
        candidate_factor=settings.query.candidate_factor,
        llm_share=settings.query.llm_share if await _llm_says_something(context) else 1.0,
    )
    control: set[int] = set()
    if await _wants_control(context, with_model=probabilities is not None):
        control = _draw_control(context, selection.human.tolist())
    return _ranked(round, unanswerable, again, selection, control)


async def _llm_says_something(context: LoopContext) -> bool:
    """Whether the newest fit of the label model found that the LLM's labels resolve doubt.

    Only then is the LLM asked where the model is unsure: the labels of an annotator that knows no more
    than the model are worst there.
    """
    trained = await context.database.read(lambda con: rounds.completed(con, kind=StepKind.TRAIN))
    return bool(trained) and label_model.say_something(trained[-1].details.get("information"))


async def _wants_control(context: LoopContext, *, with_model: bool) -> bool:
    """Whether this batch gives the control slice: it is a random draw, and none was labelled yet.

    That is so without a first batch, or where that was skipped; what a model has chosen never does.
    """
    strategy = context.settings.query.strategy
    if strategy != "random" and (with_model or strategy == "diverse"):
        return False
    return not await context.database.read(
        lambda con: selections.control_ids(con) & labels.human_labels(con).keys()
    )


def _ranked(
    round: int,
    unanswerable: list[int],
    again: list[int],
    selection: query.Selection,
    control: set[int],
) -> list[selections.Selected]:
    """Return both batches in order: first what the LLM could not label, or gave no answer about."""
    batches = (
        ("human", unanswerable, selections.NOT_BY_THE_LLM, selection.human),
        ("llm", again, "the LLM gave no answer before", selection.llm),
    )
    chosen = []
    for role, first, why, rest in batches:
        for rank, item_id in enumerate([*first, *rest.tolist()]):
            reason = why if rank < len(first) else selection.reasons.get(item_id, "")
            score = selection.scores.get(item_id)
            chosen.append(
                selections.Selected(round, item_id, role, rank, item_id in control, score, reason)
            )
    return chosen


async def _labels_in_question(context: LoopContext, *, classes: int) -> query.Candidates | None:
    """Return the LLM's labels that nobody has looked at, as candidates for the human."""
    known = await context.database.read(predictions.posteriors_in_question)
    ids = [item_id for item_id, posterior in known.items() if len(posterior) == classes]
    if not ids:
        return None
    return query.Candidates(
        np.asarray(ids, dtype=np.int64),
        await context.vectors_of(ids),
        np.stack([known[item_id] for item_id in ids]),
    )
