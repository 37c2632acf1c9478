"""Tiny texts, jobs and readers that the compute tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imfl_engine.compute.client import (
    Compute,
    ModelInput,
    ProbabilityChunk,
    TrainingJob,
    VectorChunk,
)

GOOD = ("Profit rose sharply", "Sales grew again", "Orders increased", "The margin improved")
BAD = ("Profit fell sharply", "Sales shrank again", "Orders were cancelled", "The loss widened")
OFFICE = (
    "The office is in Espoo",
    "The board met on Monday",
    "The firm makes paper",
    "A site is old",
)
LABELS = ("bad", "good", "neutral")
WHEN = ("this year", "in the quarter", "in Finland", "the company said")


@dataclass(frozen=True)
class Texts:
    """Short texts in three classes."""

    inputs: tuple[ModelInput, ...]
    classes: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        return np.eye(len(LABELS), dtype=np.float32)[self.classes]


def make_texts() -> Texts:
    rows = [
        (ModelInput(f"{text} {when} ."), LABELS.index(label))
        for label, texts in (("good", GOOD), ("bad", BAD), ("neutral", OFFICE))
        for text in texts
        for when in WHEN
    ]
    return Texts(tuple(item for item, _ in rows), np.array([index for _, index in rows]))


def make_job(folder: Path, texts: Texts, **changes: Any) -> TrainingJob:
    count = len(texts.inputs)
    values: dict[str, Any] = {
        "folder": folder,
        "inputs": texts.inputs,
        "targets": texts.targets,
        "weights": np.ones(count, dtype=np.float32),
        "labels": LABELS,
        "kind": "classification",
        "target": "minilm",
        "validation": np.zeros(count, dtype=bool),
        "seed": 1,
        "max_length": 32,
    }
    return TrainingJob(**{**values, **changes})


def make_choice_job(folder: Path, target: str, **changes: Any) -> TrainingJob:
    """Eight items with two or three options of their own, of which the first is right."""
    inputs = [ModelInput(f"Pick {n}", None, ("yes", "no", "good")[: 2 + n % 2]) for n in range(8)]
    targets = np.zeros((8, 3), dtype=np.float32)
    targets[:, 0] = 1
    values: dict[str, Any] = {
        "inputs": inputs,
        "targets": targets,
        "weights": np.ones(8, np.float32),
        "validation": np.zeros(8, bool),
        "labels": ("A", "B", "C"),
        "kind": "multiple-choice",
        "target": target,
        "epochs": 20,
        "learning_rate": 1e-2,
    }
    return make_job(folder, make_texts(), **{**values, **changes})


async def collect(events: AsyncIterator[Any]) -> list[Any]:
    return [event async for event in events]


async def embed_all(compute: Compute, texts: list[str]) -> np.ndarray:
    found = np.full((len(texts), 384), np.nan, dtype=np.float32)
    async for event in compute.embed(texts, embedder="minilm"):
        if isinstance(event, VectorChunk):
            found[event.indices] = event.vectors
    return found


async def predict_all(
    compute: Compute, folder: Path, inputs: tuple[ModelInput, ...], classes: int, **options: Any
) -> np.ndarray:
    found = np.full((len(inputs), classes), np.nan, dtype=np.float32)
    async for event in compute.predict(folder, inputs, **options):
        if isinstance(event, ProbabilityChunk):
            found[event.indices] = event.probabilities
    return found
