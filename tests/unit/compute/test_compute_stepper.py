"""One optimiser step, held against PyTorch's own pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from compute_helpers import make_job, make_texts

from imfl_engine.compute.devices import Device
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.stepper import Stepper
from imfl_engine.compute.team import ALONE

RECIPE = Recipe(epochs=1, learning_rate=0.1, head_learning_rate=0.1, batch_size=4, warmup=0.0)


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
def test_gradients_are_clipped_as_torch_clips_them(scale: float, tmp_path: Path) -> None:
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(torch.ones(1, 6)) for _ in range(2))
    cpu = Device(torch.device("cpu"), torch.float32, 1)
    spec = make_job(tmp_path, make_texts())
    stepper = Stepper(cpu, spec, RECIPE, Parameters([ours], []), 3, 4, ALONE)
    group = {
        "params": [theirs],
        "lr": spec.learning_rate or 0.1,
        "weight_decay": RECIPE.weight_decay,
    }
    optimiser = torch.optim.AdamW([group])

    def loss(weight: torch.nn.Parameter, rows: np.ndarray) -> torch.Tensor:
        return scale * (torch.tanh(features[rows] @ weight.T) ** 2).sum()

    for step in range(3):
        rows = np.arange(4)
        stepper.step(rows, lambda part: loss(ours, part), lambda: False)
        (loss(theirs, rows) / 4).backward()
        torch.nn.utils.clip_grad_norm_([theirs], RECIPE.gradient_norm)
        for settings in optimiser.param_groups:
            settings["lr"] = group["lr"] * (min(1.0, (3 - step) / 2))
        optimiser.step()
        optimiser.zero_grad()
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
