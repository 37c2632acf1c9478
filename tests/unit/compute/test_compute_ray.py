"""A real Ray cluster on this machine does what the compute process does.

Run with ``pip install "imfl-tui[ray]"`` and ``pytest -m ray``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio
from compute_helpers import LABELS, Texts, make_job, make_texts

from imfl_engine.compute.client import Compute
from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import ModelInput, ProbabilityChunk, VectorChunk
from imfl_engine.errors import ImflError

pytestmark = [pytest.mark.ray, pytest.mark.asyncio(loop_scope="session")]

MANY = 1200  # more than two parts


@pytest.fixture(scope="module")
def texts() -> Texts:
    return make_texts()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Compute]:
    pytest.importorskip("ray")
    made = Compute(tmp_path_factory.mktemp("ray"), device="cpu", threads=1, ray="local")
    yield made
    await made.close()


async def vectors(compute: Compute, wanted: list[str]) -> np.ndarray:
    found = Collected(len(wanted))
    async with contextlib.aclosing(compute.embed(wanted)) as events:
        async for event in events:
            if isinstance(event, VectorChunk):
                found.put(event)
    assert found.matrix is not None
    return found.matrix


async def probabilities(
    compute: Compute, model: Path, inputs: list[ModelInput]
) -> tuple[np.ndarray, int]:
    matrix, chunks = np.full((len(inputs), len(LABELS)), np.nan), 0
    async with contextlib.aclosing(compute.predict(model, inputs)) as events:
        async for event in events:
            if isinstance(event, ProbabilityChunk):
                matrix[event.indices] = event.probabilities
                chunks += 1
    return matrix, chunks


async def test_the_cluster_gives_the_vectors_of_this_process(
    cluster: Compute, compute: Compute, texts: Texts
) -> None:
    wanted = [f"{item.text} {n}" for n in range(MANY // 48) for item in texts.inputs]
    ours, theirs = await vectors(compute, wanted), await vectors(cluster, wanted)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.parametrize("target", ["probe", "minilm"])
async def test_the_cluster_gives_the_probabilities_of_this_process(
    cluster: Compute, compute: Compute, texts: Texts, tmp_path: Path, target: str
) -> None:
    job = make_job(tmp_path / "model", texts, target=target, epochs=1)
    async with contextlib.aclosing(compute.train(job)) as events:
        async for _ in events:
            pass
    inputs = [ModelInput(f"{item.text} {n}") for n in range(MANY // 48) for item in texts.inputs]
    ours, _ = await probabilities(compute, tmp_path / "model", inputs)
    theirs, chunks = await probabilities(cluster, tmp_path / "model", inputs)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    assert chunks > 2


async def test_leaving_early_stops_the_workers_and_the_next_job_works(cluster: Compute) -> None:
    async with contextlib.aclosing(cluster.embed(["a long text " * 60] * 20_000)) as events:
        async for event in events:
            if isinstance(event, VectorChunk):
                break
    assert (await asyncio.wait_for(vectors(cluster, ["short"] * 4), 60)).shape == (4, 384)


async def test_no_cluster_at_the_address_is_said_in_words(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    lost = Compute(tmp_path, device="cpu", threads=1, ray="127.0.0.1:1")
    with pytest.raises(ImflError, match="no Ray cluster at"):
        await vectors(lost, ["a"])
    await lost.close()


async def test_a_local_cluster_ends_with_the_compute_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    made = Compute(tmp_path, device="cpu", threads=1, ray="local")
    await vectors(made, ["a", "b"])
    assert made.pid is not None
    children = psutil.Process(made.pid).children(recursive=True)
    assert children
    await made.close()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 120)
    assert not alive
