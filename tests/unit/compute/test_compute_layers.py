"""What replaces an encoder's layers on a CPU computes what they computed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd.graph import increment_version
from transformers import AutoConfig, AutoModel

from imfl_engine.compute.half_precision import HalfLayerNorm, HalfLinear, halve
from imfl_engine.compute.padded_attention import mask_always
from imfl_engine.compute.short_attention import LONGEST, NAME, shorten

BERT_SIZES = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
DISTILBERT_SIZES = {"vocab_size": 100, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
KINDS = ("bert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta")


def tiny(kind: str) -> Any:
    """An encoder of random weights that attends by the fused kernel where it can."""
    torch.manual_seed(0)
    sizes = DISTILBERT_SIZES if kind == "distilbert" else BERT_SIZES
    config = AutoConfig.for_model(kind, **sizes, pad_token_id=0, max_position_embeddings=300)
    return AutoModel.from_config(config).eval()


def batch(width: int, rows: int = 3) -> dict[str, torch.Tensor]:
    """Texts of different lengths, padded on the right."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 100, (rows, width), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(rows):
        mask[row, width - row * 5 :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def states(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The last layer's states of all tokens that are not padding, in float32."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_half_layers(model)):
        hidden = model(**inputs).last_hidden_state.float()
    return hidden[inputs["attention_mask"].bool()]


def has_half_layers(model: Any) -> bool:
    return any(isinstance(module, HalfLinear) for module in model.modules())


@pytest.mark.parametrize("width", [20, LONGEST + 30])
@pytest.mark.parametrize("kind", KINDS)
def test_short_attention_is_attention_in_every_architecture(kind: str, width: int) -> None:
    plain, short = tiny(kind), tiny(kind)
    shorten(short)
    with torch.no_grad():
        expected, found = states(plain, batch(width)), states(short, batch(width))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_for_every_batch_is_the_same_attention(kind: str) -> None:
    plain, masked = tiny(kind), tiny(kind)
    mask_always(masked)
    full = {"input_ids": torch.full((2, 20), 7), "attention_mask": torch.ones(2, 20, dtype=int)}
    with torch.no_grad():
        for inputs in (batch(20), full):
            torch.testing.assert_close(states(masked, inputs), states(plain, inputs))


def test_it_is_our_attention_that_is_tested() -> None:
    model = tiny("bert")
    shorten(model)
    assert model.config._attn_implementation == NAME


def test_the_attention_of_this_process_is_not_written_into_a_checkpoint(tmp_path: Path) -> None:
    model = tiny("bert")
    shorten(model)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_half_layers_differ_from_float32_by_bfloat16_s_rounding(kind: str) -> None:
    plain, half = tiny(kind), tiny(kind)
    shorten(half)
    halve(half)
    assert has_half_layers(half)
    with torch.no_grad():
        expected, found = states(plain, batch(20)), states(half, batch(20))
    cosine = torch.nn.functional.cosine_similarity(expected, found, dim=-1)
    assert cosine.min() > 0.995


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_float32_but_for_rounding(kind: str) -> None:
    gradients = []
    for change in (False, True):
        model = tiny(kind)
        if change:
            shorten(model)
            halve(model)
        (states(model, batch(20)) ** 3).sum().backward()
        gradients.append(
            {
                name: weight.grad
                for name, weight in model.named_parameters()
                if weight.grad is not None
            }
        )
    assert gradients[0].keys() == gradients[1].keys()
    for gradient in gradients[1].values():
        assert gradient.dtype is torch.float32
        assert gradient.is_contiguous()
    flat = [torch.cat([one.flatten() for one in some.values()]) for some in gradients]
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.99


def test_weights_that_were_changed_are_cast_anew() -> None:
    layer = torch.nn.Linear(64, 64)
    halve(torch.nn.Sequential(layer))
    values = torch.randn(2, 64)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    def check() -> None:
        exact = torch.nn.functional.linear(values, layer.weight, layer.bias)
        torch.testing.assert_close(layer(values).float(), exact, atol=0.1, rtol=0.05)
        with torch.no_grad():
            torch.testing.assert_close(layer(values).float(), exact, atol=0.1, rtol=0.05)

    for _ in range(3):
        check()
        before = layer(values)
        before.float().sum().backward()
        optimiser.step()
        increment_version(layer.parameters())  # as the stepper does
        assert (before - layer(values)).abs().max() > 0.1
    with torch.no_grad():
        layer.weight.zero_()
    check()


def test_a_copy_casts_its_own_weights() -> None:
    layer = torch.nn.Linear(64, 64)
    halve(torch.nn.Sequential(layer))
    values = torch.ones(1, 64)
    with torch.no_grad():
        layer.weight.mul_(1.0)  # the original has counted a change
        layer(values)
        twin = copy.deepcopy(layer)
        twin.weight.zero_()
        twin.bias.zero_()
        assert not twin(values).any()
        assert layer(values).any()


def test_heads_stay_in_float32() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 3))
    halve(model)
    assert type(model[0]) is HalfLinear
    assert type(model[1]) is torch.nn.Linear


def test_a_layer_norm_returns_what_flows_between_layers() -> None:
    norm = torch.nn.LayerNorm(64)
    halve(torch.nn.Sequential(norm))
    assert type(norm) is HalfLayerNorm
    assert norm(torch.randn(2, 64)).dtype is torch.bfloat16
