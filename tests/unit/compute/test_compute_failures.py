"""Cancelling, crashing, a full disk: the application goes on and the last good model stays."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from compute_helpers import collect, make_job, make_texts, predict_all

from imfl_engine.compute.client import Compute, ModelInput
from imfl_engine.compute.process import ChildProcess
from imfl_engine.errors import ComputeCrashed, ComputeError, StorageError
from imfl_engine.events import ModelReady, TrainingProgress

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = make_texts()


def pid_of(compute: Compute) -> int:
    pid = compute.pid
    assert pid is not None
    return pid


async def start_training(compute: Compute, folder: Path) -> AsyncIterator[object]:
    """A long fine-tune, read up to its first step."""
    events = compute.train(make_job(folder, TEXTS, epochs=100, batch_size=2))
    async for event in events:
        if isinstance(event, TrainingProgress):
            return events
    raise AssertionError("training ended")


async def test_closing_the_iterator_cancels_within_two_seconds_and_keeps_the_child(
    compute: Compute, tmp_path: Path
) -> None:
    await compute.describe()
    pid = pid_of(compute)
    events = await start_training(compute, tmp_path / "model")
    started = time.monotonic()
    await events.aclose()
    assert time.monotonic() - started < 2
    assert (await compute.describe()).kind == "cpu"
    assert pid_of(compute) == pid
    assert not (tmp_path / "model").exists()


async def test_cancelling_the_task_that_reads_cancels_the_job(
    compute: Compute, tmp_path: Path
) -> None:
    stepped = asyncio.Event()

    async def read() -> None:
        async with aclosing(
            compute.train(make_job(tmp_path / "m", TEXTS, epochs=100, batch_size=2))
        ) as events:
            async for event in events:
                if isinstance(event, TrainingProgress):
                    stepped.set()

    task = asyncio.create_task(read())
    await stepped.wait()
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 2
    assert (await compute.describe()).kind == "cpu"


async def test_a_waiting_job_is_cancelled_without_disturbing_the_running_one(
    compute: Compute, tmp_path: Path
) -> None:
    pid = pid_of(compute)
    running = await start_training(compute, tmp_path / "model")
    waiting = asyncio.create_task(collect(compute.embed(["a text"])))
    await asyncio.sleep(0.05)
    waiting.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - started < 2
    assert isinstance(await anext(running), TrainingProgress)
    await running.aclose()
    assert pid_of(compute) == pid


async def test_a_child_that_does_not_answer_a_cancellation_is_replaced(
    compute: Compute, tmp_path: Path
) -> None:
    events = await start_training(compute, tmp_path / "model")
    pid = pid_of(compute)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    await events.aclose()
    assert time.monotonic() - started < 2
    assert (await compute.describe()).kind == "cpu"
    assert pid_of(compute) != pid


async def test_a_child_killed_while_it_writes_leaves_the_last_good_model(
    compute: Compute, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    await collect(compute.train(make_job(folder, TEXTS, target="probe")))
    before = await predict_all(compute, folder, TEXTS.inputs, 3)
    training = asyncio.create_task(collect(compute.train(make_job(folder, TEXTS, epochs=1))))
    while not any(tmp_path.glob(".model.new/*.safetensors")):
        assert not training.done()
        await asyncio.sleep(0)
    os.kill(pid_of(compute), signal.SIGKILL)
    with pytest.raises(ComputeCrashed, match="middle of a job"):
        await training
    assert (tmp_path / ".model.new").exists()  # it was in the middle of it
    after = await predict_all(compute, folder, TEXTS.inputs, 3)
    assert (before == after).all()


async def test_a_killed_child_is_an_error_in_words_and_the_next_job_works(
    compute: Compute, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    await collect(compute.train(make_job(folder, TEXTS, target="probe")))
    before = await predict_all(compute, folder, TEXTS.inputs, 3)
    events = await start_training(compute, folder)
    waiting = asyncio.create_task(collect(compute.embed(["a text"])))
    await asyncio.sleep(0.05)
    os.kill(pid_of(compute), signal.SIGKILL)
    with pytest.raises(ComputeCrashed, match="middle of a job") as caught:
        await collect(events)
    assert caught.value.hint
    assert await waiting  # a job that had not started is done by the next child
    after = await predict_all(compute, folder, TEXTS.inputs, 3)
    assert (before == after).all()


@pytest.mark.parametrize("reads_on", [False, True])
async def test_a_full_disk_fails_the_checkpoint_and_keeps_the_last_good_model(
    compute: Compute, tmp_path: Path, reads_on: bool
) -> None:
    folder = tmp_path / "model"
    await collect(compute.train(make_job(folder, TEXTS, target="probe")))
    before = await predict_all(compute, folder, TEXTS.inputs, 3)
    job = make_job(folder, TEXTS, epochs=1, then_predict=TEXTS.inputs if reads_on else ())
    # A limit on the size of a file refuses the 90 MB of weights as a full disk would.
    limits = resource.prlimit(pid_of(compute), resource.RLIMIT_FSIZE, (2**22, -1))
    try:
        with pytest.raises(StorageError, match="no room"):
            await collect(compute.train(job))
    finally:
        resource.prlimit(pid_of(compute), resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["model"]
    after = await predict_all(compute, folder, TEXTS.inputs, 3)
    assert (before == after).all()


async def test_jobs_asked_for_at_once_are_all_done(compute: Compute, tmp_path: Path) -> None:
    jobs = [make_job(tmp_path / name, TEXTS, target="probe") for name in "abc"]
    ended = await asyncio.gather(*(collect(compute.train(job)) for job in jobs))
    assert all(isinstance(events[-1], ModelReady) for events in ended)


@pytest_asyncio.fixture(loop_scope="session")
async def child(tmp_path: Path) -> AsyncIterator[ChildProcess]:
    made = await ChildProcess.start(device="cpu", threads=1, work=tmp_path, log=tmp_path / "log")
    yield made
    await made.end()


async def test_the_child_ends_when_its_input_ends(child: ChildProcess) -> None:
    child.close_input()
    ended = [message async for message in child.messages()]
    assert ended == []
    assert not child.is_running


async def test_a_job_of_a_child_that_cannot_work_fails_with_the_log_s_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import sys; sys.exit('this Python is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    compute = Compute(tmp_path / "work", device="cpu", threads=1)
    with pytest.raises(ComputeCrashed) as caught:
        await collect(compute.predict(tmp_path, [ModelInput("x")]))
    assert "this Python is broken" in caught.value.hint
    await compute.close()
    with pytest.raises(ComputeError, match="closed"):
        await compute.describe()
