"""What crosses the pipe between the application and the compute process.

Messages are JSON, one a line. Whatever is large stays out of the pipe: arrays are ``.npy`` files
and model inputs a ``.jsonl`` file in the job's folder, and the message holds their names
(``{"npy": "…"}``, ``{"inputs": "…"}``). The files of an event are removed once they are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imfl_engine import errors
from imfl_engine.errors import ComputeError, ImflError
from imfl_engine.events import ModelReady, Notice, Progress, TrainingProgress, ValidationMeasured
from imfl_engine.types import TaskKind

FloatArray = NDArray[np.float32]
IndexArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One item as a model reads it; ``options`` only for multiple choice."""

    text: str
    context: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One fine-tune: ``loss = mean_i(weights_i · CE(targets_i, f(inputs_i)))``.

    If ``marginal``, ``-mean_i(weights_i · log Σ_y targets_iy f(y|inputs_i))``: the targets are then
    likelihoods, which say nothing where they are even and the same as the above where one class has
    all (not for the *probe*). ``targets`` are soft, float32 (n, C), rows sum to one; for multiple
    choice C is the largest number of options and absent options are 0. ``weights`` are float32 (n,)
    with mean 1.
    ``validation`` marks, bool (n,), rows that are held out of training to choose the best epoch and
    to stop early; all False trains to the end. ``features`` are float32 (n, d) stored embeddings
    for the *probe* target, so that nothing is embedded twice. ``start_from`` continues from a
    checkpoint instead of the base weights. None in a hyper-parameter means the target's default.
    """

    folder: Path
    inputs: Sequence[ModelInput]
    targets: FloatArray
    weights: FloatArray
    labels: tuple[str, ...]
    kind: TaskKind
    target: str
    validation: BoolArray
    seed: int
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    max_length: int = 256
    marginal: bool = False
    features: FloatArray | None = None
    start_from: Path | None = None
    embedder: str = "minilm"
    """The embedder of ``features``; a *probe* embeds texts without features by it."""
    freeze_words: bool = True
    """Whether the word embeddings keep their base values: most of a small encoder's parameters."""
    frozen_layers: int = 0
    """How many of the lowest layers are not trained (mean-pooling BERTs only)."""
    average: bool = True
    """Whether a target may end with the mean of its last states; without, it ends with the last one."""
    processes: int = 1
    """Processes that fine-tune together under `accelerate launch`; the *probe* needs one only."""
    then_predict: Sequence[ModelInput] = ()
    """What the new model reads while its checkpoint is written: nobody waits for the disk."""


@dataclass(frozen=True, slots=True)
class LabelPrompt:
    """One item to be labelled by a causal language model.

    The model reads ``prefix + suffix`` and each of ``labels`` is scored as its continuation, so
    ``suffix`` ends right where a label begins (for example ``"…\\nSentiment:"``) and labels carry
    their own leading space. ``prefix`` holds what several items have in common (instructions,
    demonstrations); whatever prompts share at their beginning is computed once.
    """

    prefix: str
    suffix: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Where models run. Memory in bytes; ``fallback`` says why it is not what was asked for."""

    name: str
    kind: str
    memory_total: int
    memory_free: int
    dtype: str
    threads: int
    fallback: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class VectorChunk:
    """Embeddings of some of the texts: ``vectors`` float32 (m, d) of unit length."""

    indices: IndexArray
    vectors: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ProbabilityChunk:
    """Class probabilities of some of the inputs: float32 (m, C), absent options 0."""

    indices: IndexArray
    probabilities: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """Label log-probabilities of some of the prompts: float32 (m, C), absent labels -inf.

    ``log_probabilities`` are normalised over the labels, after calibration where that was asked
    for; ``raw`` is the model's own log-probability of each label's tokens. ``input_tokens`` (m,)
    counts a prompt's tokens and ``cached_tokens`` (m,) those of them that were shared.
    """

    indices: IndexArray
    log_probabilities: FloatArray
    raw: FloatArray
    input_tokens: IndexArray
    cached_tokens: IndexArray


@dataclass(frozen=True, slots=True)
class Saved:
    """An exported model. ``loads_with`` is ``transformers`` or ``sentence-transformers``."""

    folder: Path
    loads_with: str


EVENTS: dict[str, type] = {
    "progress": Progress,
    "training": TrainingProgress,
    "validation": ValidationMeasured,
    "ready": ModelReady,
    "notice": Notice,
    "device": DeviceInfo,
    "vectors": VectorChunk,
    "probabilities": ProbabilityChunk,
    "scores": LabelScores,
    "saved": Saved,
}
_NAMES = {kind: name for name, kind in EVENTS.items()}
_numbers = count()


def pack(value: Any, folder: Path) -> Any:
    """Turn ``value`` into JSON, writing arrays and model inputs to files in ``folder``."""
    if isinstance(value, np.ndarray):
        name = f"{next(_numbers)}.npy"
        np.save(folder / name, value, allow_pickle=False)
        return {"npy": name}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: pack(getattr(value, field.name), folder) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): pack(item, folder) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) and isinstance(value[0], str | ModelInput | LabelPrompt):
            return _write_rows(value, folder)
        return [pack(item, folder) for item in value]
    return value


def unpack(value: Any, folder: Path, *, remove: bool = False) -> Any:
    """Undo `pack`: read the files that ``value`` names, and remove them if asked to."""
    if isinstance(value, list):
        return tuple(unpack(item, folder, remove=remove) for item in value)
    if not isinstance(value, dict):
        return value
    if value.keys() == {"path"}:
        return Path(value["path"])
    if value.keys() == {"npy"}:
        array = np.load(folder / value["npy"], allow_pickle=False)
        if remove:
            (folder / value["npy"]).unlink(missing_ok=True)
        return array
    if value.keys() == {"rows", "kind"}:
        return _read_rows(folder / value["rows"], value["kind"])
    return {key: unpack(item, folder, remove=remove) for key, item in value.items()}


def pack_event(event: Any, folder: Path) -> dict[str, Any]:
    """Name an event and pack its fields; raises KeyError for a type that is no event."""
    name = _NAMES[type(event)]
    return {"event": name, "values": pack(event, folder)}


def unpack_event(message: dict[str, Any], folder: Path) -> Any:
    """Build the event that ``message`` describes."""
    return EVENTS[message["event"]](**unpack(message["values"], folder, remove=True))


def unpack_error(message: dict[str, Any]) -> ImflError:
    """Build the error that a ``failed`` message describes."""
    kind = getattr(errors, str(message.get("kind")), ComputeError)
    if not (isinstance(kind, type) and issubclass(kind, ImflError)):
        kind = ComputeError
    return kind(message["message"], message.get("hint", ""))


def _write_rows(rows: Sequence[Any], folder: Path) -> dict[str, str]:
    """One JSON array (or string) a line: a million texts need not fit into one message."""
    name = f"{next(_numbers)}.jsonl"
    with (folder / name).open("w", encoding="utf-8") as file:
        for row in rows:
            values = row if isinstance(row, str) else [getattr(row, f.name) for f in fields(row)]
            file.write(json.dumps(values) + "\n")
    return {"rows": name, "kind": type(rows[0]).__name__}


def _read_rows(path: Path, kind: str) -> list[Any]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if kind == "ModelInput":
        return [ModelInput(text, context, tuple(options)) for text, context, options in rows]
    if kind == "LabelPrompt":
        return [LabelPrompt(prefix, suffix, tuple(labels)) for prefix, suffix, labels in rows]
    return rows
