"""Which labels a fine-tune does not learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model import Evidence, TrainingSet, subset
from imfl_engine.loop.context import LoopContext
from imfl_engine.store import items, selections


def validation_rows(
    evidence: Evidence, built: TrainingSet, share: float, seed: int
) -> NDArray[np.bool_]:
    """Draw ``share`` of the human labels, leaving the control slice alone; marks (m,)."""
    mask = np.zeros(len(built.ids), dtype=bool)
    eligible = evidence.ids[(evidence.human >= 0) & ~evidence.control_mask]
    rows = np.flatnonzero(np.isin(built.ids, eligible))
    size = int(share * rows.size)
    if size:
        mask[np.random.default_rng([seed, 0x7A]).choice(rows, size, replace=False)] = True
    return mask


async def without_measured_items(context: LoopContext, built: TrainingSet) -> TrainingSet:
    """Leave the control slice out when the model has nothing else to be measured on."""
    tested = await context.database.read(
        lambda con: items.ids_of_split(con, "test", with_gold=True)
    )
    if tested:
        return built
    control = await context.database.read(selections.control_ids)
    return subset(built, ~np.isin(built.ids, sorted(control)))
