"""A layer that is one step of autograd is the layer it replaces, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_encoders import batch, layer_output, model, states_and_gradients

from imfl_engine.compute.fused_layer import fuse
from imfl_engine.compute.half_precision import LOW
from imfl_engine.compute.layer_function import LayerFunction
from imfl_engine.compute.recomputing import recompute_layers
from imfl_engine.compute.short_attention import LONGEST

KINDS = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


def is_one_step(states: torch.Tensor) -> bool:
    return type(states.grad_fn).__name__ == f"{LayerFunction.__name__}Backward"


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("width", [20, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_and_teaches_what_the_layer_of_transformers_does(
    kind: str, width: int, padded: bool
) -> None:
    inputs = batch(width, padded=padded)
    expected, gradients = states_and_gradients(model(kind, fused=False), inputs)
    found, ours = states_and_gradients(model(kind, fused=True), inputs)
    assert torch.equal(found, expected)
    assert ours.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert ours[name].dtype is torch.float32
        assert ours[name].is_contiguous()
        if "key.bias" not in name:  # that changes no weight of attention; its gradient is rounding
            cosine = torch.nn.functional.cosine_similarity(
                ours[name].flatten(), gradient.flatten(), dim=0
            )
            assert cosine > 0.999, name
            assert ours[name].norm() == pytest.approx(gradient.norm().item(), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_one_step_that_is_tested(kind: str) -> None:
    assert is_one_step(layer_output(model(kind, fused=True)))


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({"hidden_act": "gelu_new"}, None),
        ({"is_decoder": True}, None),
        ({"chunk_size_feed_forward": 4}, None),
        ({}, lambda encoder: encoder.set_attn_implementation("sdpa")),
        ({}, recompute_layers),
    ],
    ids=["another activation", "a decoder", "chunks", "another attention", "recomputed"],
)
def test_what_it_does_not_cover_is_left_to_the_layer(
    settings: dict[str, Any], change: Callable[[Any], Any] | None
) -> None:
    encoder = model(fused=True, **settings)
    if change is not None:
        change(encoder)
    assert not is_one_step(layer_output(encoder))


def test_longer_texts_are_left_to_the_layer() -> None:
    encoder = model(fused=True)
    assert is_one_step(layer_output(encoder, LONGEST))
    assert not is_one_step(layer_output(encoder, LONGEST + 1))


def test_dropout_that_is_not_pooled_is_left_to_the_layer() -> None:
    encoder = model(fused=True, pooled=False)
    assert not is_one_step(layer_output(encoder))
    assert is_one_step(layer_output(encoder.eval()))


def test_recomputed_layers_teach_the_same() -> None:
    inputs = batch(20, padded=True)
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    once, again = model(fused=True, **quiet), model(fused=True, **quiet)
    recompute_layers(again)
    expected, gradients = states_and_gradients(once, inputs)
    found, ours = states_and_gradients(again, inputs)
    assert torch.equal(found, expected)
    assert all(torch.equal(ours[name], gradients[name]) for name in gradients)


def test_below_the_first_layer_no_gradient_is_computed_where_nothing_learns() -> None:
    encoder = model(fused=True)
    encoder.embeddings.requires_grad_(False)
    _, gradients = states_and_gradients(encoder, batch(20, padded=True))
    assert not any(name.startswith("embeddings") for name in gradients)
    assert "encoder.layer.0.attention.self.query.weight" in gradients


def test_names_and_weights_stay_and_a_copy_is_a_fused_one_of_its_own() -> None:
    plain, encoder = model(fused=False), model(fused=True)
    fuse(encoder)  # a second time changes nothing
    assert list(encoder.state_dict()) == list(plain.state_dict())
    twin = copy.deepcopy(encoder)
    before = layer_output(encoder.eval())
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    torch.manual_seed(0)
    states = torch.randn(2, 20, 64).to(LOW)
    assert not twin.encoder.layer[0](states, attention_mask=None).any()
    assert encoder.encoder.layer[0](states, attention_mask=None).any()
    assert before.any()
