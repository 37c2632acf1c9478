"""Settings, rounds, selections and completed steps: all the loop remembers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imfl_engine.settings import Settings, parse_settings
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


@dataclass(frozen=True, slots=True)
class Selected:
    """One item of a round's batch. ``role`` is who labels it; ``control`` marks the random slice."""

    round: int
    item_id: int
    role: str
    rank: int
    control: bool = False
    score: float | None = None
    reason: str = ""


def save_settings(con: Connection, settings: Settings) -> None:
    """Append the settings; the newest row counts."""
    con.execute(
        "INSERT INTO settings_log (settings, created_at) "
        "VALUES (?, greatest((now() AT TIME ZONE 'UTC'), "
        "coalesce((SELECT max(created_at) FROM settings_log), '1970-01-01'::TIMESTAMP) "
        "+ INTERVAL 1 MICROSECOND))",
        [settings.model_dump_json()],
    )


def load_settings(con: Connection) -> Settings:
    """Return the current settings."""
    row = con.execute(
        "SELECT settings FROM settings_log ORDER BY created_at DESC LIMIT 1"
    ).fetchone()
    assert row is not None, "a project is created with settings"
    return parse_settings(json.loads(row[0]))


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


def taken(con: Connection) -> set[int]:
    """Return the ids that are in a batch already or that the person has decided on."""
    rows = con.execute(
        "SELECT item_id FROM selections UNION SELECT item_id FROM decisions"
    ).fetchall()
    return {row[0] for row in rows}


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


def add_selections(con: Connection, selected: Sequence[Selected]) -> None:
    """Store a round's batches."""
    con.execute(
        "INSERT INTO selections SELECT unnest(?::INTEGER[]), unnest(?::BIGINT[]), "
        "unnest(?::VARCHAR[]), unnest(?::INTEGER[]), unnest(?::BOOLEAN[]), unnest(?::DOUBLE[]), "
        "unnest(?::VARCHAR[])",
        [
            [s.round for s in selected],
            [s.item_id for s in selected],
            [s.role for s in selected],
            [s.rank for s in selected],
            [s.control for s in selected],
            [s.score for s in selected],
            [s.reason for s in selected],
        ],
    )


def selections(con: Connection, *, round: int | None = None) -> list[Selected]:
    """Return the batches of a round or of all, in the order they are worked on."""
    condition, parameters = ("WHERE round = ?", [round]) if round is not None else ("", [])
    rows = con.execute(
        "SELECT round, item_id, role, rank, control, score, reason FROM selections "
        f"{condition} ORDER BY round, role, rank, item_id",
        parameters,
    ).fetchall()
    return [Selected(*row) for row in rows]


def selection_of(con: Connection, item_id: int) -> Selected | None:
    """Return the newest selection of an item."""
    row = con.execute(
        "SELECT round, item_id, role, rank, control, score, reason FROM selections "
        "WHERE item_id = ? ORDER BY round DESC LIMIT 1",
        [item_id],
    ).fetchone()
    return Selected(*row) if row else None


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


