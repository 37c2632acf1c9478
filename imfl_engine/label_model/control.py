"""Honest figures from the random control slice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby, pairwise
from typing import NamedTuple

from imfl_engine.types import Interval


class ControlAnswer(NamedTuple):
    """Whether the LLM was right about a control item, asked with what it was shown in a round."""

    item_id: int
    round: int
    right: bool


def wilson(successes: float, n: int, z: float = 1.96) -> Interval:
    """Return the Wilson (1927) score interval of a proportion; all of [0, 1] for n = 0."""
    if n <= 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    share = successes / n
    squared = z * z / n
    centre = (share + squared / 2) / (1 + squared)
    half = z * math.sqrt(share * (1 - share) / n + squared / (4 * n)) / (1 + squared)
    # at the ends the exact bounds are 0 and 1; rounding must not exclude them
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return Interval(share, low, high, n)


def accuracy_of_bought(
    answers: Iterable[ControlAnswer], bought: Mapping[int, int]
) -> Interval | None:
    """Return the accuracy of the LLM's labels as they were bought; None without an answer.

    ``answers`` are ordered by item, then round; ``bought`` is the number of labels by round. The
    LLM gets better as its examples grow, so an answer stands for the labels that were bought from
    its round on until the item was asked about again, and the first one also for those before it.
    An item counts once, however often it was asked about, so the interval does not narrow by that.
    """
    shares = [
        _share_right(list(of_item), bought)
        for _, of_item in groupby(answers, key=lambda answer: answer.item_id)
    ]
    return wilson(math.fsum(shares), len(shares)) if shares else None


def _share_right(answers: list[ControlAnswer], bought: Mapping[int, int]) -> float:
    """Return the share of the bought labels for which this item's answers were right."""
    if len(answers) == 1 or not bought:
        return float(answers[-1].right)
    starts = [-math.inf, *(answer.round for answer in answers[1:]), math.inf]
    weights = [
        sum(count for round_, count in bought.items() if start <= round_ < end)
        for start, end in pairwise(starts)
    ]
    total = sum(weights)
    return sum(w for w, answer in zip(weights, answers, strict=True) if answer.right) / total
