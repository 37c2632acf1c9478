"""The loop: asks `steps` what comes next, does it, and tells what happens as events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from imfl_engine.events import Event, Notice, StepFinished, StepStarted
from imfl_engine.loop import annotation, evaluation, labelling, sampling, training
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.steps import (
    LoopState,
    RoundSizes,
    is_last,
    is_past,
    next_step,
    sizes_of_round,
)
from imfl_engine.query import plan_rounds
from imfl_engine.store import items, labels, replies, rounds, selections
from imfl_engine.types import Step, StepKind


class Loop:
    """Algorithm 1 over an open project; one run at a time, any number of reads beside it."""

    def __init__(self, context: LoopContext) -> None:
        self.context = context
        self._running = asyncio.Lock()

    async def state(self) -> LoopState:
        """Read from the store what `next_step` decides on."""
        settings = self.context.settings
        (
            opened,
            counts,
            completed,
            unlabelled,
            labelled,
            money,
            minutes,
            pool,
            newest_decision,
        ) = await self.context.database.read(
            lambda con: (
                rounds.opened(con),
                selections.batch_counts(con),
                rounds.completed(con),
                selections.unlabelled_left(con),
                selections.labelled_in_all(con),
                replies.balance(con).committed,
                labels.minutes_spent(con),
                items.count(con, "pool"),
                labels.newest_decision(con),
            )
        )
        plan = self.plan()
        newest = opened[-1].round if opened else None
        first_round = 0 if plan[0].human > 0 and settings.query.first_human != 0 else 1
        # A run is cut where the next request could cross the limit, which is short of it; a limit
        # that was raised since is a new one.
        stopped_at = [float(step.details.get("stopped_at_usd", -1.0)) for step in completed]
        budget = settings.budget
        money_spent_up = budget.money_usd is not None and (
            (money >= budget.money_usd and money > 0)
            or max(stopped_at, default=-1.0) >= budget.money_usd
        )
        minutes_spent_up = budget.minutes is not None and minutes >= budget.minutes
        following = upcoming = first_round if newest is None else newest + 1
        sizes = RoundSizes(0, 0)
        now = counts.get(newest) if newest is not None else None
        done = {step.kind: step for step in completed if step.round == newest}
        asked = done.get(StepKind.ANNOTATE)
        more = _was_raised(
            done.get(StepKind.START),
            self.limits(pool),
            stopped_at=asked.details.get("stopped_at_usd") if asked else None,
        )
        if StepKind.TRAIN in done and await self.context.lost_model() == newest:
            del done[StepKind.TRAIN]
            done.pop(StepKind.EVALUATE, None)
        trained = done.get(StepKind.TRAIN)
        # A round with nothing to buy (round 1 without an LLM, after the first batch) is passed over.
        for upcoming in range(following, max(len(plan), following if more else 0) + 1):
            sizes = sizes_of_round(
                upcoming,
                plan,
                first_human=settings.query.first_human,
                human_done=sum(count.human_labelled for count in counts.values()),
                llm_done=sum(count.llm_labelled for count in counts.values()),
                money_spent_up=money_spent_up,
                minutes_spent_up=minutes_spent_up,
            )
            if sizes != RoundSizes(0, 0):
                break
        # Without an annotator, what the round still wanted from it is given up.
        asks_llm = now is not None and settings.annotator.kind != "none"
        return LoopState(
            first_round=first_round,
            last_round=len(plan),
            round=newest,
            completed=frozenset(done),
            human=now.human if now else 0,
            human_closed=now.human_closed if now else 0,
            llm=now.llm if now and asks_llm else 0,
            llm_closed=now.llm_closed if now and asks_llm else 0,
            next_round=upcoming,
            next_human=sizes.human,
            next_llm=sizes.llm,
            unlabelled=unlabelled,
            labelled=labelled,
            money_spent_up=money_spent_up,
            minutes_spent_up=minutes_spent_up,
            more=more,
            outdated=trained is not None
            and newest_decision > trained.details.get("newest_decision", newest_decision),
        )

    def limits(self, pool: int) -> dict[str, float | None]:
        """Return what bounds the rounds, None meaning no limit; ``pool`` is its number of items.

        Every round notes these when it begins: a person who raises one later wants to go on.
        """
        budget = self.context.settings.budget
        return {
            "human": budget.human,
            "llm": sum(sizes.llm for sizes in self.plan()),
            "money": budget.money_usd,
            "minutes": budget.minutes,
            "pool": pool,
        }

    def plan(self) -> tuple[RoundSizes, ...]:
        """Return what each round buys in all; no LLM labels without an annotator."""
        settings = self.context.settings
        planned = plan_rounds(
            settings.query.schedule,
            human=settings.budget.human,
            llm=0 if settings.annotator.kind == "none" else settings.budget.llm,
            rounds=settings.budget.rounds,
            explicit=settings.query.human_per_round,
        )
        return tuple(RoundSizes(one.human, one.llm) for one in planned)

    async def next_step(self) -> Step:
        """Return what comes next."""
        return next_step(await self.state())

    async def advance(
        self,
        *,
        until: StepKind | None = None,
        gold: bool = False,
        rounds: int | None = None,
        may: Callable[[Step], bool] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Do every step that needs no person, one after the other.

        Stops when the person has to label (unless ``gold`` answers from the gold column), before a
        step that ``may`` refuses, after the first completed step of kind ``until`` (at once where
        the round has been through it), or after ``rounds`` completed rounds.
        """
        async with self._running:
            finished = 0
            if is_past(next_step(await self.state()), until):
                return
            while True:
                state = await self.state()
                step = next_step(state)
                if step.kind is StepKind.FINISHED or (step.needs_person and not gold):
                    return
                if may is not None and not may(step):
                    return
                yield StepStarted(step)
                async with aclosing(self._do(step, state)) as events:
                    async for event in events:
                        yield event
                yield StepFinished(step)
                # Round 0 is part of round 1 for whoever counts rounds.
                finished += step.kind is StepKind.EVALUATE and step.round > 0
                if until is step.kind or (rounds is not None and finished >= rounds):
                    return

    async def prefetch(self) -> AsyncGenerator[Event, None]:
        """Embed what the next steps will need, while the person labels."""
        state = await self.state()
        if state.round is None:
            return
        async with aclosing(self.context.embed(await self._ids_of_round(state.round))) as events:
            async for event in events:
                yield event
        sizes = RoundSizes(state.next_human, state.next_llm)
        if sizes != RoundSizes(0, 0):
            ids = await sampling.upcoming_sample(self.context, state.next_round, sizes)
            async with aclosing(self.context.embed(ids)) as events:
                async for event in events:
                    yield event

    async def _do(self, step: Step, state: LoopState) -> AsyncGenerator[Event, None]:
        context, round_ = self.context, step.round
        started = time.monotonic()
        match step.kind:
            case StepKind.START:
                pool = await context.database.read(lambda con: items.count(con, "pool"))
                sizes = RoundSizes(state.next_human, state.next_llm)
                await sampling.start(context, round_, sizes, self.limits(pool))
                return
            case StepKind.SELECT:
                await sampling.select(context, round_)
                return
            case StepKind.LABEL:
                await labelling.answer_from_gold(context, round_)
                return
            case StepKind.EMBED:
                events = context.embed(await self._ids_of_round(round_))
            case StepKind.SCORE:
                events = self._score(round_)
            case StepKind.ANNOTATE:
                events = self._annotate(round_)
            case StepKind.TRAIN:
                events = self._train(round_, last=is_last(state))
            case StepKind.EVALUATE:
                events = evaluation.evaluate(context, round_)
            case StepKind.FINISHED:
                return
        async with aclosing(events):
            async for event in events:
                yield event
        if step.kind in (StepKind.EMBED, StepKind.SCORE):
            seconds = time.monotonic() - started
            await context.database.write(
                lambda con: rounds.complete(con, round_, step.kind, seconds)
            )

    async def _score(self, round: int) -> AsyncGenerator[Event, None]:
        lost = await self.context.lost_model()
        if lost is not None:
            async with aclosing(self._train(lost, last=False)) as events:
                async for event in events:
                    yield event
        async with aclosing(sampling.score(self.context, round)) as events:
            async for event in events:
                yield event

    async def _annotate(self, round: int) -> AsyncGenerator[Event, None]:
        started = time.monotonic()
        # Corrections made in review are demonstrations too, and may lack a vector.
        async for event in self.context.embed(await self._labelled_ids()):
            yield event
        details: dict[str, float] = {}
        async with aclosing(annotation.annotate(self.context, round, details)) as events:
            async for event in events:
                yield event
        seconds = time.monotonic() - started
        await self.context.database.write(
            lambda con: rounds.complete(con, round, StepKind.ANNOTATE, seconds, details)
        )

    async def _train(self, round: int, *, last: bool) -> AsyncGenerator[Event, None]:
        if await self.context.lost_model() == round:
            yield Notice(
                "warning",
                f"The model of round {round} is gone from {self.context.files}; "
                "it is trained again.",
            )
        async for event in self.context.embed(await self._labelled_ids()):
            yield event
        async with aclosing(training.train(self.context, round, last=last)) as events:
            async for event in events:
                yield event

    async def _ids_of_round(self, round: int) -> list[int]:
        labelled = await self._labelled_ids()
        chosen = await self.context.database.read(
            lambda con: [
                *rounds.sub_sample(con, round),
                *(selected.item_id for selected in selections.selected(con, round=round)),
            ]
        )
        return sorted({*labelled, *chosen})

    async def _labelled_ids(self) -> list[int]:
        return await self.context.database.read(selections.labelled_ids)


def _was_raised(
    started: rounds.CompletedStep | None,
    limits: dict[str, float | None],
    *,
    stopped_at: float | None,
) -> bool:
    """Whether a limit is higher now than when the newest round began, or when money stopped it."""
    if started is None:
        return False
    for name, now in limits.items():
        # A round of an older version noted no limits.
        before = started.details.get(name, now)
        if name == "money" and stopped_at is not None:
            before = stopped_at
        if before is not None and (now is None or now > before):
            return True
    return False
