"""Retrieval: which examples, in which order, for the same seed the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imfl_engine.annotate.retrieval import retrieve


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(humans: int = 40, queries: int = 30, seed: int = 0) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    return {
        "query_vectors": unit(rng.normal(size=(queries, 8))),
        "query_ids": np.arange(1000, 1000 + queries),
        "human_ids": rng.permutation(humans),
        "human_vectors": unit(rng.normal(size=(humans, 8))),
        "human_labels": [f"label-{i % 4}" for i in range(humans)],
    }


def test_similar_returns_the_nearest_with_the_most_similar_last() -> None:
    given_ = world()
    found = retrieve(**given_, method="similar", shots=5)  # type: ignore[arg-type]
    cosine = given_["query_vectors"] @ given_["human_vectors"].T  # type: ignore[union-attr, operator]
    for row, pairs in zip(cosine, found, strict=True):
        similarities = [similarity for _, similarity in pairs]
        assert similarities == sorted(similarities)
        assert np.allclose(sorted(row)[-5:], similarities, atol=1e-6)


def test_an_item_never_retrieves_itself() -> None:
    given_ = world()
    given_["query_vectors"], given_["query_ids"] = given_["human_vectors"], given_["human_ids"]
    for method in ("similar", "random-shots", "fixed-shots"):
        found = retrieve(**given_, method=method, shots=39)  # type: ignore[arg-type]
        for query, pairs in zip(given_["query_ids"], found, strict=True):  # type: ignore[call-overload]
            assert query not in [human for human, _ in pairs]
            assert len(pairs) == 39


@pytest.mark.parametrize("method", ["similar", "random-shots", "fixed-shots"])
def test_the_answer_depends_on_no_order_and_on_no_other_query(method: str) -> None:
    given_ = world()
    whole = retrieve(**given_, method=method, shots=4, seed=7)  # type: ignore[arg-type]
    order = np.random.default_rng(1).permutation(40)
    mixed = dict(given_)
    mixed["human_ids"] = given_["human_ids"][order]  # type: ignore[index]
    mixed["human_vectors"] = given_["human_vectors"][order]  # type: ignore[index]
    mixed["human_labels"] = [given_["human_labels"][i] for i in order]  # type: ignore[index]
    mixed["query_vectors"] = given_["query_vectors"][3:5]  # type: ignore[index]
    mixed["query_ids"] = given_["query_ids"][3:5]  # type: ignore[index]
    part = retrieve(**mixed, method=method, shots=4, seed=7)  # type: ignore[arg-type]
    assert [[i for i, _ in pairs] for pairs in part] == [
        [i for i, _ in pairs] for pairs in whole[3:5]
    ]


def test_fixed_shots_are_the_same_for_all_and_cover_the_labels() -> None:
    given_ = world()
    found = retrieve(**given_, method="fixed-shots", shots=4, seed=3)  # type: ignore[arg-type]
    shown = {tuple(human for human, _ in pairs) for pairs in found}
    assert len(shown) == 1
    by_id = dict(zip(given_["human_ids"].tolist(), given_["human_labels"], strict=True))  # type: ignore[attr-defined, call-overload]
    assert len({by_id[human] for human in next(iter(shown))}) == 4


def test_random_shots_differ_between_items_and_seeds_but_not_between_runs() -> None:
    given_ = world()
    draws = [
        retrieve(**given_, method="random-shots", shots=5, seed=seed)  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len({tuple(i for i, _ in pairs) for pairs in draws[0]}) > 20


@settings(max_examples=40, deadline=None)
@given(humans=st.integers(0, 9), shots=st.integers(0, 12), seed=st.integers(0, 2**40))
def test_never_more_than_there_are(humans: int, shots: int, seed: int) -> None:
    given_ = world(humans=max(humans, 1), queries=3)
    for name in ("human_ids", "human_vectors", "human_labels"):
        given_[name] = given_[name][:humans]  # type: ignore[index]
    for method in ("similar", "random-shots", "fixed-shots", "zero-shot"):
        found = retrieve(**given_, method=method, shots=shots, seed=seed)  # type: ignore[arg-type]
        wanted = 0 if method == "zero-shot" else min(humans, shots)
        assert [len(pairs) for pairs in found] == [wanted] * 3


def test_duplicates_are_ranked_by_id() -> None:
    same = np.ones((6, 4), dtype=np.float32) / 2
    found = retrieve(same[:1], [99], [5, 3, 1, 4, 2, 0], same, ["a"] * 6, shots=3)
    assert [human for human, _ in found[0]] == [2, 1, 0]
