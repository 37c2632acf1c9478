"""Labels a second against a server of known delay, beside two clients that do less.

::

    python tests/benchmarks/annotate_throughput.py [--labels 1000] [--concurrency 64]
        [--latency 0.2] [--repeats 5]

The ideal is concurrency / latency: a client and a server that cost nothing. Ours commits every
reply to a DuckDB file before it is shown, reserves its price first, and keeps a ledger; the naive
one keeps labels in a list, limits itself with a semaphore and leaves retries to the openai package;
the bare one posts with aiohttp and looks at nothing, which is what this machine and this server
leave of the ideal. With ``--faults 0.3`` three answers in ten are 429 or 500. The clients take
turns, each run in a process of its own; prints one JSON object a client, of the run with its median
rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from imfl_engine.annotate.build import build_annotator
from imfl_engine.settings import Annotator, LabelSpec, Settings, Task
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import AnnotationRequest, Item, Purpose

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from serving import start

Client = Callable[[Any, list[str], int], Awaitable[dict[str, Any]]]

LABELS = ("positive", "negative", "neutral")


def megabytes() -> float:
    """The largest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def ours(server: Any, texts: list[str], concurrency: int) -> dict[str, Any]:
    settings = Settings(
        task=Task(labels=tuple(LabelSpec(name=name) for name in LABELS)),
        annotator=Annotator(
            spec="openai:test-model",
            base_url=server.base_url,
            price_input=1.0,
            price_output=2.0,
            concurrency=concurrency,
        ),
    )
    annotator = build_annotator(settings, environ={})
    assert annotator is not None
    requests = [
        AnnotationRequest(Item(i, str(i), text), 1, Purpose.ANNOTATE)
        for i, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        database = Database.create(Path(folder, "p.db"))
        await annotator.check()
        memory, quarter = megabytes(), 0.0
        labelled, cpu, start = 0, time.process_time(), time.perf_counter()
        async for event in annotator.annotate(requests, DuckReplyStore(database)):
            reply = getattr(event, "reply", None)
            labelled += reply is not None and reply.status.has_label
            if labelled == len(texts) // 4:
                quarter = megabytes()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        grown = megabytes() - quarter
        await annotator.close()
        database.close()
    return {
        "client": "ours",
        "labelled": labelled,
        "seconds": seconds,
        "cpu_ms_each": 1000 * cpu / len(texts),
        "memory_mb": memory,
        "memory_growth_after_first_quarter_mb": grown,
    }


async def naive(server: Any, texts: list[str], concurrency: int) -> dict[str, Any]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="none", base_url=server.base_url)
    slots = asyncio.Semaphore(concurrency)

    async def label(text: str) -> str | None:
        async with slots:
            answer = await client.chat.completions.create(
                model="test-model",
                max_tokens=64,
                temperature=0,
                messages=[
                    {
                        "role": "system",
                        "content": "Choose:\n" + "\n".join(f"- {x}" for x in LABELS),
                    },
                    {"role": "user", "content": f"<item>\n{text}\n</item>"},
                ],
            )
        return answer.choices[0].message.content

    memory, cpu, start = megabytes(), time.process_time(), time.perf_counter()
    answers = await asyncio.gather(*map(label, texts), return_exceptions=True)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    await client.close()
    return {
        "client": "naive gather",
        "labelled": sum(answer in LABELS for answer in answers),
        "seconds": seconds,
        "cpu_ms_each": 1000 * cpu / len(texts),
        "memory_mb": memory,
    }


async def bare(server: Any, texts: list[str], concurrency: int) -> dict[str, Any]:
    import aiohttp

    slots = asyncio.Semaphore(concurrency)
    address = f"{server.base_url}/chat/completions"
    words = {"role": "system", "content": "Choose:\n" + "\n".join(f"- {x}" for x in LABELS)}

    async def label(text: str) -> int:
        asked = {"role": "user", "content": f"<item>\n{text}\n</item>"}
        body = {"model": "test-model", "max_tokens": 64, "messages": [words, asked]}
        async with slots, session.post(address, json=body) as answer:
            await answer.read()
            return answer.status

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        memory, cpu, start = megabytes(), time.process_time(), time.perf_counter()
        statuses = await asyncio.gather(*map(label, texts))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "client": "bare aiohttp",
        "labelled": statuses.count(200),
        "seconds": seconds,
        "cpu_ms_each": 1000 * cpu / len(texts),
        "memory_mb": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--only", choices=["ours", "naive", "bare"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    clients = {"ours": ours, "naive": naive, "bare": bare}
    if options.only:
        print(json.dumps(measure(clients[options.only], options)))
        return
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in clients}
    for _ in range(options.repeats):
        for name, results in runs.items():
            results.append(in_a_process_of_its_own(name))
    for results in runs.values():
        ranked = sorted(results, key=lambda result: result["seconds"])
        result = ranked[len(ranked) // 2]
        rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}
        print(json.dumps(rounded), flush=True)


def measure(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """One run of ``client`` against a new server."""
    texts = [
        f"In quarter {i % 4 + 1} company {i} earned {i * 7} million." for i in range(options.labels)
    ]
    server = start(
        latency=options.latency,
        faults=["429", "500"] if options.faults else [],
        fault_share=options.faults,
    )
    result = asyncio.run(client(server, texts, options.concurrency))
    server.stop()
    rate, ideal = options.labels / result["seconds"], options.concurrency / options.latency
    return result | {"per_second": rate, "ideal_per_second": ideal, "of_ideal": rate / ideal}


def in_a_process_of_its_own(name: str) -> dict[str, Any]:
    """One run that does not pay for the garbage of the runs before it."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
