"""How the LLM errs: a confusion matrix, or one number where labels have no fixed meaning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.evidence import Evidence, LabelModelOptions

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def estimate_confusion(
    llm: Labels, truth: Labels, posterior: Floats, classes: int, options: LabelModelOptions
) -> Floats:
    """Return ``T`` (C, C), rows summing to 1: how often the LLM says the column for the row's truth.

    Pairs (``truth`` and ``llm`` both there) count 1, other LLM labels their ``posterior`` times
    ``options.soft_counts``. Each row is shrunk towards an annotator of the same overall accuracy
    whose errors follow its own label shares.
    """
    said = llm >= 0
    pairs = said & (truth >= 0)
    open_rows = said & (truth < 0)
    counts = np.zeros((classes, classes))
    np.add.at(counts.T, llm[open_rows], options.soft_counts * posterior[open_rows])
    np.add.at(counts, (truth[pairs], llm[pairs]), 1.0)
    shares = np.bincount(llm[said], minlength=classes) + 1.0
    return _smooth(counts, shares / shares.sum(), options.prior_strength)


def confusion_log_likelihood(matrix: Floats, llm: Labels) -> Floats:
    """Return each row's ``log T[:, llm]`` (n, C), zeros without an LLM label."""
    likelihood = np.zeros((len(llm), len(matrix)))
    said = llm >= 0
    likelihood[said] = np.log(matrix)[:, llm[said]].T
    return likelihood


def _smooth(total: Floats, shares: Floats, strength: float) -> Floats:
    """Add the Dirichlet prior and normalise the rows."""
    classes = len(shares)
    # three imagined labels, two of them right: a start for the very first pairs
    accuracy = (np.trace(total) + 2.0) / (total.sum() + 3.0)
    prior = (1.0 - accuracy) * shares[None, :] / np.maximum(1.0 - shares, 1e-9)[:, None]
    np.fill_diagonal(prior, accuracy)
    if classes == 1:
        return np.ones((1, 1))
    matrix = total + strength * prior
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def scalar_log_likelihood(rows: Evidence, truth: Labels, classes: int) -> Floats:
    """Return ``log P(llm | y)`` (n, C) of an annotator with one accuracy for all options.

    The accuracy is that on the pairs with a weak prior of 0.6; errors fall evenly on the item's
    other options.
    """
    assert rows.option_counts is not None
    said = rows.llm >= 0
    pairs = said & (truth >= 0)
    right = float((rows.llm[pairs] == truth[pairs]).sum())
    accuracy = min(0.99, (right + 3.0) / (int(pairs.sum()) + 5.0))
    others = np.maximum(rows.option_counts - 1, 1)
    likelihood = np.repeat(np.log((1.0 - accuracy) / others)[:, None], classes, axis=1)
    likelihood[np.flatnonzero(said), rows.llm[said]] = np.log(accuracy)
    likelihood[~said] = 0.0
    return likelihood


def worst_pair(evidence: Evidence) -> tuple[int, int, int, int] | None:
    """Return the commonest mistake of the LLM on human-labelled items.

    As (truth, LLM label, times, human labels of that truth the LLM has seen); None without a
    mistake.
    """
    truth, said = evidence.human[evidence.pairs], evidence.llm[evidence.pairs]
    wrong = truth != said
    if not wrong.any():
        return None
    kinds, counts = np.unique(np.stack([truth[wrong], said[wrong]]), axis=1, return_counts=True)
    best = int(np.argmax(counts))
    y, label = (int(v) for v in kinds[:, best])
    return y, label, int(counts[best]), int((truth == y).sum())
