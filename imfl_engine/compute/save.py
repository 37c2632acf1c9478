"""The ``save`` job: a checkpoint as a folder for other software."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.compute import causal
from imfl_engine.compute.checkpoints import RECORD, existing, read_record, replacing
from imfl_engine.compute.models import resolve
from imfl_engine.compute.wire import Saved

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

PROBE_CARD = """
## How to load it

This model is a logistic head on a frozen sentence encoder, which `transformers.pipeline` has no
architecture for. The folder is a sentence-transformers model with the head beside it:

```python
import numpy as np
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

labels = {labels}
encoder = SentenceTransformer("{folder}")
head = load_file("{folder}/probe.safetensors")
logits = encoder.encode(["a text"], normalize_embeddings=True) @ head["weight"].T + head["bias"]
print([labels[index] for index in np.argmax(logits, axis=1)])
```
"""

CHOICE_CARD = """
## How to load it

The model scores one option at a time: give the pair (text and context, option), take the option
with the highest logit. `AutoModelForMultipleChoice.from_pretrained` loads it as well.
"""

PIPELINE_CARD = """
## How to load it

```python
from transformers import pipeline

classify = pipeline("text-classification", "{folder}")
classify("a text"){pair}
```
"""


def save(job: Job, workshop: Workshop, *, model: Path, destination: Path, card: str) -> None:
    """Copy the checkpoint to ``destination`` in a form that other software loads."""
    record = read_record(model)
    loads_with = "sentence-transformers" if record.architecture == "probe" else "transformers"
    with replacing(destination) as folder:
        if record.architecture == "causal":
            causal.merge(workshop, existing(model), record, folder)
        else:
            for path in existing(model).iterdir():
                if path.is_file() and path.name != RECORD:
                    shutil.copy2(path, folder / path.name)
        if record.architecture == "probe":
            encoder = Path(resolve(record.embedder))
            if encoder.is_dir():
                shutil.copytree(encoder, folder, dirs_exist_ok=True)
            card += PROBE_CARD.format(labels=list(record.labels), folder=destination.name)
        elif record.task == "multiple-choice":
            card += CHOICE_CARD
        else:
            pair = '\nclassify({"text": "a text", "text_pair": "its context"})'
            card += PIPELINE_CARD.format(folder=destination.name, pair=pair)
        (folder / "README.md").write_text(card, encoding="utf-8")
        job.check()
    job.emit(Saved(destination, loads_with))
