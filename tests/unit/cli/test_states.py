"""``status`` in words: how replies ended, and what became of the money."""

from __future__ import annotations

import pytest

from imfl_engine.types import ReplyStatus
from imfl_engine.views import BudgetUse
from imfl_tui.cli.states import money_words, reply_lines


def budget(*, reserved: float, lost: float) -> BudgetUse:
    return BudgetUse(1, 2, 3, 4, 0.38, reserved, 5.0, 0.0, None, money_lost=lost)


@pytest.mark.parametrize(
    ("reserved", "lost", "words"),
    [
        (0.0, 0.0, "$0.38 spent"),
        (0.5, 0.0, "$0.38 spent, $0.50 reserved for requests under way"),
        (
            0.96,
            0.96,
            "$0.38 spent, up to $0.96 more possibly billed for answers that never came",
        ),
    ],
)
def test_money_that_may_be_lost_is_not_called_reserved(
    reserved: float, lost: float, words: str
) -> None:
    assert money_words(budget(reserved=reserved, lost=lost)) == words


def test_all_six_ways_a_reply_can_end_are_told_once_the_llm_was_asked() -> None:
    assert reply_lines({}) == []
    told = reply_lines({ReplyStatus.OK.value: 1200, ReplyStatus.RATE_LIMITED.value: 2})
    assert told == [
        "replies    1,200 ok, 0 repaired, 0 invalid, 0 refused, 2 rate limited, 0 failed"
    ]
