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
from compute_helpers import (
    LABELS,
    Texts,
    collect,
    embed_all,
    make_job,
    make_texts,
    predict_all,
)

from imfl_engine.compute.client import Compute
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
    work = tmp_path_factory.mktemp("ray")
    made = Compute(work, device="cpu:float32", threads=1, ray="local")
    yield made
    await made.close()


async def test_the_cluster_gives_the_vectors_of_this_process(
    cluster: Compute, compute: Compute, texts: Texts
) -> None:
    wanted = [f"{item.text} {n}" for n in range(MANY // 48) for item in texts.inputs]
    ours, theirs = await embed_all(compute, wanted), await embed_all(cluster, wanted)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.parametrize("target", ["probe", "minilm"])
async def test_the_cluster_gives_the_probabilities_of_this_process(
    cluster: Compute, compute: Compute, texts: Texts, tmp_path: Path, target: str
) -> None:
    job = make_job(tmp_path / "model", texts, target=target, epochs=1)
    await collect(compute.train(job))
    inputs = tuple(
        ModelInput(f"{item.text} {n}") for n in range(MANY // 48) for item in texts.inputs
    )
    ours = await predict_all(compute, job.folder, inputs, len(LABELS))
    theirs = await predict_all(cluster, job.folder, inputs, len(LABELS))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    events = await collect(cluster.predict(job.folder, inputs))
    assert sum(isinstance(event, ProbabilityChunk) for event in events) > 2


async def test_leaving_early_stops_the_workers_and_the_next_job_works(cluster: Compute) -> None:
    async with contextlib.aclosing(cluster.embed(["a long text " * 60] * 20_000)) as events:
        async for event in events:
            if isinstance(event, VectorChunk):
                break
    assert (await asyncio.wait_for(embed_all(cluster, ["short"] * 4), 60)).shape == (4, 384)


async def test_no_cluster_at_the_address_is_said_in_words(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    lost = Compute(tmp_path, device="cpu", threads=1, ray="127.0.0.1:1")
    with pytest.raises(ImflError, match="no Ray cluster at"):
        await embed_all(lost, ["a"])
    await lost.close()


async def test_a_local_cluster_ends_with_the_compute_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    made = Compute(tmp_path, device="cpu", threads=1, ray="local")
    await embed_all(made, ["a", "b"])
    assert made.pid is not None
    children = psutil.Process(made.pid).children(recursive=True)
    assert children
    await made.close()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 120)
    assert not alive
