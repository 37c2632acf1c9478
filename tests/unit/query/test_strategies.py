"""What each strategy is for, on a pool where the right picks are known."""

from __future__ import annotations

import numpy as np
import pytest

from imfl_engine.query import cluster, representatives, select, uncertainty


@pytest.fixture
def pool():
    """Six tight groups of 50; groups 0 and 1 are the ones the model is unsure of."""
    rng = np.random.default_rng(3)
    centres = np.eye(6, 8, dtype=np.float32)
    group = np.repeat(np.arange(6), 50)
    vectors = centres[group] + 0.02 * rng.normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sure = np.where(group < 2, 0.51, 0.95) + 0.001 * rng.random(300)
    return {
        "ids": np.arange(300) + 1000,
        "vectors": vectors,
        "probabilities": np.stack([sure, 1 - sure], axis=1),
    }, group


def groups_of(ids, group):
    return [int(group[i - 1000]) for i in ids]


def test_measures_agree_on_two_classes_about_what_is_unsure():
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]])
    for name in ("least-confidence", "margin", "entropy"):
        assert uncertainty(probabilities, name).argsort().tolist() == [0, 2, 1]


def test_a_row_that_was_never_scored_is_neither_sought_nor_avoided():
    scores = uncertainty(np.array([[0.9, 0.1], [np.nan, np.nan], [0.5, 0.5]]))
    assert scores[0] < scores[1] < scores[2]


def test_eeq_gives_the_human_unsure_items_that_are_not_alike(pool):
    problem, group = pool
    picked = select("eeq", **problem, human=2, llm=6, seed=0, candidate_factor=50)
    assert sorted(groups_of(picked.human, group)) == [0, 1]
    assert sorted(groups_of(picked.llm, group)) == [0, 1, 2, 3, 4, 5]


def test_eeq_gives_an_llm_that_says_something_the_less_sure_part_of_the_rest(pool):
    problem, group = pool
    unsure = problem["probabilities"].max(axis=1) < 0.9
    picked = select("eeq", **problem, human=2, llm=6, seed=0, candidate_factor=50, llm_share=0.3)
    assert unsure[picked.llm - 1000].all()
    assert set(groups_of(picked.llm, group)) == {0, 1}
    assert not set(picked.llm) & set(picked.human)
    assert all("unsure" in picked.reasons[int(i)] for i in picked.llm)


def test_eeq_serves_the_whole_llm_batch_where_the_less_sure_part_is_smaller(pool):
    problem, _ = pool
    assert len(select("eeq", **problem, human=2, llm=200, seed=0, llm_share=0.1).llm) == 200


def test_eeq_split_gives_the_human_the_most_unsure_as_they_come(pool):
    problem, _ = pool
    picked = select("eeq-split", **problem, human=10, llm=6, seed=0)
    least = np.sort(problem["probabilities"].max(axis=1))[:10]
    assert sorted(picked.scores[int(i)] for i in picked.human) == pytest.approx(
        sorted(1 - least), abs=1e-9
    )


def test_eeq_cover_gives_the_human_the_least_sure_of_the_group_centres(pool):
    problem, group = pool
    picked = select("eeq-cover", **problem, human=2, llm=4, seed=0)
    assert sorted(groups_of(picked.human, group)) == [0, 1]
    assert sorted(groups_of(picked.llm, group)) == [2, 3, 4, 5]


def test_without_a_model_the_human_batch_is_random_and_the_llm_batch_diverse(pool):
    problem, group = pool
    cold = problem | {"probabilities": None}
    picked = select("eeq", **cold, human=60, llm=6, seed=0)
    assert set(groups_of(picked.human, group)) == set(range(6))
    assert sorted(groups_of(picked.llm, group)) == [0, 1, 2, 3, 4, 5]
    assert picked.scores == {}


def test_a_repeated_id_is_refused(pool):
    problem, _ = pool
    with pytest.raises(ValueError, match="twice"):
        select("random", **(problem | {"ids": np.zeros(300, int)}), human=1, llm=1, seed=0)


def test_clusters_of_duplicates_still_yield_as_many_representatives_as_asked():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    rows = representatives(cluster(vectors, 8, np.random.default_rng(0)), 8, vectors)
    assert len(set(rows.tolist())) == 8
    assert {int(r) // 10 for r in rows} == {0, 1, 2}


def test_clustering_is_as_tight_as_scikit_learns():
    sklearn_cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 32))[rng.integers(30, size=800)] + rng.normal(size=(800, 32))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    ours = np.mean([cluster(x, 60, np.random.default_rng(s)).objective for s in range(3)])
    theirs = np.mean(
        [sklearn_cluster.KMeans(60, n_init=1, random_state=s).fit(x).inertia_ for s in range(3)]
    )
    assert ours <= 1.02 * theirs
