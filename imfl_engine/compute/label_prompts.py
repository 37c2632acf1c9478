"""Prompts for label scoring as token ids, and which of them go through the model together.

Prompts are sorted by their tokens, so those that begin alike (the same instructions, the same
demonstrations) lie together and their common beginning has to be read only once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imfl_engine.compute.wire import IndexArray, LabelPrompt
from imfl_engine.errors import ModelError

MINIMUM_SHARED = 8
"""Tokens a batch must have in common for its beginning to be computed apart."""

BATCH_ROWS = 32

TokenIds = tuple[int, ...]


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


def batches(tokenised: TokenisedPrompts, budget: int) -> list[IndexArray]:
    """Prompts with the same labels, in the order of their tokens, within a ``budget`` of tokens.

    Only what a batch does not have in common counts, which is what sorting brings together.
    """
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
