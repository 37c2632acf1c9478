"""Where the human's labels go when labels of the LLM compete with unlabelled items for them."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.query import Candidates, route, select


def candidates(first: int, confidences: list[float]) -> Candidates:
    rng = np.random.default_rng(first)
    count = len(confidences)
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sure = np.asarray(confidences)
    return Candidates(np.arange(first, first + count), vectors, np.stack([sure, 1 - sure], axis=1))


def test_the_human_gets_what_is_most_in_doubt_whoever_has_labelled_it():
    unlabelled = candidates(0, [0.9, 0.6, 0.99, 0.97, 0.98])
    llm_labelled = candidates(100, [0.55, 0.99, 0.95])
    picked = route("uncertainty", unlabelled, llm_labelled, human=2, llm=2, seed=0)
    assert picked.human.tolist() == [100, 1]
    assert picked.reasons[100] == "the LLM's label of it is in doubt"
    assert picked.scores[100] == pytest.approx(0.45)


def test_the_llm_never_gets_an_item_again():
    unlabelled = candidates(0, [0.6] * 30)
    llm_labelled = candidates(100, [0.51] * 30)
    picked = route("eeq", unlabelled, llm_labelled, human=10, llm=15, seed=0)
    assert set(picked.llm) <= set(range(30)) - set(picked.human)
    assert len(picked.llm) == 15
    assert len(picked.human) == 10


def test_labels_the_label_model_is_sure_of_change_nothing():
    unlabelled = candidates(0, list(np.linspace(0.5, 0.9, 40)))
    llm_labelled = candidates(100, [0.999] * 20)
    routed = route("uncertainty", unlabelled, llm_labelled, human=5, llm=5, seed=3)
    plain = select(
        "uncertainty",
        ids=unlabelled.ids,
        vectors=unlabelled.vectors,
        probabilities=unlabelled.probabilities,
        human=5,
        llm=5,
        seed=3,
    )
    assert routed.human.tolist() == plain.human.tolist()
