"""What a round costs beside bare training and prediction, and whether the pool's size matters.

::

    python tests/benchmarks/round_cost.py TRAIN.jsonl TEST.jsonl [--human 200 --llm 800 --rounds 5]
    python tests/benchmarks/round_cost.py TRAIN.jsonl TEST.jsonl --pools 10000 1000000

Runs whole projects unattended and adds up the wall time of their steps. The cheap labels are made of
gold labels, three of four right, which costs no time and gives trainings their full size: labels that
say nothing, as the neighbours' do, are left out of them. The first form does the trainings and
predictions of each round again right after it, without a loop, a store or another process: the ratio is
what all those cost. The second repeats the texts, each with a number of its own, until the pool is as
large as asked for, and compares the first round that draws a sub-sample, so that no vector is there
from a round before: in a small pool sub-samples overlap. Repeats of both sides alternate; a line of JSON
for each, then the medians.

On one core the five rounds take about 3 minutes a side and repeat, a pool's round of the probe 6
seconds and importing a million items 10.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imfl_engine.compute.child import be_nice
from imfl_engine.compute.client import Compute, default_threads
from imfl_engine.compute.wire import ModelInput, TrainingJob
from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.events import StepFinished, StepStarted
from imfl_engine.project import Project
from imfl_engine.replay.run import annotator_of
from imfl_engine.settings import Settings, parse_settings
from imfl_engine.types import StepKind

IN_THE_MODEL = ("train", "score", "evaluate")
NUMBERS = 10**7
"""Every text's number has as many digits, whatever the pool: as many tokens."""
SPREAD = 7_654_321
"""Coprime to `NUMBERS`, so that each place has a number of its own."""

Asked = TrainingJob | Sequence[ModelInput]


class Recording(Compute):
    """A compute client that remembers what it was asked for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: list[Asked] = []

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


class Bare:
    """The same trainings and predictions in this process and nothing else."""

    def __init__(self, folder: Path, threads: int) -> None:
        from imfl_engine.compute.job import Job
        from imfl_engine.compute.models import Workshop

        self._workshop = Workshop.open("cpu", threads, folder)
        self._workshop.encoder("minilm")
        self._job = Job(0, folder, lambda message: None)
        self._trained: Any = None

    def seconds(self, asked: Sequence[Asked]) -> float:
        """How long they take."""
        from imfl_engine.compute import finetune, predict

        started = time.perf_counter()
        for one in asked:
            if isinstance(one, TrainingJob):
                self._trained, _ = finetune.fit_encoder(self._job, self._workshop, one)
            elif self._trained is not None:
                found = predict.probabilities(
                    self._job, self._workshop, self._trained, one, None, 0
                )
                for _ in found:
                    pass
        return time.perf_counter() - started


@dataclass(slots=True)
class Spent:
    """Seconds of each kind of step in each round."""

    steps: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def put(self, event: StepFinished, seconds: float) -> None:
        """Count a step."""
        self.steps[event.step.round][event.step.kind.value] = seconds

    def of(self, kinds: Sequence[str]) -> float:
        """Seconds of steps of these kinds in all rounds."""
        return sum(taken.get(kind, 0.0) for taken in self.steps.values() for kind in kinds)


def settings_of(labels: list[str], options: argparse.Namespace) -> Settings:
    """The settings of the projects: with pools one round of the same size, since one is compared."""
    rounds = 1 if options.pools else options.rounds
    share = options.rounds if options.pools else 1
    return parse_settings(
        {
            "task": {"labels": [{"name": name} for name in labels]},
            "budget": {
                "human": options.human // share,
                "llm": options.llm // share,
                "rounds": rounds,
            },
            "training": {"target": options.target, "frozen_layers": options.frozen},
            "query": {"sub_sample": options.sub_sample},
            "annotator": {"spec": options.annotator},
        }
    )


async def create(path: Path, settings: Settings, files: list[Path]) -> None:
    """A project with the items of ``files`` (pool, test)."""
    columns = Columns(label="label")
    sources = [
        open_source([file], columns, split=split)
        for file, split in zip(files, ("pool", "test"), strict=True)
    ]
    project, _ = await Project.create(path, settings, sources)
    await project.close()


async def run(
    path: Path,
    compute: Compute,
    between: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0),
) -> Spent:
    """Run a project to its end; ``between`` is awaited after each round, while nothing runs."""
    project = await Project.open(path)
    project.use(compute=compute, annotator_of=annotator_of)
    spent = Spent()
    started = 0.0
    async for event in project.advance(gold=True):
        if isinstance(event, StepStarted):
            started = time.perf_counter()
        elif isinstance(event, StepFinished):
            spent.put(event, time.perf_counter() - started)
            if event.step.kind is StepKind.EVALUATE:
                await between()
    await project.close()
    return spent


def rounded(value: Any) -> Any:
    """Floats with two digits, wherever they are."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def tell(**values: Any) -> None:
    """A line of JSON."""
    print(json.dumps(rounded(values)), flush=True)