def completed_kinds(con: Connection, round: int) -> frozenset[StepKind]:
    """Return which steps of a round are complete."""
    rows = con.execute(
        "SELECT DISTINCT kind FROM steps WHERE round = ? ORDER BY kind", [round]
    ).fetchall()
    return frozenset(StepKind(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How far a round's batches are. ``closed`` items are labelled, skipped or answered for good."""

    human: int
    human_closed: int
    human_labelled: int
    llm: int
    llm_closed: int
    llm_labelled: int


def batch_counts(con: Connection) -> dict[int, BatchCounts]:
    """Return the counts of every round that has selections."""
    rows = con.execute(
        """
        SELECT s.round,
            count(*) FILTER (s.role = 'human'),
            count(*) FILTER (s.role = 'human' AND d.item_id IS NOT NULL),
            count(*) FILTER (s.role = 'human' AND d.action = 'label'),
            count(*) FILTER (s.role = 'llm'),
            count(*) FILTER (s.role = 'llm' AND (r.status IN ('ok', 'repaired', 'invalid', 'refused')
                OR d.item_id IS NOT NULL)),
            count(*) FILTER (s.role = 'llm' AND r.label IS NOT NULL)
        FROM selections s
        LEFT JOIN decisions d ON d.item_id = s.item_id
        LEFT JOIN latest_replies r ON r.item_id = s.item_id AND r.purpose = 'annotate'
        GROUP BY s.round ORDER BY s.round
        """
    ).fetchall()
    return {row[0]: BatchCounts(*row[1:]) for row in rows}


def unlabelled_left(con: Connection) -> int:
    """Return how many pool items have been neither selected nor decided."""
    row = con.execute(
        "SELECT (SELECT count(*) FROM items WHERE split = 'pool') - (SELECT count(*) FROM "
        "(SELECT item_id FROM selections UNION SELECT item_id FROM decisions))"
    ).fetchone()
    return int(row[0]) if row else 0


def labelled_ids(con: Connection) -> list[int]:
    """Return the ids with a human label or an LLM label, in ascending order."""
    rows = con.execute(
        "SELECT item_id FROM human_labels UNION "
        "SELECT item_id FROM latest_replies WHERE label IS NOT NULL ORDER BY item_id"
    ).fetchall()
    return [row[0] for row in rows]


def labelled_in_all(con: Connection) -> int:
    """Return how many items have a human or an LLM label."""
    return len(labelled_ids(con))


def pending_llm(con: Connection, round: int) -> list[int]:
    """Return the LLM batch's items that have no final reply and no human decision, in order."""
    rows = con.execute(
        """
        SELECT s.item_id FROM selections s
        LEFT JOIN latest_replies r ON r.item_id = s.item_id AND r.purpose = 'annotate'
            AND r.status IN ('ok', 'repaired', 'invalid', 'refused')
        WHERE s.round = ? AND s.role = 'llm' AND r.item_id IS NULL
            AND s.item_id NOT IN (SELECT item_id FROM decisions)
        ORDER BY s.rank, s.item_id
        """,
        [round],
    ).fetchall()
    return [row[0] for row in rows]


def pending_human(con: Connection, round: int) -> list[int]:
    """Return the human batch's undecided items, in the order they are shown."""
    rows = con.execute(
        "SELECT item_id FROM selections WHERE round = ? AND role = 'human' "
        "AND item_id NOT IN (SELECT item_id FROM decisions) ORDER BY rank, item_id",
        [round],
    ).fetchall()
    return [row[0] for row in rows]


def control_ids(con: Connection) -> set[int]:
    """Return the ids of the control slice."""
    rows = con.execute("SELECT item_id FROM selections WHERE control").fetchall()
    return {row[0] for row in rows}


def pending_calibration(con: Connection, annotator: str) -> list[int]:
    """Return the human-labelled items ``annotator`` has not been measured on, in the order of ids.

    An item it labelled before the human corrected it has been measured already.
    """
    rows = con.execute(
        """
        SELECT h.item_id FROM human_labels h
        WHERE h.item_id NOT IN (SELECT item_id FROM latest_replies
            WHERE annotator = ? AND status IN ('ok', 'repaired', 'invalid', 'refused'))
        ORDER BY h.item_id
        """,
        [annotator],
    ).fetchall()
    return [row[0] for row in rows]


def unanswerable(con: Connection, limit: int) -> list[int]:
    """Return LLM items whose reply was no label and that nobody has labelled, oldest first."""
    rows = con.execute(
        """
        SELECT r.item_id FROM latest_replies r
        WHERE r.purpose = 'annotate' AND r.status IN ('invalid', 'refused')
            AND r.item_id NOT IN (SELECT item_id FROM decisions)
            AND r.item_id NOT IN (SELECT item_id FROM selections WHERE role = 'human')
        ORDER BY r.reply_id LIMIT ?
        """,
        [limit],
    ).fetchall()
    return [row[0] for row in rows]
