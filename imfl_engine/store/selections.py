"""The rounds' batches: who labels which item, how far that is, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imfl_engine.store.database import Connection

NOT_BY_THE_LLM = "the LLM could not label it"
"""Why an item is offered that the LLM gave no label for."""

_ANSWERED = "('ok', 'repaired', 'invalid', 'refused')"
"""The statuses of a reply after which an item is not asked about again."""

# What only the LLM was chosen for, whose turn is over without an answer: the request failed, or the
# money ended before it. While the batch's turn lasts its items are open, not unanswered.
_UNANSWERED = f"""
    SELECT item_id, min(round) AS first_round, arg_min(rank, round) AS first_rank
    FROM selections
    WHERE item_id NOT IN (SELECT item_id FROM decisions)
        AND item_id NOT IN (SELECT item_id FROM latest_replies
            WHERE purpose = 'annotate' AND status IN {_ANSWERED})
    GROUP BY item_id
    HAVING bool_and(role = 'llm') AND (max(round) < (SELECT max(round) FROM rounds)
        OR max(round) IN (SELECT round FROM steps WHERE kind = 'annotate'))
"""

TAKEN = f"""
    SELECT item_id FROM decisions
    UNION (SELECT item_id FROM selections EXCEPT SELECT item_id FROM ({_UNANSWERED}))
"""
"""The ids no later batch may choose: in a batch already, unless unanswered, or decided on."""


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
    """Return the ids that are in a batch already or that the person has decided on.

    Items of the LLM's batch that got no answer when they were asked are not among them.
    """
    return {row[0] for row in con.execute(TAKEN).fetchall()}


def unanswered(con: Connection, limit: int | None = None) -> list[int]:
    """Return items that the LLM was asked about in a finished step without any answer, oldest first.

    They may be in the batches of several rounds: each later one asks about them again.
    """
    rows = con.execute(
        f"SELECT item_id FROM ({_UNANSWERED}) ORDER BY first_round, first_rank, item_id LIMIT ?",
        [limit],
    ).fetchall()
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How far a round's batches are. ``closed`` items are labelled, skipped or answered for good.
    Skipped ones are asked for again while their round lasts.

    An item that the LLM is asked about in several rounds is labelled in the last of them.
    """

    human: int
    human_closed: int
    human_labelled: int
    human_skipped: int
    llm: int
    llm_closed: int
    llm_labelled: int


def batch_counts(con: Connection) -> dict[int, BatchCounts]:
    """Return the counts of every round that has selections."""
    rows = con.execute(
        f"""
        SELECT s.round,
            count(*) FILTER (s.role = 'human'),
            count(*) FILTER (s.role = 'human' AND d.item_id IS NOT NULL),
            count(*) FILTER (s.role = 'human' AND d.action = 'label'),
            count(*) FILTER (s.role = 'human' AND d.action = 'skip'),
            count(*) FILTER (s.role = 'llm'),
            count(*) FILTER (s.role = 'llm' AND (r.status IN {_ANSWERED}
                OR d.item_id IS NOT NULL)),
            count(*) FILTER (s.role = 'llm' AND r.label IS NOT NULL AND s.is_last)
        FROM (SELECT *, round = max(round) OVER (PARTITION BY item_id, role) AS is_last
            FROM selections) s
        LEFT JOIN decisions d ON d.item_id = s.item_id
        LEFT JOIN latest_replies r ON r.item_id = s.item_id AND r.purpose = 'annotate'
        GROUP BY s.round ORDER BY s.round
        """
    ).fetchall()
    return {row[0]: BatchCounts(*row[1:]) for row in rows}


def unlabelled_left(con: Connection) -> int:
    """Return how many pool items a later batch may choose: those that are not `taken`."""
    row = con.execute(
        "SELECT (SELECT count(*) FROM items WHERE split = 'pool') - "
        f"(SELECT count(*) FROM ({TAKEN}))"
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
        f"""
        SELECT s.item_id FROM selections s
        LEFT JOIN latest_replies r ON r.item_id = s.item_id AND r.purpose = 'annotate'
            AND r.status IN {_ANSWERED}
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
        f"""
        SELECT h.item_id FROM human_labels h
        WHERE h.item_id NOT IN (SELECT item_id FROM latest_replies
            WHERE annotator = ? AND status IN {_ANSWERED})
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


_UNANSWERABLE = """
    FROM latest_replies r LEFT JOIN decisions d ON d.item_id = r.item_id
    WHERE r.purpose = 'annotate' AND r.status IN ('invalid', 'refused')
        AND r.item_id NOT IN (SELECT item_id FROM selections WHERE role = 'human')
"""


def unanswerable(con: Connection, limit: int | None = None) -> list[int]:
    """Return LLM items whose reply was no label and that nobody has decided on, oldest first."""
    rows = con.execute(
        f"SELECT r.item_id {_UNANSWERABLE} AND d.item_id IS NULL ORDER BY r.reply_id LIMIT ?",
        [limit],
    ).fetchall()
    return [row[0] for row in rows]


def unanswerable_counts(con: Connection) -> tuple[int, int]:
    """Return how many items `unanswerable` has, and how many it would have without decisions."""
    row = con.execute(
        f"SELECT count(*) FILTER (d.item_id IS NULL), count(*) {_UNANSWERABLE}"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
