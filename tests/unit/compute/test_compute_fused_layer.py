"""A layer that is one step of autograd is the layer it replaces, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from imfl_engine.compute.dropout import pool_dropout
from imfl_engine.compute.fused_layer import FusedLayer, fuse
from imfl_engine.compute.half_precision import LOW, halve
from imfl_engine.compute.layer_function import LayerFunction
from imfl_engine.compute.recomputing import recompute_layers
from imfl_engine.compute.short_attention import LONGEST, shorten

KINDS = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
SIZES = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 300,
    "pad_token_id": 0,
}


def model(kind: str = "bert", *, fused: bool, pooled: bool = True, **settings: Any) -> Any:
    """An encoder of random weights as a CPU with bfloat16 trains it."""
    torch.manual_seed(0)
    made = AutoModel.from_config(AutoConfig.for_model(kind, **{**SIZES, **settings})).train()
    for parameter in made.parameters():
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)  # no bias and norm is as new
    shorten(made)
    halve(made)
    if fused:
        fuse(made)
    if pooled:
        pool_dropout(made, 0, LOW)
    return made


def batch(width: int, *, padded: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 100, (3, width), generator=generator)
    mask = torch.ones_like(ids)
    if padded:
        mask[1, width - 5 :] = mask[2, width // 2 :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def states_and_gradients(
    encoder: Any, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    with torch.autocast("cpu", torch.bfloat16):
        states = encoder(**inputs).last_hidden_state
    (states.float() ** 3)[inputs["attention_mask"].bool()].sum().backward()
    found = {
        name: weight.grad for name, weight in encoder.named_parameters() if weight.grad is not None
    }
    return states.detach(), found


def is_one_step(states: torch.Tensor) -> bool:
    return type(states.grad_fn).__name__ == f"{LayerFunction.__name__}Backward"


def layer_output(encoder: Any, width: int = 20) -> torch.Tensor:
    layer = next(module for module in encoder.modules() if isinstance(module, FusedLayer))
    states: torch.Tensor = layer(torch.randn(2, width, 64).to(LOW), attention_mask=None)
    return states


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
