"""The *probe* target: a multinomial logistic head on frozen sentence embeddings.

``min_W mean_i(w_i · CE(t_i, W x_i + b)) + L2 · |W - W0|²``, solved to convergence with L-BFGS in
float64, which takes milliseconds and depends on nothing random. ``W0`` is zero, or the head that
training continues from. The head is convex and regularised, so it uses the validation rows too.

Multiple choice embeds questions and options apart and scores the pair (q, o) by one weight vector
on ``[q·o (elementwise), |q - o|]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from imfl_engine.compute.checkpoints import CheckpointRecord, read_record
from imfl_engine.compute.embed import vectors_of
from imfl_engine.compute.models import Trained
from imfl_engine.compute.optimise import Outcome
from imfl_engine.compute.wire import FloatArray, IndexArray, ModelInput, TrainingJob
from imfl_engine.errors import ModelError
from imfl_engine.events import TrainingProgress

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

L2 = 1e-4
ITERATIONS = 200
WEIGHTS = "probe.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class ProbeModel:
    """``weight`` (C, d) and ``bias`` (C,), float32; C is 1 for multiple choice."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ProbeInputs:
    """Feature rows; for multiple choice a row per option, with its item and place."""

    features: FloatArray
    owners: IndexArray
    choices: IndexArray


def item_text(item: ModelInput) -> str:
    """The text that stands for an item in embedding space: text, then context."""
    return f"{item.text}\n{item.context}" if item.context else item.text


def fit(job: Job, workshop: Workshop, spec: TrainingJob) -> tuple[Trained, Outcome]:
    """Fit the head; embeds whatever ``spec.features`` does not bring."""
    record = CheckpointRecord(
        "probe", spec.kind, spec.labels, spec.target, spec.max_length, spec.embedder
    )
    inputs = probe_inputs(job, workshop, spec.inputs, spec.features, record)
    start = None
    if spec.start_from is not None:
        before = read_record(spec.start_from)
        if (before.architecture, before.task, before.labels) != ("probe", spec.kind, spec.labels):
            raise ModelError(
                f"The model in {spec.start_from} was trained for other labels or another target.",
                "Set training.mode to retrain.",
            )
        start = load_probe(spec.start_from)
    job.check()
    model, loss, steps = solve(inputs, spec, start)
    job.emit(
        TrainingProgress(
            step=steps,
            total=steps,
            epoch=float(steps),
            loss=loss,
            samples_per_second=0.0,
            eta_seconds=0.0,
            device=workshop.device.name,
        )
    )
    return Trained(record, model, None), Outcome(steps, 0.0)


def probe_inputs(
    job: Job,
    workshop: Workshop,
    inputs: Sequence[ModelInput],
    features: FloatArray | None,
    record: CheckpointRecord,
) -> ProbeInputs:
    """Feature rows of ``inputs``; ``features`` (n, d) are used where given."""
    if features is None:
        texts = [item_text(item) for item in inputs]
        features = vectors_of(job, workshop, texts, record.embedder)
    index = np.arange(len(inputs), dtype=np.int64)
    if record.task == "classification":
        return ProbeInputs(features, index, np.zeros_like(index))
    counts = np.array([len(item.options) for item in inputs], dtype=np.int64)
    options = [option for item in inputs for option in item.options]
    answers = vectors_of(job, workshop, options, record.embedder)
    owners = np.repeat(index, counts)
    questions = features[owners]
    pairs = np.concatenate([questions * answers, np.abs(questions - answers)], axis=1)
    choices = np.concatenate([np.arange(count) for count in counts])
    return ProbeInputs(pairs.astype(np.float32), owners, choices)


def solve(
    inputs: ProbeInputs, spec: TrainingJob, start: ProbeModel | None
) -> tuple[ProbeModel, float, int]:
    """The minimiser, its loss and the number of iterations."""
    features = torch.as_tensor(inputs.features, dtype=torch.float64)
    targets = torch.as_tensor(np.asarray(spec.targets), dtype=torch.float64)
    weights = torch.as_tensor(np.asarray(spec.weights), dtype=torch.float64)
    owners = torch.as_tensor(inputs.owners)
    choices = torch.as_tensor(inputs.choices)
    several = spec.kind == "multiple-choice"
    outputs = 1 if several else len(spec.labels)
    centre = torch.zeros(outputs, features.shape[1], dtype=torch.float64)
    bias = torch.zeros(outputs, dtype=torch.float64)
    if start is not None:
        centre = torch.as_tensor(start.weight, dtype=torch.float64)
        bias = torch.as_tensor(start.bias, dtype=torch.float64).clone()
    weight = centre.clone().requires_grad_()
    bias.requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=ITERATIONS,
        tolerance_grad=1e-7,
        tolerance_change=1e-10,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> torch.Tensor:
        logits = features @ weight.T + bias
        if several:
            absent = torch.full(targets.shape, -torch.inf, dtype=torch.float64)
            logits = absent.index_put((owners, choices), logits[:, 0])
        log_probabilities = torch.log_softmax(logits, dim=-1)
        entropy = -torch.where(targets > 0, targets * log_probabilities, 0.0).sum(-1)
        return (weights * entropy).mean() + L2 * ((weight - centre) ** 2).sum()

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        loss = float(objective())
    steps = int(solver.state[weight].get("n_iter", 0))
    model = ProbeModel(
        weight.detach().numpy().astype(np.float32), bias.detach().numpy().astype(np.float32)
    )
    return model, loss, steps


def probe_probabilities(model: ProbeModel, inputs: ProbeInputs, width: int) -> FloatArray:
    """Class probabilities (n, C) of items; ``width`` is the number of options, 0 for classes."""
    logits = inputs.features.astype(np.float64) @ model.weight.T + model.bias
    if width:
        count = int(inputs.owners.max(initial=-1)) + 1
        items = np.full((count, width), -np.inf)
        items[inputs.owners, inputs.choices] = logits[:, 0]
        logits = items
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)


def save_probe(
    model: ProbeModel, tokenizer: object, record: CheckpointRecord, folder: Path
) -> None:
    """Write the head as safetensors (``weight``, ``bias``)."""
    save_file({"weight": model.weight, "bias": model.bias}, folder / WEIGHTS)


def load_probe(folder: Path) -> ProbeModel:
    """Read the head back."""
    values = load_file(folder / WEIGHTS)
    return ProbeModel(values["weight"], values["bias"])
