"""A fine-tune without end, as the app runs one: what `keypress_latency --jobs` measures beside.

::

    python tests/benchmarks/training_job.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from imfl_engine.compute.client import Compute, ModelInput, TrainingJob
from imfl_engine.events import TrainingProgress

ROWS = 400


def job(folder: Path, seed: int) -> TrainingJob:
    """MiniLM on short texts of three classes."""
    classes = np.arange(ROWS) % 3
    words = ("rose sharply", "fell again", "stayed where it was")
    texts = [f"operating profit of unit {n} {words[n % 3]} in the quarter" for n in range(ROWS)]
    return TrainingJob(
        folder=folder,
        inputs=[ModelInput(text) for text in texts],
        targets=np.eye(3, dtype=np.float32)[classes],
        weights=np.ones(ROWS, dtype=np.float32),
        labels=("up", "down", "same"),
        kind="classification",
        target="minilm",
        validation=np.zeros(ROWS, dtype=bool),
        seed=seed,
    )


async def train_for_ever(folder: Path) -> None:
    """Train again and again, in a compute process with the threads and niceness of the app's."""
    compute = Compute(folder)
    seed = 0
    while True:
        async for event in compute.train(job(folder / "model", seed)):
            if isinstance(event, TrainingProgress) and not seed:
                seed = 1
                print("training", flush=True)
        seed += 1


if __name__ == "__main__":
    asyncio.run(train_for_ever(Path(sys.argv[1])))
