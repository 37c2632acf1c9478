"""The ``score_labels`` job: labels scored as continuations by a causal language model.

``log P(label | prompt)`` is the sum over the label's tokens; `label_prompts` plans which prompts are
read together, `continuations` has the model read them. With calibration each label's mean
log-probability over the batch is subtracted, which removes the model's liking for a word (batch
calibration, Zhou et al. 2023, arXiv 2309.17249).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from imfl_engine.compute.continuations import Reader, has_plain_cache
from imfl_engine.compute.job import ProgressMeter
from imfl_engine.compute.label_prompts import TokenIds, batches, shared_length, tokenise
from imfl_engine.compute.memory import Budget, Pieces
from imfl_engine.compute.models import load_pretrained, load_tokenizer
from imfl_engine.compute.wire import FloatArray, IndexArray, LabelPrompt, LabelScores
from imfl_engine.events import Notice

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

GPU_TOKENS = 32_768
"""Tokens of a batch on a GPU, at most."""
MINIMUM_CALIBRATED = 10
"""With fewer prompts a label's mean says more about the items than about the model."""


def score_labels(
    job: Job,
    workshop: Workshop,
    *,
    model: str,
    prompts: Sequence[LabelPrompt],
    calibrate: bool,
    context_tokens: int | None,
) -> None:
    """Emit `LabelScores` for every prompt (at the end if they are calibrated) and progress."""
    if not len(prompts):
        return
    language, tokenizer = load_language_model(workshop, model)
    batch = tokenise(tokenizer, prompts, limit_of(language, context_tokens))
    if batch.cut:
        job.emit(
            Notice(
                "warning",
                f"{batch.cut} prompts were longer than the model's context and lost their beginning.",
                "Use fewer demonstrations (retrieval.shots).",
            )
        )
    width = max(len(labels) for labels in batch.labels)
    raw = np.full((len(prompts), width), -np.inf, dtype=np.float32)
    reused = np.zeros(len(prompts), dtype=np.int64)
    lengths = np.array([len(ids) for ids in batch.prompts], dtype=np.int64)
    reader = Reader(language, workshop.device, caches=has_plain_cache(language))
    meter = ProgressMeter(job, "annotate", len(prompts), float(lengths.sum()), unit="prompts")
    pieces = Pieces(workshop.device)
    budget = Budget.for_inference(workshop.device, language, most=GPU_TOKENS, caches=True)
    for planned in batches(batch, budget.tokens):
        labels = batch.labels[planned[0]]

        def compute(rows: IndexArray, labels: Sequence[TokenIds] = labels) -> FloatArray:
            chosen = [batch.prompts[row] for row in rows]
            shared = shared_length(chosen) if reader.caches else 0
            known = reader.prefix.ids == chosen[0][:shared]
            scores = reader.raw(chosen, labels, shared)
            reused[rows] = shared
            if not known:
                reused[rows[0]] = 0  # one of them paid for the rest
            return np.asarray(scores.float().cpu().numpy(), dtype=np.float32)

        for rows, scores in pieces.compute(planned, compute):
            job.check()
            raw[rows, : scores.shape[1]] = scores
            if not calibrate:
                emit(job, rows, raw, normalise(raw[rows]), lengths, reused)
            meter.advance(len(rows), float(lengths[rows].sum()))
    if calibrate:
        calibrated = calibrate_batch(raw, batch.groups())
        rows = np.arange(len(prompts), dtype=np.int64)
        emit(job, rows, raw, calibrated, lengths, reused)


def emit(
    job: Job,
    rows: IndexArray,
    raw: FloatArray,
    scores: FloatArray,
    lengths: IndexArray,
    reused: IndexArray,
) -> None:
    """Send the scores of ``rows``."""
    job.emit(LabelScores(rows, scores, raw[rows], lengths[rows], reused[rows]))


def normalise(raw: FloatArray) -> FloatArray:
    """Log-probabilities over the labels: log-softmax of each row, absent labels -inf."""
    highest = raw.max(axis=1, keepdims=True)
    total = highest + np.log(np.exp(raw - highest).sum(axis=1, keepdims=True))
    return np.asarray(raw - total, dtype=np.float32)


def calibrate_batch(raw: FloatArray, groups: Sequence[IndexArray]) -> FloatArray:
    """Normalised scores, less each label's mean over the prompts of the same group."""
    scores = normalise(raw)
    for rows in groups:
        if len(rows) >= MINIMUM_CALIBRATED:
            present = np.isfinite(scores[rows[0]])
            part = scores[rows][:, present]
            scores[np.ix_(rows, np.flatnonzero(present))] = normalise(part - part.mean(axis=0))
    return scores


def load_language_model(workshop: Workshop, name: str) -> tuple[Any, Any]:
    """The causal language model ``name``, warm, on the device."""
    source = workshop.causal_source(name)

    def load() -> tuple[Any, Any]:
        dtype = workshop.device.dtype if workshop.device.kind == "cuda" else torch.float32
        model = load_pretrained(AutoModelForCausalLM, source, dtype=dtype)
        return model.to(workshop.device.torch_device).eval(), load_tokenizer(source)

    return workshop.warm(f"language model {source}", load)


def limit_of(model: Any, context_tokens: int | None) -> int:
    """Tokens the model can read."""
    own = int(getattr(model.config, "max_position_embeddings", 0) or 2048)
    return min(own, context_tokens or own)
