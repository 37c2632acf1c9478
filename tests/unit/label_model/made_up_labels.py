"""Labels of a person and of annotators that err in different ways, on made-up vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imfl_engine.label_model import Evidence


def evidence(right: float, *, seed: int = 0, pairs: int = 200, n: int = 600) -> Evidence:
    """Three classes in 16 dimensions; the LLM has labelled everything, a person the first items."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    vectors = rng.normal(size=(3, 16))[truth] + 1.6 * rng.normal(size=(n, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    wrong = (truth + rng.integers(1, 3, n)) % 3
    llm = np.where(rng.random(n) < right, truth, wrong)
    human = np.where(np.arange(n) < pairs, truth, -1)
    return Evidence(np.arange(n), vectors, human, llm)


def mistaken(said: Evidence) -> Evidence:
    """Who says *1* where the truth is 0."""
    return replace(said, llm=np.where(said.llm == 0, 1, said.llm))


def repeated(said: Evidence) -> Evidence:
    """Votes of the five most similar human labels."""
    similarity = said.vectors @ said.vectors[:200].T
    similarity[np.arange(200), np.arange(200)] = -1  # nobody votes for itself
    nearest = np.argsort(-similarity, axis=1)[:, :5]
    votes = np.eye(3)[said.human[:200]][nearest].sum(axis=1).argmax(axis=1)
    return replace(said, llm=votes)
