"""The poster's tables for our numbers: data only, whoever shows them decides how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from imfl_engine.replay.rows import ReplayRow

SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Table:
    """A title, column names, rows of text, and a line on what the figures are."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def spread(values: Sequence[float], scale: float = 100.0) -> str:
    """Return mean ± standard deviation (n) of shares as percentages; a dash for none."""
    if not values:
        return "–"
    middle = mean(values) * scale
    if len(values) == 1:
        return f"{middle:.2f} (1)"
    return f"{middle:.2f} ± {stdev(values) * scale:.2f} ({len(values)})"


def poster_tables(rows: Sequence[ReplayRow]) -> tuple[Table, Table, Table]:
    """Return the poster's three tables: fidelity and query; batches and retrieval; LLM labels."""
    planned = [row for row in rows if row.routing == "planned"]
    return _fidelity(planned), _batches(planned), _llm_accuracy(rows)


def summary_table(rows: Sequence[ReplayRow]) -> Table:
    """Return one line an arm and annotator: accuracy and macro-F1 by data set, cost, time."""
    datasets = _datasets(rows)
    groups = _group(rows, lambda row: (_target(row), row.arm, _labels(row), _source(row)))
    lines = []
    for key, members in groups.items():
        cells = list(key)
        for dataset in datasets:
            here = [row for row in members if row.dataset == dataset]
            accuracy = spread([row.accuracy for row in here if row.accuracy is not None])
            f1 = [row.macro_f1 for row in here if row.macro_f1 is not None]
            cells.append(f"{accuracy} / {mean(f1) * 100:.1f}" if f1 else "–")
        cells += [
            f"{mean(row.cost_usd for row in members):.4f}",
            f"{mean(row.seconds for row in members):.0f}",
        ]
        lines.append(tuple(cells))
    return Table(
        "Every arm",
        ("target", "arm", "labels", "LLM", *datasets, "cost, $", "seconds"),
        tuple(lines),
        _note(rows, "Accuracy ± spread over seeds (seeds) / macro-F1, in per cent"),
    )


def _fidelity(rows: Sequence[ReplayRow]) -> Table:
    plain = [row for row in rows if _is_plain(row)]
    groups = _group(plain, lambda r: (_target(r), *r.budget, r.query, _loss(r), _asked(r)))
    datasets = _datasets(rows)
    lines = [
        (target, str(human), str(llm), query, loss, source, *_accuracies(members, datasets))
        for (target, human, llm, query, loss, source), members in groups.items()
    ]
    return Table(
        "Fidelity and query",
        ("target", "human", "LLM", "query", "loss", "LLM is", *datasets),
        tuple(lines),
        _note(rows, "Test accuracy, per cent, mean ± spread over seeds (seeds)"),
    )


def _is_plain(row: ReplayRow) -> bool:
    """Whether a row differs from the default in what the first table shows alone."""
    if all(row.budget):
        return (row.schedule, row.retrieval) == ("variable", "similar")
    return row.schedule == ("one-batch" if row.query == "random" else "variable")


def _batches(rows: Sequence[ReplayRow]) -> Table:
    both = [row for row in rows if all(row.budget) and row.training == "retrain"]
    groups = _group(
        both,
        lambda r: (_target(r), r.query, r.loss, _labels(r), _size(r), r.retrieval, _source(r)),
    )
    datasets = _datasets(rows)
    lines = []
    for (target, query, loss, labels, size, retrieval, source), members in groups.items():
        system = (target, f"{query} {loss}", labels, *size, retrieval, source)
        lines.append((*system, *_accuracies(members, datasets)))
    return Table(
        "Batches and retrieval",
        ("target", "system", "labels", "batches", "size", "retrieval", "LLM is", *datasets),
        tuple(lines),
        _note(rows, "Test accuracy, per cent, mean ± spread over seeds (seeds)"),
    )


def _llm_accuracy(rows: Sequence[ReplayRow]) -> Table:
    asked = [row for row in rows if row.llm_accuracy is not None]
    groups = _group(asked, lambda r: (_source(r), r.retrieval))
    datasets = _datasets(rows)
    lines = []
    for (source, retrieval), members in groups.items():
        cells = []
        for dataset in datasets:
            cells.append(spread([r.llm_accuracy or 0.0 for r in members if r.dataset == dataset]))
        lines.append((source, retrieval, *cells))
    return Table(
        "Accuracy of the LLM's labels",
        ("LLM is", "retrieval", *datasets),
        tuple(lines),
        _note(rows, "Right labels, per cent, mean ± spread over runs (runs)"),
    )


def _group(
    rows: Sequence[ReplayRow], key: Callable[[ReplayRow], tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[ReplayRow]]:
    """Group rows in the order in which their keys first come."""
    groups: dict[tuple[Any, ...], list[ReplayRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _accuracies(rows: Sequence[ReplayRow], datasets: Sequence[str]) -> list[str]:
    return [
        spread([r.accuracy for r in rows if r.dataset == name and r.accuracy is not None])
        for name in datasets
    ]


def _size(row: ReplayRow) -> tuple[str, str]:
    return ("1", "–") if row.schedule == "one-batch" else (str(row.rounds), row.schedule)


def _loss(row: ReplayRow) -> str:
    """The loss, and whether the model goes on from the last round's, as the paper's does."""
    return row.loss if row.training == "retrain" else f"{row.loss}, continued"


def _target(row: ReplayRow) -> str:
    """What is trained, and with which settings."""
    return ", ".join(filter(None, (row.target, row.changes)))


def _labels(row: ReplayRow) -> str:
    return " + ".join(map(str, row.budget))


def _source(row: ReplayRow) -> str:
    return row.annotator if row.budget[1] else "–"


def _asked(row: ReplayRow) -> str:
    """The LLM, and how its examples are found where that is not by similarity."""
    usual = row.retrieval == "similar" or not row.budget[1]
    return _source(row) if usual else f"{_source(row)}, {row.retrieval}"


def _datasets(rows: Sequence[ReplayRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.dataset for row in rows))


def _note(rows: Sequence[ReplayRow], text: str) -> str:
    if any(row.simulated for row in rows):
        return f"{text}. Rows whose LLM begins with '{SIMULATED}' use gold labels with noise."
    return f"{text}."
