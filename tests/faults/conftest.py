"""The fault-injecting server as a fixture, and small helpers to ask it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.limits import Patience
from imfl_engine.annotate.ports import Annotator
from imfl_engine.settings import Annotator as AnnotatorSettings
from imfl_engine.settings import LabelSpec, Settings, Task
from imfl_engine.types import AnnotationRequest, Demonstration, Item, Purpose

sys.path.insert(0, str(Path(__file__).parent))

from serving import Running, start


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """Start fault servers; all are stopped at the end."""
    running: list[Running] = []

    def begin(**config: Any) -> Running:
        running.append(start(**config))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def fault_server() -> ModuleType:
    """The server's module, for its lists of faults and its `truth`."""
    return importlib.import_module("server")


LABELS = ("positive", "negative", "neutral")
KEY = "sk-test-9f8e7d6c5b4a39281706"
IMPATIENT = Patience(first=0.02, most=0.2)


def make_requests(n: int, *, shots: int = 0, first: int = 0) -> list[AnnotationRequest]:
    """Items that all differ, each with the same demonstrations."""
    shown = tuple(
        Demonstration(
            Item(10_000 + k, f"d{k}", f"Example number {k}."), LABELS[k % 3], 0.5 + k / 10
        )
        for k in range(shots)
    )
    return [
        AnnotationRequest(
            Item(i, str(i), f"In quarter {i % 4 + 1} company {i} earned {i * 7} million."),
            1,
            Purpose.ANNOTATE,
            shown,
        )
        for i in range(first, first + n)
    ]


def make_annotator(
    server: Running, *, patience: Patience = IMPATIENT, guidelines: str = "", **settings: Any
) -> Annotator:
    """An annotator for this server; $1 and $2 per million tokens unless said otherwise."""
    values: dict[str, Any] = {
        "spec": "openai:test-model",
        "base_url": server.base_url,
        "price_input": 1.0,
        "price_output": 2.0,
        "concurrency": 32,
        "timeout_seconds": 5.0,
        **settings,
    }
    whole = Settings(
        task=Task(labels=tuple(LabelSpec(name=x) for x in LABELS), guidelines=guidelines),
        annotator=AnnotatorSettings(**values),
    )
    made = build_annotator(
        whole, environ={"OPENAI_API_KEY": KEY}, patience=patience, poll_seconds=0.1
    )
    assert made is not None
    return made


@pytest.fixture
def label_requests() -> Callable[..., list[AnnotationRequest]]:
    return make_requests


@pytest.fixture
async def annotator_for() -> AsyncIterator[Callable[..., Annotator]]:
    """Make annotators; all are closed at the end."""
    made: list[Annotator] = []

    def make(server: Running, **settings: Any) -> Annotator:
        made.append(make_annotator(server, **settings))
        return made[-1]

    yield make
    for annotator in made:
        await annotator.close()
