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
    after each round, newest last; ``majority`` is the commonest label of what that is measured on,
    and its share; ``human_left`` and ``llm_left`` count what the whole budget still holds.
    """

    kappas: tuple[float, ...] = ()
    curve: tuple[Interval, ...] = ()
    majority: tuple[str, float] | None = None
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
    """Weigh the evidence; a model that has learned nothing is said before everything else."""
    advice = _weigh(evidence)
    worthless = _no_better_than_the_majority(evidence)
    return Advice(advice.action, f"{worthless} {advice.reason}") if worthless else advice


def _no_better_than_the_majority(evidence: StopEvidence) -> str:
    """Return a sentence where the interval of the newest accuracy begins below the majority's."""
    if evidence.majority is None or not evidence.curve:
        return ""
    label, share = evidence.majority
    newest = evidence.curve[-1]
    if newest.low > share:
        return ""
    surely = "" if newest.value <= share else "surely "
    return f"The model is not {surely}better than always saying “{label}” ({share * 100:.0f} %)."


def _weigh(evidence: StopEvidence) -> Advice:
    """Weigh the rest; stable predictions must be seen twice before they count."""
    if evidence.human_left <= 0 and evidence.llm_left <= 0:
        return Advice("stop", "The label budget is spent.")
    if evidence.money_spent_up and evidence.human_left <= 0:
        return Advice("stop", "The money budget is spent; your labels are given.")
    gain = _gain(evidence.curve)
    recent = evidence.kappas[-2:]
    if len(recent) == 2 and min(recent) >= _STABLE_KAPPA:
        tail = (
            "" if gain is None else f", and the last round changed accuracy by {_points(gain[0])}"
        )
        return Advice(
            "stop",
            f"The last three models say almost the same of unlabelled items (kappa {recent[0]:.2f} "
            f"and {recent[1]:.2f}){tail}: more labels are unlikely to change it.",
        )
    if gain is not None and gain[2] <= 0.0:
        return Advice(
            "stop",
            f"The last round changed accuracy by {_points(*gain)}; review the riskiest LLM labels "
            "before buying more.",
        )
    if gain is not None:
        return Advice(
            "continue",
            f"The last round changed accuracy by {_points(*gain)}"
            + (
                f", and what the model says of unlabelled items {_changed(recent[-1])}."
                if recent
                else "."
            ),
        )
    if recent:
        words = f"What the model says of unlabelled items {_changed(recent[-1])}."
        return Advice("continue", words)
    return Advice("continue", "It is too early to tell: at least two rounds are needed.")


def _points(change: float, low: float | None = None, high: float | None = None) -> str:
    """A change of accuracy in percentage points, with its 95 % interval."""
    if low is None or high is None:
        return f"{_signed(change)} points"
    return f"{_signed(change)} points (95 %: {_signed(low)} to {_signed(high)})"


def _signed(change: float) -> str:
    return f"{change * 100:+.1f}".replace("-", "−")


def _changed(kappa: float) -> str:
    """How much two successive models differ; the bounds are those of Landis and Koch (1977)."""
    if kappa > 0.8:
        return f"has hardly changed (kappa {kappa:.2f})"
    return f"still changes {'somewhat' if kappa > 0.6 else 'a lot'} (kappa {kappa:.2f})"


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
