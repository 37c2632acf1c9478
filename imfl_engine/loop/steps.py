"""Which step comes next: a pure function of what is stored.

The step is never kept anywhere, so it cannot disagree with the data; after a kill the same
function gives the step that was cut short.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from imfl_engine.types import Step, StepKind


@dataclass(frozen=True, slots=True)
class LoopState:
    """What the store says about the loop.

    ``round`` is the newest round that has begun, None before the first. ``completed`` are its
    finished steps. Counts are items; a *closed* one needs nothing more, though the person is asked
    again about those that were skipped, after the others. ``next_round`` is the next
    one that has something to buy, ``next_human`` and ``next_llm`` what. ``more``: a limit was
    raised or items came in after the newest round began, so rounds beyond the plan may follow.
    ``outdated``: the person has decided something that the newest model was not trained on.
    """

    first_round: int
    last_round: int
    round: int | None
    completed: frozenset[StepKind]
    human: int = 0
    human_closed: int = 0
    human_skipped: int = 0
    llm: int = 0
    llm_closed: int = 0
    next_round: int = 0
    next_human: int = 0
    next_llm: int = 0
    unlabelled: int = 0
    labelled: int = 0
    money_spent_up: bool = False
    minutes_spent_up: bool = False
    more: bool = False
    outdated: bool = False


def next_step(state: LoopState) -> Step:
    """Return the step that the stored state asks for.

    A round is START, EMBED, SCORE, SELECT, LABEL, ANNOTATE, TRAIN, EVALUATE. Round 0 is the first
    random batch: it has no model to ask and needs no sub-sample, so the person begins at once and
    embedding follows the labels. When the last round is over, corrections made since its training
    are trained on once more.
    """
    if state.round is None:
        return _begin(state, max(state.first_round, state.next_round))
    for kind in _order(state.round):
        if kind in state.completed:
            continue
        if kind is StepKind.LABEL:
            if state.human_closed >= state.human or state.minutes_spent_up:
                continue
            return Step(kind, state.round, state.human_closed - state.human_skipped, state.human)
        if kind is StepKind.ANNOTATE and state.llm_closed >= state.llm and state.llm == 0:
            continue
        if kind in (StepKind.TRAIN, StepKind.EVALUATE) and state.labelled == 0:
            continue
        done, total = (state.llm_closed, state.llm) if kind is StepKind.ANNOTATE else (0, 0)
        return Step(kind, state.round, done, total)
    return _begin(state, max(state.round + 1, state.next_round))


def is_last(state: LoopState) -> bool:
    """Whether nothing follows the round under way, as far as is known now."""
    over = replace(state, completed=frozenset(StepKind), outdated=False)
    return next_step(over).kind is StepKind.FINISHED


def is_over(state: LoopState) -> bool:
    """Whether no round follows, whatever the person has decided since the last one ended."""
    return next_step(replace(state, outdated=False)).kind is StepKind.FINISHED


def _begin(state: LoopState, round: int) -> Step:
    reason = _why_over(state, round)
    if not reason:
        return Step(StepKind.START, round, 0, state.next_human + state.next_llm)
    over = state.round or 0
    if state.outdated:
        return Step(StepKind.TRAIN, over)
    return Step(StepKind.FINISHED, over, reason=reason)


def _why_over(state: LoopState, round: int) -> str:
    """Return why ``round`` cannot begin, or an empty text."""
    if round > state.last_round and not state.more:
        return "the money budget is reached" if state.money_spent_up else "all rounds are done"
    if state.unlabelled == 0:
        return "every item of the pool is labelled"
    if state.next_human == 0 and state.next_llm == 0:
        if state.money_spent_up:
            return "the money budget is reached"
        return (
            "the time budget is reached" if state.minutes_spent_up else "the label budget is spent"
        )
    return ""


def _order(round: int) -> tuple[StepKind, ...]:
    if round == 0:
        return (
            StepKind.START,
            StepKind.SELECT,
            StepKind.LABEL,
            StepKind.EMBED,
            StepKind.TRAIN,
            StepKind.EVALUATE,
        )
    return (
        StepKind.START,
        StepKind.EMBED,
        StepKind.SCORE,
        StepKind.SELECT,
        StepKind.LABEL,
        StepKind.ANNOTATE,
        StepKind.TRAIN,
        StepKind.EVALUATE,
    )


def is_past(step: Step, until: StepKind | None) -> bool:
    """Whether the round that ``step`` belongs to has been through ``until`` already."""
    order = _order(step.round)
    if until not in order or step.kind not in order:
        return False
    return order.index(step.kind) > order.index(until)


@dataclass(frozen=True, slots=True)
class RoundSizes:
    """How many labels a round buys."""

    human: int
    llm: int


def sizes_of_round(
    round: int,
    plan: tuple[RoundSizes, ...],
    *,
    first_human: int | None,
    human_done: int,
    llm_done: int,
    money_spent_up: bool = False,
    minutes_spent_up: bool = False,
) -> RoundSizes:
    """Return what a round buys, given the plan of all rounds and what was bought before it.

    ``plan[r - 1]`` belongs to round r. Round 0 takes ``first_human`` of round 1's human share (all
    of it by default). What earlier rounds left undone (skipped items, unusable replies) is made up
    for, and a changed budget takes effect in the next round, because sizes are counted from the
    cumulative plan. A round beyond the plan buys all that is left.
    """
    first = plan[0].human if first_human is None else min(first_human, plan[0].human)
    if round == 0:
        return RoundSizes(0 if minutes_spent_up else max(0, first - human_done), 0)
    human = sum(sizes.human for sizes in plan[:round]) - human_done
    llm = sum(sizes.llm for sizes in plan[:round]) - llm_done
    return RoundSizes(
        0 if minutes_spent_up else max(0, human),
        0 if money_spent_up else max(0, llm),
    )
