"""The ``score_labels`` job: labels scored as continuations by a causal language model.

``log P(label | prompt)`` is the sum over the label's tokens. Prompts are sorted by their tokens, so
those that begin alike (the same instructions, the same demonstrations) lie together and their
common beginning goes through the model once; its key-value cache serves the whole batch, and the
next batch if that begins the same. With calibration each label's mean log-probability over the
batch is subtracted, which removes the model's liking for a word (batch calibration, Zhou et al.
2023, arXiv 2309.17249).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, DynamicCache

from imfl_engine.compute.job import ProgressMeter
from imfl_engine.compute.memory import CPU_TOKENS, in_pieces
from imfl_engine.compute.models import load_pretrained, load_tokenizer
from imfl_engine.compute.wire import FloatArray, IndexArray, LabelPrompt, LabelScores
from imfl_engine.errors import ModelError
from imfl_engine.events import Notice

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

MINIMUM_SHARED = 8
"""Tokens a batch must have in common for its beginning to be computed apart."""

MINIMUM_CALIBRATED = 10
"""With fewer prompts a label's mean says more about the items than about the model."""

LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings by which some architectures change the logits behind the output layer."""

BATCH_ROWS = 32
GPU_TOKENS = 32_768

TokenIds = tuple[int, ...]


@dataclass(slots=True)
class Prefix:
    """The last computed common beginning and its cache (batch of one)."""

    ids: TokenIds = ()
    cache: Any = None


@dataclass(slots=True)
class Reader:
    """A causal language model reading prompts, with the cache of the last common beginning."""

    model: Any
    device: Device
    prefix: Prefix = field(default_factory=Prefix)
    caches: bool = True

    def raw(self, prompts: Sequence[TokenIds], labels: Sequence[TokenIds], shared: int) -> Any:
        """``log P(label | prompt)``, a tensor (m, C); the first ``shared`` tokens are equal."""
        with torch.inference_mode(), self.device.autocast():
            if not self.caches:
                return torch.stack([self._whole(prompts, label) for label in labels], dim=1)
            return self._cached(prompts, labels, shared)

    def _cached(self, prompts: Sequence[TokenIds], labels: Sequence[TokenIds], shared: int) -> Any:
        cache = self._prefix_cache(prompts[0][:shared], len(prompts))
        ids, mask = _pad([prompt[shared:] for prompt in prompts], self.device)
        lengths = mask.sum(1)
        before = torch.ones(len(prompts), shared, dtype=mask.dtype, device=mask.device)
        mask = torch.cat([before, mask], dim=1)
        place = torch.arange(ids.shape[1], device=ids.device)
        hidden = self._hidden(ids, mask, (shared + place).expand_as(ids), cache)
        rows = torch.arange(len(prompts), device=ids.device)
        last = self._log_probabilities(hidden[rows, lengths - 1])
        columns = []
        for label in labels:
            score = last[:, label[0]]
            if len(label) > 1:
                rest = torch.tensor(label, device=ids.device).expand(len(prompts), -1)
                more = torch.ones_like(rest[:, :-1])
                step = torch.arange(len(label) - 1, device=ids.device)
                places = shared + lengths.unsqueeze(1) + step
                wider = torch.cat([mask, more], dim=1)
                after = self._hidden(rest[:, :-1], wider, places, cache)
                cache.crop(1 - len(label))
                tokens = self._log_probabilities(after)
                score = score + tokens.gather(2, rest[:, 1:].unsqueeze(2)).squeeze(2).sum(1)
            columns.append(score)
        return torch.stack(columns, dim=1)

    def _prefix_cache(self, ids: TokenIds, rows: int) -> Any:
        """The cache of ``ids`` for ``rows`` prompts."""
        if not ids:
            return DynamicCache()
        if self.prefix.ids != ids:
            cache = DynamicCache()
            tensor = torch.tensor([ids], device=self.device.torch_device)
            place = torch.arange(len(ids), device=tensor.device).unsqueeze(0)
            self._hidden(tensor, torch.ones_like(tensor), place, cache)
            self.prefix = Prefix(ids, cache)
        cache = copy.deepcopy(self.prefix.cache)
        cache.batch_repeat_interleave(rows)
        return cache

    def _hidden(self, ids: Any, mask: Any, places: Any, cache: Any) -> Any:
        body = getattr(self.model, self.model.base_model_prefix)
        return body(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state

    def _whole(self, prompts: Sequence[TokenIds], label: TokenIds) -> Any:
        """The same without a cache, for architectures whose cache cannot be shared."""
        ids, mask = _pad([prompt + label[:-1] for prompt in prompts], self.device)
        logits = self.model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1)
        rows = torch.arange(len(prompts), device=ids.device)
        ends = torch.tensor([len(prompt) - 1 for prompt in prompts], device=ids.device)
        scores = [logits[rows, ends + place, token] for place, token in enumerate(label)]
        return torch.stack(scores).sum(0)

    def _log_probabilities(self, hidden: Any) -> Any:
        return self.model.get_output_embeddings()(hidden).float().log_softmax(-1)


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
    for planned in batches(batch, workshop.device):
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

        for rows, scores in in_pieces(planned, compute, workshop.device):
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


@dataclass(frozen=True, slots=True)
class TokenisedPrompts:
    """Token ids of prompts and of their labels; ``cut`` prompts lost their beginning."""

    prompts: list[TokenIds]
    labels: list[tuple[TokenIds, ...]]
    cut: int

    def groups(self) -> list[IndexArray]:
        """Indices of the prompts that have the same labels."""
        found: dict[tuple[TokenIds, ...], list[int]] = {}
        for row, labels in enumerate(self.labels):
            found.setdefault(labels, []).append(row)
        return [np.array(rows, dtype=np.int64) for rows in found.values()]


def tokenise(tokenizer: Any, prompts: Sequence[LabelPrompt], limit: int) -> TokenisedPrompts:
    """Prompts as the model reads them, labels as they continue them; cut on the left."""
    known: dict[tuple[str, ...], tuple[TokenIds, ...]] = {}
    for prompt in prompts:
        if prompt.labels not in known:
            ids = tokenizer(list(prompt.labels), add_special_tokens=False)["input_ids"]
            known[prompt.labels] = tuple(tuple(label) for label in ids)
            if not all(known[prompt.labels]):
                raise ModelError(
                    f"The model's tokenizer cannot write one of the labels {prompt.labels}.",
                    "Use another model for this task.",
                )
    texts = [prompt.prefix + prompt.suffix or "\n" for prompt in prompts]
    whole = [tuple(ids) for ids in tokenizer(texts)["input_ids"]]
    labels = [known[prompt.labels] for prompt in prompts]
    kept: list[TokenIds] = []
    cut = 0
    for ids, answers in zip(whole, labels, strict=True):
        room = limit - max(len(answer) for answer in answers)
        cut += len(ids) > room
        kept.append(ids if len(ids) <= room else ids[:1] + ids[len(ids) - room + 1 :])
    return TokenisedPrompts(kept, labels, cut)


def batches(tokenised: TokenisedPrompts, device: Device) -> list[IndexArray]:
    """Prompts with the same labels, in the order of their tokens, within a token budget.

    Only what a batch does not have in common counts, which is what sorting brings together.
    """
    budget = CPU_TOKENS if device.kind == "cpu" else GPU_TOKENS
    planned: list[IndexArray] = []
    for group in tokenised.groups():
        order = sorted(group, key=lambda row: tokenised.prompts[row])
        batch: list[int] = []
        for row in order:
            if batch:
                prompts = tokenised.prompts
                shared = common(prompts[batch[0]], prompts[row])
                longest = max(len(prompts[one]) for one in (*batch, row)) - shared
                lost = common(prompts[batch[0]], prompts[batch[-1]]) - shared
                full = len(batch) >= BATCH_ROWS or longest * (len(batch) + 1) > budget
                if full or (len(batch) > 3 and lost > longest):
                    planned.append(np.array(batch, dtype=np.int64))
                    batch = []
            batch.append(row)
        planned.append(np.array(batch, dtype=np.int64))
    return planned


def common(left: TokenIds, right: TokenIds) -> int:
    """How many tokens two prompts have in common at the beginning."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def shared_length(prompts: Sequence[TokenIds]) -> int:
    """Tokens all ``prompts`` begin with, leaving each at least one of its own; 0 if too few."""
    if len(prompts) == 1:
        return 0
    first, last = min(prompts), max(prompts)  # sorted, so the extremes differ the earliest
    shared = min(common(first, last), min(len(prompt) for prompt in prompts) - 1)
    return shared if shared >= MINIMUM_SHARED else 0


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


def has_plain_cache(model: Any) -> bool:
    """Whether a cache may be repeated and cropped, and logits are the output layer's as they stand.

    Not so for windows and recurrent states, nor where logits are scaled or capped afterwards.
    """
    if any(getattr(model.config, name, None) for name in LOGIT_CHANGES):
        return False
    try:
        layers = DynamicCache(config=model.config).layers
    except (TypeError, ValueError, AttributeError):
        return False
    return all(type(layer).__name__ == "DynamicLayer" for layer in layers)


def _pad(rows: Sequence[TokenIds], device: Device) -> tuple[Any, Any]:
    """Right-padded token ids and their mask, int64 (m, t)."""
    width = max(len(row) for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return (
        torch.from_numpy(ids).to(device.torch_device),
        torch.from_numpy(mask).to(device.torch_device),
    )
