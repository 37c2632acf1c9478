"""Two published ways of living with noisy labels, on a logistic head: the losses to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.head import CrossFit, assign_folds, fit_head, softmax

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_KEPT_SHARE = 0.7
_META_STEPS = 40
_META_RATE = 20.0


def _finite(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(vectors, np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def small_losses(
    vectors: NDArray[np.float32], targets: Floats, human: Mask, llm: Mask, seed: int
) -> Floats:
    """Return 0 or 1 for each LLM label: of each class the 70 % with the smallest cross-fitted loss
    stay.

    Class-wise small-loss selection as in FreeAL (EMNLP 2023, section 3.2).
    """
    fold = assign_folds(np.arange(len(targets)), 5, seed)
    weights = (human | llm).astype(float)
    logits = CrossFit(_finite(vectors), weights, fold).logits(targets)
    losses = -np.log(np.maximum((softmax(logits) * targets).sum(axis=1), 1e-12))[llm]
    labels = targets[llm].argmax(axis=1)
    kept = np.zeros(len(losses))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = max(1, round(_KEPT_SHARE * len(rows)))
        kept[rows[np.argsort(losses[rows], kind="stable")[:count]]] = 1.0
    return kept


def meta_weights(vectors: NDArray[np.float32], targets: Floats, human: Mask, llm: Mask) -> Floats:
    """Return a weight for each LLM label by one-step meta-gradients (Ren et al., ICML 2018).

    A head is trained by gradient steps on the LLM labels; before each, a label's weight is how much
    a step on it alone would lower the loss on human labels, never below zero. The weights are
    averaged over the steps and scaled to mean 1.
    """
    x = _finite(vectors)
    x = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1).astype(float)
    kernel = x[llm] @ x[human].T
    human_head = fit_head(x[human][:, :-1], targets[human], l2=1e-3)
    coefficients = 0.5 * human_head.coefficients
    total = np.zeros(int(llm.sum()))
    for _ in range(_META_STEPS):
        error_llm = softmax(x[llm] @ coefficients) - targets[llm]
        error_human = softmax(x[human] @ coefficients) - targets[human]
        gains = np.einsum("nc,nc->n", error_llm, kernel @ error_human) / human.sum()
        weights = np.maximum(gains, 0.0)
        if weights.sum() <= 0:
            break
        weights /= weights.sum()
        total += weights
        coefficients -= _META_RATE / _META_STEPS * x[llm].T @ (error_llm * weights[:, None])
    if total.sum() <= 0:
        return np.ones(len(total))
    return np.asarray(total / total.mean())
