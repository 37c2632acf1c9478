"""The longest time nothing else could run on the app's event loop, screen by screen.

::

    python tests/benchmarks/loop_stall.py --items 100000

Walks through every screen of the real app on a real project without a terminal, labels some items,
searches while typing, and lets a flood of training events come in. A watcher on the same loop asks
to be woken every two milliseconds; how late it is woken is how long the loop was blocked. The
processor time of the loop's thread in the worst gap is printed beside it: on a busy machine the
wall time alone also counts the other programs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from imfl_engine.events import Event, StepStarted, TrainingProgress
from imfl_engine.types import Step, StepKind
from imfl_tui.app import ImflApp
from imfl_tui.preloading import preload

sys.path.insert(0, str(Path(__file__).parent))

from keypress_latency import make_project
from loop_watch import Watcher


async def flood(seconds: float) -> AsyncIterator[Event]:
    """As many events as the loop takes."""
    yield StepStarted(Step(StepKind.TRAIN, 1))
    end = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < end:
        number += 1
        yield TrainingProgress(number, 100_000, 1.0, 0.5, 70.0, 10.0, "cpu")
        if number % 10 == 0:
            await asyncio.sleep(0)


async def until(done: Callable[[], object]) -> None:
    """Wait for a condition."""
    while not done():
        await asyncio.sleep(0.01)


async def measure(path: Path) -> dict[str, dict[str, float]]:
    """Walk through the app and return the worst gap of each part."""
    from imfl_engine.project import Project

    project = await Project.open(path)
    app = ImflApp(path, project, preferences_file=path.with_suffix(".toml"), start_jobs=False)
    watcher = Watcher()
    results: dict[str, dict[str, float]] = {}
    async with app.run_test(size=(120, 40)) as pilot:
        await asyncio.to_thread(preload)  # as the app does beside its first frame
        task = asyncio.create_task(watcher.run())
        await until(lambda: app.status is not None and app.estimate is not None)
        results["start"] = watcher.take()
        for screen in ("annotate", "train", "review", "explore", "results", "export", "label"):
            await app.action_go(screen)
            await pilot.pause(0.3)
            results[f"show {screen}"] = watcher.take()
        for number in range(60):
            await pilot.press("123"[number % 3])
        results["60 labels"] = watcher.take()
        app.start_job("rounds", lambda: flood(2.0))
        for number in range(20):
            await pilot.press("123"[number % 3])
        await until(lambda: not app.jobs.busy)
        results["20 labels in a flood of events"] = watcher.take()
        await app.action_go("explore")
        await pilot.press("slash", *"profit 42")
        await pilot.pause(1.0)
        results["search while typing"] = watcher.take()
        task.cancel()
    await project.close()
    return results


def main() -> None:
    """Run and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.db"
        asyncio.run(make_project(path, options.items, 200))
        results = asyncio.run(measure(path))
    for name, worst in results.items():
        print(
            f"{name:>32}  {worst['wall_ms']:>8} ms wall {worst['cpu_ms']:>8} ms processor",
            file=sys.stderr,
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
