"""The label model hears what the round's model says of the LLM's labels, once that has read them."""

from __future__ import annotations

import asyncio

import numpy as np

from imfl_engine import label_model
from imfl_engine.loop.context import LoopContext
from imfl_engine.loop.evidence import fit_labels, gather
from imfl_engine.store import predictions


async def hear(context: LoopContext, round: int) -> None:
    """Replace the posteriors of ``round`` by those that its model's stored predictions inform.

    Not a model that was taught the LLM's labels as they are, nor a probe, which is the label model's
    head again. To be repeated does no harm.
    """
    training = context.settings.training
    if training.target == "probe" or training.loss != "label-model":
        return
    gathered = await gather(context)
    evidence = gathered.evidence
    doubted = [int(item_id) for item_id in evidence.ids[evidence.in_doubt]]
    said = await context.database.read(lambda con: predictions.of_round(con, round, doubted))
    if not said:
        return
    matrix = np.full((evidence.size, len(gathered.classes)), np.nan)
    row_of = {int(item_id): row for row, item_id in enumerate(evidence.ids)}
    for item_id, probabilities in said.items():
        row = matrix[row_of[item_id]]
        row[:] = 0.0  # an item may have fewer options than another
        row[: len(probabilities)] = probabilities
    model = await fit_labels(context, gathered)
    heard = await asyncio.to_thread(label_model.informed, model, evidence, matrix)
    await context.database.write(
        lambda con: predictions.replace_posteriors(
            con, round, heard.ids, heard.posterior, heard.p_wrong
        )
    )
