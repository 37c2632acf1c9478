"""Exported models in the libraries people will load them with, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from compute_helpers import LABELS, collect, make_job, make_texts, predict_all
from compute_models import write_tiny_llama

from imfl_engine.compute.client import Compute, ModelInput, VectorChunk

pytestmark = pytest.mark.asyncio(loop_scope="session")

INPUTS = (
    ModelInput("Profit rose sharply."),
    ModelInput("The office is in Espoo.", "It was moved there in 1999."),
)

READ = """
import json, sys
import numpy as np
from transformers import AutoModelForMultipleChoice, AutoTokenizer, pipeline

folders = json.loads(sys.argv[1])
inputs = [{"text": "Profit rose sharply."},
          {"text": "The office is in Espoo.", "text_pair": "It was moved there in 1999."}]
found = {}
for name in ("encoder", "causal"):
    classify = pipeline("text-classification", folders[name], device="cpu")
    found[name] = [classify(one, top_k=None) for one in inputs]
choice = AutoModelForMultipleChoice.from_pretrained(folders["choice"]).eval()
tokenizer = AutoTokenizer.from_pretrained(folders["choice"])
batch = tokenizer(["Which?"] * 2, ["red", "green"], return_tensors="pt", padding=True)
logits = choice(**{k: v.unsqueeze(0) for k, v in batch.items()}).logits.softmax(-1)
found["choice"] = logits[0].tolist()

from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
encoder = SentenceTransformer(folders["probe"], device="cpu")
head = load_file(folders["probe"] + "/probe.safetensors")
vectors = encoder.encode([inputs[0]["text"]], normalize_embeddings=True)
scores = np.exp(vectors @ head["weight"].T + head["bias"])
found["probe"] = (scores / scores.sum()).tolist()
found["vectors"] = vectors.tolist()
print(json.dumps(found))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def read(compute: Compute, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What other software reads from our exports, and what we predict ourselves."""
    work = tmp_path_factory.mktemp("exports")
    texts = make_texts()
    llama = str(write_tiny_llama(work / "tiny-llama"))
    options = [ModelInput("Which?", None, ("red", "green"))] * 4
    choice = {
        "inputs": options,
        "targets": np.tile(np.array([1.0, 0.0], np.float32), (4, 1)),
        "weights": np.ones(4, np.float32),
        "validation": np.zeros(4, bool),
        "labels": ("A", "B"),
        "kind": "multiple-choice",
    }
    changes: dict[str, dict[str, Any]] = {
        "encoder": {"epochs": 1},
        "causal": {"target": llama, "epochs": 1, "max_length": 200},
        "choice": {**choice, "epochs": 1},
        "probe": {"target": "probe"},
    }
    ours: dict[str, Any] = {}
    saved: dict[str, Any] = {}
    for name, change in changes.items():
        await collect(compute.train(make_job(work / name, texts, **change)))
        inputs = tuple(options[:1]) if name == "choice" else INPUTS
        ours[name] = await predict_all(compute, work / name, inputs, 2 if name == "choice" else 3)
        saved[name] = await compute.save(work / name, work / "out" / name, f"# {name}\n")
    chunks = await collect(compute.embed([INPUTS[0].text]))
    ours["vectors"] = next(c.vectors for c in chunks if isinstance(c, VectorChunk))
    folders = json.dumps({name: str(work / "out" / name) for name in changes})
    done = subprocess.run(  # noqa: ASYNC221 - the loop has nothing else to do
        [sys.executable, "-c", READ, folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        "ours": ours,
        "saved": saved,
        "theirs": json.loads(done.stdout.splitlines()[-1]),
        "out": work / "out",
    }


@pytest.mark.parametrize("name", ["encoder", "causal"])
async def test_a_bare_pipeline_gives_our_probabilities(name: str, read: dict[str, Any]) -> None:
    assert read["saved"][name].loads_with == "transformers"
    for ours, theirs in zip(read["ours"][name], read["theirs"][name], strict=True):
        scores = {entry["label"]: entry["score"] for entry in theirs}
        assert [scores[label] for label in LABELS] == pytest.approx(ours.tolist(), abs=2e-4)


async def test_a_multiple_choice_export_loads_as_multiple_choice(read: dict[str, Any]) -> None:
    assert read["theirs"]["choice"] == pytest.approx(read["ours"]["choice"][0].tolist(), abs=2e-4)


async def test_a_probe_export_loads_in_sentence_transformers(read: dict[str, Any]) -> None:
    assert read["saved"]["probe"].loads_with == "sentence-transformers"
    assert read["theirs"]["probe"][0] == pytest.approx(read["ours"]["probe"][0].tolist(), abs=1e-4)


async def test_our_vectors_are_those_of_sentence_transformers(read: dict[str, Any]) -> None:
    ours, theirs = read["ours"]["vectors"][0], np.array(read["theirs"]["vectors"][0])
    assert float(ours @ theirs) > 0.9999


async def test_every_export_has_a_card_that_says_how_to_load_it(read: dict[str, Any]) -> None:
    out: Path = read["out"]
    for name, word in (
        ("encoder", "pipeline"),
        ("causal", "pipeline"),
        ("choice", "AutoModelForMultipleChoice"),
        ("probe", "SentenceTransformer"),
    ):
        card = (out / name / "README.md").read_text()
        assert card.startswith(f"# {name}\n")
        assert word in card
