"""`Channel`: the life of the compute process and of the jobs sent to it.

Knows nothing of what a job does. Jobs run one after another in the order they were submitted. A job
whose reader leaves early is cancelled: the child is asked first, and replaced if it does not answer
in time. A child that dies takes only the running job with it (`ComputeCrashed`); jobs that had not
begun are sent to the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from imfl_engine import errors
from imfl_engine.compute.process import ChildProcess
from imfl_engine.compute.wire import pack, unpack_error, unpack_event
from imfl_engine.errors import ComputeCrashed, ComputeError, StorageError

CANCEL_SECONDS = 1.0
STUCK_SECONDS = 0.3
"""What a child that does not answer a cancellation is given to end by itself."""
MAX_STARTS = 2


@dataclass(slots=True, eq=False)
class _Job:
    """A job as the application sees it; its queue ends with None (done) or an error."""

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


class Channel:
    """The compute process and the jobs sent to it; belongs to one event loop.

    ``work`` is a folder for job files and, unless ``log`` is given, the log. ``device``,
    ``threads`` and ``ray`` are handed to the child as they are.
    """

    def __init__(
        self,
        work: Path,
        *,
        device: str,
        threads: int,
        log: Path | None = None,
        ray: str | None = None,
    ) -> None:
        self._work = work.absolute()
        self._device = device
        self._threads = threads
        self._ray = ray
        self._log = log or self._work / "compute.log"
        self._child: ChildProcess | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._jobs: dict[int, _Job] = {}
        self._numbers = count(1)
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

    @property
    def is_working(self) -> bool:
        """Whether the child is in the middle of a job."""
        return any(job.running for job in self._jobs.values())

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

    async def stream(self, do: str, **arguments: Any) -> AsyncGenerator[Any, None]:
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
            await child.end(STUCK_SECONDS)
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
                job.end(unpack_error(message))
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
                        self.hint(child),
                    )
                )
            elif not self._closed:
                try:
                    await self._send(job)
                except ComputeError as error:
                    job.end(error)

    def hint(self, child: ChildProcess | None = None) -> str:
        """What to do when the child has failed: where the log is, and its last lines."""
        tail = child.log_tail() if child is not None else ""
        said = f" It last said: {tail}" if tail else ""
        return f"Try again; the details are in {self._log}.{said}"


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
