"""`Compute`: neural-network jobs for an asyncio application, done in a child process.

Every job is an async iterator of events. Jobs run one after another in the order they were asked
for. Closing an iterator early (``aclose()``, or cancelling the task that reads it) cancels the job:
the child is asked first, and replaced if it does not answer in time. A child that dies takes only
the running job with it (`ComputeCrashed`); the next job starts a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from imfl_engine import errors
from imfl_engine.compute.process import ChildProcess
from imfl_engine.compute.wire import (
    DeviceInfo,
    FloatArray,
    LabelPrompt,
    LabelScores,
    ModelInput,
    ProbabilityChunk,
    Saved,
    TrainingJob,
    VectorChunk,
    pack,
    unpack_event,
)
from imfl_engine.errors import ComputeCrashed, ComputeError, StorageError
from imfl_engine.events import (
    JobKind,
    ModelReady,
    Notice,
    Progress,
    TrainingProgress,
    ValidationMeasured,
)

__all__ = [
    "Compute",
    "DeviceInfo",
    "LabelPrompt",
    "LabelScores",
    "ModelInput",
    "ProbabilityChunk",
    "Saved",
    "TrainingJob",
    "VectorChunk",
    "default_threads",
]

CANCEL_SECONDS = 1.2
MAX_STARTS = 2

TrainingEvent = Progress | TrainingProgress | ValidationMeasured | ModelReady | Notice


def default_threads() -> int:
    """All the processor cores this process may use."""
    with contextlib.suppress(AttributeError):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@dataclass(slots=True, eq=False)
class _Job:
    """A job as the client sees it; its queue ends with None (done) or an error."""

    number: int
    folder: Path
    request: dict[str, Any]
    events: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    child: ChildProcess | None = None
    running: bool = False
    sent: int = 0

    def end(self, outcome: errors.ImflError | None) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self.events.put_nowait(outcome)


class Compute:
    """The compute process and the jobs sent to it; belongs to one event loop.

    ``work`` is a folder for job files and, unless ``log`` is given, the log. ``device`` is
    ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. ``threads`` bounds the processor threads;
    None means all cores (the child runs at a lower priority, so the application stays responsive).
    ``ray`` is the address of a Ray cluster that embeds and predicts, or ``local``.
    """

    def __init__(
        self,
        work: Path,
        *,
        device: str = "auto",
        threads: int | None = None,
        log: Path | None = None,
        ray: str | None = None,
    ) -> None:
        self._work = work.absolute()
        self._device = device
        self._threads = threads or default_threads()
        self._ray = ray
        self._log = log or self._work / "compute.log"
        self._child: ChildProcess | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._jobs: dict[int, _Job] = {}
        self._numbers = count(1)
        self._device_info: DeviceInfo | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the child so that it imports and warms up before the first job; returns at once."""
        async with self._starting:
            if self._closed:
                raise ComputeError(
                    "The compute process was closed.", "Open the project again to go on."
                )
            if self._child is not None:
                return
            try:
                await asyncio.to_thread(_remove_stale_folders, self._work / "jobs")
                self._child = await ChildProcess.start(
                    device=self._device,
                    threads=self._threads,
                    work=self._work,
                    log=self._log,
                    ray=self._ray,
                )
            except OSError as error:
                raise ComputeCrashed(
                    f"The compute process cannot be started: {error.strerror or error}.",
                    f"Check that {self._work} can be written to.",
                ) from error
            self._reader = asyncio.create_task(self._read(self._child), name="compute-reader")

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return None if self._child is None else self._child.pid

    async def describe(self) -> DeviceInfo:
        """Say where models run; while a job runs, what was known before it."""
        if self._device_info is not None and any(job.running for job in self._jobs.values()):
            return self._device_info
        async with contextlib.aclosing(self._stream("describe")) as events:
            async for event in events:
                if isinstance(event, DeviceInfo):
                    return event
        raise ComputeCrashed("The compute process did not describe its device.", self._hint())

    async def embed(
        self, texts: Sequence[str], *, embedder: str = "minilm"
    ) -> AsyncGenerator[Progress | VectorChunk, None]:
        """Embed ``texts``; chunks come in any order, each vector once."""
        async with contextlib.aclosing(
            self._stream("embed", texts=list(texts), embedder=embedder)
        ) as events:
            async for event in events:
                yield event

    async def train(self, job: TrainingJob) -> AsyncGenerator[TrainingEvent, None]:
        """Fine-tune; the last event is `ModelReady`, sent when the checkpoint is on disk.

        Raises `ModelError`, `OutOfMemory`, `StorageError` (disk full) or `ComputeCrashed`; whatever
        happens, a model that was in ``job.folder`` before is either untouched or fully replaced.
        """
        async with contextlib.aclosing(self._stream("train", training=job)) as events:
            async for event in events:
                yield event

    async def predict(
        self,
        folder: Path,
        inputs: Sequence[ModelInput],
        *,
        features: FloatArray | None = None,
        job: JobKind = "score",
    ) -> AsyncGenerator[Progress | ProbabilityChunk, None]:
        """Class probabilities of ``inputs`` by the checkpoint in ``folder``, in any order.

        ``features`` (n, d) are the inputs' stored embeddings, used by *probe* checkpoints.
        ``job`` is what progress is reported as.
        """
        async with contextlib.aclosing(
            self._stream("predict", model=folder, inputs=inputs, features=features, report_as=job)
        ) as events:
            async for event in events:
                yield event

    async def score_labels(
        self,
        model: str,
        prompts: Sequence[LabelPrompt],
        *,
        calibrate: bool = True,
        context_tokens: int | None = None,
    ) -> AsyncGenerator[Progress | Notice | LabelScores, None]:
        """Score each prompt's labels by a causal language model (a folder, GGUF file or hub id).

        ``calibrate`` subtracts each label's mean log-probability over the batch (batch calibration,
        Zhou et al. 2023, arXiv 2309.17249), so all scores come at the end; it is not applied to
        prompts whose labels differ from the others', nor to fewer than ten prompts.
        """
        async with contextlib.aclosing(
            self._stream(
                "score_labels",
                model=model,
                prompts=prompts,
                calibrate=calibrate,
                context_tokens=context_tokens,
            )
        ) as events:
            async for event in events:
                yield event

    async def save(self, folder: Path, destination: Path, card: str) -> Saved:
        """Export the checkpoint in ``folder`` for other software; ``card`` is its README.

        What ``transformers.pipeline`` cannot serve (*probe*) is saved for sentence-transformers
        with its head beside it, and the card is extended by how to use it.
        """
        async with contextlib.aclosing(
            self._stream("save", model=folder, destination=destination, card=card)
        ) as events:
            async for event in events:
                if isinstance(event, Saved):
                    return event
        raise ComputeCrashed("The compute process did not save the model.", self._hint())

    async def close(self) -> None:
        """End the child; jobs still running end with `ComputeError`."""
        self._closed = True
        async with self._starting:
            for job in list(self._jobs.values()):
                job.end(ComputeError("The compute process was closed.", "Start the job again."))
            if self._child is not None:
                await self._child.end()
            if self._reader is not None:
                await asyncio.gather(self._reader, return_exceptions=True)
            self._child = self._reader = None

    async def _stream(self, do: str, **arguments: Any) -> AsyncGenerator[Any, None]:
        """Submit a job and yield its events; leaving early cancels it."""
        job = await self._submit(do, arguments)
        try:
            while (event := await job.events.get()) is not None:
                if isinstance(event, errors.ImflError):
                    raise event
                yield event
        finally:
            try:
                if not job.ended.is_set():
                    await asyncio.shield(self._cancel(job))
            finally:
                self._jobs.pop(job.number, None)
                shutil.rmtree(job.folder, ignore_errors=True)

    async def _submit(self, do: str, arguments: dict[str, Any]) -> _Job:
        number = next(self._numbers)
        folder = self._work / "jobs" / f"{os.getpid()}-{id(self):x}-{number}"

        def write() -> dict[str, Any]:
            folder.mkdir(parents=True)
            return {name: pack(value, folder) for name, value in arguments.items()}

        try:
            packed = await asyncio.to_thread(write)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise StorageError(
                f"The job's files cannot be written: {error.strerror or error}.",
                f"Make room in {self._work}.",
            ) from error
        request = {"job": number, "do": do, "folder": str(folder), "arguments": packed}
        job = _Job(number, folder, request)
        self._jobs[number] = job
        try:
            await self._send(job)
        except BaseException:
            self._jobs.pop(number, None)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return job

    async def _send(self, job: _Job) -> None:
        await self.start()
        job.sent += 1
        job.child = self._child
        if job.child is not None:
            job.child.send(job.request)

    async def _cancel(self, job: _Job) -> None:
        """Ask the child to drop ``job``; replace the child if it does not within the time."""
        child = job.child
        if child is None:
            return
        child.send({"cancel": job.number})
        try:
            await asyncio.wait_for(job.ended.wait(), CANCEL_SECONDS)
        except TimeoutError:
            job.end(None)
            await child.end()
            with contextlib.suppress(ComputeError):
                await self.start()

    async def _read(self, child: ChildProcess) -> None:
        """Hand the child's messages to their jobs; when it ends, fail or resend what it had."""
        async for message in child.messages():
            job = self._jobs.get(message.get("job", -1))
            if job is None or job.ended.is_set():
                continue
            kind = message["event"]
            if kind == "started":
                job.running = True
            elif kind in ("done", "cancelled"):
                job.end(None)
            elif kind == "failed":
                job.end(_error(message))
            else:
                self._deliver(job, message)
        if self._child is child:
            self._child = None
        await self._recover(child)

    def _deliver(self, job: _Job, message: dict[str, Any]) -> None:
        """Hand one event to its job."""
        try:
            event = unpack_event(message, job.folder)
        except FileNotFoundError:  # the job's reader has just left, and its folder with it
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            job.end(ComputeError(f"An answer of the compute process cannot be read: {error}."))
            return
        if isinstance(event, DeviceInfo):
            self._device_info = event
        job.events.put_nowait(event)

    async def _recover(self, child: ChildProcess) -> None:
        lost = [job for job in self._jobs.values() if job.child is child]
        for job in lost:
            if job.ended.is_set():
                continue
            if job.running or job.sent >= MAX_STARTS:
                job.end(
                    ComputeCrashed(
                        f"The compute process ended in the middle of a job: {child.ending()}.",
                        self._hint(child),
                    )
                )
            elif not self._closed:
                try:
                    await self._send(job)
                except ComputeError as error:
                    job.end(error)

    def _hint(self, child: ChildProcess | None = None) -> str:
        tail = child.log_tail() if child is not None else ""
        said = f" It last said: {tail}" if tail else ""
        return f"Try again; the details are in {self._log}.{said}"


def _error(message: dict[str, Any]) -> errors.ImflError:
    """The error a child's ``failed`` message describes."""
    kind = getattr(errors, str(message.get("kind")), ComputeError)
    if not (isinstance(kind, type) and issubclass(kind, errors.ImflError)):
        kind = ComputeError
    return kind(message["message"], message.get("hint", ""))


def _remove_stale_folders(jobs: Path) -> None:
    """Remove the job folders of applications that are gone (each is named after a process id)."""
    if not jobs.is_dir():
        return
    for folder in jobs.iterdir():
        owner = folder.name.partition("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
