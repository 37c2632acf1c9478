"""A layer of BERT for passes without gradients on a CPU: what `layer_function` computes, for less.

Weights are laid out once for their products, which do the activation and the additions on their way
(`packed_linear`); states differ from those of training by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from imfl_engine.compute.half_precision import low
from imfl_engine.compute.layer_function import Weights, by_head, by_token, scaling
from imfl_engine.compute.packed_linear import PackedLinear
from imfl_engine.compute.short_attention import LONGEST, masked_scores, weights_of
from imfl_engine.compute.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReadingLayer:
    """The weights of a layer: query, key and value as one product, norms in float32."""

    inward: PackedLinear
    out: PackedLinear
    norm: tuple[torch.Tensor, torch.Tensor]
    up: PackedLinear
    down: PackedLinear
    last: tuple[torch.Tensor, torch.Tensor]
    heads: int
    eps: float

    @classmethod
    def of(cls, weights: Weights, heads: int, eps: float) -> ReadingLayer:
        """The layer of ``weights`` as they are now."""
        inward = torch.cat([weights.query, weights.key, weights.value])
        biases = torch.cat([weights.query_bias, weights.key_bias, weights.value_bias])
        return cls(
            inward=PackedLinear(*low(inward, biases)),
            out=PackedLinear(*low(weights.out, weights.out_bias)),
            norm=(weights.norm, weights.norm_bias),
            up=PackedLinear(*low(weights.up, weights.up_bias)),
            down=PackedLinear(*low(weights.down, weights.down_bias)),
            last=(weights.last, weights.last_bias),
            heads=heads,
            eps=eps,
        )

    def read(
        self, states: torch.Tensor, mask: torch.Tensor | None, passing: Workspace
    ) -> torch.Tensor:
        """States (b, t, width) to states, with an additive ``mask``; writes to ``passing``."""
        rows = states.reshape(-1, states.shape[-1])
        projected = self.inward.product(rows)
        attend = self._short if states.shape[1] <= LONGEST else self._long
        found = attend(projected, mask, states.shape, passing)
        first = self._normal(self.out.added_to(rows, found), self.norm)
        second = self.down.added_to(first, self.up.active(first))
        return self._normal(second, self.last).view(states.shape)

    def _short(
        self,
        projected: torch.Tensor,
        mask: torch.Tensor | None,
        shape: torch.Size,
        passing: Workspace,
    ) -> torch.Tensor:
        batch, length, width = shape
        size = width // self.heads
        split = passing.take("heads", 3, batch, self.heads, length, size)
        query, key, value = by_head(projected, split)
        square = passing.take("scores", batch * self.heads, length, length)
        scores = masked_scores(query, key, mask, scaling(width, self.heads), out=square)
        weights = weights_of(scores, out=passing.take("attention", *square.shape))
        mixed = torch.bmm(weights, value, out=passing.take("mixed", *value.shape))
        found = passing.take("found", batch, length, 1, self.heads, size)
        return by_token(mixed[None], found)

    def _long(
        self, projected: torch.Tensor, mask: torch.Tensor | None, shape: torch.Size, *_: Any
    ) -> torch.Tensor:
        batch, length, width = shape
        split = projected.view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return mixed.transpose(1, 2).reshape(projected.shape[0], width)

    def _normal(self, rows: torch.Tensor, norm: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.layer_norm(rows, rows.shape[-1:], *norm, self.eps)
