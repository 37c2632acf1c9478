"""The label model hears what the freshly trained model says of the labels in doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_labels import evidence

from imfl_engine.label_model import Evidence, fit, informed

SAID = evidence(0.7)
MODEL = fit(SAID, classes=3, seed=0)
TRUTH = evidence(1.0).llm
DOUBTED = SAID.in_doubt


def opinion(right: float, seed: int = 0) -> np.ndarray:
    """Class probabilities of a model that is sure, and right in a share ``right`` of the items."""
    rng = np.random.default_rng(seed)
    named = np.where(
        rng.random(SAID.size) < right, TRUTH, (TRUTH + rng.integers(1, 3, SAID.size)) % 3
    )
    return np.where(np.arange(3) == named[:, None], 0.96, 0.02)


def found_wrong(p_wrong: np.ndarray, looked_at: int = 100) -> int:
    """How many of the riskiest labels are wrong."""
    rows = np.flatnonzero(DOUBTED)[np.argsort(-p_wrong[DOUBTED])[:looked_at]]
    return int((SAID.llm[rows] != TRUTH[rows]).sum())


def test_a_model_that_knows_more_than_the_head_finds_more_of_the_wrong_labels() -> None:
    heard = informed(MODEL, SAID, opinion(0.85))
    assert found_wrong(heard.p_wrong) > found_wrong(MODEL.p_wrong) + 5
    right = (heard.posterior.argmax(axis=1) == TRUTH)[DOUBTED].mean()
    assert right > (MODEL.posterior.argmax(axis=1) == TRUTH)[DOUBTED].mean() + 0.01


@given(st.floats(0, 1), st.integers(0, 99))
def test_the_expected_number_of_errors_stays_what_the_human_labels_say(
    right: float, seed: int
) -> None:
    heard = informed(MODEL, SAID, opinion(right, seed))
    assert heard.p_wrong[DOUBTED].sum() == pytest.approx(MODEL.expected_errors, rel=1e-6)
    assert heard.expected_errors == MODEL.expected_errors
    assert np.allclose(heard.posterior.sum(axis=1), 1)
    rows = np.flatnonzero(DOUBTED)
    assert np.allclose(heard.p_wrong[rows], 1 - heard.posterior[rows, SAID.llm[rows]])


def test_what_a_person_said_stays_certain() -> None:
    heard = informed(MODEL, SAID, opinion(0.2))
    assert np.array_equal(heard.posterior[~DOUBTED], MODEL.posterior[~DOUBTED])
    assert np.array_equal(heard.p_wrong[~DOUBTED], MODEL.p_wrong[~DOUBTED], equal_nan=True)


def test_without_labels_in_doubt_nothing_changes() -> None:
    kept = replace(SAID, confirmed=np.ones(SAID.size, bool))
    model = fit(kept, classes=3, seed=0)
    assert informed(model, kept, opinion(0.9)) is model


def test_an_option_that_an_item_lacks_stays_impossible() -> None:
    rng = np.random.default_rng(1)
    counts = rng.integers(2, 5, 120)
    human = np.where(np.arange(120) < 40, rng.integers(0, counts), -1)
    llm = np.where(rng.random(120) < 0.7, np.maximum(human, 0), rng.integers(0, counts))
    items = Evidence(np.arange(120), None, human, llm, option_counts=counts)
    model = fit(items, classes=4, seed=0)
    lacking = np.arange(4)[None, :] >= counts[:, None]
    assert (model.likelihood[lacking] == 0).all()
    heard = informed(model, items, np.full((120, 4), 0.25))
    assert (heard.posterior[lacking] < 1e-9).all()
    assert np.isfinite(heard.p_wrong).all()


def test_items_that_the_model_did_not_read_keep_their_risk() -> None:
    unread = opinion(0.9)
    unread[300:] = np.nan
    heard = informed(MODEL, SAID, unread)
    assert np.array_equal(heard.p_wrong[300:], MODEL.p_wrong[300:])
    assert not np.array_equal(heard.p_wrong[200:300], MODEL.p_wrong[200:300])
    assert heard.p_wrong[DOUBTED].sum() == pytest.approx(MODEL.expected_errors)
