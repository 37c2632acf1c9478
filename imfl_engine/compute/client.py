"""`Compute`: neural-network jobs for an asyncio application, done in a child process.

Every job is an async iterator of events. Jobs run one after another in the order they were asked
for; closing an iterator early (``aclose()``, or cancelling the task that reads it) cancels the job.
How the child is started, asked to stop and replaced is in `channel`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from imfl_engine.compute.channel import Channel
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
)
from imfl_engine.errors import ComputeCrashed
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

TrainingEvent = (
    Progress | TrainingProgress | ValidationMeasured | ModelReady | Notice | ProbabilityChunk
)


def default_threads() -> int:
    """All the processor cores this process may use."""
    with contextlib.suppress(AttributeError):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class Compute:
    """The compute process and the jobs sent to it; belongs to one event loop.

    ``work`` is a folder for job files and, unless ``log`` is given, the log. ``device`` is ``auto``,
    ``cpu``, ``cpu:float32``, ``cuda``, ``cuda:1`` or ``mps``. ``threads`` bounds the processor threads;
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
        self._channel = Channel(
            work, device=device, threads=threads or default_threads(), log=log, ray=ray
        )
        self._device_info: DeviceInfo | None = None

    async def start(self) -> None:
        """Start the child so that it imports and warms up before the first job; returns at once."""
        await self._channel.start()

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._channel.pid

    async def describe(self) -> DeviceInfo:
        """Say where models run; while a job runs, what was known before it."""
        if self._device_info is not None and self._channel.is_working:
            return self._device_info
        async with contextlib.aclosing(self._channel.stream("describe")) as events:
            async for event in events:
                if isinstance(event, DeviceInfo):
                    self._device_info = event
                    return event
        raise ComputeCrashed(
            "The compute process did not describe its device.", self._channel.hint()
        )

    async def embed(
        self, texts: Sequence[str], *, embedder: str = "minilm"
    ) -> AsyncGenerator[Progress | VectorChunk, None]:
        """Embed ``texts``; chunks come in any order, each vector once."""
        async with contextlib.aclosing(
            self._channel.stream("embed", texts=list(texts), embedder=embedder)
        ) as events:
            async for event in events:
                yield event

    async def train(self, job: TrainingJob) -> AsyncGenerator[TrainingEvent, None]:
        """Fine-tune; `ModelReady` is sent when the checkpoint is on disk.

        It is the last event, unless ``job.then_predict`` asks for predictions by the new model, whose
        chunks come before and after it. Raises `ModelError`, `OutOfMemory`, `StorageError` (disk
        full) or `ComputeCrashed`; whatever happens, a model that was in ``job.folder`` before is
        either untouched or fully replaced.
        """
        async with contextlib.aclosing(self._channel.stream("train", training=job)) as events:
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
            self._channel.stream(
                "predict", model=folder, inputs=inputs, features=features, report_as=job
            )
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
            self._channel.stream(
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
            self._channel.stream("save", model=folder, destination=destination, card=card)
        ) as events:
            async for event in events:
                if isinstance(event, Saved):
                    return event
        raise ComputeCrashed("The compute process did not save the model.", self._channel.hint())

    async def close(self) -> None:
        """End the child; jobs still running end with `ComputeError`."""
        await self._channel.close()
