"""Batches: pure functions of lengths and a seed."""

from __future__ import annotations

import numpy as np

from imfl_engine.compute.batches import padded_tokens, token_batches, training_batches

LENGTHS = np.random.default_rng(0).integers(3, 90, size=333)


def test_token_batches_hold_every_row_once_within_the_budget() -> None:
    batches = token_batches(LENGTHS, 500, max_rows=20)
    assert sorted(np.concatenate(batches)) == list(range(333))
    assert all(len(rows) * LENGTHS[rows].max() <= 500 and len(rows) <= 20 for rows in batches)


def test_a_row_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    batches = token_batches([5, 900, 6], 100)
    assert [list(rows) for rows in batches] == [[1], [2, 0]]


def test_no_rows_make_no_batches() -> None:
    assert token_batches([], 100) == []


def test_training_batches_hold_every_row_once_and_follow_the_seed() -> None:
    first = training_batches(LENGTHS, 16, np.random.default_rng(3))
    again = training_batches(LENGTHS, 16, np.random.default_rng(3))
    other = training_batches(LENGTHS, 16, np.random.default_rng(4))
    assert sorted(np.concatenate(first)) == list(range(333))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(first, other, strict=True))


def test_training_batches_pad_far_less_than_random_ones() -> None:
    rng = np.random.default_rng(0)
    ours = padded_tokens(LENGTHS, training_batches(LENGTHS, 16, rng)).sum()
    random = padded_tokens(LENGTHS, np.array_split(rng.permutation(333), 21)).sum()
    assert ours < 0.75 * random


def test_no_training_batch_is_much_smaller_than_the_others() -> None:
    sizes = [len(rows) for rows in training_batches(LENGTHS[:33], 16, np.random.default_rng(0))]
    assert min(sizes) >= 16


def test_hardly_anything_of_a_training_batch_is_padding() -> None:
    lengths = np.random.default_rng(1).integers(3, 90, size=2_000)
    batches = training_batches(lengths, 16, np.random.default_rng(0))
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded < 1.06 * lengths.sum()
