"""Which layers a CPU computes by steps of ours, and when.

With gradients that is one step of autograd (`layer_function`), without it is `reading_layer`.

With texts of thirty tokens a layer costs a CPU more than its products: forty nodes of a graph, and a
copy wherever one of them hands on what the next wants in another layout. Measured in DECISIONS.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import gelu

from imfl_engine.compute.casts import Casts
from imfl_engine.compute.dropout import PooledDropout
from imfl_engine.compute.half_precision import LOW, HalfLayerNorm, HalfLinear
from imfl_engine.compute.layer_function import LayerFunction, Weights
from imfl_engine.compute.reading_layer import ReadingLayer
from imfl_engine.compute.short_attention import LONGEST, NAME
from imfl_engine.compute.workspace import LayerSpace, Workspace

ARCHITECTURES = ("BertLayer", "CamembertLayer", "ElectraLayer", "RobertaLayer", "XLMRobertaLayer")
"""Classes of ``transformers`` whose layers have BERT's parts, by BERT's names."""


def fuse(model: torch.nn.Module) -> None:
    """Let layers of ``model`` that are built like BERT's be computed this way, in place.

    Names, weights and what is saved stay as they are.
    """
    passing = Workspace(LOW)
    for module in model.modules():
        kind = type(module)
        if kind.__name__ in ARCHITECTURES and not isinstance(module, FusedLayer):
            if kind not in _FUSED:
                _FUSED[kind] = type(kind.__name__, (FusedLayer, kind), {})
            module.__class__ = _FUSED[kind]
            module.space = LayerSpace(passing)
            module.reading = Casts()


_FUSED: dict[type, type] = {}


class FusedLayer(torch.nn.Module):  # type: ignore[misc]
    """Mixed into a layer's class, to which is left what this does not cover.

    That is training on longer texts, a decoder, another activation, dropout of weights of attention,
    and dropout that is not pooled (which recomputing layers needs).
    """

    space: LayerSpace
    reading: Casts[ReadingLayer]

    def forward(self, hidden_states: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        """States (b, t, width) to states."""
        trains = torch.is_grad_enabled()
        parts = _parts(self)
        ours = hidden_states.shape[1] <= LONGEST if trains else not self.training
        if not (ours and _covered(self, parts)):
            states: torch.Tensor = super().forward(hidden_states, *rest, **more)
            return states
        low = hidden_states.to(LOW)
        mask = more.get("attention_mask", rest[0] if rest else None)
        heads, eps = self.attention.self.num_attention_heads, self.output.LayerNorm.eps
        weights = Weights(*(value for part in parts for value in (part.weight, part.bias)))
        if not trains:
            reading = self.reading.of(weights, lambda: ReadingLayer.of(weights, heads, eps))
            return reading.read(low, mask, self.space.passing)
        dropouts = self.attention.output.dropout, self.output.dropout
        dropped = [_dropped(dropout, low.shape) for dropout in dropouts]
        result: torch.Tensor = LayerFunction.apply(
            low, mask, heads, eps, dropped, self.space, *weights
        )
        return result

    def train(self, mode: bool = True) -> FusedLayer:
        """As any module's; a layer holds no memory for what it does not do."""
        if mode:
            self.reading.forget()
        else:
            self.space.clear()
        layer: FusedLayer = super().train(mode)
        return layer


def _parts(layer: Any) -> tuple[Any, ...]:
    """What of a layer has weights, in the order in which values come to it."""
    return (
        layer.attention.self.query,
        layer.attention.self.key,
        layer.attention.self.value,
        layer.attention.output.dense,
        layer.attention.output.LayerNorm,
        layer.intermediate.dense,
        layer.output.dense,
        layer.output.LayerNorm,
    )


def _covered(layer: Any, parts: tuple[Any, ...]) -> bool:
    attention, between = layer.attention.self, layer.intermediate.intermediate_act_fn
    return (
        all(type(part) in (HalfLinear, HalfLayerNorm) for part in parts)
        and attention.query.weight.shape == layer.attention.output.dense.weight.shape
        and not (attention.dropout.p and attention.dropout.training)
        and getattr(between, "act", None) is gelu
        and attention.config._attn_implementation == NAME
        and not layer.is_decoder
        and not layer.chunk_size_feed_forward
        and all(
            isinstance(dropout, PooledDropout) or not (dropout.p and dropout.training)
            for dropout in (layer.attention.output.dropout, layer.output.dropout)
        )
    )


def _dropped(dropout: torch.nn.Module, shape: torch.Size) -> torch.Tensor | None:
    """What a dropout would multiply values of ``shape`` (b, t, width) with, as (b · t, width)."""
    if not (isinstance(dropout, PooledDropout) and dropout.training):
        return None
    return dropout.mask(torch.Size([shape[:-1].numel(), shape[-1]]))
