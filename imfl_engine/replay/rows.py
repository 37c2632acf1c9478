"""One row an arm and seed, kept in a Parquet file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from imfl_engine.errors import DataError, StorageError


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """What one run of an arm gave. Accuracies are shares, money US dollars, times seconds.

    ``accuracy`` and ``macro_f1`` are of the final model on the test set. ``llm_accuracy`` compares
    the labels bought for training with gold; ``control_*`` is what the control slice said about it
    without knowing. ``expected_errors`` is the label model's count among the bought labels that no
    person has replaced, ``true_errors`` the count itself. None means there was nothing to measure.
    ``human`` and ``llm`` are the labels there were in the end. ``simulated`` marks every row whose LLM
    was made of gold labels.
    """

    dataset: str
    arm: str
    seed: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    macro_f1: float | None
    calibration_error: float | None
    llm_accuracy: float | None
    control_accuracy: float | None
    control_low: float | None
    control_high: float | None
    expected_errors: float | None
    true_errors: int | None
    human: int
    llm: int
    cost_usd: float
    seconds: float
    training_seconds: float
    simulated: bool
    annotator: str
    target: str
    embedder: str
    query: str
    loss: str
    schedule: str
    retrieval: str
    training: str
    rounds: int
    test_size: int
    routing: str = "planned"
    changes: str = ""
    """Settings other than an arm's words and the flags, as in ``training.frozen_layers=3``."""
    data: str = ""
    """A hash of the files it was measured on, how they were read and split, and of the budget."""
    human_budget: int | None = None
    llm_budget: int | None = None
    curve: list[float] = field(default_factory=list)

    @property
    def budget(self) -> tuple[int, int]:
        """The human and LLM labels that were to be bought; in older files, those there were."""
        human, llm = self.human_budget, self.llm_budget
        return (self.human if human is None else human, self.llm if llm is None else llm)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes a row the same experiment."""
        return row_key(
            self.dataset,
            self.arm,
            self.seed,
            self.annotator,
            self.target,
            self.changes,
            self.data,
        )


def row_key(
    dataset: str, arm: str, seed: int, annotator: str, target: str, changes: str, data: str
) -> tuple[Any, ...]:
    """Return the identity of an experiment."""
    return dataset, arm, seed, annotator, target, changes, data


def read_rows(path: Path) -> list[ReplayRow]:
    """Return the rows of a replay file; none when it does not exist. Raises `DataError`."""
    if not path.exists():
        return []
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        names = {each.name for each in fields(ReplayRow)}
        return [ReplayRow(**{k: row[k] for k in names & row.keys()}) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise DataError(
            f"'{path}' is no file of replay results.", "Name another file with --out."
        ) from error


def write_rows(path: Path, rows: Sequence[ReplayRow]) -> None:
    """Write ``rows`` to ``path``, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "str": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "int | None": pa.int64(),
        "float | None": pa.float64(),
        "list[float]": pa.list_(pa.float64()),
    }
    schema = pa.schema([(each.name, kinds[str(each.type)]) for each in fields(ReplayRow)])
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        pq.write_table(table, unfinished, compression="zstd")
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StorageError(
            f"'{path}' cannot be written: {error.strerror or error}.", "Choose another folder."
        ) from error
