"""A causal language model reading prompts and scoring what may follow them.

The beginning that the prompts of a batch have in common goes through the model once; its key-value
cache serves the whole batch, and the next batch if that begins the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache

from imfl_engine.compute.label_prompts import TokenIds
from imfl_engine.compute.transfer import to_device

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device

LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings by which some architectures change the logits behind the output layer."""


@dataclass(slots=True)
class Prefix:
    """The last computed common beginning and its cache (batch of one)."""

    ids: TokenIds = ()
    cache: Any = None


@dataclass(slots=True)
class Reader:
    """A causal language model reading prompts, with the cache of the last common beginning."""

    model: Any
    device: Device
    prefix: Prefix = field(default_factory=Prefix)
    caches: bool = True

    def raw(self, prompts: Sequence[TokenIds], labels: Sequence[TokenIds], shared: int) -> Any:
        """``log P(label | prompt)``, a tensor (m, C); the first ``shared`` tokens are equal."""
        with torch.inference_mode(), self.device.autocast():
            if not self.caches:
                return torch.stack([self._whole(prompts, label) for label in labels], dim=1)
            return self._cached(prompts, labels, shared)

    def _cached(self, prompts: Sequence[TokenIds], labels: Sequence[TokenIds], shared: int) -> Any:
        cache = self._prefix_cache(prompts[0][:shared], len(prompts))
        ids, mask = _pad([prompt[shared:] for prompt in prompts], self.device)
        lengths = mask.sum(1)
        before = torch.ones(len(prompts), shared, dtype=mask.dtype, device=mask.device)
        mask = torch.cat([before, mask], dim=1)
        place = torch.arange(ids.shape[1], device=ids.device)
        hidden = self._hidden(ids, mask, (shared + place).expand_as(ids), cache)
        rows = torch.arange(len(prompts), device=ids.device)
        last = self._log_probabilities(hidden[rows, lengths - 1])
        columns = []
        for label in labels:
            score = last[:, label[0]]
            if len(label) > 1:
                rest = torch.tensor(label, device=ids.device).expand(len(prompts), -1)
                more = torch.ones_like(rest[:, :-1])
                step = torch.arange(len(label) - 1, device=ids.device)
                places = shared + lengths.unsqueeze(1) + step
                wider = torch.cat([mask, more], dim=1)
                after = self._hidden(rest[:, :-1], wider, places, cache)
                cache.crop(1 - len(label))
                tokens = self._log_probabilities(after)
                score = score + tokens.gather(2, rest[:, 1:].unsqueeze(2)).squeeze(2).sum(1)
            columns.append(score)
        return torch.stack(columns, dim=1)

    def _prefix_cache(self, ids: TokenIds, rows: int) -> Any:
        """The cache of ``ids`` for ``rows`` prompts."""
        if not ids:
            return DynamicCache()
        if self.prefix.ids != ids:
            cache = DynamicCache()
            tensor = torch.tensor([ids], device=self.device.torch_device)
            place = torch.arange(len(ids), device=tensor.device).unsqueeze(0)
            self._hidden(tensor, torch.ones_like(tensor), place, cache)
            self.prefix = Prefix(ids, cache)
        cache = copy.deepcopy(self.prefix.cache)
        cache.batch_repeat_interleave(rows)
        return cache

    def _hidden(self, ids: Any, mask: Any, places: Any, cache: Any) -> Any:
        body = getattr(self.model, self.model.base_model_prefix)
        return body(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state

    def _whole(self, prompts: Sequence[TokenIds], label: TokenIds) -> Any:
        """The same without a cache, for architectures whose cache cannot be shared."""
        ids, mask = _pad([prompt + label[:-1] for prompt in prompts], self.device)
        logits = self.model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1)
        rows = torch.arange(len(prompts), device=ids.device)
        ends = torch.tensor([len(prompt) - 1 for prompt in prompts], device=ids.device)
        scores = [logits[rows, ends + place, token] for place, token in enumerate(label)]
        return torch.stack(scores).sum(0)

    def _log_probabilities(self, hidden: Any) -> Any:
        return self.model.get_output_embeddings()(hidden).float().log_softmax(-1)


def has_plain_cache(model: Any) -> bool:
    """Whether a cache may be repeated and cropped, and logits are the output layer's as they stand.

    Not so for windows and recurrent states, nor where logits are scaled or capped afterwards.
    """
    if any(getattr(model.config, name, None) for name in LOGIT_CHANGES):
        return False
    try:
        layers = DynamicCache(config=model.config).layers
    except (TypeError, ValueError, AttributeError):
        return False
    return all(type(layer).__name__ == "DynamicLayer" for layer in layers)


def _pad(rows: Sequence[TokenIds], device: Device) -> tuple[Any, Any]:
    """Right-padded token ids and their mask, int64 (m, t)."""
    width = max(len(row) for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return (
        to_device(ids, device.torch_device),
        to_device(mask, device.torch_device),
    )
