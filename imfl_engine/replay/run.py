"""Runs arms one after the other; each is an ordinary project with gold labels as the person.

Items are imported and embedded once; every arm and seed starts from a copy of that project. A
killed replay goes on where it was: finished rows are in the output file, the interrupted arm in its
project.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.errors import ImflError, UsageError
from imfl_engine.events import Notice, Progress, StepStarted
from imfl_engine.loop.context import VECTORS
from imfl_engine.project import Project
from imfl_engine.project_parts import files_folder
from imfl_engine.replay.arms import Arm
from imfl_engine.replay.measure import measure
from imfl_engine.replay.oracle import SimulatedAnnotator, parse_noise
from imfl_engine.replay.rows import ReplayRow, read_rows, row_key, write_rows
from imfl_engine.settings import Settings
from imfl_engine.store import items, settings_log
from imfl_engine.store.database import Connection, Database

if TYPE_CHECKING:
    from imfl_engine.annotate.ports import Annotator
    from imfl_engine.compute.client import Compute
    from imfl_engine.data.reading import Source
    from imfl_engine.loop.context import LoopContext


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """What to replay.

    ``settings`` is the common ground (task, budget, annotator, target); each arm changes its own
    part. ``sources`` hold the pool and the test set, both with gold labels. ``out`` is the Parquet
    file of rows, added to if it is there. ``work`` is the folder of the arms' projects and of the
    embedded items; one that is named stays for the next replay, the default beside ``out`` goes
    when all is done. ``keep`` keeps every arm's project. ``changes`` names what ``settings`` holds
    besides the flags, for the rows. ``data`` is a hash of the files, how they are read and split, and
    of the budget: what was measured on other data is not taken for this.
    """

    dataset: str
    settings: Settings
    sources: Sequence[Source]
    arms: tuple[Arm, ...]
    seeds: Sequence[int]
    out: Path
    work: Path | None = None
    keep: bool = False
    threads: int | None = None
    changes: str = ""
    data: str = ""

    @property
    def folder(self) -> Path:
        """Where the arms' projects are."""
        return self.work or self.out.with_name(self.out.name + ".work")


@dataclass(frozen=True, slots=True)
class RowFinished:
    """An arm of a seed is through, its row in the output file; ``reused`` if it was before."""

    row: ReplayRow
    reused: bool = False


ReplayEvent = Progress | Notice | RowFinished


async def replay(config: ReplayConfig) -> AsyncGenerator[ReplayEvent, None]:
    """Run every arm for every seed, seeds outermost, so that an early stop leaves all arms
    compared.

    Yields a `Progress` (unit ``arms``; ``detail`` names what runs), a `RowFinished` for each row,
    and a `Notice` for an arm that cannot run. Raises `UsageError` when nothing can be measured.
    """
    from imfl_engine.compute.client import Compute

    rows = {row.key: row for row in read_rows(config.out)}  # before anything is made
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.folder.mkdir(parents=True, exist_ok=True)
    training = config.settings.training
    compute = Compute(
        config.folder, device=training.device, threads=config.threads, ray=training.ray
    )
    runs = [(arm, seed) for seed in config.seeds for arm in config.arms]
    started = time.monotonic()
    fresh = 0
    try:
        base: Path | None = None
        for done, (arm, seed) in enumerate(runs):
            settings = arm.settings(config.settings, seed)
            key = row_key(
                config.dataset,
                arm.name,
                seed,
                settings.annotator.spec,
                settings.training.target,
                config.changes,
                config.data,
            )
            if key in rows:
                yield RowFinished(rows[key], reused=True)
                continue
            if base is None:
                base = await _base_project(config, compute)
            eta = (time.monotonic() - started) / fresh * (len(runs) - done) if fresh else None
            where = Progress("train", done, len(runs), "arms", eta, f"{arm.name}, seed {seed}")
            yield where
            try:
                async with aclosing(_run_arm(config, arm, settings, compute, base)) as events:
                    async for event in events:
                        if isinstance(event, ReplayRow):
                            rows[key] = event
                            write_rows(config.out, list(rows.values()))
                            yield RowFinished(event)
                        else:
                            detail = f"{where.detail}: {event}"
                            yield Progress("train", done, len(runs), "arms", eta, detail)
                fresh += 1
            except ImflError as error:
                if isinstance(error, UsageError):
                    raise
                yield Notice("error", f"{arm.name}, seed {seed}: {error.message}", error.hint)
        yield Progress("train", len(runs), len(runs), "arms", 0.0)
    finally:
        await compute.close()
        if config.work is None and not config.keep:
            shutil.rmtree(config.folder, ignore_errors=True)


