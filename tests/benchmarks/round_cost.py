"""What a round costs beside bare training and prediction, and whether the pool's size matters.

::

    python tests/benchmarks/round_cost.py TRAIN.jsonl TEST.jsonl [--human 200 --llm 800]
    python tests/benchmarks/round_cost.py TRAIN.jsonl TEST.jsonl --pools 10000 1000000

Runs whole projects unattended (the cheap labels are the neighbours') and adds up the wall time of
their steps. The first form then does the same trainings and predictions without a loop, a store or
another process: the ratio is what all those cost. The second repeats the texts, numbered, until the
pool is as large as asked for, and compares the rounds of the same sub-sample. One JSON object a
line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from imfl_engine.compute.client import Compute, default_threads
from imfl_engine.compute.wire import ModelInput, TrainingJob
from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.events import StepFinished, StepStarted
from imfl_engine.project import Project
from imfl_engine.settings import Settings, parse_settings

IN_THE_MODEL = ("train", "score", "evaluate")


class Recording(Compute):
    """A compute client that remembers what it was asked for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: list[TrainingJob | Sequence[ModelInput]] = []

    async def train(self, job: TrainingJob) -> AsyncGenerator[Any, None]:
        self.asked.append(job)
        async for event in super().train(job):
            yield event
        if job.then_predict:
            self.asked.append(job.then_predict)

    async def predict(
        self, folder: Path, inputs: Sequence[ModelInput], **options: Any
    ) -> AsyncGenerator[Any, None]:
        self.asked.append(inputs)
        async for event in super().predict(folder, inputs, **options):
            yield event


def settings_of(labels: list[str], options: argparse.Namespace) -> Settings:
    """The settings of the projects."""
    return parse_settings(
        {
            "task": {"labels": [{"name": name} for name in labels]},
            "budget": {"human": options.human, "llm": options.llm, "rounds": options.rounds},
            "training": {"target": options.target, "frozen_layers": options.frozen},
            "query": {"sub_sample": options.sub_sample},
        }
    )


async def run(
    path: Path, compute: Compute, settings: Settings, files: list[Path]
) -> dict[str, Any]:
    """Run a project to its end; seconds of each kind of step, and of the rounds after the first."""
    columns = Columns(label="label")
    sources = [
        open_source([file], columns, split=split)
        for file, split in zip(files, ("pool", "test"), strict=True)
    ]
    project, report = await Project.create(path, settings, sources)
    project.use(compute=compute)
    seconds: dict[str, float] = defaultdict(float)
    later = started = 0.0
    async for event in project.advance(gold=True):
        if isinstance(event, StepStarted):
            started = time.perf_counter()
        elif isinstance(event, StepFinished):
            taken = time.perf_counter() - started
            seconds[event.step.kind.value] += taken
            later += taken if event.step.round else 0.0
    await project.close()
    return {"items": report.added, "steps": dict(seconds), "rounds": later}


def bare(asked: Sequence[TrainingJob | Sequence[ModelInput]], threads: int) -> float:
    """Seconds of the same trainings and predictions in this process and nothing else."""
    from imfl_engine.compute import finetune, predict
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop.open("cpu", threads, Path(folder))
        job = Job(0, Path(folder), lambda message: None)
        trained = None
        started = time.perf_counter()
        for one in asked:
            if isinstance(one, TrainingJob):
                trained, _ = finetune.fit_encoder(job, workshop, one)
            elif trained is not None:
                for _ in predict.probabilities(job, workshop, trained, one, None, 0):
                    pass
        return time.perf_counter() - started


def rounded(value: Any) -> Any:
    """Floats with two digits, wherever they are."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return round(value, 2) if isinstance(value, float) else value


async def beside_bare(folder: Path, settings: Settings, files: list[Path]) -> None:
    """A whole project, and then its trainings and predictions alone."""
    compute = Recording(folder / "compute")
    await compute.start()
    found = await run(folder / "p.db", compute, settings, files)
    await compute.close()
    alone = await asyncio.to_thread(bare, compute.asked, default_threads())
    spent = sum(found["steps"][kind] for kind in IN_THE_MODEL)
    found |= {"training_and_scoring": spent, "bare": alone, "ratio": spent / alone}
    print(json.dumps(rounded(found)), flush=True)


async def over_pools(folder: Path, settings: Settings, files: list[Path], pools: list[int]) -> None:
    """The same rounds over pools of different size."""
    lines = [json.loads(line) for line in files[0].read_text(encoding="utf-8").splitlines()]
    first = 0.0
    for size in pools:
        pool = folder / f"pool-{size}.jsonl"
        with pool.open("w", encoding="utf-8") as file:
            for number in range(size):
                row = lines[number % len(lines)]
                text = f"{row['text']} ({number})"
                file.write(json.dumps({"text": text, "label": row["label"]}) + "\n")
        compute = Compute(folder / "compute")
        await compute.start()
        found = await run(folder / f"{size}.db", compute, settings, [pool, files[1]])
        await compute.close()
        pool.unlink()
        first = first or found["rounds"]
        print(json.dumps(rounded(found | {"ratio": found["rounds"] / first})), flush=True)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--human", type=int, default=200)
    parser.add_argument("--llm", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", default="minilm")
    parser.add_argument("--frozen", type=int, default=0)
    parser.add_argument("--sub-sample", type=int, default=2000)
    parser.add_argument("--pools", type=int, nargs="+")
    options = parser.parse_args()
    files = [options.train, options.test]
    lines = options.train.read_text(encoding="utf-8").splitlines()
    labels = sorted({json.loads(line)["label"] for line in lines})
    settings = settings_of(labels, options)
    with tempfile.TemporaryDirectory() as folder:
        if options.pools:
            asyncio.run(over_pools(Path(folder), settings, files, options.pools))
        else:
            asyncio.run(beside_bare(Path(folder), settings, files))


if __name__ == "__main__":
    main()
