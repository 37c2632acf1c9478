"""Devices: what is not there is said in one sentence, and the CPU does the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compute_helpers import collect, make_job, make_texts, predict_all
from compute_models import write_tiny_llama

from imfl_engine.compute.client import Compute, VectorChunk
from imfl_engine.events import ModelReady, Notice

TEXTS = make_texts()


async def trains_and_predicts_alike(one: Compute, reference: Compute, folder: Path) -> None:
    """A model that ``one`` has trained is right, and gives the same in float32 but for rounding."""
    job = make_job(folder, TEXTS, epochs=5)
    events = await collect(one.train(job))
    assert isinstance(events[-1], ModelReady)
    theirs = await predict_all(one, job.folder, TEXTS.inputs, 3)
    ours = await predict_all(reference, job.folder, TEXTS.inputs, 3)
    assert (theirs.argmax(1) == TEXTS.classes).mean() > 0.8
    assert np.abs(theirs - ours).max() < 0.05


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("wanted", ["mps"])
async def test_a_missing_device_falls_back_to_the_cpu_with_one_sentence(
    wanted: str, tmp_path: Path
) -> None:
    compute = Compute(tmp_path, device=wanted, threads=1)
    try:
        info = await compute.describe()
        if info.kind != "cpu":
            pytest.skip(f"this machine has {wanted}")
        assert info.fallback.startswith("Models run on the CPU because mps is not available")
        assert info.fallback.count(". ") == 0
        events = await collect(compute.train(make_job(tmp_path / "m", TEXTS, target="probe")))
        assert Notice("warning", info.fallback) in events
    finally:
        await compute.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_what_is_quickest_on_this_processor_gives_what_float32_gives_but_for_rounding(
    compute: Compute, tmp_path: Path
) -> None:
    quickest = Compute(tmp_path / "work", device="cpu", threads=1)
    try:
        assert (await compute.describe()).dtype == "float32"
        await trains_and_predicts_alike(quickest, compute, tmp_path / "model")
    finally:
        await quickest.close()


@pytest.mark.gpu
@pytest.mark.asyncio(loop_scope="session")
async def test_a_gpu_trains_predicts_and_embeds_like_the_cpu(
    compute: Compute, tmp_path: Path
) -> None:
    gpu = Compute(tmp_path / "work", device="cuda")
    try:
        info = await gpu.describe()
        if info.kind != "cuda":
            pytest.skip("no CUDA device")
        assert info.memory_total > info.memory_free > 0
        assert info.dtype == "bfloat16"
        await trains_and_predicts_alike(gpu, compute, tmp_path / "model")
        texts = [item.text for item in TEXTS.inputs]
        vectors = []
        for one in (gpu, compute):
            found = np.zeros((len(texts), 384), dtype=np.float32)
            for event in await collect(one.embed(texts)):
                if isinstance(event, VectorChunk):
                    found[event.indices] = event.vectors
            vectors.append(found)
        assert (vectors[0] * vectors[1]).sum(1).min() > 0.999
    finally:
        await gpu.close()


@pytest.mark.gpu
@pytest.mark.asyncio(loop_scope="session")
async def test_a_gpu_trains_adapters_of_a_causal_model(tmp_path: Path) -> None:
    llama = str(write_tiny_llama(tmp_path / "tiny-llama"))
    gpu = Compute(tmp_path / "work", device="cuda")
    try:
        if (await gpu.describe()).kind != "cuda":
            pytest.skip("no CUDA device")
        job = make_job(tmp_path / "m", TEXTS, target=llama, epochs=12, learning_rate=1e-2)
        await collect(gpu.train(job))
        found = await predict_all(gpu, job.folder, TEXTS.inputs, 3)
        assert (found.argmax(1) == TEXTS.classes).mean() > 0.8
    finally:
        await gpu.close()
