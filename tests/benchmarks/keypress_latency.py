"""Key to next item on the screen, first paint and memory, through a pty with a terminal emulator.

::

    python tests/benchmarks/keypress_latency.py --items 1000000 --keys 300 --jobs

Measures the real app on a project of ``--items`` made-up texts, and in the same run a bare Textual app
that commits one DuckDB row a key: with ``--jobs`` beside a training job and an LLM job (the engine's
own, 32 labels a second, in processes of their own), with ``--busy`` beside processes that compute
without pause and, unlike a training job, claim as much of the processor as the app. The app also
embeds ahead while it is measured.
``--datatui PYTHON`` adds datatui, another labeller for the terminal, if that interpreter has it
(``python -m venv d && d/bin/pip install datatui``), on 10,000 texts, as it keeps them in memory;
``--project`` takes a project that is there instead of making one.
A key's time ends when the emulator shows another item. The person's pace is simulated by a short
rest between keys (``--rest``), as nobody presses the next key before seeing the item.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import psutil
import pyte

SIZE = (30, 100)
ITEM = re.compile(r"item (\d{6,7})")


class Terminal:
    """A program in a pty, and the screen it has drawn."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.screen = pyte.Screen(SIZE[1], SIZE[0])
        self.stream = pyte.ByteStream(self.screen)
        self.started = time.perf_counter()
        self.child = pexpect.spawn(
            command[0], command[1:], dimensions=SIZE, env=environment, timeout=60
        )
        self.child.delaybeforesend = None

    def feed(self, timeout: float = 1.0) -> None:
        """Take in what the program has written."""
        try:
            self.stream.feed(self.child.read_nonblocking(1 << 16, timeout))
        except pexpect.TIMEOUT:
            return

    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(self.screen.display)

    def item(self) -> str | None:
        """The number of the item on the screen."""
        found = ITEM.search(self.text())
        return found.group(1) if found else None

    def wait(self, words: str, seconds: float = 120.0) -> float:
        """Wait for words; returns the seconds since the program was started."""
        end = time.perf_counter() + seconds
        while words not in self.text():
            if time.perf_counter() > end:
                raise TimeoutError(f"{words!r} never came:\n{self.text()}")
            self.feed(0.05)
        return time.perf_counter() - self.started

    def press(self, key: str) -> float:
        """Press a key and return the seconds until another item is on the screen."""
        before = self.item()
        started = time.perf_counter()
        self.child.send(key)
        while self.item() in (before, None):
            if time.perf_counter() - started > 10:
                raise TimeoutError(f"no next item after {before}:\n{self.text()}")
            self.feed(1.0)
        return time.perf_counter() - started


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds at the usual ranks."""
    ranked = sorted(value * 1000 for value in seconds)
    at = lambda share: ranked[min(int(len(ranked) * share), len(ranked) - 1)]  # noqa: E731
    return {
        "p50_ms": round(statistics.median(ranked), 1),
        "p95_ms": round(at(0.95), 1),
        "p99_ms": round(at(0.99), 1),
        "max_ms": round(ranked[-1], 1),
    }


def measure(terminal: Terminal, keys: int, rest: float, letters: str = "123") -> dict[str, float]:
    """Press ``keys`` keys, the first five unmeasured."""
    times = []
    for number in range(keys + 5):
        times.append(terminal.press(letters[number % 3]))
        time.sleep(rest)
    return percentiles(times[5:])


async def make_project(path: Path, items: int, human: int) -> None:
    """A project whose first batch waits for the person."""
    from imfl_engine.data.reading import open_source
    from imfl_engine.project import Project
    from imfl_engine.settings import parse_settings
    from imfl_engine.types import StepKind

    source = path.with_suffix(".jsonl")
    with source.open("w") as file:
        for number in range(items):
            text = f"item {number:06d}: operating profit rose to EUR {number % 97}.{number % 10} mn"
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    settings = parse_settings(
        {
            "task": {"labels": [{"name": name} for name in ("positive", "negative", "neutral")]},
            "budget": {"human": human * 2, "llm": 0, "rounds": 2},
            "query": {"schedule": "equal"},
            "annotator": {"spec": "none"},
        }
    )
    project, _ = await Project.create(path, settings, [open_source(str(source))])
    async for _ in project.advance(until=StepKind.LABEL):
        pass
    await project.close()
    source.unlink()


def start_datatui(python: str, folder: Path, environment: dict[str, str]) -> Terminal:
    """Start datatui in a folder of its own."""
    program = (
        "from datatui import datatui\n"
        "rows = [{'content': f'item {n:06d}: operating profit rose'} for n in range(10000)]\n"
        f"datatui(rows, 'benchmark', {str(folder / 'cache')!r})"
    )
    return Terminal([python, "-c", program], environment)


def start_jobs(folder: Path, environment: dict[str, str]) -> list[subprocess.Popen[str]]:
    """A training job that is past its start, and an LLM job."""
    here = Path(__file__).parent
    llm = ["--only", "ours", "--labels", "100000", "--concurrency", "16", "--latency", "0.5"]
    commands = [[here / "annotate_throughput.py", *llm], [here / "training_job.py", folder]]
    jobs = [
        subprocess.Popen(
            [sys.executable, *map(str, command)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    trained = jobs[-1].stdout
    assert trained is not None
    assert trained.readline() == "training\n"
    return jobs


def main() -> None:
    """Run the benchmark and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument(
        "--jobs", action="store_true", help="a training job and an LLM job meanwhile"
    )
    parser.add_argument("--busy", type=int, default=0, help="processes that compute meanwhile")
    parser.add_argument("--rest", type=float, default=0.05, help="seconds between keys")
    parser.add_argument("--datatui", metavar="PYTHON", help="an interpreter that has datatui")
    parser.add_argument("--project", type=Path, help="a project whose first batch waits")
    options = parser.parse_args()
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    here = Path(__file__).parent
    results: dict[str, object] = {
        "items": options.items,
        "jobs": options.jobs,
        "busy": options.busy,
    }
    with tempfile.TemporaryDirectory() as folder:
        environment["IMFL_TUI_CONFIG"] = folder
        project = Path(folder) / "big.db"
        if options.project:
            shutil.copy(options.project, project)
        else:
            asyncio.run(make_project(project, options.items, options.keys + 20))
        work = "import numpy as n; a=n.random.rand(400,400)\nwhile True: a@a"
        single = {**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        busy = [
            subprocess.Popen([sys.executable, "-c", work], env=single) for _ in range(options.busy)
        ]
        if options.jobs:
            busy += start_jobs(Path(folder) / "jobs", environment)
        try:
            bare = Terminal(
                [sys.executable, str(here / "bare_app.py"), str(Path(folder) / "bare.db")],
                environment,
            )
            results["bare_first_paint_s"] = round(bare.wait("item 000000"), 3)
            results["bare"] = measure(bare, options.keys, options.rest)
            bare.child.close(force=True)
            if options.datatui:
                other = start_datatui(options.datatui, Path(folder), environment)
                results["datatui_first_paint_s"] = round(other.wait("item 000000"), 3)
                results["datatui"] = measure(other, options.keys, options.rest, "fjm")
                other.child.close(force=True)
            app = Terminal([sys.executable, "-m", "imfl_tui", str(project)], environment)
            results["first_paint_s"] = round(app.wait("big.db"), 3)
            process = psutil.Process(app.child.pid)
            app.wait("enter label")
            results["figures_s"] = round(time.perf_counter() - app.started, 3)
            results["rss_mb_start"] = round(process.memory_info().rss / 1e6)
            app.child.send("\r")
            app.wait(" of ")
            while app.item() is None:
                app.feed()
            results["imfl_tui"] = measure(app, options.keys, options.rest)
            results["rss_mb_end"] = round(process.memory_info().rss / 1e6)
            app.child.close(force=True)
        finally:
            for one in busy:
                one.kill()
    for name, value in results.items():
        print(f"{name:>20}  {value}", file=sys.stderr)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
