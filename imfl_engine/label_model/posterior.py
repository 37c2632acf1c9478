"""The label model: what is probably true, given what the LLM said and what similar items are.

Expectation-maximisation of the classifier-with-noisy-annotator model of Raykar et al. (JMLR 2010),
that is Dawid-Skene (1979) with features, the human being a second annotator who is nearly always
right: a logistic head on frozen vectors gives the class belief ``p(y|x)``, a confusion matrix
``T[y, l]``, and the posterior of an LLM label is their log-linear pool ``p(y|x)^a T[y, l]^b``.

The exponents say what each source is worth: independent evidence gets 1 and 1, an annotator that
repeats the head's mistakes less. They are fitted on human-labelled items that were hidden from
everything, including the posteriors other heads learn from: the fit runs one chain for each
part of the human labels that hides it, beside the chain with all of them. (With ordinary
cross-fitting a human label leaks into the posteriors of its neighbours and through them into the
head that scores it: the belief looks right in 0.89 of cases where it is right in 0.75.)

Heads learn from the LLM's labels only where these say something (see `worth`). What repeats the human
labels it was shown would bring a hidden one back to the head that scores it, by way of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imfl_engine.label_model.confusion import (
    confusion_log_likelihood,
    estimate_confusion,
    scalar_log_likelihood,
)
from imfl_engine.label_model.evidence import Evidence, LabelModel, LabelModelOptions
from imfl_engine.label_model.head import CrossFit, assign_folds, softmax
from imfl_engine.label_model.pool import fit_exponents
from imfl_engine.label_model.worth import say_nothing

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
_FLOOR = 1e-6
_IMPOSSIBLE = -50.0


@dataclass(slots=True)
class _Chain:
    """One run of the fit, with some human labels hidden; rows as in the sorted evidence."""

    truth: Labels  # what a person said and this chain may know, else -1
    hidden: NDArray[np.bool_]
    posterior: Floats
    logits: Floats
    unaided: Floats  # the posterior without what the LLM said
    said: Floats | None = None  # log-likelihood of what the LLM said, as far as it is independent
    heads: CrossFit | None = None
    confusion: Floats | None = None


@dataclass(frozen=True, slots=True)
class _Problem:
    """What all chains share."""

    rows: Evidence
    classes: int
    truth: Labels
    allowed: NDArray[np.bool_]  # (n, C): False for options a multiple-choice item lacks
    vectors: NDArray[np.float32] | None
    has_vector: NDArray[np.bool_]
    inner: Labels
    options: LabelModelOptions


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
    problem = _problem(evidence.take(order), classes, seed, options)
    known = problem.truth >= 0
    part = np.full(len(order), -1, np.int64)
    part[known] = assign_folds(problem.rows.ids[known], options.folds, seed)
    whole = _chain(problem, np.zeros(len(order), bool))
    parts = [_chain(problem, part == k) for k in range(int(part.max(initial=-1)) + 1)]
    chains = [whole, *parts]
    said = bool((problem.rows.llm >= 0).any())
    for step in range(options.iterations + 1 if said else 1):
        for chain in chains:
            _refit_belief(problem, chain, taught_by_llm=step > 0)
        _update_posteriors(problem, whole, parts)
        if step == 0 and say_nothing(_information(whole, problem.rows.in_doubt)):
            break
    return _finish(problem, whole, np.argsort(order, kind="stable"))


def _problem(rows: Evidence, classes: int, seed: int, options: LabelModelOptions) -> _Problem:
    n = rows.size
    truth = np.where(rows.human >= 0, rows.human, np.where(rows.confirmed_mask, rows.llm, -1))
    allowed = np.ones((n, classes), bool)
    vectors = None
    has_vector = np.zeros(n, bool)
    if rows.option_counts is not None:
        allowed = np.asarray(np.arange(classes)[None, :] < rows.option_counts[:, None])
    elif rows.vectors is not None:
        has_vector = np.asarray(np.isfinite(rows.vectors).all(axis=1))
        vectors = np.where(has_vector[:, None], rows.vectors, 0.0).astype(np.float32)
    inner = assign_folds(rows.ids, options.inner_folds, seed + 1)
    return _Problem(rows, classes, truth, allowed, vectors, has_vector, inner, options)


def _chain(problem: _Problem, hidden: NDArray[np.bool_]) -> _Chain:
    truth = np.where(hidden, -1, problem.truth)
    posterior = problem.allowed / np.maximum(problem.allowed.sum(axis=1, keepdims=True), 1)
    known = truth >= 0
    right = problem.options.human_reliability
    posterior[known] = _human_target(truth[known], problem.allowed[known], right)
    return _Chain(truth, hidden, posterior, np.zeros(posterior.shape), posterior)


def _human_target(truth: Labels, allowed: NDArray[np.bool_], right: float) -> Floats:
    others = allowed.sum(axis=1) - 1
    target = np.where(allowed, ((1.0 - right) / np.maximum(others, 1))[:, None], 0.0)
    target[np.arange(len(truth)), truth] = np.where(others > 0, right, 1.0)
    return np.asarray(target)


def _refit_belief(problem: _Problem, chain: _Chain, *, taught_by_llm: bool) -> None:
    """Refit the chain's heads on its human labels and, after the start, on its posteriors.

    Rows without a vector get the class shares.
    """
    if problem.vectors is None:
        return
    known = chain.truth >= 0
    open_rows = (problem.rows.llm >= 0) & ~known & ~chain.hidden & problem.has_vector
    if not taught_by_llm:
        if len(np.unique(chain.truth[known])) < 2:
            return  # a head that has seen one class believes in no other
        weights = (known & problem.has_vector).astype(float)
        fold = np.full(len(known), -1, np.int64)
        heads = CrossFit(problem.vectors, weights, fold, l2=problem.options.l2)
        chain.heads = None
    else:
        weights = ((known & problem.has_vector) | open_rows).astype(float)
        if chain.heads is None:
            fold = np.where(open_rows, problem.inner, -1)
            chain.heads = CrossFit(problem.vectors, weights, fold, l2=problem.options.l2)
        heads = chain.heads
    if not weights.any():
        return
    logits = heads.logits(chain.posterior)
    if not problem.has_vector.all():
        shares = (chain.posterior * weights[:, None]).sum(axis=0) + 1.0
        logits[~problem.has_vector] = np.log(shares / shares.sum())
    chain.logits = logits


def _update_posteriors(problem: _Problem, whole: _Chain, parts: list[_Chain]) -> None:
    """Weigh the sources on hidden human labels, then update every chain's posteriors."""
    features = {id(chain): _features(problem, chain) for chain in [whole, *parts]}
    start = _start_exponents(problem.rows)
    seen = [(features[id(c)][c.hidden], problem.truth[c.hidden]) for c in parts]
    if seen:
        stacked = np.concatenate([one for one, _ in seen])
        truth = np.concatenate([one for _, one in seen])
        exponents = fit_exponents(stacked, truth, start, signed=_signed(problem.rows))
    else:
        exponents = start
    for chain in [whole, *parts]:
        pooled = softmax(_mask(features[id(chain)] @ exponents, problem.allowed))
        open_rows = chain.truth < 0
        chain.posterior[open_rows] = pooled[open_rows]
    own = _own_sources(problem.rows)
    without = features[id(whole)][:, :, :own] @ exponents[:own]
    whole.unaided = softmax(_mask(without, problem.allowed))
    if (problem.rows.llm >= 0).any():
        kept = np.arange(len(start)) != own + 1  # the constant belongs to the head it makes good
        worth = start[kept]
        if seen:
            worth = fit_exponents(stacked[:, :, kept], truth, worth)
        whole.said = features[id(whole)][:, :, kept][:, :, own:] @ np.minimum(worth[own:], 1.0)


