"""Layers that keep float32 weights and compute in bfloat16: what autocast does, for less, on a CPU.

Autocast casts a layer's input once for each of query, key and value, and leaves what a layer norm
returns in float32, so that residuals are added and dropped out in float32 too. Here whatever flows
between layers is bfloat16, the weights' gradients come out in the layout of the weights, and weights
that do not change are cast once.
"""

from __future__ import annotations

from typing import Any

import torch

LOW = torch.bfloat16
SMALLEST = 64
"""Layers with fewer outputs, the heads, stay in float32: they cost nothing and decide."""


class HalfLinear(torch.nn.Linear):  # type: ignore[misc]
    """A linear layer of float32 weights whose products, forward and backward, are bfloat16."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out) in bfloat16."""
        values = values.to(LOW)
        if torch.is_grad_enabled() and self.weight.requires_grad:
            self._kept: Any = None  # an optimiser's fused step follows, which counts no version
            product: torch.Tensor = _Product.apply(values, self.weight, self.bias)
            return product
        return torch.nn.functional.linear(values, *self._low())

    def _low(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias in bfloat16, kept until they are trained or changed in place."""
        bias = self.bias
        version = (self.weight._version, None if bias is None else bias._version)
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != version:
            with torch.no_grad():
                kept = version, self.weight.to(LOW), None if bias is None else bias.to(LOW)
            self._kept = kept
        return kept[1], kept[2]

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: not the cast weights, since a copy counts its changes anew."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


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
        low = weight.to(LOW)
        context.save_for_backward(values, low)
        return torch.nn.functional.linear(values, low, None if bias is None else bias.to(LOW))

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        values, weight = context.saved_tensors
        for_values, _, for_bias = context.needs_input_grad
        rows = gradient.reshape(-1, gradient.shape[-1])
        return (
            (rows @ weight).view_as(values) if for_values else None,
            # this way round it has the layout of the weight, and is not copied once more
            (rows.t() @ values.reshape(-1, values.shape[-1])).float(),
            rows.sum(0).float() if for_bias else None,
        )


def halve(model: torch.nn.Module) -> None:
    """Let the linear layers and layer norms of ``model`` compute in bfloat16, in place.

    Names, weights and what is saved stay as they are.
    """
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.out_features >= SMALLEST:
            module.__class__ = HalfLinear
        elif type(module) is torch.nn.LayerNorm:
            module.__class__ = HalfLayerNorm
