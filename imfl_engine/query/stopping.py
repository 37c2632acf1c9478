"""When more labels stop paying: advice with its reason, never an automatic stop.

Agreement of successive models on a fixed unlabelled stop set (Bloodgood and Vijay-Shanker 2009),
the gain of the learning curve with its interval, and what money is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imfl_engine.types import Interval

_STABLE_KAPPA = 0.95


@dataclass(frozen=True, slots=True)
class StopEvidence:
    """What is known after a round.

    ``kappas`` compare each model with the one before, newest last; ``curve`` holds the accuracy
    after each round, newest last; ``human_left`` and ``llm_left`` count what the whole budget still
    holds.
    """

    kappas: tuple[float, ...] = ()
    curve: tuple[Interval, ...] = ()
    human_left: int = 0
    llm_left: int = 0
    money_spent_up: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """Go on or stop, and one sentence that says why."""

    action: Literal["continue", "stop"]
    reason: str


def cohen_kappa(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Return the agreement beyond chance (Cohen 1960) of label arrays (n,); 1 for empty ones."""
    a, b = np.asarray(first), np.asarray(second)
    if not len(a):
        return 1.0
    classes = np.union1d(a, b)
    observed = float(np.mean(a == b))
    by_chance = float(sum(np.mean(a == c) * np.mean(b == c) for c in classes))
    return 1.0 if by_chance >= 1.0 else (observed - by_chance) / (1.0 - by_chance)


def advise(evidence: StopEvidence) -> Advice:
    """Weigh the evidence; stable predictions must be seen twice before they count."""
    if evidence.human_left <= 0 and evidence.llm_left <= 0:
        return Advice("stop", "The label budget is spent.")
    if evidence.money_spent_up and evidence.human_left <= 0:
        return Advice("stop", "The money budget is spent; your labels are given.")
    gain = _gain(evidence.curve)
    recent = evidence.kappas[-2:]
    if len(recent) == 2 and min(recent) >= _STABLE_KAPPA:
        tail = "" if gain is None else f" and the last round changed accuracy by {gain[0]:+.1%}"
        return Advice(
            "stop",
            f"The last three models agree almost everywhere (kappa {recent[0]:.2f} and "
            f"{recent[1]:.2f} on unlabelled items){tail}: more labels are unlikely to change it.",
        )
    if gain is not None and gain[2] <= 0.0:
        return Advice(
            "stop",
            f"Accuracy fell by {-gain[0]:.1%} in the last round (95 % interval {gain[1]:+.1%} to "
            f"{gain[2]:+.1%}); review the riskiest LLM labels before buying more.",
        )
    if gain is not None:
        return Advice(
            "continue",
            f"The last round changed accuracy by {gain[0]:+.1%} (95 % interval {gain[1]:+.1%} to "
            f"{gain[2]:+.1%})" + (f"; kappa {recent[-1]:.2f}." if recent else "."),
        )
    if recent:
        return Advice("continue", f"The models still change (kappa {recent[-1]:.2f}).")
    return Advice("continue", "It is too early to tell: at least two rounds are needed.")


def _gain(curve: tuple[Interval, ...]) -> tuple[float, float, float] | None:
    """Return the last change of accuracy and its 95 % interval, treating the two as independent.

    They share their test items, so the interval is wider than it need be: advice to stop because of
    it is never rash.
    """
    if len(curve) < 2:
        return None
    before, after = curve[-2], curve[-1]
    change = after.value - before.value
    low = np.hypot(after.value - after.low, before.high - before.value)
    high = np.hypot(after.high - after.value, before.value - before.low)
    return change, float(change - low), float(change + high)