async def _base_project(config: ReplayConfig, compute: Compute) -> Path:
    """Import and embed everything once; returns the project that the arms are copied from."""
    name = "-".join(filter(None, (config.dataset, config.data, "base")))
    path = config.folder / f"{_safe(name)}.db"
    complete = path.with_suffix(".complete")
    if complete.exists() and _vectors(path).is_dir():
        return path
    complete.unlink(missing_ok=True)
    for leftover in (path, path.with_name(path.name + ".wal")):
        leftover.unlink(missing_ok=True)
    project, _ = await Project.create(path, config.settings, config.sources)
    try:
        project.use(compute=compute)
        ids = await project.context.database.read(_gold_ids)
        if not ids[1]:
            raise UsageError(
                f"'{config.dataset}' has no labelled test items to measure on.",
                "Name them with --test FILE or --test SHARE, and the gold column with --label.",
            )
        async with aclosing(project.context.embed([*ids[0], *ids[1]])) as events:
            async for _ in events:
                pass
    finally:
        await project.close()
    complete.touch()
    return path


def _vectors(project: Path) -> Path:
    return files_folder(project) / VECTORS


def _gold_ids(con: Connection) -> tuple[list[int], list[int]]:
    return items.ids_of_split(con, "pool"), items.ids_of_split(con, "test", with_gold=True)


async def _run_arm(
    config: ReplayConfig, arm: Arm, settings: Settings, compute: Compute, base: Path
) -> AsyncGenerator[str | ReplayRow, None]:
    """Run one arm in its own project, going on where an earlier replay left it."""
    identity = "\x1f".join(map(str, (config.dataset, config.data, settings.model_dump_json())))
    path = config.folder / f"{_safe(arm.name)}-{sha256(identity.encode()).hexdigest()[:12]}.db"
    if not path.exists():
        copy = path.with_suffix(".copy")
        shutil.copyfile(base, copy)
        shutil.copytree(_vectors(base), _vectors(path), dirs_exist_ok=True)
        database = Database.open(copy)
        try:
            await database.write(lambda con: settings_log.append(con, settings))
        finally:
            database.close()
        copy.replace(path)
    started = time.monotonic()
    project = await Project.open(path)
    try:
        project.use(compute=compute, annotator_of=annotator_of)
        async with aclosing(project.advance(gold=True)) as events:
            async for event in events:
                if isinstance(event, StepStarted):
                    yield f"round {event.step.round}, {event.step.kind}"
        seconds = time.monotonic() - started
        yield await measure(
            project, config.dataset, arm, seconds, changes=config.changes, data=config.data
        )
    finally:
        await project.close()
    if not config.keep:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        shutil.rmtree(files_folder(path), ignore_errors=True)


def annotator_of(context: LoopContext) -> Annotator:
    """Build the annotator of a replay: a simulated one here, any other as a project does."""
    settings = context.settings
    if settings.annotator.kind != "simulated":
        from imfl_engine.loop.annotators import annotator_for

        return annotator_for(context)
    spec = settings.annotator.spec
    return SimulatedAnnotator(
        parse_noise(settings.annotator.model),
        settings.task.label_names,
        spec=spec,
        seed=settings.seed,
    )


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-+." else "_" for c in name)
