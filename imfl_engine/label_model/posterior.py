"""The label model: what is probably true, given what the LLM said and what similar items are.

Expectation-maximisation of the classifier-with-noisy-annotator model of Raykar et al. (JMLR 2010),
that is Dawid-Skene (1979) with features, the human being a second annotator who is nearly always
right: a logistic head on frozen vectors gives the class belief ``p(y|x)`` (cross-fitted: an item's
own label never scores it), a confusion matrix gives ``T[y, l]``, and the posterior of an LLM label
is their log-linear pool ``Q(y) ~ p(y|x)^a T[y, l]^b``. The exponents are fitted on the
human-labelled items the LLM has labelled too: independent evidence gets 1 and 1, an annotator that
repeats the head's mistakes less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.confusion import estimate_confusion, scalar_log_likelihood
from imfl_engine.label_model.evidence import Evidence, LabelModel, LabelModelOptions
from imfl_engine.label_model.head import CrossFit, assign_folds, softmax
from imfl_engine.label_model.pool import fit_exponents

Floats = NDArray[np.float64]
_FLOOR = 1e-6


@dataclass(slots=True)
class _State:
    """Everything that changes while the model is fitted; rows sorted by id."""

    truth: NDArray[np.int64]  # what a person said, else -1
    allowed: NDArray[np.bool_]  # (n, C): False for options a multiple-choice item lacks
    fold: NDArray[np.int64]
    posterior: Floats
    logits: Floats
    heads: CrossFit | None = None
    taught_by_llm: bool = False
    confusion: Floats | None = None


def fit(
    evidence: Evidence,
    *,
    classes: int,
    seed: int,
    options: LabelModelOptions | None = None,
) -> LabelModel:
    """Fit the model to all labels so far.

    ``classes`` is C, for multiple choice the greatest number of options. Deterministic for ``seed``
    and independent of the order of the rows. Works with no LLM labels, with one class only, without
    pairs and without vectors, each time with less to say.
    """
    options = options or LabelModelOptions()
    order = np.argsort(evidence.ids, kind="stable")
    back = np.argsort(order, kind="stable")
    rows = evidence.take(order)
    state = _start(rows, classes, seed, options)
    rounds = max(1, options.iterations) if (rows.llm >= 0).any() else 1
    for _ in range(rounds):
        _refit_belief(rows, state, options)
        _update_posterior(rows, state, classes, options)
    return _finish(rows, state, back)


def _start(rows: Evidence, classes: int, seed: int, options: LabelModelOptions) -> _State:
    n = rows.size
    truth = np.where(rows.human >= 0, rows.human, np.where(rows.confirmed_mask, rows.llm, -1))
    allowed = np.ones((n, classes), bool)
    if rows.option_counts is not None:
        allowed = np.arange(classes)[None, :] < rows.option_counts[:, None]
    posterior = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
    known = truth >= 0
    posterior[known] = _human_target(truth[known], allowed[known], options.human_reliability)
    fold = assign_folds(rows.ids, options.folds, seed)
    return _State(truth, allowed, fold, posterior, np.zeros((n, classes)))


def _human_target(truth: NDArray[np.int64], allowed: NDArray[np.bool_], right: float) -> Floats:
    others = np.maximum(allowed.sum(axis=1) - 1, 1)
    target = np.where(allowed, ((1.0 - right) / others)[:, None], 0.0)
    target[np.arange(len(truth)), truth] = right
    return np.asarray(target)


def _refit_belief(rows: Evidence, state: _State, options: LabelModelOptions) -> None:
    """Refit the cross-fitted head on human labels and the current posteriors.

    Before the first posterior only human labels teach. Rows without a vector get the class shares.
    """
    if rows.vectors is None or rows.option_counts is not None:
        return
    has_vector = np.asarray(np.isfinite(rows.vectors).all(axis=1))
    vectors = np.where(has_vector[:, None], rows.vectors, 0.0).astype(np.float32)
    teaches = (state.truth >= 0) | ((rows.llm >= 0) & (state.confusion is not None))
    weights = (teaches & has_vector).astype(float)
    if not weights.any():
        return
    if state.heads is None or state.taught_by_llm != (state.confusion is not None):
        state.heads = CrossFit(vectors, weights, state.fold, l2=options.l2)
        state.taught_by_llm = state.confusion is not None
    logits = state.heads.logits(state.posterior)
    if not has_vector.all():
        shares = (state.posterior * weights[:, None]).sum(axis=0) + 1.0
        logits[~has_vector] = np.log(shares / shares.sum())
    state.logits = logits


def _update_posterior(
    rows: Evidence, state: _State, classes: int, options: LabelModelOptions
) -> None:
    said = np.asarray(rows.llm >= 0)
    known = np.asarray(state.truth >= 0)
    n = rows.size
    belief = np.log(np.maximum(softmax(_mask(state.logits, state.allowed)), _FLOOR))
    features = [belief]
    start = [1.0]
    if rows.model_probabilities is not None:
        scored = np.asarray(np.isfinite(rows.model_probabilities).all(axis=1))
        model = np.where(scored[:, None], rows.model_probabilities, np.exp(belief))
        features.append(np.log(np.maximum(model, _FLOOR)))
        start = [0.5, 0.5]
    likelihood = np.zeros((n, classes))
    if said.any():
        if rows.option_counts is not None:
            likelihood = scalar_log_likelihood(rows, state.truth, classes)
            state.confusion = np.zeros((0, 0))
        else:
            state.confusion, likelihood = estimate_confusion(
                rows.llm, state.truth, state.posterior, state.fold, classes, options
            )
        features.append(likelihood)
        start.append(1.0)
        if rows.llm_log_probabilities is not None:
            logs = np.asarray(rows.llm_log_probabilities, float)
            given = np.asarray(np.isfinite(logs).all(axis=1) & said)
            features.append(np.where(given[:, None], np.maximum(logs, np.log(_FLOOR)), 0.0))
            start.append(0.0)
    stacked = np.stack([_mask(f, state.allowed) for f in features], axis=2)
    exponents = fit_exponents(stacked[known], state.truth[known], np.array(start))
    pooled = softmax(_mask(stacked @ exponents, state.allowed))
    open_rows = ~known
    state.posterior[open_rows] = pooled[open_rows]


def _mask(logits: Floats, allowed: NDArray[np.bool_]) -> Floats:
    return np.where(allowed, logits, -50.0)


def _finish(rows: Evidence, state: _State, back: NDArray[np.int64]) -> LabelModel:
    n = rows.size
    said = rows.llm >= 0
    p_wrong = np.full(n, np.nan)
    p_wrong[said] = 1.0 - state.posterior[np.flatnonzero(said), rows.llm[said]]
    open_rows = said & (state.truth < 0)
    belief = softmax(_mask(state.logits, state.allowed))
    confusion = state.confusion if state.confusion is not None and state.confusion.size else None
    return LabelModel(
        ids=np.asarray(rows.ids)[back],
        posterior=state.posterior[back],
        belief=belief[back],
        p_wrong=p_wrong[back],
        confusion=confusion,
        llm_accuracy=float(1.0 - p_wrong[said].mean()) if said.any() else float("nan"),
        expected_errors=float(p_wrong[open_rows].sum()),
    )
