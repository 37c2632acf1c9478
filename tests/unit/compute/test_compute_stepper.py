"""One optimiser step, held against PyTorch's own pieces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compute_helpers import make_job, make_texts
from torch.utils._python_dispatch import TorchDispatchMode

from imfl_engine.compute import encoder
from imfl_engine.compute.checkpoints import CheckpointRecord
from imfl_engine.compute.devices import Device
from imfl_engine.compute.finetune import parameters_of
from imfl_engine.compute.models import Workshop
from imfl_engine.compute.optimise import WeightedLoss
from imfl_engine.compute.padded_attention import mask_always
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.room import Room
from imfl_engine.compute.stepper import Stepper
from imfl_engine.compute.team import ALONE
from imfl_engine.compute.tokens import encode

TEXTS = make_texts()
CPU = Device(torch.device("cpu"), torch.float32, 1)
RECIPE = Recipe(epochs=1, learning_rate=0.1, head_learning_rate=0.1, batch_size=4, warmup=0.0)


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
def test_gradients_are_clipped_as_torch_clips_them(scale: float, tmp_path: Path) -> None:
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(torch.ones(1, 6)) for _ in range(2))
    spec = make_job(tmp_path, TEXTS)
    stepper = Stepper(
        CPU, spec, RECIPE, Parameters([ours], []), 3, Room(np.ones(4, np.int64)), ALONE
    )
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


class HostReads(TorchDispatchMode):  # type: ignore[misc]
    """Counts how often the host asks for a value, for which it would wait on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        self.count += function in READS
        return function(*arguments, **(options or {}))


READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)


def steps_of(workshop: Workshop, folder: Path) -> Callable[[], object]:
    """A function that does one step of a MiniLM fine-tune, as a GPU would be given it."""
    spec = make_job(folder, TEXTS)
    record = CheckpointRecord("encoder", spec.kind, spec.labels, "minilm", 32, pooling="mean")
    model, tokenizer = encoder.new_classifier(workshop, "minilm", record, 0)
    model.body.set_attn_implementation("sdpa")
    mask_always(model.body)
    tokens = encode(tokenizer, spec.inputs, max_length=32, task=spec.kind)
    rows = encoder.rows_by(model, tokens, workshop.device.torch_device)
    loss = WeightedLoss(spec, workshop.device)
    parameters = parameters_of(model, freeze_words=True)
    stepper = Stepper(workshop.device, spec, RECIPE, parameters, 9, Room(tokens.lengths), ALONE)
    return lambda: stepper.step(np.arange(4), lambda some: loss(some, rows(some)), lambda: False)


def test_a_step_asks_the_device_for_no_value(tmp_path: Path) -> None:
    step = steps_of(Workshop(CPU, tmp_path), tmp_path)
    step()
    with HostReads() as reads:
        step()
        torch.ones(1).item()
    assert reads.count == 1


@pytest.mark.gpu
def test_a_step_on_a_gpu_waits_for_nothing(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    step = steps_of(Workshop.open("cuda", 1, tmp_path), tmp_path)
    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
