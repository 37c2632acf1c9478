"""The rounds' batches: who labels which item, how far that is, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imfl_engine.store.database import Connection


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


def add(con: Connection, chosen: Sequence[Selected]) -> None:
    """Store a round's batches."""
    con.execute(
        "INSERT INTO selections SELECT unnest(?::INTEGER[]), unnest(?::BIGINT[]), "
        "unnest(?::VARCHAR[]), unnest(?::INTEGER[]), unnest(?::BOOLEAN[]), unnest(?::DOUBLE[]), "
        "unnest(?::VARCHAR[])",
        [
            [s.round for s in chosen],
            [s.item_id for s in chosen],
            [s.role for s in chosen],
            [s.rank for s in chosen],
            [s.control for s in chosen],
            [s.score for s in chosen],
            [s.reason for s in chosen],
        ],
    )


def selected(con: Connection, *, round: int | None = None) -> list[Selected]:
    """Return the batches of a round or of all, in the order they are worked on."""
    condition, parameters = ("WHERE round = ?", [round]) if round is not None else ("", [])
    rows = con.execute(
        "SELECT round, item_id, role, rank, control, score, reason FROM selections "
        f"{condition} ORDER BY round, role, rank, item_id",
        parameters,
    ).fetchall()
    return [Selected(*row) for row in rows]


def of_item(con: Connection, item_id: int) -> Selected | None:
    """Return the newest selection of an item."""
    row = con.execute(
        "SELECT round, item_id, role, rank, control, score, reason FROM selections "
        "WHERE item_id = ? ORDER BY round DESC LIMIT 1",
        [item_id],
    ).fetchone()
    return Selected(*row) if row else None


def taken(con: Connection) -> set[int]:
    """Return the ids that are in a batch already or that the person has decided on."""
    rows = con.execute(
        "SELECT item_id FROM selections UNION SELECT item_id FROM decisions"
    ).fetchall()
    return {row[0] for row in rows}


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


def control_to_ask_again(con: Connection, annotator: str, round: int) -> list[int]:
    """Return the control items that ``annotator`` answered in an earlier round and not in this."""
    rows = con.execute(
        """
        SELECT h.item_id FROM human_labels h
        WHERE h.item_id IN (SELECT item_id FROM selections WHERE control)
            AND h.item_id IN (SELECT item_id FROM replies
                WHERE annotator = $annotator AND round < $round AND label IS NOT NULL)
            AND h.item_id NOT IN (SELECT item_id FROM replies
                WHERE annotator = $annotator AND round = $round)
        ORDER BY h.item_id
        """,
        {"annotator": annotator, "round": round},
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
