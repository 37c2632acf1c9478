"""What a run will come to is known before its first step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imfl_engine.loop.lookahead import rounds_to_come, under_way, will_annotate
from imfl_engine.loop.steps import LoopState, RoundSizes
from imfl_engine.planning import Ahead, all_ahead, next_paid, within_limits
from imfl_engine.types import StepKind as K
from imfl_engine.views import CostEstimate

PLAN = (RoundSizes(10, 20), RoundSizes(6, 24), RoundSizes(4, 26))
NEW = LoopState(
    first_round=0,
    last_round=3,
    round=None,
    completed=frozenset(),
    next_round=0,
    next_human=10,
    unlabelled=100,
)
FIRST_BATCH = replace(
    NEW, round=0, completed=frozenset({K.START, K.SELECT}), human=10, next_round=1, next_llm=20
)
SECOND_ROUND = replace(
    FIRST_BATCH,
    round=1,
    completed=frozenset({K.START, K.EMBED, K.SCORE, K.SELECT}),
    human=0,
    llm=20,
    labelled=10,
    next_round=2,
    next_human=6,
    next_llm=44,
)


def test_the_first_batch_is_followed_by_what_it_leaves_of_the_first_round() -> None:
    rest = [(1, RoundSizes(0, 20)), (2, RoundSizes(6, 24)), (3, RoundSizes(4, 26))]
    assert list(rounds_to_come(NEW, PLAN)) == [(0, RoundSizes(10, 0)), *rest]
    assert list(rounds_to_come(FIRST_BATCH, PLAN)) == rest


def test_a_round_without_its_batches_yet_is_not_counted_with_the_next() -> None:
    begun = replace(SECOND_ROUND, completed=frozenset({K.START}), llm=0)
    assert under_way(begun, PLAN) == under_way(SECOND_ROUND, PLAN) == RoundSizes(0, 20)
    assert list(rounds_to_come(begun, PLAN)) == list(rounds_to_come(SECOND_ROUND, PLAN))


def test_what_is_still_open_is_not_bought_twice() -> None:
    assert list(rounds_to_come(SECOND_ROUND, PLAN)) == [
        (2, RoundSizes(6, 24)),
        (3, RoundSizes(4, 26)),
    ]


def test_a_finished_turn_of_the_llm_leaves_what_is_open_to_the_next_round() -> None:
    asked = replace(
        SECOND_ROUND,
        completed=SECOND_ROUND.completed | {K.ANNOTATE},
        llm_closed=6,
        next_llm=38,
    )
    assert under_way(asked, PLAN) == RoundSizes(0, 0)
    assert list(rounds_to_come(asked, PLAN)) == [(2, RoundSizes(6, 38)), (3, RoundSizes(4, 26))]
    assert next_paid(asked, PLAN) == Ahead(6, 38, 2)


@pytest.mark.parametrize("state", [NEW, FIRST_BATCH, replace(FIRST_BATCH, completed=frozenset())])
def test_spent_minutes_ask_the_person_for_nothing_more(state: LoopState) -> None:
    spent = replace(state, minutes_spent_up=True, next_human=0, next_round=1, next_llm=20)
    assert all_ahead(spent, PLAN) == Ahead(0, 70, 1)


def test_rounds_end_where_the_pool_does() -> None:
    small = replace(NEW, unlabelled=35)
    assert list(rounds_to_come(small, PLAN)) == [
        (0, RoundSizes(10, 0)),
        (1, RoundSizes(0, 20)),
        (2, RoundSizes(5, 0)),
    ]
    assert all_ahead(small, PLAN).llm == 20
    # what is chosen is not in the pool any more, what is not chosen yet still is
    assert list(rounds_to_come(replace(SECOND_ROUND, unlabelled=7), PLAN)) == [
        (2, RoundSizes(6, 1)),
    ]
    begun = replace(SECOND_ROUND, completed=frozenset({K.START}), llm=0, unlabelled=15)
    assert under_way(begun, PLAN) == RoundSizes(0, 15)
    assert list(rounds_to_come(begun, PLAN)) == []


@pytest.mark.parametrize(
    ("state", "until", "gold", "rounds", "asked"),
    [
        (NEW, None, False, None, False),  # it stops where the person is needed
        (NEW, K.LABEL, False, None, False),
        (NEW, K.LABEL, True, None, False),
        (NEW, K.EVALUATE, True, None, False),  # the first batch trains without the LLM
        (NEW, K.ANNOTATE, True, None, True),
        (NEW, None, True, 1, True),
        (FIRST_BATCH, K.EVALUATE, True, None, False),
        (FIRST_BATCH, K.SCORE, True, None, False),
        (replace(FIRST_BATCH, human=0, labelled=10, next_human=0), None, False, None, True),
        (SECOND_ROUND, K.LABEL, False, None, False),  # the round has been through it
        (replace(SECOND_ROUND, human=6), None, False, None, False),
        (replace(SECOND_ROUND, completed=frozenset({K.START}), llm=0), None, False, None, True),
        (replace(SECOND_ROUND, completed=frozenset(K) - {K.EVALUATE}), None, True, 1, False),
        (replace(SECOND_ROUND, completed=frozenset(K) - {K.EVALUATE}), None, True, 2, True),
    ],
)
def test_whether_a_run_comes_to_asking_the_llm(
    state: LoopState, until: K | None, gold: bool, rounds: int | None, asked: bool
) -> None:
    assert will_annotate(state, PLAN, until=until, gold=gold, rounds=rounds) is asked


def test_without_llm_labels_in_the_plan_nobody_is_asked() -> None:
    plan = tuple(replace(sizes, llm=0) for sizes in PLAN)
    assert not will_annotate(NEW, plan, gold=True)


def test_the_first_price_is_that_of_the_first_round_with_the_llm() -> None:
    ahead = next_paid(NEW, PLAN)
    assert (ahead.human, ahead.llm, ahead.round) == (10, 20, 1)
    by_hand = (RoundSizes(10, 0), RoundSizes(6, 24))
    ahead = next_paid(NEW, by_hand)
    assert (ahead.human, ahead.llm, ahead.round) == (16, 24, 2)


@pytest.mark.parametrize("state", [NEW, FIRST_BATCH])
def test_all_that_is_ahead_is_the_plan(state: LoopState) -> None:
    ahead = all_ahead(state, PLAN)
    assert (ahead.human, ahead.llm) == (20, 70)


PRICE = CostEstimate(70, 1, 2, 3, 4, 0.38, 0.44, 6.0, True, "table")


def test_an_estimate_ends_at_what_the_limits_leave() -> None:
    found = within_limits(PRICE, money_left=0.40, minutes_left=2.0)
    assert (found.money_low, found.money_high) == (0.38, 0.40)
    assert found.minutes_of_person == 2.0
    assert found.stops_at_money_limit
    assert found.stops_at_time_limit
    nothing = within_limits(PRICE, money_left=-0.1, minutes_left=-1.0)
    assert (nothing.money_low, nothing.money_high, nothing.minutes_of_person) == (0, 0, 0)


def test_an_estimate_within_the_limits_stays_what_it_is() -> None:
    assert within_limits(PRICE, money_left=None, minutes_left=None) == PRICE
    assert within_limits(PRICE, money_left=0.44, minutes_left=6.0) == PRICE
    unknown = replace(PRICE, money_low=None, money_high=None)
    assert within_limits(unknown, money_left=0.1, minutes_left=None) == unknown
