"""The ``predict`` job: class probabilities by a checkpoint, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from imfl_engine.compute import causal, encoder, probe
from imfl_engine.compute.batches import token_batches
from imfl_engine.compute.checkpoints import CheckpointRecord, read_record
from imfl_engine.compute.job import ProgressMeter
from imfl_engine.compute.memory import Budget, Pieces
from imfl_engine.compute.models import Trained
from imfl_engine.compute.tokens import encode
from imfl_engine.compute.wire import FloatArray, IndexArray, ModelInput, ProbabilityChunk
from imfl_engine.events import JobKind

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

ITEMS_PER_PASS = 20_000
ROWS_PER_EVENT = 512


def predict(
    job: Job,
    workshop: Workshop,
    *,
    model: Path,
    inputs: Sequence[ModelInput],
    features: FloatArray | None,
    report_as: JobKind,
) -> None:
    """Emit a `ProbabilityChunk` for every input, and progress."""
    if len(inputs):
        trained = load(workshop, model)
        read(job, workshop, trained, inputs, features=features, report_as=report_as)


def read(
    job: Job,
    workshop: Workshop,
    trained: Trained,
    inputs: Sequence[ModelInput],
    *,
    features: FloatArray | None = None,
    report_as: JobKind,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Have a model in memory read ``inputs``; ``between`` is called after each batch."""
    options = most_options(trained.record, inputs)
    costs = np.array([input_cost(item) for item in inputs], dtype=float)
    meter = ProgressMeter(job, report_as, len(inputs), float(costs.sum()))
    waiting: list[tuple[IndexArray, FloatArray]] = []

    def flush() -> None:
        if waiting:
            rows, values = zip(*waiting, strict=True)
            job.emit(ProbabilityChunk(np.concatenate(rows), np.concatenate(values)))
            waiting.clear()

    for start in range(0, len(inputs), ITEMS_PER_PASS):
        part = slice(start, start + ITEMS_PER_PASS)
        known = None if features is None else features[part]
        for rows, values in probabilities(job, workshop, trained, inputs[part], known, options):
            waiting.append((rows + start, values))
            if sum(len(rows) for rows, _ in waiting) >= ROWS_PER_EVENT:
                flush()
            meter.advance(len(rows), float(costs[rows + start].sum()))
            between()
    flush()


def load(workshop: Workshop, folder: Path) -> Trained:
    """The checkpoint in ``folder``, from memory where possible; raises `ModelError`."""
    record = read_record(folder)

    def read() -> Trained:
        if record.architecture == "probe":
            return Trained(record, probe.load_probe(folder), None)
        if record.architecture == "causal":
            found: Trained = causal.load_causal(workshop, folder, record)
            return found
        model, tokenizer = encoder.load_classifier(folder, record)
        return Trained(record, workshop.place(model, model.body).eval(), tokenizer)

    return workshop.trained(folder, read)


def probabilities(
    job: Job,
    workshop: Workshop,
    trained: Trained,
    inputs: Sequence[ModelInput],
    features: FloatArray | None,
    options: int,
) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Yield (indices, probabilities (m, C)) of ``inputs`` in batches of similar length."""
    record = trained.record
    if record.architecture == "probe":
        pairs = probe.probe_inputs(job, workshop, inputs, features, record)
        job.check()
        yield (
            np.arange(len(inputs), dtype=np.int64),
            probe.probe_probabilities(trained.model, pairs, options),
        )
        return
    device = workshop.device
    tokens = encode(trained.tokenizer, inputs, max_length=record.max_length, task=record.task)

    rows = encoder.rows_by(trained.model, tokens, device.torch_device)

    def forward(items: IndexArray) -> FloatArray:
        with torch.inference_mode(), device.autocast():
            logits = encoder.item_logits(rows, tokens, items, options)
            values = torch.softmax(logits.float(), dim=-1)
            return np.asarray(values.cpu().numpy(), dtype=np.float32)

    budget = Budget.for_inference(device, trained.model)
    pieces = Pieces(device)
    for planned in token_batches(tokens.item_lengths, budget.tokens, max_rows=budget.rows):
        job.check()
        yield from pieces.compute(planned, forward)


def most_options(record: CheckpointRecord, inputs: Sequence[ModelInput]) -> int:
    """How wide the answers of multiple choice are; 0 for any other task."""
    if record.task != "multiple-choice":
        return 0
    return max(1, max(len(item.options) for item in inputs))


def input_cost(item: ModelInput) -> float:
    """Characters as a stand-in for tokens, before anything is tokenised; for ETAs."""
    characters = min(len(item.text) + len(item.context or ""), 1500) + 20
    return float(characters * max(1, len(item.options)))