def _own_sources(rows: Evidence) -> int:
    """Return how many of the sources, the first ones, do not come from the LLM."""
    return 1 if rows.model_probabilities is None else 2


def _start_exponents(rows: Evidence) -> Floats:
    start = [1.0] if rows.model_probabilities is None else [0.5, 0.5]
    if (rows.llm >= 0).any():
        start += [1.0, 0.0]
        if rows.llm_log_probabilities is not None:
            start.append(0.0)
    return np.array(start)


def _signed(rows: Evidence) -> NDArray[np.bool_]:
    """Mark the sources whose exponent may be negative: the constant for the LLM's label."""
    signed = np.zeros(len(_start_exponents(rows)), bool)
    if (rows.llm >= 0).any():
        signed[_own_sources(rows) + 1] = True
    return signed


def _features(problem: _Problem, chain: _Chain) -> Floats:
    """Return the log-probabilities of each source (n, C, sources); refits the chain's confusion."""
    rows, classes = problem.rows, problem.classes
    belief = np.log(np.maximum(softmax(_mask(chain.logits, problem.allowed)), _FLOOR))
    features = [belief]
    if rows.model_probabilities is not None:
        scored = np.asarray(np.isfinite(rows.model_probabilities).all(axis=1))
        model = np.where(scored[:, None], rows.model_probabilities, np.exp(belief))
        features.append(np.log(np.maximum(model, _FLOOR)))
    said = np.asarray(rows.llm >= 0)
    if said.any():
        if rows.option_counts is not None:
            features.append(scalar_log_likelihood(rows, chain.truth, classes))
        else:
            llm = np.where(chain.hidden, -1, rows.llm)
            options = problem.options
            if chain.confusion is None:
                # Nothing is believed of the open items yet: their even posteriors, many against a few
                # pairs, would make every label as likely under every class, and that would last.
                options = replace(options, soft_counts=0.0)
            chain.confusion = estimate_confusion(
                llm, chain.truth, chain.posterior, classes, options
            )
            features.append(confusion_log_likelihood(chain.confusion, rows.llm))
        # A constant in favour of the LLM's label: what the product of the sources gets wrong in
        # the large, because their errors are not independent, is made good here.
        agreement = np.zeros((rows.size, classes))
        agreement[np.flatnonzero(said), rows.llm[said]] = 1.0
        features.append(agreement)
        if rows.llm_log_probabilities is not None:
            logs = np.asarray(rows.llm_log_probabilities, float)
            given = np.asarray(np.isfinite(logs).all(axis=1) & said)
            features.append(np.where(given[:, None], np.maximum(logs, np.log(_FLOOR)), 0.0))
    # an option that an item lacks is impossible by its belief already
    features = [np.where(problem.allowed, each, 0.0) for each in features]
    features[0] = _mask(features[0], problem.allowed)
    return np.stack(features, axis=2)


