"""The label model hears what the round's model says of the LLM's labels, once that has read them."""

from __future__ import annotations

import asyncio

from imfl_engine import label_model
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.evidence import fit_labels, gather, rows_of
from imfl_engine.store import predictions


async def hear(context: LoopContext, round: int) -> None:
    """Replace the posteriors of ``round`` by those that its model's stored predictions inform.

    Not a model that was taught the LLM's labels as they are, nor a probe, which is the label model's
    head again. To be repeated does no harm.
    """
    if not context.settings.training.by_likelihood:
        return
    gathered = await gather(context)
    evidence = gathered.evidence
    ids = [int(item_id) for item_id in evidence.ids]
    doubted = [item_id for item_id, asked in zip(ids, evidence.in_doubt, strict=True) if asked]
    said = await context.database.read(lambda con: predictions.of_round(con, round, doubted))
    if not said:
        return
    matrix = rows_of(ids, said, len(gathered.classes))
    model = await fit_labels(context, gathered)
    heard = await asyncio.to_thread(label_model.informed, model, evidence, matrix)
    await context.database.write(
        lambda con: predictions.replace_posteriors(
            con, round, heard.ids, heard.posterior, heard.p_wrong
        )
    )
