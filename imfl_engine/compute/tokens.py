"""Texts to token ids, once per job, and batches of them to padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from imfl_engine.compute.transfer import to_device
from imfl_engine.compute.wire import IndexArray, ModelInput
from imfl_engine.types import TaskKind

CHUNK = 2048


@dataclass(slots=True, eq=False)
class Tokens:
    """Token rows. Multiple choice has a row per option: ``owners`` (rows,) is the item's index and
    ``choices`` (rows,) the option's; for classification they are 0…n-1 and 0.
    """

    ids: list[list[int]]
    types: list[list[int]] | None
    pad: int
    items: int
    owners: IndexArray
    choices: IndexArray

    @property
    def lengths(self) -> IndexArray:
        """Tokens in each row, int64 (rows,)."""
        return np.fromiter((len(row) for row in self.ids), dtype=np.int64, count=len(self.ids))

    @property
    def item_lengths(self) -> IndexArray:
        """Tokens that each item adds to a batch, int64 (items,): its longest row per option."""
        longest = np.zeros(self.items, dtype=np.int64)
        np.maximum.at(longest, self.owners, self.lengths)
        return longest * np.bincount(self.owners, minlength=self.items)

    def rows_of(self, items: IndexArray) -> tuple[IndexArray, IndexArray]:
        """The rows of ``items``, and for each row the position of its item in ``items``."""
        first = np.searchsorted(self.owners, items, side="left")
        after = np.searchsorted(self.owners, items, side="right")
        rows = np.concatenate([np.arange(a, b) for a, b in zip(first, after, strict=True)])
        return rows, np.repeat(np.arange(len(items)), after - first)

    def batch(
        self, rows: IndexArray, device: torch.device, *, pad_right: bool = True, multiple: int = 1
    ) -> dict[str, torch.Tensor]:
        """The rows as tensors, padded to their longest (rounded up to ``multiple``)."""
        width = max(1, max(len(self.ids[row]) for row in rows))
        width = -(-width // multiple) * multiple
        batch = {
            "input_ids": np.full((len(rows), width), self.pad, dtype=np.int64),
            "attention_mask": np.zeros((len(rows), width), dtype=np.int64),
        }
        if self.types is not None:
            batch["token_type_ids"] = np.zeros((len(rows), width), dtype=np.int64)
        for place, row in enumerate(rows):
            ids = self.ids[row]
            span = slice(0, len(ids)) if pad_right else slice(width - len(ids), width)
            batch["input_ids"][place, span] = ids
            batch["attention_mask"][place, span] = 1
            if self.types is not None:
                batch["token_type_ids"][place, span] = self.types[row]
        return {name: to_device(values, device) for name, values in batch.items()}


def encode(
    tokenizer: Any, inputs: Sequence[ModelInput], *, max_length: int, task: TaskKind
) -> Tokens:
    """Tokenise ``inputs`` for an encoder.

    Classification reads the text alone, or the pair (text, context) of which only the context is
    cut. Multiple choice reads one pair (text and context, option) per option, of which the first
    part is cut. Where the other part alone leaves no room, the longest part is cut.
    """
    pairs: list[tuple[str, str | None]] = []
    owners: list[int] = []
    choices: list[int] = []
    for index, item in enumerate(inputs):
        if task == "multiple-choice":
            question = f"{item.text}\n{item.context}" if item.context else item.text
            for choice, option in enumerate(item.options or ("",)):
                pairs.append((question, option))
                owners.append(index)
                choices.append(choice)
        else:
            pairs.append((item.text, item.context or None))
            owners.append(index)
            choices.append(0)
    cut = "only_first" if task == "multiple-choice" else "only_second"
    ids, types = _encode_pairs(tokenizer, pairs, limit(tokenizer, max_length), cut)
    return Tokens(
        ids=ids,
        types=types,
        pad=tokenizer.pad_token_id or 0,
        items=len(inputs),
        owners=np.array(owners, dtype=np.int64),
        choices=np.array(choices, dtype=np.int64),
    )


def encode_texts(tokenizer: Any, texts: Sequence[str], *, max_length: int) -> Tokens:
    """Tokenise single texts, cut at ``max_length`` tokens."""
    pairs: list[tuple[str, str | None]] = [(text, None) for text in texts]
    ids, types = _encode_pairs(tokenizer, pairs, limit(tokenizer, max_length), "only_second")
    rows = np.arange(len(texts), dtype=np.int64)
    return Tokens(ids, types, tokenizer.pad_token_id or 0, len(texts), rows, np.zeros_like(rows))


def limit(tokenizer: Any, max_length: int) -> int:
    """``max_length``, or the tokenizer's own limit where that is smaller."""
    return min(max_length, int(min(tokenizer.model_max_length, 1 << 20)))


def _encode_pairs(
    tokenizer: Any, pairs: Sequence[tuple[str, str | None]], max_length: int, cut: str
) -> tuple[list[list[int]], list[list[int]] | None]:
    """Token ids and, if the model has them, segment ids of each pair."""
    ids: list[list[int]] = [[] for _ in pairs]
    types: list[list[int]] = [[] for _ in pairs]
    singles = [row for row, (_, second) in enumerate(pairs) if second is None]
    doubles = [row for row, (_, second) in enumerate(pairs) if second is not None]
    kept = 1 if cut == "only_first" else 0
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    fits: list[int] = []
    tight: list[int] = []
    for start in range(0, len(doubles), CHUNK):
        part = doubles[start : start + CHUNK]
        whole = tokenizer([pairs[row][kept] for row in part], add_special_tokens=False)
        for row, tokens in zip(part, whole["input_ids"], strict=True):
            (fits if len(tokens) < room else tight).append(row)
    for group, strategy, paired in (
        (singles, "longest_first", False),
        (fits, cut, True),
        (tight, "longest_first", True),
    ):
        for start in range(0, len(group), CHUNK):
            part = group[start : start + CHUNK]
            encoded = tokenizer(
                [pairs[row][0] for row in part],
                [pairs[row][1] for row in part] if paired else None,
                truncation=strategy,
                max_length=max_length,
                return_attention_mask=False,
            )
            for place, row in enumerate(part):
                ids[row] = encoded["input_ids"][place]
                if "token_type_ids" in encoded:
                    types[row] = encoded["token_type_ids"][place]
    has_types = any(types)
    return ids, types if has_types else None
