"""The ``train`` job: full fine-tuning of an encoder, and the way to the other targets."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from imfl_engine.compute import causal, encoder, launch, predict, probe
from imfl_engine.compute.checkpoints import (
    Architecture,
    CheckpointRecord,
    read_record,
    replacing,
    write_record,
)
from imfl_engine.compute.dropout import pool_dropout
from imfl_engine.compute.frozen import FrozenLower
from imfl_engine.compute.job import Cancelled
from imfl_engine.compute.models import Trained, load_config
from imfl_engine.compute.optimise import Outcome, optimise
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.recomputing import recompute_layers
from imfl_engine.compute.room import training_room
from imfl_engine.compute.tokens import encode
from imfl_engine.compute.wire import IndexArray, ModelInput, TrainingJob
from imfl_engine.errors import ModelError
from imfl_engine.events import ModelReady, Notice, Progress

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

RECIPE = Recipe(
    epochs=3,
    learning_rate=1e-4,
    head_learning_rate=1e-4,
    batch_size=16,
    minimum_steps=130,
    maximum_epochs=20,
    averaged_share=0.5,
)
"""Three epochs and the mean of the last states are measured; see the decisions log."""
FROZEN_RATE = 2.0
"""With lower layers frozen the learning rate is this much higher: on FPB with 200 labels and three of
six layers frozen .756 (at the full rate of 1e-4: .740; no layer frozen: .756), mean of 2 seeds."""
HEAD_CLASSES = 6
FASTEST_HEAD = 10.0
"""A head of up to `HEAD_CLASSES` learns at the body's rate, one of twice as many twice as fast, and so on.
It is new, and each class has the fewer steps of its own the more there are: with 77 classes and 1,000
labels .768 becomes .839, while with 3 and 6 a faster head gains nothing (see the decisions log)."""

SAVERS: dict[Architecture, Callable[[Any, Any, CheckpointRecord, Path], None]] = {
    "probe": probe.save_probe,
    "causal": causal.save_causal,
    "encoder": encoder.save_classifier,
}


def train(job: Job, workshop: Workshop, *, training: dict[str, Any]) -> None:
    """Fine-tune, write the checkpoint, which is told by `ModelReady`, and predict what is asked for."""
    spec = TrainingJob(**{**training, "labels": tuple(training["labels"])})
    check_job(spec)
    started = time.perf_counter()
    architecture = architecture_of(spec.target)
    if workshop.device.fallback:
        job.emit(Notice("warning", workshop.device.fallback))
    if spec.processes > 1 and architecture != "probe" and workshop.team.size == 1:
        ready = launch.train(job, workshop, replace(spec, then_predict=()))
        job.emit(replace(ready, seconds=time.perf_counter() - started))
        if spec.then_predict:
            _read_on(job, workshop, predict.load(workshop, spec.folder), spec.then_predict)
    else:
        fit(job, workshop, spec, architecture)


def fit(job: Job, workshop: Workshop, spec: TrainingJob, architecture: Architecture) -> None:
    """Fine-tune in this process, alone or as one of a team, whose rank 0 writes the checkpoint."""
    started = time.perf_counter()
    torch.manual_seed(spec.seed)
    if architecture == "probe":
        trained, outcome = probe.fit(job, workshop, spec)
    elif architecture == "causal":
        trained, outcome = causal.fit(job, workshop, spec)
    else:
        trained, outcome = fit_encoder(job, workshop, spec)
    job.check()
    job.emit(Progress("train", outcome.steps, outcome.steps, "steps", 0.0, "writing the model"))
    if workshop.team.rank != 0:
        return

    def write() -> None:
        with replacing(spec.folder) as folder:
            SAVERS[architecture](trained.model, trained.tokenizer, trained.record, folder)
            write_record(folder, trained.record)
            job.check()
        workshop.remember(spec.folder, trained)
        seconds = time.perf_counter() - started
        # With the number format: the same seed gives the same model only in the same one.
        name = f"{workshop.device.name}, {workshop.device.number_format}"
        job.emit(ModelReady(spec.folder, seconds, name, outcome.samples_per_second))

    with ThreadPoolExecutor(1, "checkpoint") as beside:
        written = beside.submit(write)
        if workshop.device.kind == "mps":  # which two threads may not use at once
            written.result()
        if spec.then_predict:
            _read_on(job, workshop, trained, spec.then_predict, written)
        written.result()


def _read_on(
    job: Job,
    workshop: Workshop,
    trained: Trained,
    inputs: Sequence[ModelInput],
    written: Future[None] | None = None,
) -> None:
    """Have the new model read ``inputs``. What goes wrong there harms no training: it is told.

    A checkpoint that cannot be ``written`` ends it.
    """

    def check_the_writing() -> None:
        if written is not None and written.done():
            written.result()

    try:
        predict.read(job, workshop, trained, inputs, report_as="score", between=check_the_writing)
    except Cancelled:
        raise
    except Exception as error:
        if written is not None:
            written.result()
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        job.emit(Notice("warning", f"The next round's items are scored later ({said})."))


def check_job(spec: TrainingJob) -> None:
    """Refuse what would train on nothing or on misaligned arrays; raises `ModelError`."""
    count = len(spec.inputs)
    shapes = {len(spec.targets), len(spec.weights), len(spec.validation)}
    if shapes != {count} or not count:
        raise ModelError(
            f"A training job needs as many targets, weights and validation marks as inputs, "
            f"but there are {count} inputs and {sorted(shapes)} rows.",
            "Label some items first.",
        )


def architecture_of(target: str) -> Architecture:
    """How ``target`` is trained: *probe*, a causal language model with LoRA, or an encoder."""
    if target in ("probe", "minilm"):
        return "probe" if target == "probe" else "encoder"
    if target == "smollm2" or target.endswith(".gguf"):
        return "causal"
    names = getattr(load_config(target), "architectures", None) or [""]
    return "causal" if names[0].endswith(("ForCausalLM", "LMHeadModel")) else "encoder"


def fit_encoder(job: Job, workshop: Workshop, spec: TrainingJob) -> tuple[Trained, Outcome]:
    """Fine-tune all of an encoder, or all but its word embeddings."""
    record = CheckpointRecord(
        architecture="encoder",
        task=spec.kind,
        labels=spec.labels,
        base=spec.target,
        max_length=spec.max_length,
        embedder=spec.embedder,
        pooling=encoder.pooling_of(spec.target),
    )
    model, tokenizer = _model(workshop, spec, record)
    if workshop.device.kind == "cpu":
        pool_dropout(model, workshop.team.seed(spec.seed), workshop.device.dtype)
    tokens = encode(tokenizer, spec.inputs, max_length=spec.max_length, task=spec.kind)
    job.check()
    rows = encoder.rows_by(model, tokens, workshop.device.torch_device)
    rate = 1.0
    if spec.frozen_layers and isinstance(model, encoder.MeanClassifier):
        lower = FrozenLower(model, spec.frozen_layers, tokens, workshop.device)
        lower.fill(job)
        rows = lower.logits
        rate = FROZEN_RATE
    recipe = replace(
        RECIPE,
        learning_rate=rate * RECIPE.learning_rate,
        head_learning_rate=rate * head_pace(encoder.classes_of(record)) * RECIPE.head_learning_rate,
    )
    options = spec.targets.shape[1] if spec.kind == "multiple-choice" else 0

    def logits(items: IndexArray) -> torch.Tensor:
        return encoder.item_logits(rows, tokens, items, options)

    def save_memory() -> bool:
        return recompute_layers(model.body)

    parameters = parameters_of(model, freeze_words=spec.freeze_words)
    lengths = tokens.item_lengths
    outcome = optimise(
        job,
        workshop.device,
        spec,
        recipe,
        parameters=parameters,
        logits=logits,
        room=training_room(workshop.device, model, parameters, lengths, save_memory=save_memory),
        set_training=model.train,
        save_memory=save_memory,
        team=workshop.team,
        prior=workshop.paces.get((spec.target, spec.frozen_layers)),
    )
    workshop.paces[spec.target, spec.frozen_layers] = outcome.pace
    return Trained(record, model.eval(), tokenizer), outcome


def head_pace(classes: int) -> float:
    """Return how many times faster than the body a head of ``classes`` outputs learns."""
    return min(max(classes / HEAD_CLASSES, 1.0), FASTEST_HEAD)


def _model(
    workshop: Workshop, spec: TrainingJob, record: CheckpointRecord
) -> tuple[encoder.Classifier, Any]:
    """The base with a new head, or the checkpoint to continue from."""
    if spec.start_from is None:
        return encoder.new_classifier(workshop, spec.target, record, spec.seed)
    before = read_record(spec.start_from)
    if (before.architecture, before.task, before.labels) != ("encoder", spec.kind, spec.labels):
        raise ModelError(
            f"The model in {spec.start_from} was trained for other labels or another target.",
            "Set training.mode to retrain.",
        )
    model, tokenizer = encoder.load_classifier(Path(spec.start_from), before)
    return workshop.place(model, model.body), tokenizer


def parameters_of(model: encoder.Classifier, *, freeze_words: bool) -> Parameters:
    """Body and head; what is below the first layer is left out (and gets no gradient) if frozen.

    Word embeddings are half of a small encoder's parameters, of which a few hundred texts touch a
    few rows, yet AdamW would go through all of them every step. Without those of positions and
    segments and their norm, no gradient has to go through the input of the first layer either.
    """
    if freeze_words:
        below = getattr(model.body, "embeddings", None) or model.body.get_input_embeddings()
        below.requires_grad_(False)
    body_ids = {id(parameter) for parameter in model.body.parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Parameters(
        body=[parameter for parameter in trained if id(parameter) in body_ids],
        head=[parameter for parameter in trained if id(parameter) not in body_ids],
    )
