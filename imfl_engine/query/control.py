"""The control slice: human labels drawn at random, from which every honest figure comes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def control_size(total_human: int, share: float, minimum: int) -> int:
    """Return how many of ``total_human`` labels are control: the share, at least the minimum."""
    return min(total_human, max(minimum, round(share * total_human)))


def choose_control(
    ids: Ids, *, total_human: int, share: float = 0.15, minimum: int = 20, seed: int
) -> Ids:
    """Draw the control slice uniformly from ``ids``; sorted, independent of their order.

    ``ids`` must itself be the whole pool or a random part of it (the first batch), never something
    a model chose.
    """
    pool = np.unique(np.asarray(ids, dtype=np.int64))
    size = min(len(pool), control_size(total_human, share, minimum))
    rng = np.random.default_rng([seed, 0xC0])
    return np.sort(rng.choice(pool, size=size, replace=False))
