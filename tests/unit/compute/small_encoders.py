"""Encoders of random weights, set up as a CPU with bfloat16 trains them."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from imfl_engine.compute.dropout import pool_dropout
from imfl_engine.compute.fused_layer import FusedLayer, fuse
from imfl_engine.compute.half_precision import LOW, halve
from imfl_engine.compute.short_attention import shorten

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


def layer_output(encoder: Any, width: int = 20) -> torch.Tensor:
    layer = next(module for module in encoder.modules() if isinstance(module, FusedLayer))
    states: torch.Tensor = layer(torch.randn(2, width, 64).to(LOW), attention_mask=None)
    return states
