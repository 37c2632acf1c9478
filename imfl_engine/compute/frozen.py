"""Lower layers that are not trained are computed once per job instead of once per epoch.

A frozen layer without dropout gives the same states every epoch, so training only runs the upper
ones: with the lower half of a six-layer encoder frozen a step costs half. Which layers are frozen
is the job's choice; the states are kept in memory while they are small enough.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from imfl_engine.compute.batches import token_batches
from imfl_engine.compute.embed import pool
from imfl_engine.compute.memory import Budget, Pieces
from imfl_engine.compute.tokens import Tokens
from imfl_engine.compute.wire import IndexArray

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device
    from imfl_engine.compute.encoder import MeanClassifier
    from imfl_engine.compute.job import Job

CACHE_BYTES = 2**30


class _Given(torch.nn.Module):  # type: ignore[misc]
    """In the place of the embeddings: the states are given."""

    def forward(self, inputs_embeds: torch.Tensor, **ignored: Any) -> torch.Tensor:
        return inputs_embeds


class FrozenLower:
    """The embeddings and the first ``layers`` layers of a BERT, frozen, and the rest on top."""

    def __init__(self, model: MeanClassifier, layers: int, tokens: Tokens, device: Device) -> None:
        bert = model.bert
        self._model = model
        self._lower = _part(bert, bert.embeddings, bert.encoder.layer[:layers])
        self._upper = _part(bert, _Given(), bert.encoder.layer[layers:])
        for parameter in self._lower.parameters():
            parameter.requires_grad_(False)
        self._tokens = tokens
        self._device = device
        self._states: list[torch.Tensor] | None = None

    def fill(self, job: Job) -> None:
        """Compute and keep the states of every row, if they fit."""
        lengths = self._tokens.lengths
        width = int(self._model.bert.config.hidden_size)
        if self._device.kind != "cpu" or int(lengths.sum()) * width * 4 > CACHE_BYTES:
            return
        states: list[torch.Tensor] = [torch.empty(0)] * len(lengths)
        budget = Budget.for_inference(self._device, self._model)
        pieces = Pieces(self._device)
        for planned in token_batches(lengths, budget.tokens, max_rows=budget.rows):
            for rows, hidden in pieces.compute(planned, self._compute):
                job.check()
                for place, row in enumerate(rows):
                    states[row] = hidden[place, : lengths[row]].clone()
        self._states = states

    def logits(self, rows: IndexArray) -> torch.Tensor:
        """Logits (m, classes) of token rows."""
        if self._states is None:
            hidden = self._compute(rows)
        else:
            kept = [self._states[row] for row in rows]
            hidden = torch.nn.utils.rnn.pad_sequence(kept, batch_first=True)
        mask = self._tokens.batch(rows, self._device.torch_device)["attention_mask"]
        upper = self._upper(inputs_embeds=hidden, attention_mask=mask).last_hidden_state
        return self._model.head(pool(upper.float(), mask, "mean"))

    def _compute(self, rows: IndexArray) -> torch.Tensor:
        self._lower.eval()
        with torch.no_grad(), self._device.autocast():
            batch = self._tokens.batch(rows, self._device.torch_device)
            return self._lower(**batch).last_hidden_state


def _part(bert: Any, embeddings: Any, layers: Any) -> Any:
    """A BERT of some of ``bert``'s layers, which share their parameters with it."""
    part = copy.copy(bert)
    part._modules = dict(bert._modules)
    part.encoder = copy.copy(bert.encoder)
    part.encoder._modules = dict(bert.encoder._modules)
    part.embeddings = embeddings
    part.encoder.layer = layers
    return part
