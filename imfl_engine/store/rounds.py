"""Rounds, their sub-samples and completed steps: how far the loop has come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imfl_engine.store.database import Connection
from imfl_engine.types import StepKind


@dataclass(frozen=True, slots=True)
class OpenedRound:
    """A round that has begun, with its planned batch sizes."""

    round: int
    human_planned: int
    llm_planned: int


@dataclass(frozen=True, slots=True)
class CompletedStep:
    """A step whose result is on disk; ``details`` is what the step chose to keep."""

    round: int
    kind: StepKind
    seconds: float
    details: dict[str, Any]


def open_round(
    con: Connection,
    opened: OpenedRound,
    sub_sample: Sequence[int],
) -> None:
    """Record that a round has begun, with its sub-sample."""
    con.execute(
        "INSERT INTO rounds (round, human_planned, llm_planned) VALUES (?, ?, ?)",
        [opened.round, opened.human_planned, opened.llm_planned],
    )
    add_sub_sample(con, opened.round, sub_sample)


def add_sub_sample(con: Connection, round: int, ids: Sequence[int]) -> None:
    """Store a sub-sample of the pool."""
    con.execute("INSERT INTO sub_samples SELECT ?, unnest(?::BIGINT[])", [round, list(ids)])


def opened(con: Connection) -> list[OpenedRound]:
    """Return the rounds that have begun, in order."""
    rows = con.execute(
        "SELECT round, human_planned, llm_planned FROM rounds ORDER BY round"
    ).fetchall()
    return [OpenedRound(*row) for row in rows]


def newest_round(con: Connection) -> int:
    """Return the newest round that has begun, 0 before the first."""
    row = con.execute("SELECT coalesce(max(round), 0) FROM rounds").fetchone()
    return int(row[0]) if row else 0


def sub_sample(con: Connection, round: int) -> list[int]:
    """Return the ids of a round's sub-sample in ascending order."""
    rows = con.execute(
        "SELECT item_id FROM sub_samples WHERE round = ? ORDER BY item_id", [round]
    ).fetchall()
    return [row[0] for row in rows]


def complete(
    con: Connection,
    round: int,
    kind: StepKind,
    seconds: float = 0.0,
    details: dict[str, Any] | None = None,
) -> None:
    """Record that a step of a round is complete, in place of an earlier time it was done.

    A round that is trained again has to be evaluated again, if it is still the newest one.
    """
    undone = [kind]
    if kind is StepKind.TRAIN and round == newest_round(con):
        undone.append(StepKind.EVALUATE)
    con.execute(
        "DELETE FROM steps WHERE round = ? AND kind IN (SELECT unnest(?::VARCHAR[]))",
        [round, undone],
    )
    con.execute(
        "INSERT INTO steps (round, kind, seconds, details) VALUES (?, ?, ?, ?)",
        [round, kind, seconds, json.dumps(details or {})],
    )


def completed(con: Connection, *, kind: StepKind | None = None) -> list[CompletedStep]:
    """Return completed steps in the order they were completed."""
    condition, parameters = ("WHERE kind = ?", [kind]) if kind is not None else ("", [])
    rows = con.execute(
        f"SELECT round, kind, seconds, details FROM steps {condition} ORDER BY round, created_at, kind",
        parameters,
    ).fetchall()
    return [
        CompletedStep(round_, StepKind(kind_), seconds or 0.0, json.loads(details or "{}"))
        for round_, kind_, seconds, details in rows
    ]
