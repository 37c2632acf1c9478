"""LABEL without a person: the batch answered from the gold column."""

from __future__ import annotations

from imfl_engine.errors import DataError
from imfl_engine.loop.context import LoopContext
from imfl_engine.store import labels, selections
from imfl_engine.types import Action, Origin


async def answer_from_gold(context: LoopContext, round: int) -> int:
    """Label what is open in the round's human batch with the items' own gold labels.

    Raises `DataError`, with nothing labelled, when an item has no gold label.
    """
    open_ids = await context.database.read(lambda con: selections.pending_human(con, round))
    found = await context.items_of(open_ids)
    without = [item.key for item in found if item.gold is None]
    if without:
        raise DataError(
            f"{len(without)} items of the batch have no gold label (the first is '{without[0]}').",
            "Name the gold column with --label when creating the project, or label by hand.",
        )
    await context.database.write(
        lambda con: labels.record_many(
            con,
            [item.item_id for item in found],
            Action.LABEL,
            labels=[item.gold for item in found],
            round=round,
            origin=Origin.GOLD,
            annotator="gold",
            batch_id=None,
        )
    )
    return len(found)
