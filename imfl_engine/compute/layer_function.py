"""A layer of BERT as one step of autograd, forward and its way back written out.

Forward it is the arithmetic of ``transformers``' layer in the same number formats, bit by bit, but that
query, key and value come from one product; backward it differs by rounding. What the way back does not
need is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import gelu, linear

from imfl_engine.compute.half_precision import LOW
from imfl_engine.compute.short_attention import weights_of

norm_backward = torch.ops.aten.native_layer_norm_backward
gelu_backward = torch.ops.aten.gelu_backward
softmax_backward = torch.ops.aten._softmax_backward_data


class Weights(NamedTuple):
    """Of a layer in float32, linear ones (out, in), in the order in which values come to them."""

    query: torch.Tensor
    query_bias: torch.Tensor
    key: torch.Tensor
    key_bias: torch.Tensor
    value: torch.Tensor
    value_bias: torch.Tensor
    out: torch.Tensor
    out_bias: torch.Tensor
    norm: torch.Tensor
    norm_bias: torch.Tensor
    up: torch.Tensor
    up_bias: torch.Tensor
    down: torch.Tensor
    down_bias: torch.Tensor
    last: torch.Tensor
    last_bias: torch.Tensor


class Kept(NamedTuple):
    """What the way back needs: weights in bfloat16, states and what they were multiplied with.

    Rows are tokens, (b · t, width), and (b · heads, t, width / heads) or (b · heads, t, t) within
    attention.
    """

    inward: torch.Tensor
    out: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor
    norm: torch.Tensor
    norm_bias: torch.Tensor
    last: torch.Tensor
    last_bias: torch.Tensor
    rows: torch.Tensor
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attention: torch.Tensor
    found: torch.Tensor
    first_dropped: torch.Tensor | None
    first: torch.Tensor
    first_mean: torch.Tensor
    first_scale: torch.Tensor
    between: torch.Tensor
    inner: torch.Tensor
    active: torch.Tensor
    second_dropped: torch.Tensor | None
    second: torch.Tensor
    second_mean: torch.Tensor
    second_scale: torch.Tensor


class LayerFunction(torch.autograd.Function):  # type: ignore[misc]
    """States (b, t, width) in bfloat16 to states; float32 weights, which get float32 gradients."""

    @staticmethod
    def forward(
        context: Any,
        states: torch.Tensor,
        mask: torch.Tensor | None,
        heads: int,
        eps: float,
        dropped: Sequence[torch.Tensor | None],
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        """The layer's states for ``states``, with an additive ``mask`` and what is ``dropped``."""
        batch, length, width = states.shape
        of = Weights(*weights)
        inward = end_to_end(of.query, of.key, of.value)
        inward_bias = end_to_end(of.query_bias, of.key_bias, of.value_bias)
        out, up, down = of.out.to(LOW), of.up.to(LOW), of.down.to(LOW)

        rows = states.reshape(-1, width)
        query, key, value = by_head(linear(rows, inward, inward_bias), batch, heads, parts=3)
        query.mul_(scaling(width, heads))
        scores = query @ key.transpose(1, 2)
        if mask is not None:
            scores.view(batch, heads, length, length).add_(mask)
        attention = weights_of(scores)
        found = by_token((attention @ value)[None], batch, heads)
        first = linear(found, out, of.out_bias.to(LOW))
        first = drop_(first, dropped[0]).add_(rows)
        between, *first_norm = torch.native_layer_norm(first, [width], of.norm, of.norm_bias, eps)
        inner = linear(between, up, of.up_bias.to(LOW))
        active = gelu(inner)
        second = linear(active, down, of.down_bias.to(LOW))
        second = drop_(second, dropped[1]).add_(between)
        result, *second_norm = torch.native_layer_norm(second, [width], of.last, of.last_bias, eps)

        context.sizes = batch, heads
        context.save_for_backward(
            *Kept(
                *(inward, out, up, down, of.norm, of.norm_bias, of.last, of.last_bias),
                *(rows, query, key, value, attention, found, dropped[0], first, *first_norm),
                *(between, inner, active, dropped[1], second, *second_norm),
            )
        )
        return result.view(states.shape)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of the states and, in float32, of the `Weights`."""
        (given,) = gradients
        batch, heads = context.sizes
        kept = Kept(*context.saved_tensors)
        width = given.shape[-1]

        second, last, last_bias = norm_backward(
            given.reshape(-1, width),
            *(kept.second, [width], kept.second_mean, kept.second_scale, kept.last, kept.last_bias),
            [True] * 3,
        )
        lower = second if kept.second_dropped is None else second * kept.second_dropped
        down, down_bias = of_weights(lower, kept.active)
        inner = gelu_backward(lower @ kept.down, kept.inner)
        up, up_bias = of_weights(inner, kept.between)
        first, norm, norm_bias = norm_backward(
            torch.addmm(second, inner, kept.up),
            *(kept.first, [width], kept.first_mean, kept.first_scale, kept.norm, kept.norm_bias),
            [True] * 3,
        )
        lower = first if kept.first_dropped is None else first * kept.first_dropped
        out, out_bias = of_weights(lower, kept.found)

        (found,) = by_head(lower @ kept.out, batch, heads, parts=1)
        scores = softmax_backward(found @ kept.value.transpose(1, 2), kept.attention, -1, LOW)
        mixed = torch.empty(3, *found.shape, dtype=LOW)
        torch.bmm(scores, kept.key, out=mixed[0])
        mixed[0].mul_(scaling(width, heads))
        torch.bmm(scores.transpose(1, 2), kept.query, out=mixed[1])
        torch.bmm(kept.attention.transpose(1, 2), found, out=mixed[2])
        inward_rows = by_token(mixed, batch, heads)
        inward, inward_bias = of_weights(inward_rows, kept.rows)
        states = None
        if context.needs_input_grad[0]:
            states = torch.addmm(first, inward_rows, kept.inward).view(given.shape)
        query, key, value = inward.chunk(3)
        query_bias, key_bias, value_bias = inward_bias.chunk(3)
        weights = Weights(
            *(query, query_bias, key, key_bias, value, value_bias, out, out_bias, norm, norm_bias),
            *(up, up_bias, down, down_bias, last, last_bias),
        )
        return states, None, None, None, None, *weights


def scaling(width: int, heads: int) -> float:
    """What scores of attention are multiplied with."""
    return float((width // heads) ** -0.5)


def end_to_end(*parts: torch.Tensor) -> torch.Tensor:
    """``parts`` of one shape in bfloat16, one after the other along their first dimension."""
    whole = torch.empty(len(parts), *parts[0].shape, dtype=LOW)
    for place, part in zip(whole, parts, strict=True):
        place.copy_(part)
    return whole.flatten(0, 1)


def drop_(values: torch.Tensor, dropped: torch.Tensor | None) -> torch.Tensor:
    """Multiply ``values`` with ``dropped``, in place, if there is dropout."""
    return values if dropped is None else values.mul_(dropped)


def by_head(rows: torch.Tensor, batch: int, heads: int, *, parts: int) -> torch.Tensor:
    """(b · t, parts · width) to (parts, b · heads, t, width / heads)."""
    split = rows.view(batch, -1, parts, heads, rows.shape[1] // parts // heads)
    moved = split.permute(2, 0, 3, 1, 4).contiguous()
    return moved.view(parts, batch * heads, *moved.shape[3:])


def by_token(moved: torch.Tensor, batch: int, heads: int) -> torch.Tensor:
    """What `by_head` returns, back to (b · t, parts · width)."""
    parts, _, length, size = moved.shape
    split = moved.view(parts, batch, heads, length, size).permute(1, 3, 0, 2, 4)
    return split.reshape(batch * length, parts * heads * size)


def of_weights(gradient: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients in float32 of a linear layer's weight (out, in) and bias (out,).

    ``gradient`` (rows, out) is that of what it made of ``values`` (rows, in).
    """
    return (gradient.t() @ values).float(), gradient.sum(0).float()
