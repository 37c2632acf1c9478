"""Properties every query strategy and schedule must have, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imfl_engine.query import choose_control, plan_rounds, select

STRATEGIES = ["eeq", "eeq-split", "eeq-cover", "random", "uncertainty", "diverse"]
SCHEDULES = ["variable", "equal", "geometric", "one-batch"]


@st.composite
def problems(draw):
    n = draw(st.integers(0, 60))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(10 * n + 1, size=n, replace=False)).astype(np.int64)
    distinct = draw(st.integers(1, max(1, n)))  # few distinct vectors: duplicates in the pool
    vectors = rng.normal(size=(distinct, 5)).astype(np.float32)[rng.integers(distinct, size=n)]
    probabilities = rng.dirichlet(np.ones(3), size=n) if draw(st.booleans()) else None
    return {
        "ids": ids,
        "vectors": vectors if draw(st.booleans()) else None,
        "probabilities": probabilities,
        "human": draw(st.integers(0, 30)),
        "llm": draw(st.integers(0, 40)),
        "seed": draw(st.integers(0, 1000)),
        "candidate_factor": draw(st.integers(1, 6)),
        "llm_share": draw(st.sampled_from([0.01, 0.5, 1.0])),
        "uncertainty": draw(st.sampled_from(["least-confidence", "margin", "entropy"])),
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=40, deadline=None)
@given(problem=problems())
def test_picks_are_distinct_present_and_as_many_as_asked(strategy, problem):
    picked = select(strategy, **problem)
    everything = [*picked.human, *picked.llm]
    assert len(set(everything)) == len(everything)
    assert set(everything) <= set(problem["ids"])
    n = len(problem["ids"])
    assert len(picked.human) == min(problem["human"], n)
    assert len(picked.llm) == min(problem["llm"], n - len(picked.human))
    assert set(picked.reasons) == {int(i) for i in everything}


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=40, deadline=None)
@given(problem=problems(), shuffle=st.integers(0, 1000))
def test_picks_do_not_depend_on_the_order_of_the_input(strategy, problem, shuffle):
    order = np.random.default_rng(shuffle).permutation(len(problem["ids"]))
    shuffled = problem | {
        name: problem[name][order]
        for name in ("ids", "vectors", "probabilities")
        if problem[name] is not None
    }
    first, second = select(strategy, **problem), select(strategy, **shuffled)
    assert first.human.tolist() == second.human.tolist()
    assert first.llm.tolist() == second.llm.tolist()
    assert first.scores == second.scores


@given(
    schedule=st.sampled_from(SCHEDULES),
    human=st.integers(0, 3000),
    llm=st.integers(0, 3000),
    rounds=st.integers(1, 12),
)
def test_schedules_spend_both_budgets_exactly(schedule, human, llm, rounds):
    plan = plan_rounds(schedule, human=human, llm=llm, rounds=rounds)
    assert sum(p.human for p in plan) == human
    assert sum(p.llm for p in plan) == llm
    assert min(min(p.human, p.llm) for p in plan) >= 0
    assert len(plan) == (1 if schedule == "one-batch" else rounds)


@given(
    ids=st.sets(st.integers(0, 5000), min_size=1, max_size=200),
    total=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_the_control_slice_is_a_part_of_the_ids_and_independent_of_their_order(ids, total, seed):
    forward = np.array(sorted(ids))
    control = choose_control(forward, total_human=total, share=0.15, minimum=20, seed=seed)
    again = choose_control(forward[::-1], total_human=total, share=0.15, minimum=20, seed=seed)
    assert set(control) <= ids
    assert len(set(control)) == len(control) == min(len(ids), total, max(20, round(0.15 * total)))
    assert control.tolist() == again.tolist()