async def beside_bare(folder: Path, settings: Settings, files: list[Path], repeats: int) -> None:
    """Whole projects, each round followed by its trainings and predictions alone."""
    base = folder / "base.db"
    await create(base, settings, files)
    compute = Recording(folder / "compute")
    await compute.start()
    bare = Bare(folder, default_threads())
    pairs: list[tuple[float, float]] = []
    for repeat in range(repeats):
        alone: list[float] = []

        async def again(seconds: list[float] = alone) -> None:
            asked = list(compute.asked)
            compute.asked.clear()
            # In the main thread, as the compute process: glibc gives others memory in another way.
            seconds.append(bare.seconds(asked))

        path = folder / f"{repeat}.db"
        shutil.copy(base, path)
        spent = await run(path, compute, again)
        pairs.append((spent.of(IN_THE_MODEL), sum(alone)))
        ours, theirs = pairs[-1]
        tell(repeat=repeat, ours=ours, bare=theirs, ratio=ours / theirs, steps=dict(spent.steps))
    await compute.close()
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"training, scoring, measuring  {ours:8.1f} s")
    print(f"bare                          {theirs:8.1f} s")
    print(f"ratio                         {ratio:8.3f}, median of {repeats}")


def write_pool(path: Path, file: Path, size: int) -> None:
    """``size`` items with the texts of ``file``, each with a number of its own."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as pool:
        for place in range(size):
            row = lines[place % len(lines)]
            text = f"{row['text']} ({place * SPREAD % NUMBERS:07d})"
            pool.write(json.dumps({"text": text, "label": row["label"]}) + "\n")


async def over_pools(
    folder: Path, settings: Settings, files: list[Path], pools: list[int], repeats: int
) -> None:
    """The same round over pools of different size."""
    for size in pools:
        file = folder / "pool.jsonl"
        write_pool(file, files[0], size)
        started = time.perf_counter()
        await create(folder / f"{size}.db", settings, [file, files[1]])
        file.unlink()
        tell(pool=size, import_seconds=time.perf_counter() - started)
    compute = Compute(folder / "compute")
    await compute.start()
    rounds: dict[int, list[dict[str, float]]] = {size: [] for size in pools}
    for repeat in range(repeats):
        for size in pools if repeat % 2 == 0 else reversed(pools):
            path = folder / "run.db"
            shutil.copy(folder / f"{size}.db", path)
            spent = await run(path, compute)
            rounds[size].append(spent.steps[1])
            tell(repeat=repeat, pool=size, round=sum(spent.steps[1].values()), steps=spent.steps[1])
            path.unlink()
            shutil.rmtree(path.with_name(path.name + ".files"), ignore_errors=True)
    await compute.close()
    first = pools[0]
    print(f"{'median seconds of':<18}" + "".join(f"{size:>12,}" for size in pools))
    for kind in (*rounds[first][0], "round"):
        row = [
            statistics.median(
                sum(steps.values()) if kind == "round" else steps[kind] for steps in found
            )
            for found in rounds.values()
        ]
        print(f"{kind:<18}" + "".join(f"{seconds:>12.2f}" for seconds in row))
    for size in pools[1:]:
        ratios = [
            sum(large.values()) / sum(small.values())
            for small, large in zip(rounds[first], rounds[size], strict=True)
        ]
        print(f"{size:,} to {first:,}: {statistics.median(ratios):.3f}, median of {repeats}")


def main() -> None:
    """Run one of the two."""
    be_nice()  # as the compute process is, or a program beside them would slow down one side only
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--human", type=int, default=200)
    parser.add_argument("--llm", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", default="minilm")
    parser.add_argument("--frozen", type=int, default=0)
    parser.add_argument("--sub-sample", type=int, default=2000)
    parser.add_argument("--annotator", default="simulated:0.75")
    parser.add_argument("--pools", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    files = [options.train, options.test]
    lines = options.train.read_text(encoding="utf-8").splitlines()
    labels = sorted({json.loads(line)["label"] for line in lines})
    settings = settings_of(labels, options)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.pools:
            pools = over_pools(work, settings, files, options.pools, options.repeats)
            asyncio.run(pools)
        else:
            asyncio.run(beside_bare(work, settings, files, options.repeats))


if __name__ == "__main__":
    main()
