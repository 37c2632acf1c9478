"""A layer without gradients is the layer it replaces, with the weights as they are now."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compute_helpers import make_job, make_texts
from small_encoders import batch, model, states_and_gradients

from imfl_engine.compute import packed_linear
from imfl_engine.compute.devices import Device
from imfl_engine.compute.packed_linear import PackedLinear
from imfl_engine.compute.reading_layer import ReadingLayer
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.room import Room
from imfl_engine.compute.short_attention import LONGEST
from imfl_engine.compute.stepper import Stepper
from imfl_engine.compute.team import ALONE

KINDS = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
RECIPE = Recipe(epochs=1, learning_rate=0.01, head_learning_rate=0.01, batch_size=3, warmup=0.0)


@pytest.fixture(params=["packed", "plain"], autouse=True)
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the operators that lay weights out, and as in a PyTorch that has none of them."""
    if request.param == "plain":
        monkeypatch.setattr(packed_linear, "packs", lambda: False)
    elif not packed_linear.packs():
        pytest.skip("this PyTorch has no such operators")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the states that our layer was given."""
    seen: list[tuple[int, ...]] = []
    original = ReadingLayer.read

    def noted(self: ReadingLayer, states: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(tuple(states.shape))
        return original(self, states, *rest)

    monkeypatch.setattr(ReadingLayer, "read", noted)
    return seen


def states(encoder: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of what is no padding, in float32."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        hidden = encoder(**inputs).last_hidden_state.float()
    return hidden[inputs["attention_mask"].bool()]


def assert_alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    """But for the rounding of bfloat16."""
    cosine = torch.nn.functional.cosine_similarity(found, expected, dim=-1)
    assert cosine.min() > 0.999
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("width", [20, 33, LONGEST, LONGEST + 20])
@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_the_layer_of_transformers_does(
    kind: str, width: int, padded: bool, read: list[tuple[int, ...]]
) -> None:
    inputs = batch(width, padded=padded)
    expected = states(model(kind, fused=False).eval(), inputs)
    assert not read
    assert_alike(states(model(kind, fused=True).eval(), inputs), expected)
    assert read == [(3, width, 64)] * 2


def test_a_text_is_read_the_same_whatever_it_is_padded_to() -> None:
    encoder = model(fused=True).eval()
    ids = torch.randint(5, 100, (1, 12))
    alone = states(encoder, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    for width in (20, 40, LONGEST + 20):
        padding = torch.zeros(1, width - 12, dtype=ids.dtype)
        inputs = {
            "input_ids": torch.cat([ids, padding], 1),
            "attention_mask": torch.cat([torch.ones_like(ids), padding], 1),
        }
        assert_alike(states(encoder, inputs), alone)


@pytest.mark.parametrize("fused", [True, False])
def test_weights_that_were_trained_are_read(fused: bool, tmp_path: Path) -> None:
    encoder = model(fused=fused).eval()  # no call of train() says that the weights change
    inputs = batch(20, padded=True)
    weights = Parameters([weight for weight in encoder.parameters() if weight.requires_grad], [])
    cpu, room = Device(torch.device("cpu"), torch.bfloat16, 1), Room(np.full(3, 20))
    stepper = Stepper(cpu, make_job(tmp_path, make_texts()), RECIPE, weights, 4, room, ALONE)

    def loss(_: Any) -> torch.Tensor:
        total: torch.Tensor = (encoder(**inputs).last_hidden_state.float() ** 3).sum()
        return total

    before = states(encoder, inputs)
    for _ in range(3):
        stepper.step(np.arange(3), loss, lambda: False)
        found = states(encoder, inputs)
        assert not torch.equal(found, before)
        assert torch.equal(found, states(copy.deepcopy(encoder), inputs))
        before = found


def test_weights_changed_in_place_are_read() -> None:
    encoder = model(fused=True).eval()
    inputs = batch(20, padded=True)
    states(encoder, inputs)
    with torch.no_grad():
        for weight in encoder.encoder.layer[1].output.LayerNorm.parameters():
            weight.zero_()
    assert not states(encoder, inputs).any()


def test_a_model_that_was_read_with_can_be_trained() -> None:
    encoder, fresh = model(fused=True), model(fused=True)
    for trained in (encoder, fresh):
        trained.eval()
    states(encoder, batch(33, padded=True))
    found, gradients = states_and_gradients(encoder, batch(20, padded=True))
    expected, others = states_and_gradients(fresh, batch(20, padded=True))
    assert torch.equal(found, expected)
    assert all(torch.equal(gradients[name], others[name]) for name in others)


def test_dropout_is_left_to_the_layer(read: list[tuple[int, ...]]) -> None:
    encoder = model(fused=True)
    inputs = batch(20, padded=True)
    assert not torch.equal(states(encoder, inputs), states(encoder, inputs))
    assert not read


def test_a_layer_that_is_trained_keeps_no_second_form_of_its_weights() -> None:
    layer = model(fused=True).eval().encoder.layer[0]
    for kept in (layer.reading, layer.output.dense.packed):
        made = kept.of([], object)
        assert kept.of([], object) is made
        layer.eval()
        assert kept.of([], object) is made
        layer.train()
        assert kept.of([], object) is not made


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 48), (7, 48), (2, 5, 48)])
def test_products_are_plain_ones(shape: tuple[int, ...], bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=generator).to(torch.bfloat16)

    values, weight, added = drawn(*shape), drawn(40, 48), drawn(*shape[:-1], 40)
    its_bias = drawn(40) if bias else None
    with torch.no_grad():
        packed = PackedLinear(weight, its_bias)
        exact = torch.nn.functional.linear(
            values.float(), weight.float(), None if its_bias is None else its_bias.float()
        )
        kept = added.clone()
        for found, expected in (
            (packed.product(values), exact),
            (packed.active(values), torch.nn.functional.gelu(exact)),
            (packed.added_to(added, values), exact + added.float()),
        ):
            assert found.dtype is torch.bfloat16
            torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.02)
        assert torch.equal(added, kept)
