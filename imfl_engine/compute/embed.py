"""Sentence embeddings: length-sorted token-budget batches through a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from imfl_engine.compute.batches import token_batches
from imfl_engine.compute.job import ProgressMeter
from imfl_engine.compute.memory import Budget, Pieces
from imfl_engine.compute.models import sentence_settings
from imfl_engine.compute.tokens import Tokens, encode_texts
from imfl_engine.compute.wire import FloatArray, IndexArray, VectorChunk

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

DEFAULT_LENGTH = 256
ROWS_PER_EVENT = 512
TEXTS_PER_PASS = 50_000


def embed(job: Job, workshop: Workshop, *, texts: Sequence[str], embedder: str) -> None:
    """The ``embed`` job: emits `VectorChunk` (unit length) and progress."""
    if not len(texts):
        return
    collected: list[tuple[IndexArray, FloatArray]] = []

    def flush() -> None:
        if collected:
            indices = np.concatenate([rows for rows, _ in collected])
            job.emit(VectorChunk(indices, np.concatenate([vectors for _, vectors in collected])))
            collected.clear()

    waiting = 0
    for rows, vectors, meter, cost in embed_texts(job, workshop, texts, embedder):
        collected.append((rows, vectors))
        waiting += len(rows)
        if waiting >= ROWS_PER_EVENT:
            flush()
            waiting = 0
        meter.advance(len(rows), cost)
    flush()


def vectors_of(job: Job, workshop: Workshop, texts: Sequence[str], embedder: str) -> FloatArray:
    """Unit vectors of ``texts``, float32 (n, d), in order."""
    found: FloatArray | None = None
    for rows, vectors, _, _ in embed_texts(job, workshop, texts, embedder):
        if found is None:
            found = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        found[rows] = vectors
    return np.zeros((0, 0), dtype=np.float32) if found is None else found


def embed_texts(
    job: Job, workshop: Workshop, texts: Sequence[str], embedder: str
) -> Iterator[tuple[IndexArray, FloatArray, ProgressMeter, float]]:
    """Yield (indices, vectors, meter, cost) batch by batch."""
    model, tokenizer = workshop.encoder(embedder)
    max_length, pooling = sentence_settings(embedder)
    max_length = max_length or DEFAULT_LENGTH
    # Characters stand in for tokens until a part is tokenised: exact enough for an ETA, and a
    # million texts need not be token lists at once.
    characters = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    capped = np.minimum(characters, max_length * 5) + 20
    meter = ProgressMeter(job, "embed", len(texts), float(capped.sum()))
    for start in range(0, len(texts), TEXTS_PER_PASS):
        part = slice(start, start + TEXTS_PER_PASS)
        tokens = encode_texts(tokenizer, texts[part], max_length=max_length)
        for rows, vectors in forward_all(job, workshop, model, tokens, pooling):
            indices = rows + start
            yield indices, vectors, meter, float(capped[indices].sum())


def forward_all(
    job: Job, workshop: Workshop, model: Any, tokens: Tokens, pooling: str
) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Encode every row of ``tokens``; yields (rows, unit vectors) batch by batch."""
    device = workshop.device

    def forward(rows: IndexArray) -> FloatArray:
        with torch.inference_mode(), device.autocast():
            batch = tokens.batch(rows, device.torch_device)
            hidden = model(**batch).last_hidden_state
            pooled = pool(hidden.float(), batch["attention_mask"], pooling)
            unit = torch.nn.functional.normalize(pooled, dim=-1)
            return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    budget = Budget.for_inference(device, model)
    pieces = Pieces(device)
    for planned in token_batches(tokens.lengths, budget.tokens, max_rows=budget.rows):
        for rows, vectors in pieces.compute(planned, forward):
            job.check()
            yield rows, vectors


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Sentence vectors (m, d) from token vectors (m, t, d): the first token's, or the mean."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
