"""The ``embed`` and ``predict`` jobs on a Ray cluster, in parts.

The compute process is Ray's driver, so the application knows nothing of it. Each worker is an actor
that keeps its models warm, and does with its part what this process would do with the whole. The
checkpoint travels through Ray's object store: no shared folder is needed. imfl-tui[ray] has to be
installed on every machine of the cluster.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from imfl_engine.compute.checkpoints import existing, read_record
from imfl_engine.compute.collect import Collected
from imfl_engine.compute.job import Job, ProgressMeter
from imfl_engine.compute.wire import FloatArray, ModelInput, ProbabilityChunk, VectorChunk
from imfl_engine.errors import ComputeCrashed, ComputeError, ImflError
from imfl_engine.events import JobKind

LOCAL = "local"
"""The address that means: start a cluster on this machine, and end it with this process."""
PART = 512
"""Items a worker gets at once: some seconds of work, so that the last ones end together."""
CORES = 2
"""Processor cores of a worker where there is no GPU."""
WAIT_SECONDS = 0.2
CONNECT_SECONDS = 10.0

Part = tuple[int, FloatArray]
"""Where a part begins, and its rows."""


class Worker:
    """One actor. ``core_count`` bounds its threads, ``device`` is as in `devices.choose`."""

    def __init__(self, core_count: int, device: str) -> None:
        from imfl_engine.compute.models import Workshop

        self._folder = Path(tempfile.mkdtemp(prefix="imfl-worker-"))
        self._workshop = Workshop.open(device, core_count, self._folder)
        self._job = Job(0, self._folder, lambda message: None)

    def embed(self, start: int, texts: Sequence[str], embedder: str) -> Part:
        """Unit vectors of ``texts``."""
        from imfl_engine.compute.embed import vectors_of

        return start, vectors_of(self._job, self._workshop, texts, embedder)

    def predict(
        self,
        start: int,
        inputs: Sequence[ModelInput],
        features: FloatArray | None,
        files: dict[str, bytes],
        options: int,
    ) -> Part:
        """Class probabilities of ``inputs`` by the checkpoint that ``files`` are."""
        from imfl_engine.compute import predict

        trained = predict.load(self._workshop, self._unpacked(files))
        found = Collected(len(inputs))
        for rows, values in predict.probabilities(
            self._job, self._workshop, trained, inputs, features, options
        ):
            found.put(ProbabilityChunk(rows, values))
        assert found.matrix is not None  # a part is never empty
        return start, found.matrix

    def _unpacked(self, files: dict[str, bytes]) -> Path:
        digest = sha256()
        for name, content in sorted(files.items()):
            digest.update(name.encode() + b"\0" + content)
        folder = self._folder / digest.hexdigest()[:16]
        if not folder.exists():
            for before in self._folder.iterdir():  # of models that are not asked any more
                shutil.rmtree(before, ignore_errors=True)
            for name, content in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return folder


class Cluster:
    """A connection to a Ray cluster, made at the first job.

    Workers compute on what their machine has, unless ``device`` is a CPU's: that holds for them too.
    """

    def __init__(self, address: str, device: str = "auto") -> None:
        self._address = address
        self._device = device if device.startswith("cpu") else "auto"
        self._workers: list[Any] = []

    def embed(self, job: Job, *, texts: Sequence[str], embedder: str) -> None:
        """See `embed.embed`."""
        parts = [(start, texts[start : start + PART], embedder) for start in _starts(texts)]
        meter = ProgressMeter(job, "embed", len(texts), float(len(texts)))
        for start, vectors in self._run(job, "embed", parts):
            job.emit(VectorChunk(np.arange(start, start + len(vectors)), vectors))
            meter.advance(len(vectors), float(len(vectors)))

    def predict(
        self,
        job: Job,
        *,
        model: Path,
        inputs: Sequence[ModelInput],
        features: FloatArray | None,
        report_as: JobKind,
    ) -> None:
        """See `predict.predict`."""
        if not len(inputs):
            return
        import ray

        from imfl_engine.compute.predict import most_options

        self._connect()
        files = ray.put(_content(existing(model)))
        options = most_options(read_record(model), inputs)
        parts = []
        for start in _starts(inputs):
            part = slice(start, start + PART)
            known = None if features is None else features[part]
            parts.append((start, inputs[part], known, files, options))
        meter = ProgressMeter(job, report_as, len(inputs), float(len(inputs)))
        for start, values in self._run(job, "predict", parts):
            job.emit(ProbabilityChunk(np.arange(start, start + len(values)), values))
            meter.advance(len(values), float(len(values)))

    def _run(self, job: Job, method: str, parts: Iterable[tuple[Any, ...]]) -> Iterator[Part]:
        """Yield what the workers return, in the order in which they are done."""
        from ray.exceptions import RayActorError, RayTaskError
        from ray.util import ActorPool

        self._connect()
        pool = ActorPool(self._workers)
        for part in parts:
            pool.submit(lambda worker, given: getattr(worker, method).remote(*given), part)
        try:
            while pool.has_next():
                job.check()
                try:
                    done = pool.get_next_unordered(timeout=WAIT_SECONDS)
                except TimeoutError:
                    continue
                yield done
        except BaseException as error:
            self._let_go()  # the only way to stop what the workers are at
            if isinstance(error, RayTaskError):
                raise _cause(error) from error
            if isinstance(error, RayActorError):
                raise ComputeCrashed(
                    "A worker of the Ray cluster ended in the middle of its part.",
                    "Start the step again; what was done before is kept.",
                ) from error
            raise

    def _connect(self) -> None:
        import ray

        if self._workers:
            return
        if not ray.is_initialized():
            local = self._address == LOCAL
            try:
                _knock(self._address)
                ray.init(
                    address=LOCAL if local else self._address,
                    log_to_driver=False,
                    **({"include_dashboard": False} if local else {}),
                )
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                raise ComputeError(
                    f"There is no Ray cluster at '{self._address}'.",
                    "Start one with `ray start --head`, or set training.ray to local or null.",
                ) from error
        resources = ray.cluster_resources()
        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        of_each = min(CORES, max(1, cores))
        if self._device != "auto":
            gpus = 0
        options = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": of_each}
        actor = ray.remote(Worker).options(**options)
        self._workers = [
            actor.remote(of_each, self._device) for _ in range(gpus or max(1, cores // of_each))
        ]

    def _let_go(self) -> None:
        import ray

        for worker in self._workers:
            ray.kill(worker)
        self._workers = []


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself tries for many minutes."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    if place.port:
        socket.create_connection((place.hostname or "", place.port), CONNECT_SECONDS).close()


def _starts(items: Sequence[Any]) -> range:
    return range(0, len(items), PART)


def _content(folder: Path) -> dict[str, bytes]:
    """The checkpoint in ``folder``, file by file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _cause(error: Any) -> Exception:
    """What went wrong in a worker, as it would be here."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ImflError | ImportError | MemoryError | RuntimeError | OSError):
        return cause
    return ComputeError(f"A worker of the Ray cluster failed ({cause or error}).", "See its log.")
