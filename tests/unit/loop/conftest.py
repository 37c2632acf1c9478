"""A small project on the sample data, with the real compute child and the quick target."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from imfl_engine.compute.client import Compute, TrainingJob
from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.project import Project
from imfl_engine.settings import parse_settings

SAMPLE = Path(__file__).resolve().parents[3] / "sample_data" / "clinic-inbox"


def sources(folder: Path, *, test: bool, pool: int = 90, test_size: int = 40) -> list[Any]:
    """Sources of the first items of the sample data: embedding them all would take too long."""
    found = []
    for name, size in (("train", pool), ("test", test_size if test else 0)):
        lines = (SAMPLE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:size]
        if lines:
            path = folder / f"{name}.jsonl"
            path.write_text("\n".join(lines), encoding="utf-8")
            split = "test" if name == "test" else "pool"
            found.append(open_source([path], Columns(label="label"), split=split))
    return found


def settings(**changes: Any) -> Any:
    """Settings of a small run; keyword arguments are merged into the sections."""
    names = ("admin", "appointment", "medication", "results", "symptoms")
    values: dict[str, Any] = {
        "task": {"labels": [{"name": name} for name in names]},
        "budget": {"human": 24, "llm": 24, "rounds": 2},
        "query": {"sub_sample": 40},
        "training": {"target": "probe"},
    }
    for section, change in changes.items():
        values[section] = values.get(section, {}) | change if isinstance(change, dict) else change
    return parse_settings(values)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compute(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Compute]:
    """One compute child for all tests of a module: starting it costs seconds."""
    shared = Compute(tmp_path_factory.mktemp("compute"))
    yield shared
    await shared.close()


@pytest_asyncio.fixture(loop_scope="module")
async def make(tmp_path: Path, compute: Compute) -> AsyncIterator[Callable[..., Any]]:
    """Create projects that are closed at the end of the test."""
    opened: list[Project] = []

    async def create(name: str = "p.db", *, test: bool = True, **changes: Any) -> Project:
        project, _ = await Project.create(
            tmp_path / name, settings(**changes), sources(tmp_path, test=test)
        )
        project.use(compute=compute)
        opened.append(project)
        return project

    yield create
    for project in opened:
        await project.close()


@pytest.fixture
def taught(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> list[TrainingJob]:
    """The training jobs that the compute child has been given so far."""
    jobs: list[TrainingJob] = []
    train = compute.train

    def remember(job: TrainingJob) -> Any:
        jobs.append(job)
        return train(job)

    monkeypatch.setattr(compute, "train", remember)
    return jobs
