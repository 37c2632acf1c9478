"""The next step is a pure function of what is stored."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from imfl_engine.loop.steps import LoopState, RoundSizes, is_last, next_step, sizes_of_round
from imfl_engine.types import StepKind

K = StepKind
NEW = LoopState(
    first_round=0,
    last_round=2,
    round=None,
    completed=frozenset(),
    next_human=10,
    next_llm=0,
    unlabelled=1000,
)
PLAN = (RoundSizes(10, 20), RoundSizes(6, 24), RoundSizes(4, 26))


def test_a_new_project_starts_with_the_first_random_batch() -> None:
    assert next_step(NEW).kind is K.START
    assert next_step(NEW).round == 0


def test_the_person_labels_before_anything_is_embedded_in_round_zero() -> None:
    state = replace(NEW, round=0, completed=frozenset({K.START, K.SELECT}), human=10)
    assert next_step(state).kind is K.LABEL


def test_a_half_labelled_batch_asks_for_the_rest() -> None:
    state = replace(
        NEW, round=0, completed=frozenset({K.START, K.SELECT}), human=10, human_closed=4
    )
    step = next_step(state)
    assert (step.kind, step.done, step.total) == (K.LABEL, 4, 10)


def test_skipped_items_are_not_counted_as_done_while_their_batch_lasts() -> None:
    begun = replace(NEW, round=0, completed=frozenset({K.START, K.SELECT}), human=10)
    step = next_step(replace(begun, human_closed=4, human_skipped=1))
    assert (step.kind, step.done, step.total) == (K.LABEL, 3, 10)
    assert next_step(replace(begun, human_closed=10, human_skipped=1)).kind is not K.LABEL


def test_the_time_budget_ends_the_batch_but_not_the_round() -> None:
    state = replace(
        NEW,
        round=0,
        completed=frozenset({K.START, K.SELECT}),
        human=10,
        human_closed=4,
        labelled=4,
        minutes_spent_up=True,
    )
    assert next_step(state).kind is K.EMBED


def test_training_is_skipped_while_nothing_is_labelled() -> None:
    done = frozenset({K.START, K.SELECT, K.EMBED})
    state = replace(NEW, round=0, completed=done, human=10, human_closed=10, labelled=0)
    assert next_step(state).kind is K.START
    assert next_step(state).round == 1


def test_the_loop_ends_with_its_reason() -> None:
    over = replace(NEW, round=2, completed=frozenset(K))
    assert next_step(over).kind is K.FINISHED
    broke = replace(NEW, round=1, completed=frozenset(K), next_human=0, money_spent_up=True)
    assert next_step(broke).reason == "the money budget is reached"
    empty = replace(NEW, round=1, completed=frozenset(K), unlabelled=0)
    assert next_step(empty).reason == "every item of the pool is labelled"


@given(
    completed=st.frozensets(st.sampled_from(list(K))),
    round_=st.integers(0, 2),
    human=st.integers(0, 5),
    closed=st.integers(0, 5),
)
def test_a_completed_step_never_comes_again(completed, round_, human, closed) -> None:
    state = replace(
        NEW, round=round_, completed=completed, human=human, human_closed=closed, labelled=1
    )
    step = next_step(state)
    assert step.round != round_ or step.kind not in completed or step.kind is K.FINISHED


def test_round_one_takes_what_the_first_batch_left_of_its_share() -> None:
    assert sizes_of_round(0, PLAN, first_human=None, human_done=0, llm_done=0) == RoundSizes(10, 0)
    assert sizes_of_round(1, PLAN, first_human=None, human_done=10, llm_done=0) == RoundSizes(0, 20)
    assert sizes_of_round(0, PLAN, first_human=4, human_done=0, llm_done=0) == RoundSizes(4, 0)
    assert sizes_of_round(1, PLAN, first_human=4, human_done=4, llm_done=0) == RoundSizes(6, 20)


def test_no_round_asks_the_person_for_more_minutes_than_there_are() -> None:
    for round_ in range(4):
        sizes = sizes_of_round(
            round_, PLAN, first_human=None, human_done=0, llm_done=0, minutes_spent_up=True
        )
        assert sizes.human == 0


def test_skipped_items_are_made_up_for_in_the_next_round() -> None:
    sizes = sizes_of_round(2, PLAN, first_human=None, human_done=7, llm_done=20)
    assert sizes == RoundSizes(9, 24)


@given(skips=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_all_rounds_together_never_exceed_the_budget(skips) -> None:
    done = 0
    for round_, skipped in enumerate(skips):
        sizes = sizes_of_round(round_, PLAN, first_human=None, human_done=done, llm_done=0)
        done += max(0, sizes.human - skipped)
    assert done <= 20


def test_a_round_is_the_last_when_the_plan_or_the_pool_ends_with_it() -> None:
    training = replace(
        NEW,
        round=1,
        completed=frozenset({K.START, K.EMBED, K.SCORE, K.SELECT}),
        labelled=30,
        next_round=2,
    )
    assert not is_last(training)
    assert is_last(replace(training, unlabelled=0))
    assert is_last(replace(training, next_human=0, next_llm=0))
    assert is_last(replace(training, round=2, next_round=3))
    assert not is_last(replace(training, round=2, next_round=3, more=True))


def test_training_corrections_again_is_the_last_training() -> None:
    assert is_last(replace(NEW, round=2, next_round=3, labelled=30, outdated=True))
