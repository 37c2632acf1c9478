"""The ``train`` job by several processes that `accelerate launch` starts on this machine.

The compute process hands the job over and passes on what rank 0 reports. The launcher hands its
standard input on to the processes it starts, so closing it (or dying) ends all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from imfl_engine.compute.checkpoints import clear_unfinished
from imfl_engine.compute.process import PACKAGE_ROOT, START
from imfl_engine.compute.team import process_lost
from imfl_engine.compute.wire import TrainingJob, pack, unpack_error, unpack_event
from imfl_engine.errors import ComputeError
from imfl_engine.events import ModelReady

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

POLL_SECONDS = 0.05
END_SECONDS = 0.5
"""What processes get to end by themselves; a cancelled job has to be gone within about a second."""
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def train(job: Job, workshop: Workshop, spec: TrainingJob) -> ModelReady:
    """Fine-tune by ``spec.processes`` processes and return what rank 0 said last.

    Raises what a process raised, or `ComputeCrashed` if one ended without a word.
    """
    device = workshop.device
    check_device(device, spec.processes)
    if spec.target == "smollm2" or spec.target.endswith(".gguf"):
        workshop.causal_source(spec.target)  # once, or each process would convert the file
    workshop.let_go()
    folder = job.folder / "team"
    folder.mkdir()
    request = folder / "request.json"
    arguments = {"training": pack(spec, folder)}
    content = {"job": job.number, "do": "train", "arguments": arguments}
    request.write_text(json.dumps(content), encoding="utf-8")
    threads = max(1, device.threads // spec.processes)
    options = {
        "--device": device.kind,
        "--dtype": device.number_format,
        "--threads": str(threads),
        "--work": str(workshop.work),
        "--request": str(request),
    }
    words = [word for option in options.items() for word in option]
    processes = Processes(command(spec.processes, threads, folder, words))
    try:
        for message in processes.messages(job):
            if message["event"] == "failed":
                raise unpack_error(message)
            event = unpack_event(message, folder)
            if isinstance(event, ModelReady):
                return event
            job.emit(event)
        if processes.started < spec.processes:
            raise ComputeError(
                "accelerate launch could not start the processes.",
                "The log has the details; set training.processes to 1 to go on without it.",
            )
        raise process_lost()
    finally:
        processes.end()
        clear_unfinished(spec.folder)


def check_device(device: Device, processes: int) -> None:
    """Refuse more processes than there are devices of their own; raises `ComputeError`."""
    alone = "Set training.processes to 1."
    if device.kind == "mps":
        raise ComputeError("Apple's GPU cannot be shared by several processes.", alone)
    if device.kind != "cuda":
        return
    if device.torch_device.index is not None:
        raise ComputeError(
            f"training.device {device.torch_device} is one GPU, which several processes cannot share.",
            "Set training.device to cuda, or training.processes to 1.",
        )
    count = torch.cuda.device_count()
    if processes > count:
        raise ComputeError(
            f"training.processes is {processes}, but the number of GPUs here is {count}.",
            f"Set training.processes to {count}, or training.device to cpu.",
        )


def command(processes: int, threads: int, folder: Path, arguments: Sequence[str]) -> list[str]:
    """The command line that starts ``processes`` processes with ``threads`` threads each.

    ``folder`` is for the launcher's own files, ``arguments`` are those of each process.
    ``--multi_gpu`` is the way to start several on one machine also where there is no GPU: ``--cpu``
    leaves it to mpirun. Every option that a person's own accelerate configuration might set
    otherwise is named. Nothing is imported from the current folder (``-P``).
    """
    return [
        *(sys.executable, "-P", "-m", "accelerate.commands.launch"),
        *("--multi_gpu", "--gpu_ids", "all"),
        *("--num_machines", "1", "--num_processes", str(processes), "--main_process_port", "0"),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(threads), "--log_dir", str(folder)),
        *("--no_python", sys.executable, "-P", "-c"),
        START.format(root=PACKAGE_ROOT, module="member"),
        *arguments,
    ]


class Processes:
    """The launcher and what it has started."""

    def __init__(self, command: Sequence[str]) -> None:
        self._launcher = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Gradients have no business on the network.
            env={"GLOO_SOCKET_IFNAME": LOOPBACK, **os.environ},
        )
        self._pids: list[int] = []

    @property
    def started(self) -> int:
        """How many have said that they run."""
        return len(self._pids)

    def messages(self, job: Job) -> Iterator[dict[str, Any]]:
        """Yield what the processes write, until they have all ended; raises `Cancelled`."""
        assert self._launcher.stdout is not None
        source = self._launcher.stdout.fileno()
        rest = b""
        while True:
            job.check()
            ready, _, _ = select.select([source], [], [], POLL_SECONDS)
            if not ready:
                if self._launcher.poll() is not None:
                    return
                continue
            data = os.read(source, 2**16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if (message := _message(line)) is None:
                    print(line.decode("utf-8", "replace"))  # the launcher's, for the log
                    continue
                if message["event"] == "member":
                    self._pids.append(message["pid"])
                else:
                    yield message

    def end(self) -> None:
        """End all of them: by the end of their input, and by force what does not listen."""
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._launcher.stdin.close()
        try:
            self._launcher.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in self._pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._launcher.kill()
            self._launcher.wait()
        self._launcher.stdout.close()


def _message(line: bytes) -> dict[str, Any] | None:
    """The message in a line, None if it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "event" in message else None
