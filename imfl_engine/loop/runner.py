"""The loop: asks `steps` what comes next, does it, and tells what happens as events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from imfl_engine.events import Event, Notice, StepFinished, StepStarted
from imfl_engine.loop import annotation, evaluation, labelling, sampling, standing, training
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.steps import LoopState, RoundSizes, is_last, is_past, next_step
from imfl_engine.store import items, rounds, selections
from imfl_engine.types import Step, StepKind


class Loop:
    """Algorithm 1 over an open project; one run at a time, any number of reads beside it."""

    def __init__(self, context: LoopContext) -> None:
        self.context = context
        self._running = asyncio.Lock()

    async def state(self) -> LoopState:
        """Return where the project stands."""
        return await standing.state(self.context)

    def plan(self) -> tuple[RoundSizes, ...]:
        """Return what each round buys in all."""
        return standing.planned(self.context.settings)

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
        async with aclosing(self.context.embed(await self._next_sample(state))) as events:
            async for event in events:
                yield event

    async def _do(self, step: Step, state: LoopState) -> AsyncGenerator[Event, None]:
        context, round_ = self.context, step.round
        started = time.monotonic()
        match step.kind:
            case StepKind.START:
                pool = await context.database.read(lambda con: items.count(con, "pool"))
                sizes = RoundSizes(state.next_human, state.next_llm)
                limits = standing.limits(context.settings, pool)
                await sampling.start(context, round_, sizes, limits)
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
                upcoming = await self._scored_next(state)
                events = self._train(round_, upcoming=upcoming, last=is_last(state))
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
            for again in (self._train(lost), evaluation.evaluate(self.context, lost)):
                async with aclosing(again) as events:
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

    async def _train(
        self, round: int, *, upcoming: Sequence[int] = (), last: bool = False
    ) -> AsyncGenerator[Event, None]:
        if await self.context.lost_model() == round:
            yield Notice(
                "warning",
                f"The model of round {round} is gone from {self.context.files}; "
                "it is trained again.",
            )
        async for event in self.context.embed(await self._labelled_ids()):
            yield event
        trained = training.train(self.context, round, upcoming=upcoming, last=last)
        async with aclosing(trained) as events:
            async for event in events:
                yield event

    async def _scored_next(self, state: LoopState) -> list[int]:
        """Return what the next round will score, where the process that trains is the one to do it."""
        settings = self.context.settings.training
        if is_last(state) or settings.target == "probe" or settings.ray:
            return []
        return await self._next_sample(state)

    async def _next_sample(self, state: LoopState) -> list[int]:
        """Return the sub-sample that the next round would begin with now."""
        sizes = RoundSizes(state.next_human, state.next_llm)
        if sizes == RoundSizes(0, 0):
            return []
        return await sampling.upcoming_sample(self.context, state.next_round, sizes)

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
