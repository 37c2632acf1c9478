"""What every step of the loop works with, and the embeddings they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imfl_engine.annotate.ports import Annotator
from imfl_engine.compute.checkpoints import is_there
from imfl_engine.compute.client import Compute
from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import ModelInput, ProbabilityChunk, VectorChunk
from imfl_engine.events import Event, Progress
from imfl_engine.settings import Settings
from imfl_engine.store import items, rounds
from imfl_engine.store.database import Database
from imfl_engine.store.embeddings import Embeddings, FloatArray, Keys
from imfl_engine.types import Item, StepKind, option_letter

if TYPE_CHECKING:
    from numpy.typing import NDArray

VECTORS = "vectors"
"""The folder of embeddings within ``files``."""
EMBED_SLICE = 1024
"""Texts sent to the compute process at once: bounds memory and what a kill can lose."""
CLUSTER_SLICE = 16 * EMBED_SLICE
"""The same where a cluster embeds: enough for many workers at once."""


@dataclass
class LoopContext:
    """The project's open parts. ``files`` is the folder of models and vectors beside its file.

    ``annotator_of`` builds the annotator on first use, so that a missing key is no obstacle to a
    project that labels by hand.
    """

    database: Database
    settings: Settings
    compute: Compute
    files: Path
    annotator_of: Callable[[LoopContext], Annotator]
    person: str = "expert"
    _annotator: Annotator | None = field(default=None, repr=False)
    _embeddings: Embeddings = field(init=False, repr=False)
    _keys: dict[int, int] = field(default_factory=dict, repr=False)
    _embedding: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def __post_init__(self) -> None:
        self._embeddings = Embeddings(self.files / VECTORS)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label names of a classification task."""
        return self.settings.task.label_names

    @property
    def annotator(self) -> Annotator:
        """The annotator of the settings."""
        if self._annotator is None:
            self._annotator = self.annotator_of(self)
        return self._annotator

    async def forget_annotator(self) -> None:
        """Close the annotator, after its settings have changed."""
        if self._annotator is not None:
            annotator, self._annotator = self._annotator, None
            await annotator.close()

    def model_folder(self, round: int) -> Path:
        """Where the model of a round is kept."""
        return self.files / f"round-{round}"

    async def newest_model(self) -> tuple[int, Path] | None:
        """Return the newest round whose model is trained and still on disk."""
        done = await self.database.read(lambda con: rounds.completed(con, kind=StepKind.TRAIN))
        for step in reversed(done):
            folder = self.model_folder(step.round)
            if is_there(folder):
                return step.round, folder
        return None

    async def lost_model(self) -> int | None:
        """Return the newest trained round when its model is no longer on disk."""
        done = await self.database.read(lambda con: rounds.completed(con, kind=StepKind.TRAIN))
        trained = [step.round for step in done if step.details.get("examples")]
        if not trained or is_there(self.model_folder(trained[-1])):
            return None
        return trained[-1]

    async def class_names(self) -> tuple[str, ...]:
        """Return the classes of the target: the labels, or letters up to the most options."""
        if self.settings.task.kind == "classification":
            return self.labels
        most = await self.database.read(items.most_options)
        return tuple(option_letter(index) for index in range(most))

    async def embed(self, ids: Sequence[int]) -> AsyncGenerator[Event, None]:
        """Embed those of ``ids`` that have no vector yet; every slice is kept as it is done."""
        embedder = self.settings.embedder
        size = CLUSTER_SLICE if self.settings.training.ray else EMBED_SLICE
        async with self._embedding:
            lacking = await self.lacking_vectors(ids)
            wanted = [item_id for item_id in ids if item_id in lacking]
            done = len(ids) - len(wanted)
            for start in range(0, len(wanted), size):
                part = wanted[start : start + size]
                found = await self.database.read(partial(items.by_ids, ids=part))
                texts = [item_text(item) for item in found]
                collected = Collected(len(part))
                async with aclosing(self.compute.embed(texts, embedder=embedder)) as events:
                    async for event in events:
                        if isinstance(event, VectorChunk):
                            collected.put(event)
                        elif isinstance(event, Progress):
                            yield within(event, done + start, len(ids))
                if collected.matrix is not None:
                    keys = await self._keys_of(part)
                    await asyncio.to_thread(self._embeddings.add, embedder, keys, collected.matrix)

    async def vectors_of(self, ids: Sequence[int]) -> FloatArray:
        """Return vectors, float32 (n, d), in the order of ``ids``.

        Those that are not there, because their folder is gone, are computed again.
        """
        if await self.lacking_vectors(ids):
            async with aclosing(self.embed(ids)) as events:
                async for _ in events:
                    pass
        keys = await self._keys_of(ids)
        return await asyncio.to_thread(self._embeddings.fetch, self.settings.embedder, keys)

    async def lacking_vectors(self, ids: Sequence[int]) -> set[int]:
        """Return those of ``ids`` that have no vector of the embedder yet."""
        keys = await self._keys_of(ids)
        has = await asyncio.to_thread(self._embeddings.has, self.settings.embedder, keys)
        return {item_id for item_id, there in zip(ids, has, strict=True) if not there}

    async def _keys_of(self, ids: Sequence[int]) -> Keys:
        """Return under which keys the vectors of ``ids`` are kept; an imported item never changes."""
        new = [item_id for item_id in ids if item_id not in self._keys]
        if new:
            self._keys |= await self.database.read(lambda con: items.content_keys(con, new))
        return np.array([self._keys[item_id] for item_id in ids], np.uint64)

    async def probabilities_of(
        self,
        folder: Path,
        inputs: Sequence[ModelInput],
        classes: int,
        tell: Callable[[Progress], object] = lambda progress: None,
    ) -> NDArray[np.float32]:
        """Return what `reading` ends with; ``tell`` is called with how far it is."""
        matrix = np.zeros((0, classes), dtype=np.float32)
        async with aclosing(self.reading(folder, inputs, classes)) as events:
            async for event in events:
                if isinstance(event, Progress):
                    tell(event)
                else:
                    matrix = event
        return matrix

    async def reading(
        self, folder: Path, inputs: Sequence[ModelInput], classes: int
    ) -> AsyncGenerator[Progress | NDArray[np.float32], None]:
        """Yield how far the model in ``folder`` is, then what it says of ``inputs``: (n, ``classes``).

        Multiple choice may have fewer options here than anywhere else: the rest is 0.
        """
        matrix = np.zeros((len(inputs), classes), dtype=np.float32)
        async with aclosing(self.compute.predict(folder, inputs, job="predict")) as events:
            async for event in events:
                if isinstance(event, ProbabilityChunk):
                    width = min(classes, event.probabilities.shape[1])
                    matrix[event.indices, :width] = event.probabilities[:, :width]
                elif isinstance(event, Progress):
                    yield event
        yield matrix

    async def items_of(self, ids: Sequence[int]) -> list[Item]:
        """Return the items in the order of ``ids``."""
        return await self.database.read(lambda con: items.by_ids(con, ids))


def within(event: Progress, before: int, total: int) -> Progress:
    """Place the progress of one slice in the whole; between two slices nobody knows what is left."""
    done = min(before + event.done, total)
    eta = event.eta_seconds
    if eta is not None and done < total:
        rest = event.total - event.done
        eta = eta * (total - done) / rest if rest > 0 else None
    return replace(event, done=done, total=total, eta_seconds=eta)


def item_text(item: Item) -> str:
    """Return what is embedded for an item: its text, then its context, then its options."""
    return "\n".join(part for part in (item.text, item.context, *item.options) if part)


def model_input(item: Item) -> ModelInput:
    """Return an item as the target reads it."""
    return ModelInput(item.text, item.context, item.options)
