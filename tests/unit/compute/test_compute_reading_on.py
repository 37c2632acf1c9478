"""The new model reads on while its checkpoint is written."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compute_helpers import collect, make_job, make_texts, predict_all

from imfl_engine.compute import finetune, predict
from imfl_engine.compute.checkpoints import read_record
from imfl_engine.compute.client import Compute, ProbabilityChunk, TrainingJob
from imfl_engine.compute.job import Job
from imfl_engine.compute.models import Workshop
from imfl_engine.events import ModelReady

TEXTS = make_texts()


def run(spec: TrainingJob, folder: Path, came: threading.Event | None = None) -> list[str]:
    """Train here; returns the names of the events, and sets ``came`` at the first predictions."""
    sent: list[str] = []

    def send(message: dict[str, Any]) -> None:
        sent.append(message["event"])
        if message["event"] == "probabilities" and came is not None:
            came.set()

    training = {field.name: getattr(spec, field.name) for field in fields(spec)}
    workshop = Workshop.open("cpu:float32", 1, folder)
    try:
        finetune.train(Job(0, folder, send), workshop, training=training)
    finally:
        torch.set_flush_denormal(False)  # other tests of this process count with such numbers
    return sent


@pytest.mark.asyncio(loop_scope="session")
async def test_a_training_predicts_what_its_checkpoint_predicts(
    compute: Compute, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "model", TEXTS, epochs=1, then_predict=TEXTS.inputs)
    events = await collect(compute.train(job))
    assert sum(isinstance(event, ModelReady) for event in events) == 1
    found = np.full((len(TEXTS.inputs), 3), np.nan, dtype=np.float32)
    for event in events:
        if isinstance(event, ProbabilityChunk):
            found[event.indices] = event.probabilities
    assert np.allclose(found, await predict_all(compute, job.folder, TEXTS.inputs, 3), atol=1e-5)


def test_predictions_come_before_the_checkpoint_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = threading.Event()
    save = finetune.SAVERS["probe"]

    def slow_disk(*arguments: Any) -> None:
        assert came.wait(60)
        save(*arguments)

    monkeypatch.setitem(finetune.SAVERS, "probe", slow_disk)
    spec = make_job(tmp_path / "model", TEXTS, target="probe", then_predict=TEXTS.inputs)
    sent = run(spec, tmp_path, came)
    assert sent.index("probabilities") < sent.index("ready")
    assert read_record(spec.folder).architecture == "probe"


def test_a_training_outlives_what_goes_wrong_when_its_model_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(predict, "probabilities", fail)
    spec = make_job(tmp_path / "model", TEXTS, target="probe", then_predict=TEXTS.inputs)
    sent = run(spec, tmp_path)
    assert "ready" in sent
    assert "notice" in sent
    assert read_record(spec.folder).architecture == "probe"
