"""What a run will come to, from what is stored: pure functions beside `steps`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from imfl_engine.loop.steps import (
    LoopState,
    RoundSizes,
    is_past,
    next_step,
    sizes_of_round,
)
from imfl_engine.types import Step, StepKind


def under_way(state: LoopState, plan: Sequence[RoundSizes]) -> RoundSizes:
    """Return what the round that has begun will still buy; before its batches, by the plan.

    Once the LLM's turn is over it buys no more from it: what is left open is the next round's. Nor
    is the person asked for more than the minutes there are.
    """
    if state.round is None:
        return RoundSizes(0, 0)
    if StepKind.SELECT in state.completed:
        asked = StepKind.ANNOTATE in state.completed
        open_ = RoundSizes(
            max(0, state.human - state.human_closed),
            0 if asked else max(0, state.llm - state.llm_closed),
        )
    else:
        open_ = fitting(_planned_under_way(state, state.round, plan), state.unlabelled)
    return replace(open_, human=0) if state.minutes_spent_up else open_


def _planned_under_way(state: LoopState, round: int, plan: Sequence[RoundSizes]) -> RoundSizes:
    if round == 0:
        return RoundSizes(state.next_human, 0)
    if state.next_round > len(plan):
        return next(iter(plan[round - 1 : round]), RoundSizes(0, 0))
    # The next round makes up for everything that is not bought yet, this round's share included.
    later = _sum(plan[round : state.next_round])
    return RoundSizes(max(0, state.next_human - later.human), max(0, state.next_llm - later.llm))


def rounds_to_come(
    state: LoopState, plan: Sequence[RoundSizes]
) -> Iterator[tuple[int, RoundSizes]]:
    """Yield the rounds that have not begun and will buy something, with what; the next one first.

    What is still open in the round under way is bought there, and not again by the next. Rounds end
    where the pool does.
    """
    left = pool_left(state, plan)
    for number, wanted in _rounds_wanted(state, plan):
        sizes = fitting(wanted, left)
        if sizes == RoundSizes(0, 0):
            return
        left -= sizes.human + sizes.llm
        yield number, sizes


def pool_left(state: LoopState, plan: Sequence[RoundSizes]) -> int:
    """Return how many items the round under way leaves to the next ones."""
    if state.round is None or StepKind.SELECT in state.completed:
        return state.unlabelled
    open_ = under_way(state, plan)
    return max(0, state.unlabelled - open_.human - open_.llm)


def fitting(sizes: RoundSizes, left: int) -> RoundSizes:
    """Return what a round can buy of ``left`` items; the person's batch is chosen first."""
    human = min(sizes.human, left)
    return RoundSizes(human, min(sizes.llm, left - human))


def _rounds_wanted(
    state: LoopState, plan: Sequence[RoundSizes]
) -> Iterator[tuple[int, RoundSizes]]:
    if state.next_human == state.next_llm == 0:
        return
    open_ = under_way(state, plan)
    first = RoundSizes(max(0, state.next_human - open_.human), max(0, state.next_llm - open_.llm))
    if first != RoundSizes(0, 0):
        yield state.next_round, first
    done = _sum(plan[: state.next_round]) if state.next_round else first
    for number in range(state.next_round + 1, len(plan) + 1):
        sizes = sizes_of_round(
            number,
            tuple(plan),
            first_human=None,
            human_done=done.human,
            llm_done=done.llm,
            money_spent_up=state.money_spent_up,
            minutes_spent_up=state.minutes_spent_up,
        )
        if sizes != RoundSizes(0, 0):
            done = _sum(plan[:number])
            yield number, sizes


def will_annotate(
    state: LoopState,
    plan: Sequence[RoundSizes],
    *,
    until: StepKind | None = None,
    gold: bool = False,
    rounds: int | None = None,
) -> bool:
    """Whether `Loop.advance`, called with the same words, comes to asking the annotator."""
    coming = dict(rounds_to_come(state, plan))
    finished = 0
    if is_past(next_step(state), until):
        return False
    while True:
        step = next_step(state)
        if step.kind is StepKind.FINISHED or (step.needs_person and not gold):
            return False
        if step.kind is StepKind.ANNOTATE:
            return True
        finished += step.kind is StepKind.EVALUATE and step.round > 0
        if until is step.kind or (rounds is not None and finished >= rounds):
            return False
        state = _after(state, step, coming, plan)


def _after(
    state: LoopState, step: Step, coming: dict[int, RoundSizes], plan: Sequence[RoundSizes]
) -> LoopState:
    """The state when ``step`` is done and everything went well."""
    if step.kind is StepKind.START:
        sizes = coming.get(step.round, RoundSizes(0, 0))
        following = min((number for number in coming if number > step.round), default=0)
        later = coming.get(following, RoundSizes(0, 0))
        return replace(
            state,
            round=step.round,
            completed=frozenset({step.kind}),
            human=sizes.human,
            human_closed=0,
            human_skipped=0,
            llm=sizes.llm,
            llm_closed=0,
            next_round=following,
            next_human=later.human,
            next_llm=later.llm,
        )
    completed = state.completed | {step.kind}
    if step.kind is StepKind.SELECT and not (state.human or state.llm):
        sizes = under_way(state, plan)  # of a round that has begun without its batches
        return replace(state, completed=completed, human=sizes.human, llm=sizes.llm)
    if step.kind is StepKind.LABEL:
        return replace(state, completed=completed, labelled=max(1, state.labelled))
    if step.kind is StepKind.TRAIN:
        return replace(state, completed=completed - {StepKind.EVALUATE}, outdated=False)
    return replace(state, completed=completed)


def _sum(plan: Sequence[RoundSizes]) -> RoundSizes:
    return RoundSizes(sum(one.human for one in plan), sum(one.llm for one in plan))