def _mask(logits: Floats, allowed: NDArray[np.bool_]) -> Floats:
    return np.where(allowed, logits, _IMPOSSIBLE)


def _finish(problem: _Problem, chain: _Chain, back: NDArray[np.intp]) -> LabelModel:
    rows = problem.rows
    said = rows.llm >= 0
    p_wrong = np.full(rows.size, np.nan)
    p_wrong[said] = 1.0 - chain.posterior[np.flatnonzero(said), rows.llm[said]]
    return LabelModel(
        ids=np.asarray(rows.ids)[back],
        posterior=chain.posterior[back],
        likelihood=_likelihood(problem, chain)[back],
        unaided=np.where(problem.allowed, chain.unaided, 0.0)[back],
        p_wrong=p_wrong[back],
        confusion=chain.confusion,
        llm_accuracy=float(1.0 - p_wrong[said].mean()) if said.any() else float("nan"),
        expected_errors=float(p_wrong[rows.in_doubt].sum()),
        information=_information(chain, rows.in_doubt),
    )


def _likelihood(problem: _Problem, chain: _Chain) -> Floats:
    """Return how likely what was said about each item is under each class, rows scaled to sum 1."""
    said = np.zeros(chain.posterior.shape) if chain.said is None else chain.said
    found = np.where(problem.allowed, softmax(_mask(said, problem.allowed)), 0.0)
    known = chain.truth >= 0
    right = problem.options.human_reliability
    found[known] = _human_target(chain.truth[known], problem.allowed[known], right)
    return found


def _information(chain: _Chain, open_rows: NDArray[np.bool_]) -> float:
    """Return how much of the doubt about ``open_rows`` the LLM's labels resolve, 0 to 1; nan for none.

    ``I(y; l | x) / H(y | x)`` (Cover and Thomas 2006, chapter 2): on average over the items, the
    divergence of the posterior from what is believed without the label is the information in it,
    and the posterior's entropy the doubt that is left.
    """
    if not open_rows.any():
        return float("nan")
    after = np.maximum(chain.posterior[open_rows], _FLOOR)
    before = np.maximum(chain.unaided[open_rows], _FLOOR)
    told = float((after * np.log(after / before)).sum())
    left = -float((after * np.log(after)).sum())
    return float(np.clip(told / max(told + left, _FLOOR), 0.0, 1.0))
