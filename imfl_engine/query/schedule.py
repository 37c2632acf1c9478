"""How the two budgets are spread over the rounds, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imfl_engine.errors import SettingsError
from imfl_engine.settings import ScheduleName

_GEOMETRIC_RATIO = 0.6


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """Labels to buy in one round."""

    human: int
    llm: int


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Split ``total`` in whole numbers proportional to ``shares``, by largest remainder.

    Ties go to the earlier share; the sum is always ``total``.
    """
    weight = sum(shares)
    if weight <= 0:
        shares, weight = [1.0] * len(shares), float(len(shares))
    exact = [total * share / weight for share in shares]
    # the small offset keeps 53.333.. and 26.666.. on their sides of a tie in binary arithmetic
    counts = [int(value + 1e-9) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (-round(exact[i] - counts[i], 9), i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts


def plan_rounds(
    schedule: ScheduleName,
    *,
    human: int,
    llm: int,
    rounds: int,
    explicit: Sequence[int] | None = None,
) -> tuple[RoundPlan, ...]:
    """Plan every round; the sums are exactly ``human`` and ``llm``.

    *variable* gives the human shares R, R-1, .. 1 and keeps the total of a round constant, so that
    the LLM takes over; *geometric* lets the human share fall by 0.6 a round; *equal* splits both
    evenly; *one-batch* is a single round. ``explicit`` lists the human labels of each round. Where
    a constant total cannot be kept (few LLM labels), a round's LLM part is never below zero.
    """
    if explicit is not None:
        if sum(explicit) != human:
            raise SettingsError(
                f"query.human_per_round sums to {sum(explicit)}, but budget.human is {human}.",
                "Make the two agree.",
            )
        humans = list(explicit)
    elif schedule == "one-batch":
        humans = [human]
    elif schedule == "equal":
        humans = apportion(human, [1.0] * rounds)
    elif schedule == "geometric":
        humans = apportion(human, [_GEOMETRIC_RATIO**r for r in range(rounds)])
    else:
        humans = apportion(human, [float(rounds - r) for r in range(rounds)])
    if schedule == "equal" and explicit is None:
        llms = apportion(llm, [1.0] * len(humans))
    else:
        llms = _fill(humans, llm)
    return tuple(RoundPlan(h, g) for h, g in zip(humans, llms, strict=True))


def _fill(humans: Sequence[int], llm: int) -> list[int]:
    """Top every round up to the same total with LLM labels, as far as ``llm`` reaches."""
    open_rounds = list(range(len(humans)))
    while True:
        level = (llm + sum(humans[i] for i in open_rounds)) / len(open_rounds)
        over = [i for i in open_rounds if humans[i] > level]
        if not over:
            break
        open_rounds = [i for i in open_rounds if i not in over]
    counts = [0] * len(humans)
    wanted = [level - humans[i] for i in open_rounds]
    for i, count in zip(open_rounds, apportion(llm, wanted), strict=True):
        counts[i] = count
    return counts
