"""Products with weights that were laid out for them once, for passes without gradients on a CPU.

Otherwise each product of bfloat16 lays its weight out anew, and what follows it goes through memory once
more: 5 to 16 % of a product of 1,500 tokens. The operators are those that `torch.compile` makes of a
linear layer. They are not part of PyTorch's public interface, so they are tried once; in a release
without them, or where they compute something else, the products are plain ones.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn.functional import gelu, linear


class PackedLinear:
    """``values @ weight.T + bias`` in the number format of all three; without gradients."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Take a weight (out, in) and a bias (out,)."""
        self._packed = packs()
        self._weight = _operators()._reorder_linear_weight(weight) if self._packed else weight
        self._bias = bias

    def product(self, values: torch.Tensor) -> torch.Tensor:
        """Values (..., in) to (..., out)."""
        if self._packed:
            return self._pointwise(values, "none", [], "")
        return linear(values, self._weight, self._bias)

    def active(self, values: torch.Tensor) -> torch.Tensor:
        """The exact GELU of the product."""
        if self._packed:
            return self._pointwise(values, "gelu", [], "none")
        return gelu(linear(values, self._weight, self._bias))

    def added_to(self, others: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """The product and ``others`` (..., out), which stay as they are."""
        if self._packed:
            binary = _operators()._linear_pointwise.binary
            sums: torch.Tensor = binary(values, others, self._weight, self._bias, "add")
            return sums
        return linear(values, self._weight, self._bias).add_(others)

    def _pointwise(self, values: torch.Tensor, *then: Any) -> torch.Tensor:
        operator = _operators()._linear_pointwise
        found: torch.Tensor = operator(values, self._weight, self._bias, *then)
        return found


@functools.cache
def packs() -> bool:
    """Whether this PyTorch has the operators, and they compute what plain ones do."""
    values = torch.linspace(-2, 2, 32 * 64, dtype=torch.bfloat16).view(32, 64)
    weight, bias = values.roll(7) / 8, values[0, :32]
    try:
        packed = _operators()._reorder_linear_weight(weight)
        call = _operators()._linear_pointwise
        found = (
            call(values, packed, bias, "none", [], ""),
            call(values, packed, bias, "gelu", [], "none"),
            call.binary(values, weight[:, :32], packed, bias, "add"),
        )
    except (AttributeError, RuntimeError, TypeError):
        return False
    plain = linear(values, weight, bias)
    expected = plain, gelu(plain), plain + weight[:, :32]
    return all(
        torch.allclose(one.float(), other.float(), atol=0.05, rtol=0.02)
        for one, other in zip(found, expected, strict=True)
    )


def _operators() -> Any:
    return torch.ops.mkldnn
