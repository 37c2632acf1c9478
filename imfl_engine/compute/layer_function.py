"""A layer of BERT as one step of autograd, forward and its way back written out.

Forward it is the arithmetic of ``transformers``' layer in the same number formats, bit by bit, but that
query, key and value come from one product; backward it differs by rounding. What the way back does not
need is not kept, and what is of any size is written where the step before had it (`workspace`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from imfl_engine.compute.half_precision import LOW
from imfl_engine.compute.short_attention import masked_scores, weights_of
from imfl_engine.compute.workspace import LayerSpace, Workspace

gelu = torch.ops.aten.gelu.out
norm_backward = torch.ops.aten.native_layer_norm_backward
gelu_backward = torch.ops.aten.gelu_backward.grad_input
softmax_backward = torch.ops.aten._softmax_backward_data.out


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
        space: LayerSpace,
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        """The layer's states for ``states``, with an additive ``mask`` and what is ``dropped``."""
        batch, length, width = states.shape
        of = Weights(*weights)
        wide = of.up.shape[0]
        rows = states.reshape(-1, width)
        tokens = len(rows)
        split = batch, heads, length, width // heads
        square = batch * heads, length, length
        own = space.borrow()
        take, take_passing = own.take, space.passing.take

        inward = end_to_end(take("inward", 3, width, width), of.query, of.key, of.value)
        biases = of.query_bias, of.key_bias, of.value_bias
        inward_bias = end_to_end(take_passing("inward bias", 3, width), *biases)
        projected = take_passing("projected", tokens, 3 * width)
        torch.addmm(inward_bias, rows, inward.t(), out=projected)
        query, key, value = by_head(projected, take("heads", 3, *split))
        query.mul_(scaling(width, heads))
        scores = masked_scores(query, key, mask, 1.0, out=take_passing("scores", *square))
        attention = weights_of(scores, out=take("attention", *square))
        mixed = torch.bmm(attention, value, out=take_passing("mixed", *value.shape))
        found = by_token(mixed[None], take("found", batch, length, 1, heads, width // heads))

        # Weights are cast where they are used, which finds them in a cache.
        out = take("out", width, width).copy_(of.out)
        first = torch.addmm(of.out_bias.to(LOW), found, out.t(), out=take("first", tokens, width))
        first = drop_(first, dropped[0]).add_(rows)
        between, *first_norm = torch.native_layer_norm(first, [width], of.norm, of.norm_bias, eps)
        up = take("up", wide, width).copy_(of.up)
        inner = torch.addmm(of.up_bias.to(LOW), between, up.t(), out=take("inner", tokens, wide))
        active = gelu(inner, out=take("active", tokens, wide))
        down = take("down", width, wide).copy_(of.down)
        second = take("second", tokens, width)
        torch.addmm(of.down_bias.to(LOW), active, down.t(), out=second)
        second = drop_(second, dropped[1]).add_(between)
        result, *second_norm = torch.native_layer_norm(second, [width], of.last, of.last_bias, eps)

        context.sizes = batch, heads
        context.space, context.own = space, own
        # Not saved by autograd, which takes memory that is written at every step for a mistake.
        context.kept = Kept(
            *(inward, out, up, down, of.norm, of.norm_bias, of.last, of.last_bias),
            *(rows, query, key, value, attention, found, dropped[0], first, *first_norm),
            *(between, inner, active, dropped[1], second, *second_norm),
        )
        return result.view(states.shape)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of the states and, in float32, of the `Weights`; possible once."""
        (given,) = gradients
        batch, heads = context.sizes
        kept: Kept = context.kept
        passing: Workspace = context.space.passing
        take = passing.take
        tokens, width = kept.rows.shape
        length = tokens // batch

        second, last, last_bias = norm_backward(
            given.reshape(-1, width),
            *(kept.second, [width], kept.second_mean, kept.second_scale, kept.last, kept.last_bias),
            [True] * 3,
        )
        lower = dropped_like(second, kept.second_dropped, passing)
        down, down_bias = of_weights(lower, kept.active, passing)
        active = torch.mm(lower, kept.down, out=take("active", *kept.active.shape))
        inner = gelu_backward(active, kept.inner, grad_input=take("inner", *kept.inner.shape))
        up, up_bias = of_weights(inner, kept.between, passing)
        first, norm, norm_bias = norm_backward(
            torch.addmm(second, inner, kept.up, out=take("first", tokens, width)),
            *(kept.first, [width], kept.first_mean, kept.first_scale, kept.norm, kept.norm_bias),
            [True] * 3,
        )
        lower = dropped_like(first, kept.first_dropped, passing)
        out, out_bias = of_weights(lower, kept.found, passing)

        rows = torch.mm(lower, kept.out, out=take("rows", tokens, width))
        (found,) = by_head(rows, take("found", 1, batch, heads, length, width // heads))
        attention = take("attention", *kept.attention.shape)
        torch.bmm(found, kept.value.transpose(1, 2), out=attention)
        scores = take("scores", *kept.attention.shape)
        softmax_backward(attention, kept.attention, -1, LOW, grad_input=scores)
        split = take("split", 3, *found.shape)
        torch.bmm(scores, kept.key, out=split[0]).mul_(scaling(width, heads))
        torch.bmm(scores.transpose(1, 2), kept.query, out=split[1])
        torch.bmm(kept.attention.transpose(1, 2), found, out=split[2])
        projected = by_token(split, take("projected", batch, length, 3, heads, width // heads))
        inward, inward_bias = of_weights(projected, kept.rows, passing)
        states = None
        if context.needs_input_grad[0]:
            states = torch.addmm(first, projected, kept.inward).view(given.shape)
        context.kept = None
        context.space.give_back(context.own)
        query, key, value = inward.chunk(3)
        query_bias, key_bias, value_bias = inward_bias.chunk(3)
        weights = Weights(
            *(query, query_bias, key, key_bias, value, value_bias, out, out_bias, norm, norm_bias),
            *(up, up_bias, down, down_bias, last, last_bias),
        )
        return states, None, None, None, None, None, *weights


def scaling(width: int, heads: int) -> float:
    """What scores of attention are multiplied with."""
    return float((width // heads) ** -0.5)


def end_to_end(whole: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
    """``parts`` of one shape in ``whole``, one after the other along their first dimension."""
    for place, part in zip(whole, parts, strict=True):
        place.copy_(part)
    return whole.flatten(0, 1)


def drop_(values: torch.Tensor, dropped: torch.Tensor | None) -> torch.Tensor:
    """Multiply ``values`` with ``dropped``, in place, if there is dropout."""
    return values if dropped is None else values.mul_(dropped)


def dropped_like(
    gradient: torch.Tensor, dropped: torch.Tensor | None, passing: Workspace
) -> torch.Tensor:
    """The gradient (rows, width) of what was multiplied with ``dropped``."""
    if dropped is None:
        return gradient
    return torch.mul(gradient, dropped, out=passing.take("dropped", *gradient.shape))


def by_head(rows: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """``rows`` (b · t, parts · width) in ``moved`` (parts, b, heads, t, width / heads).

    Returned as (parts, b · heads, t, width / heads).
    """
    parts, batch, heads, length, size = moved.shape
    moved.copy_(rows.view(batch, length, parts, heads, size).permute(2, 0, 3, 1, 4))
    return moved.view(parts, batch * heads, length, size)


def by_token(moved: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """What `by_head` returns in ``rows`` (b, t, parts, heads, width / heads).

    Returned as (b · t, parts · width).
    """
    batch, length, parts, heads, size = rows.shape
    rows.copy_(moved.view(parts, batch, heads, length, size).permute(1, 3, 0, 2, 4))
    return rows.view(batch * length, parts * heads * size)


def of_weights(
    gradient: torch.Tensor, values: torch.Tensor, passing: Workspace
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients in float32 of a linear layer's weight (out, in) and bias (out,).

    ``gradient`` (rows, out) is that of what it made of ``values`` (rows, in).
    """
    low = passing.take("weights", gradient.shape[1], values.shape[1])
    return torch.mm(gradient.t(), values, out=low).float(), gradient.sum(0).float()
