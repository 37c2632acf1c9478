"""The compute process: reads jobs from standard input, does them one by one, reports on fd 1.

Started by `process`. A reader thread takes jobs and cancellations while the main
thread works; at the end of input the process ends at once, whatever it is doing, so it never
outlives the application. Everything printed goes to the log.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imfl_engine.compute.allocator import give_back_memory
from imfl_engine.compute.job import Cancelled, Job
from imfl_engine.compute.memory import is_out_of_memory
from imfl_engine.compute.wire import unpack
from imfl_engine.errors import ComputeError, ImflError, ModelError, OutOfMemory, StorageError

if TYPE_CHECKING:
    from imfl_engine.compute.cluster import Cluster
    from imfl_engine.compute.models import Workshop

HANDLERS = {
    "describe": "devices",
    "embed": "embed",
    "train": "finetune",
    "predict": "predict",
    "score_labels": "label_scores",
    "save": "save",
}
"""Job name → module; each has a function of the job's name: ``f(job, workshop, **arguments)``."""
ON_CLUSTER = ("embed", "predict")
"""Jobs that a Ray cluster does, if there is one."""

NICENESS = 5

Message = dict[str, Any]


class Link:
    """The child's end of the pipe."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        self._choosing = threading.Lock()
        self._running: Job | None = None
        self._jobs: dict[int, Job] = {}
        self._queue: queue.Queue[tuple[Job, Message]] = queue.Queue()

    def send(self, message: Message) -> None:
        """Write one message; ends the process if nobody reads any more."""
        data = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                while data:
                    data = data[os.write(self._sink, data) :]
        except BrokenPipeError:
            os._exit(0)

    def read_forever(self) -> None:
        """Take jobs and cancellations until the input ends; then end the process."""
        with contextlib.suppress(OSError, ValueError), os.fdopen(self._source, "rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "cancel" in message:
                    self._cancel(message["cancel"])
                else:
                    job = Job(message["job"], Path(message["folder"]), self.send)
                    self._jobs[job.number] = job
                    self._queue.put((job, message))
        os._exit(0)

    def next(self) -> tuple[Job, Message]:
        """Wait for the next job that is still wanted, and say that it is started."""
        while True:
            job, message = self._queue.get()
            with self._choosing:
                if not job.cancelled.is_set():
                    self._running = job
                    break
        self.send({"job": job.number, "event": "started"})
        return job, message

    def finish(self, job: Job, message: Message) -> None:
        """Send a job's last message."""
        with self._choosing:
            self._running = None
            self._jobs.pop(job.number, None)
        self.send({"job": job.number, **message})

    def _cancel(self, number: int) -> None:
        """Mark a job; one that still waits is answered for here, since nobody will start it."""
        with self._choosing:
            job = self._jobs.get(number)
            if job is None:
                return
            job.cancelled.set()
            if job is self._running:
                return
            del self._jobs[number]
        self.send({"job": number, "event": "cancelled"})


def claim_standard_streams() -> tuple[int, int]:
    """Keep the pipes for the protocol; let prints go to the log and reads find nothing.

    Returns the file descriptors to read jobs from and to write messages to.
    """
    source, sink = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return source, sink


def perform(
    job: Job,
    message: Message,
    workshop: Callable[[], Workshop],
    cluster: Cluster | None = None,
) -> Message:
    """Do one job and return its last message; nothing a job raises ends the process."""
    try:
        job.check()
        arguments = unpack(message["arguments"], job.folder)
        do = message["do"]
        if cluster is not None and do in ON_CLUSTER:
            getattr(cluster, do)(job, **arguments)
        else:
            module = importlib.import_module(f"imfl_engine.compute.{HANDLERS[do]}")
            getattr(module, do)(job, workshop(), **arguments)
    except Cancelled:
        return {"event": "cancelled"}
    except Exception as error:
        if job.cancelled.is_set():
            return {"event": "cancelled"}
        if not isinstance(error, ImflError):
            traceback.print_exc()
        known = explain(error)
        return {
            "event": "failed",
            "kind": type(known).__name__,
            "message": known.message,
            "hint": known.hint,
        }
    return {"event": "done"}


def explain(error: Exception) -> ImflError:
    """A library's error in our words."""
    if isinstance(error, ImflError):
        return error
    said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    if isinstance(error, ImportError):
        return ComputeError(
            f"A Python package that this needs cannot be loaded ({said}).",
            f"Install it: pip install {error.name or 'the missing package'}.",
        )
    if is_out_of_memory(error):
        return OutOfMemory(
            "The device has not enough memory for this model.",
            "Use a smaller model or max_length, or another --device.",
        )
    if is_disk_full(error):
        return StorageError(
            "There is no room left on the disk; the last good model is unchanged.",
            "Free some space and train again.",
        )
    if isinstance(error, FileNotFoundError):
        return ModelError(
            f"A file of the model is missing: {error.filename or error}.",
            "Train again, or name another folder.",
        )
    return ComputeError(f"The compute process failed ({said}).", "The log has the details.")


def is_disk_full(error: BaseException) -> bool:
    """Whether ``error`` (or what safetensors makes of it) says that the disk is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    text = str(error)
    return "No space left" in text or "StorageFull" in text or "File too large" in text


def be_nice() -> None:
    """Let the application go first.

    On Linux a session of its own is a scheduling group of its own, and a process's niceness counts
    only inside its group, so the group is made nice as well.
    """
    with contextlib.suppress(OSError):
        os.nice(max(0, NICENESS - os.nice(0)))
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


def main() -> None:
    """Run until the input ends."""
    parser = argparse.ArgumentParser(prog="imfl-compute")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("."))
    parser.add_argument("--ray", metavar="ADDRESS")
    options = parser.parse_args()
    source, sink = claim_standard_streams()
    be_nice()
    cluster: Cluster | None = None
    if options.ray:
        from imfl_engine.compute.cluster import Cluster

        cluster = Cluster(options.ray, options.device)
    link = Link(source, sink)
    threading.Thread(target=link.read_forever, name="reader", daemon=True).start()

    made: list[Workshop] = []

    def workshop() -> Workshop:
        if not made:
            from imfl_engine.compute.models import Workshop

            made.append(Workshop.open(options.device, options.threads, options.work))
        return made[0]

    with contextlib.suppress(Exception):  # a job that needs it will say why
        workshop()
    while True:
        job, message = link.next()
        last = perform(job, message, workshop, cluster)
        if last["event"] == "cancelled" and made:
            made[0].device.release()
        link.finish(job, last)
        give_back_memory()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
