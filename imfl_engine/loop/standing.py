"""Where a project stands, read from its store: what `steps` decides on.

Reads and arithmetic only; nothing here changes a project.
"""

from __future__ import annotations

from dataclasses import dataclass

from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.steps import LoopState, RoundSizes, sizes_of_round
from imfl_engine.query import plan_rounds
from imfl_engine.settings import Budget, Settings
from imfl_engine.store import items, labels, replies, rounds, selections
from imfl_engine.store.database import Connection
from imfl_engine.types import StepKind


@dataclass(frozen=True, slots=True)
class _Read:
    """One consistent look at the store."""

    opened: list[rounds.OpenedRound]
    counts: dict[int, selections.BatchCounts]
    completed: list[rounds.CompletedStep]
    unlabelled: int
    labelled: int
    money: float
    minutes: float
    pool: int
    newest_decision: int


def _read(con: Connection) -> _Read:
    return _Read(
        opened=rounds.opened(con),
        counts=selections.batch_counts(con),
        completed=rounds.completed(con),
        unlabelled=selections.unlabelled_left(con),
        labelled=selections.labelled_in_all(con),
        money=replies.balance(con).committed,
        minutes=labels.minutes_spent(con),
        pool=items.count(con, "pool"),
        newest_decision=labels.newest_decision(con),
    )


def planned(settings: Settings) -> tuple[RoundSizes, ...]:
    """Return what each round buys in all; no LLM labels without an annotator."""
    plan = plan_rounds(
        settings.query.schedule,
        human=settings.budget.human,
        llm=0 if settings.annotator.kind == "none" else settings.budget.llm,
        rounds=settings.budget.rounds,
        explicit=settings.query.human_per_round,
    )
    return tuple(RoundSizes(one.human, one.llm) for one in plan)


def limits(settings: Settings, pool: int) -> dict[str, float | None]:
    """Return what bounds the rounds, None meaning no limit; ``pool`` is its number of items.

    Every round notes these when it begins: a person who raises one later wants to go on.
    """
    budget = settings.budget
    return {
        "human": budget.human,
        "llm": sum(sizes.llm for sizes in planned(settings)),
        "money": budget.money_usd,
        "minutes": budget.minutes,
        "pool": pool,
    }


async def state(context: LoopContext) -> LoopState:
    """Return where the project stands."""
    settings = context.settings
    read = await context.database.read(_read)
    newest = read.opened[-1].round if read.opened else None
    done = {step.kind: step for step in read.completed if step.round == newest}
    asked = done.get(StepKind.ANNOTATE)
    more = _was_raised(
        done.get(StepKind.START),
        limits(settings, read.pool),
        stopped_at=asked.details.get("stopped_at_usd") if asked else None,
    )
    if StepKind.TRAIN in done and await context.lost_model() == newest:
        del done[StepKind.TRAIN]
        done.pop(StepKind.EVALUATE, None)
    trained = done.get(StepKind.TRAIN)
    plan = planned(settings)
    first_round = 0 if plan[0].human > 0 and settings.query.first_human != 0 else 1
    money_spent_up = _money_is_spent(settings.budget, read)
    minutes_spent_up = minutes_are_spent(settings.budget, read.minutes)
    upcoming, sizes = _next_round(
        settings,
        plan,
        read,
        following=first_round if newest is None else newest + 1,
        more=more,
        money_spent_up=money_spent_up,
        minutes_spent_up=minutes_spent_up,
    )
    now = read.counts.get(newest) if newest is not None else None
    # Without an annotator, what the round still wanted from it is given up.
    asks_llm = now is not None and settings.annotator.kind != "none"
    return LoopState(
        first_round=first_round,
        last_round=len(plan),
        round=newest,
        completed=frozenset(done),
        human=now.human if now else 0,
        human_closed=now.human_closed if now else 0,
        human_skipped=now.human_skipped if now else 0,
        llm=now.llm if now and asks_llm else 0,
        llm_closed=now.llm_closed if now and asks_llm else 0,
        next_round=upcoming,
        next_human=sizes.human,
        next_llm=sizes.llm,
        unlabelled=read.unlabelled,
        labelled=read.labelled,
        money_spent_up=money_spent_up,
        minutes_spent_up=minutes_spent_up,
        more=more,
        outdated=trained is not None
        and read.newest_decision > trained.details.get("newest_decision", read.newest_decision),
    )


def minutes_are_spent(budget: Budget, minutes: float) -> bool:
    """Whether the person has worked for as many minutes as there were to spend."""
    return budget.minutes is not None and minutes >= budget.minutes


def _money_is_spent(budget: Budget, read: _Read) -> bool:
    """Whether no request fits any more.

    A run is cut where the next request could cross the limit, which is short of it; a limit that
    was raised since is a new one.
    """
    if budget.money_usd is None:
        return False
    if read.money > 0 and read.money >= budget.money_usd:
        return True
    stopped_at = (float(step.details.get("stopped_at_usd", -1.0)) for step in read.completed)
    return max(stopped_at, default=-1.0) >= budget.money_usd


def _next_round(
    settings: Settings,
    plan: tuple[RoundSizes, ...],
    read: _Read,
    *,
    following: int,
    more: bool,
    money_spent_up: bool,
    minutes_spent_up: bool,
) -> tuple[int, RoundSizes]:
    """Return the next round and what it buys.

    A round with nothing to buy (round 1 without an LLM, after the first batch) is passed over.
    """
    upcoming, sizes = following, RoundSizes(0, 0)
    for upcoming in range(following, max(len(plan), following if more else 0) + 1):
        sizes = sizes_of_round(
            upcoming,
            plan,
            first_human=settings.query.first_human,
            human_done=sum(count.human_labelled for count in read.counts.values()),
            llm_done=sum(count.llm_labelled for count in read.counts.values()),
            money_spent_up=money_spent_up,
            minutes_spent_up=minutes_spent_up,
        )
        if sizes != RoundSizes(0, 0):
            break
    return upcoming, sizes


def _was_raised(
    started: rounds.CompletedStep | None,
    now: dict[str, float | None],
    *,
    stopped_at: float | None,
) -> bool:
    """Whether a limit is higher now than when the newest round began, or when money stopped it."""
    if started is None:
        return False
    for name, limit in now.items():
        # A round of an older version noted no limits.
        before = started.details.get(name, limit)
        if name == "money" and stopped_at is not None:
            before = stopped_at
        if before is not None and (limit is None or limit > before):
            return True
    return False
