"""Which labels a fine-tune does not learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model import Evidence, TrainingSet
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


async def measured_items(context: LoopContext) -> list[int]:
    """Return the control slice where the model has nothing else to be measured on, else nothing."""
    tested = await context.database.read(
        lambda con: items.ids_of_split(con, "test", with_gold=True)
    )
    if tested:
        return []
    return sorted(await context.database.read(selections.control_ids))
