"""Targets and weights for training: the four losses.

*two-mean* is the paper's: the mean over human labels plus the mean over LLM labels. *label-model*
trains a probe on the posteriors. A fine-tune, whose own belief is better than that of a head on frozen
vectors, learns from the likelihood of what was said (forward correction, Patrini et al. 2017), with the
weights of *two-mean*; what the round's predecessor believes of an item the LLM labelled is its prior there.
*small-loss* keeps the LLM labels a head finds easy (FreeAL, Xiao et al.
2023), *reweight* weights them by whether their gradient helps on human labels (LLMaAA, Zhang et al.
2023, after Ren et al. 2018); both are baselines, computed on frozen vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.baselines import meta_weights, small_losses
from imfl_engine.label_model.evidence import Evidence, LabelModel
from imfl_engine.label_model.posterior import fit
from imfl_engine.settings import LossName

Floats = NDArray[np.float64]

MOST_FITTINGS = 100
CLOSE = 1e-4
FLOOR = 1e-12

PRIOR_POWER = 0.7
"""Of the belief of the model before. That is surer than it is right: the powers that describe test items
best are .65 to .75 on FPB and .9 to 1.15 on TREC; see the decisions log."""
LEAST_BELIEF = 1e-3
"""No class is ruled out by a model that had seen fewer labels."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """``ids`` (m,), ``targets`` float32 (m, C) rows summing to 1, ``weights`` float32 (m,) of mean
    1.

    The loss is ``mean(w_i * CE(target_i, f(x_i)))``, or with ``likelihoods`` float32 (m, C), of what was
    said given each class, ``-mean(w_i * log sum_y f(y|x_i) likelihood_iy)``; the targets then only say
    how much of each class there is.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    likelihoods: NDArray[np.float32] | None = None


def training_set(
    loss: LossName,
    evidence: Evidence,
    model: LabelModel | None,
    classes: int,
    seed: int,
    *,
    fine_tune: bool = False,
    without_llm: bool = False,
    believed: NDArray[np.floating] | None = None,
) -> TrainingSet:
    """Build the training set of ``loss`` from the labels in ``evidence``.

    ``model`` was fitted to these and maybe more; *label-model* fits one to these if it is None.
    ``fine_tune`` says that the model to be trained has a belief of its own worth hearing: *label-model*
    then comes with likelihoods. ``without_llm`` leaves the LLM's labels out. ``believed`` (n, C) is what
    the model before says of each item, in rows as those of the evidence, nan where it says nothing: a prior
    for the labels in doubt of a fine-tune.
    """
    order = np.argsort(evidence.ids, kind="stable")
    rows = evidence.take(order)
    human = (rows.human >= 0) | rows.confirmed_mask
    truth = np.where(rows.human >= 0, rows.human, rows.llm)
    llm = ~human & (rows.llm >= 0)
    targets = np.zeros((rows.size, classes))
    labelled = human | llm
    targets[np.flatnonzero(labelled), truth[labelled]] = 1.0
    weights = np.where(labelled, 1.0, 0.0)
    likelihoods = None
    if loss == "label-model":
        if model is None:
            model = fit(evidence, classes=classes, seed=seed)
        position = {int(item): row for row, item in enumerate(model.ids)}
        where = np.array([position[int(item)] for item in rows.ids[labelled]], dtype=np.int64)
        targets[labelled] = model.posterior[where]
        if fine_tune:
            likelihoods = np.zeros(targets.shape)
            likelihoods[labelled] = model.likelihood[where]
            if believed is not None:
                likelihoods[llm] = _with_prior(likelihoods[llm], believed[order][llm])
            weights = _two_means(human, llm)
    elif loss == "two-mean":
        weights = _two_means(human, llm)
    elif rows.vectors is not None and human.any() and llm.any():
        if loss == "small-loss":
            weights[llm] = small_losses(rows.vectors, targets, human, llm, seed)
        else:
            weights[llm] = meta_weights(rows.vectors, targets, human, llm)
    if without_llm:
        weights[llm] = 0.0
    kept = weights > 0
    weights = weights[kept] / weights[kept].mean() if kept.any() else weights[kept]
    return TrainingSet(
        np.asarray(rows.ids[kept], np.int64),
        targets[kept].astype(np.float32),
        weights.astype(np.float32),
        None if likelihoods is None else likelihoods[kept].astype(np.float32),
    )


def _with_prior(likelihoods: Floats, believed: NDArray[np.floating]) -> Floats:
    """Return ``likelihoods`` (m, C) times the belief before it, to its power, in rows that sum to 1."""
    known = np.isfinite(believed).all(axis=1)
    prior = np.maximum(np.where(known[:, None], believed, 1.0), LEAST_BELIEF) ** PRIOR_POWER
    joint = likelihoods * prior
    return np.asarray(joint / np.maximum(joint.sum(axis=1, keepdims=True), FLOOR))


def _two_means(human: NDArray[np.bool_], llm: NDArray[np.bool_]) -> Floats:
    """Return weights (n,) under which the labels of either kind count as much as those of the other."""
    weights = (human | llm).astype(float)
    if human.any() and llm.any():
        weights[human] = 1.0 / human.sum()
        weights[llm] = 1.0 / llm.sum()
    return weights


def balanced(built: TrainingSet) -> TrainingSet:
    """Return the examples with weights under which every class counts the same."""
    targets, weights = built.targets.astype(float), built.weights.astype(float)
    weights = with_class_shares(targets, weights, (weights @ targets > 0).astype(float))
    if weights.size:
        weights = weights / weights.mean()
    return replace(built, weights=weights.astype(np.float32))


def with_class_shares(targets: Floats, weights: Floats, shares: Floats) -> Floats:
    """Return ``weights`` (n,) times factors under which class c has ``shares[c]`` of the targets' weight.

    ``targets`` (n, C) may be soft, so that an example counts for several classes; its factor is the mean
    of theirs, found by iterative proportional fitting (Deming and Stephan 1940).
    """
    for _ in range(MOST_FITTINGS):
        now = weights @ targets
        wanted = shares * now.sum() / max(shares[now > 0].sum(), FLOOR)
        factors = np.divide(wanted, now, out=np.ones_like(now), where=now > 0)
        if np.abs(factors - 1).max(initial=0.0) < CLOSE:
            break
        weights = weights * (targets @ factors)
    return weights
