"""What crosses the pipe arrives as it was sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imfl_engine.compute.collect import Collected
from imfl_engine.compute.wire import (
    LabelPrompt,
    LabelScores,
    ModelInput,
    ProbabilityChunk,
    pack,
    pack_event,
    unpack,
    unpack_event,
)
from imfl_engine.events import ModelReady, TrainingProgress

TEXTS = ["line\nbreak", "", 'quote " and \\', "emoji \U0001f600", "\x1b]0;title\x07", "\ud800"]


def test_inputs_arrive_as_they_were_sent(tmp_path: Path) -> None:
    sent = {
        "inputs": [ModelInput(text, None, ("a", "b")) for text in TEXTS],
        "prompts": [LabelPrompt("p", text, (" yes", " no")) for text in TEXTS],
        "texts": TEXTS,
        "features": np.arange(6, dtype=np.float32).reshape(2, 3),
        "folder": tmp_path,
        "none": None,
        "empty": (),
    }
    message = json.loads(json.dumps(pack(sent, tmp_path)))
    received = unpack(message, tmp_path)
    assert received["inputs"] == sent["inputs"]
    assert received["prompts"] == sent["prompts"]
    assert received["texts"] == TEXTS
    assert (received["features"] == sent["features"]).all()
    assert received["features"].dtype == np.float32
    assert (received["folder"], received["none"], received["empty"]) == (tmp_path, None, ())


@pytest.mark.parametrize(
    "event",
    [
        TrainingProgress(1, 2, 0.5, 0.1, 3.0, None, "cpu", None),
        ModelReady(Path("/tmp/x"), 1.0, "cpu", 2.0),
    ],
)
def test_events_arrive_as_they_were_sent(event: object, tmp_path: Path) -> None:
    message = json.loads(json.dumps({"job": 1, **pack_event(event, tmp_path)}))
    assert unpack_event(message, tmp_path) == event


def test_the_files_of_an_event_are_gone_once_it_is_read(tmp_path: Path) -> None:
    index = np.arange(2)
    scores = np.zeros((2, 3), dtype=np.float32)
    for event in (
        ProbabilityChunk(index, scores),
        LabelScores(index, scores, scores, index, index),
    ):
        received = unpack_event(pack_event(event, tmp_path), tmp_path)
        assert (received.indices == index).all()
        assert list(tmp_path.iterdir()) == []


def test_the_client_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, imfl_engine.compute.client\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'peft', 'safetensors'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rows_that_have_not_all_come_are_no_matrix_yet() -> None:
    collected = Collected(3)
    collected.put(ProbabilityChunk(np.array([2, 0]), np.eye(2, dtype=np.float32)))
    assert collected.whole is None
    collected.put(ProbabilityChunk(np.array([1]), np.full((1, 2), 0.5, np.float32)))
    assert collected.whole is not None
    assert collected.whole.tolist() == [[0, 1], [0.5, 0.5], [1, 0]]
