"""How much memory a model needs, from its shape: pure functions, which import no torch.

The figures are counts of the tensors that are kept from the forward for the backward pass, taken from
measured peaks (DECISIONS.md) and rounded up. What they miss is left to `memory`, which halves what does
not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OPTIMISER_BYTES = 12
"""A trained parameter's gradient and AdamW's two moments, in float32."""
KEPT_WIDTHS, KEPT_INNER = 11.0, 2.3
"""What a layer keeps of a token: so many values of its width, and of the width inside."""
ADAPTER_WIDTHS, ADAPTER_INNER = 22.0, 5.6
"""The same where adapters keep their own input of every linear layer (LoRA)."""
KEPT_ATTENTION = 3.0
"""And of its weights of attention, where they are kept at all: scores, weights, their gradient."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a transformer decides how much memory it needs."""

    layers: int
    width: int
    inner: int
    heads: int

    @classmethod
    def of(cls, config: Any) -> Shape:
        """From a ``transformers`` configuration; names differ between architectures."""

        def first(*names: str, otherwise: int) -> int:
            return int(
                next((found for n in names if (found := getattr(config, n, None))), otherwise)
            )

        width = first("hidden_size", "d_model", otherwise=1024)
        return cls(
            layers=first("num_hidden_layers", "num_layers", otherwise=24),
            width=width,
            inner=first("intermediate_size", "hidden_dim", "d_ff", otherwise=4 * width),
            heads=first("num_attention_heads", "num_heads", otherwise=16),
        )

    def forward_bytes(self) -> int:
        """Bytes of a token in a forward pass that keeps nothing: a layer's states in float32."""
        return 4 * (8 * self.width + 2 * self.inner)

    def cache_bytes(self) -> int:
        """Bytes of a token's keys and values in all layers, in float32."""
        return 4 * 2 * self.layers * self.width


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a training step: ``fixed`` for any batch, ``per_token`` for each padded token."""

    fixed: int
    per_token: int

    def tokens_in(self, free: int) -> int:
        """How many padded tokens fit ``free`` bytes."""
        return max(0, free - self.fixed) // self.per_token


def training_footprint(
    shape: Shape,
    *,
    trained: int,
    value_bytes: int,
    attention: int = 0,
    adapters: bool = False,
    checkpointing: bool = False,
) -> Footprint:
    """What a step needs that trains ``trained`` parameters, with ``adapters`` or without.

    ``value_bytes`` is the size of what flows between layers; ``attention`` is how many tokens each
    token's weights of attention are kept for, 0 where a fused kernel keeps none. ``checkpointing``
    keeps only what goes into each layer, and one layer whole at a time.
    """
    widths, inner = (ADAPTER_WIDTHS, ADAPTER_INNER) if adapters else (KEPT_WIDTHS, KEPT_INNER)
    layer = widths * shape.width + inner * shape.inner + KEPT_ATTENTION * shape.heads * attention
    kept = shape.layers * shape.width + layer if checkpointing else shape.layers * layer
    return Footprint(OPTIMISER_BYTES * trained, max(1, round(value_bytes * kept)))
