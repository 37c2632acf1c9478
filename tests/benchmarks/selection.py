"""How fast and how well items are selected, against scikit-learn's k-means.

    python tests/benchmarks/selection.py [--large]

Times are processor seconds of one process, so that a busy machine does not change them much; set
OMP_NUM_THREADS=1 for one core. The targets: 200 of 3,000 x 384 in half a second at an objective at most
2 % above scikit-learn's, and 200 of 100,000 x 384 in five seconds below 1 GB. small-text and
scikit-activeml are compared when they are installed.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time

import numpy as np

from imfl_engine.query import cluster, representatives, select


def vectors(n: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors (n, 384), float32, of sixty loose groups."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((60, 384), dtype=np.float32)
    x = 0.7 * centres[rng.integers(60, size=n)]
    x += rng.standard_normal((n, 384), dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def timed(work):
    """Return the result of ``work`` and the processor seconds it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def objective_of(x: np.ndarray, rows: np.ndarray) -> float:
    """Return the sum of squared distances to the nearest chosen row: how well the picks cover."""
    return float((2.0 - 2.0 * (x @ x[rows].T).max(axis=1)).sum())


def small() -> None:
    """Compare 200 centres of 3,000 vectors."""
    x = vectors(3000)
    ours, seconds = timed(lambda: cluster(x, 200, np.random.default_rng(0)))
    print(f"imfl k-means       {seconds:6.2f} s  objective {ours.objective:9.1f}")
    sklearn = importlib.import_module("sklearn.cluster")
    theirs, reference = timed(lambda: sklearn.KMeans(200, n_init=1, random_state=0).fit(x))
    ratio = ours.objective / theirs.inertia_
    print(f"scikit-learn       {reference:6.2f} s  objective {theirs.inertia_:9.1f}")
    print(f"  objective {ratio:.4f} of scikit-learn's, time {seconds / reference:.2f} of it")
    picks = representatives(ours, 200, x)
    print(f"  cover of the picks {objective_of(x, picks):9.1f}")
    probabilities = np.random.default_rng(1).dirichlet(np.ones(4), size=3000)
    for strategy in ("eeq", "eeq-split", "eeq-cover", "diverse"):
        _, seconds = timed(
            lambda name=strategy: select(
                name,
                ids=np.arange(3000),
                vectors=x,
                probabilities=probabilities,
                human=40,
                llm=160,
                seed=0,
            )
        )
        print(f"select {strategy:10s}  {seconds:6.2f} s")
    others(x)


def others(x: np.ndarray) -> None:
    """Time the diversity queries of other libraries, where they are installed."""
    try:
        coresets = importlib.import_module("small_text.query_strategies.coresets")
    except ImportError:
        print("small-text         not installed")
    else:
        start = np.arange(10)
        pool = np.arange(10, len(x))
        rows, seconds = timed(lambda: coresets.greedy_coreset(x, pool, start, 200))
        cover = objective_of(x, np.asarray(rows))
        print(f"small-text coreset {seconds:6.2f} s  cover {cover:9.1f}")
    try:
        pool_module = importlib.import_module("skactiveml.pool")
    except ImportError:
        print("scikit-activeml    not installed")
    else:
        unlabelled = np.full(len(x), np.nan)
        strategy = pool_module.CoreSet(random_state=0)
        rows, seconds = timed(lambda: strategy.query(x, unlabelled, batch_size=200))
        cover = objective_of(x, np.asarray(rows))
        print(f"scikit-activeml    {seconds:6.2f} s  cover {cover:9.1f}")


def large() -> None:
    """Select 200 of 100,000 vectors."""
    x = vectors(100_000)
    probabilities = np.random.default_rng(1).dirichlet(np.ones(4), size=len(x))
    _, seconds = timed(
        lambda: select(
            "eeq",
            ids=np.arange(len(x)),
            vectors=x,
            probabilities=probabilities,
            human=40,
            llm=160,
            seed=0,
        )
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"200 of 100,000     {seconds:6.2f} s  peak of the process {peak:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="100,000 vectors instead of 3,000")
    large() if parser.parse_args().large else small()
