"""Honest figures from the random control slice."""

from __future__ import annotations

import math

from imfl_engine.label_model.evidence import Evidence
from imfl_engine.types import Interval


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


def control_accuracy(evidence: Evidence) -> Interval | None:
    """Return the LLM's accuracy on control items it has labelled too; None when there are none."""
    pairs = evidence.control_mask & (evidence.human >= 0) & (evidence.llm >= 0)
    n = int(pairs.sum())
    if not n:
        return None
    return wilson(float((evidence.human[pairs] == evidence.llm[pairs]).sum()), n)
