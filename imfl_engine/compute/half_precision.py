"""Layers that keep float32 weights and compute in bfloat16: what autocast does, for less, on a CPU.

Autocast casts a layer's input once for each of query, key and value, and leaves what a layer norm
returns in float32, so that residuals are added and dropped out in float32 too. Here whatever flows
between layers is bfloat16, the weights' gradients come out in the layout of the weights, and for passes
without gradients weights are cast once, into the layout that products want.
"""

from __future__ import annotations

from typing import Any

import torch

from imfl_engine.compute.casts import Casts
from imfl_engine.compute.packed_linear import PackedLinear

LOW = torch.bfloat16
SMALLEST = 64
"""Layers with fewer outputs, the heads, stay in float32: they cost nothing and decide."""


class HalfLinear(torch.nn.Linear):  # type: ignore[misc]
    """A linear layer of float32 weights whose products, forward and backward, are bfloat16."""

    packed: Casts[PackedLinear]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out) in bfloat16."""
        values = values.to(LOW)
        weight, bias = self.weight, self.bias
        if torch.is_grad_enabled():
            product: torch.Tensor = _Product.apply(values, weight, bias)
            return product
        weights = [weight] if bias is None else [weight, bias]
        return self.packed.of(weights, lambda: PackedLinear(*low(weight, bias))).product(values)

    def train(self, mode: bool = True) -> HalfLinear:
        """As any module's; what is trained keeps no second form of its weights."""
        if mode:
            self.packed.forget()
        layer: HalfLinear = super().train(mode)
        return layer


class HalfLayerNorm(torch.nn.LayerNorm):  # type: ignore[misc]
    """A layer norm with float32 statistics and weights that takes and returns bfloat16."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As the layer norm it was, in bfloat16."""
        return super().forward(values.to(LOW))


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """``values @ weight.T + bias`` in bfloat16; gradients in float32 and in the weights' layout."""

    @staticmethod
    def forward(
        context: Any,
        values: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        weight, bias = low(weight, bias)
        context.save_for_backward(values, weight)
        return torch.nn.functional.linear(values, weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        values, weight = context.saved_tensors
        for_values, for_weight, for_bias = context.needs_input_grad
        rows = gradient.reshape(-1, gradient.shape[-1])
        return (
            (rows @ weight).view_as(values) if for_values else None,
            # this way round it has the layout of the weight, and is not copied once more
            (rows.t() @ values.reshape(-1, values.shape[-1])).float() if for_weight else None,
            rows.sum(0).float() if for_bias else None,
        )


def low(
    weight: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Both in bfloat16."""
    return weight.to(LOW), None if bias is None else bias.to(LOW)


def halve(model: torch.nn.Module) -> None:
    """Let the linear layers and layer norms of ``model`` compute in bfloat16, in place.

    Names, weights and what is saved stay as they are.
    """
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.out_features >= SMALLEST:
            module.__class__ = HalfLinear
            module.packed = Casts()
        elif type(module) is torch.nn.LayerNorm:
            module.__class__ = HalfLayerNorm
