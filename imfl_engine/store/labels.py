"""The event log of the person's decisions, and undo."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from imfl_engine.store.database import Connection
from imfl_engine.types import Action, LabelEvent, Origin

_COLUMNS = "event_id, item_id, action, label, round, origin, annotator, seconds, comment, undoes, created_at"


def record(
    con: Connection,
    item_id: int,
    action: Action,
    *,
    label: str | None = None,
    round: int | None = None,
    origin: Origin,
    annotator: str,
    seconds: float | None = None,
    comment: str | None = None,
) -> LabelEvent:
    """Append one event, of the newest round unless ``round`` says otherwise, and return it."""
    row = con.execute(
        "INSERT INTO label_events (event_id, item_id, action, label, round, origin, annotator, "
        "seconds, comment) VALUES (nextval('event_ids'), ?, ?, ?, "
        "coalesce(?, (SELECT max(round) FROM rounds), 0), ?, ?, ?, ?) "
        "RETURNING event_id, round, created_at",
        [item_id, action, label, round, origin, annotator, seconds, comment],
    ).fetchone()
    assert row is not None
    event_id, of_round, at = row
    return LabelEvent(
        event_id, item_id, action, label, of_round, origin, annotator, seconds, comment, None, at
    )


def record_many(
    con: Connection,
    item_ids: Sequence[int],
    action: Action,
    *,
    labels: Sequence[str | None] | None = None,
    seconds: Sequence[float | None] | None = None,
    comments: Sequence[str | None] | None = None,
    round: int,
    origin: Origin,
    annotator: str,
    batch_id: str | None,
) -> int:
    """Append an event per item; `undo` takes events that share a ``batch_id`` back together."""
    blank: list[Any] = [None] * len(item_ids)
    con.execute(
        """
        INSERT INTO label_events (event_id, item_id, action, label, round, origin, annotator,
            seconds, comment, batch_id)
        SELECT nextval('event_ids'), item_id, ?, label, ?, ?, ?, seconds, comment, ?
        FROM (SELECT unnest(?::BIGINT[]) AS item_id, unnest(?::VARCHAR[]) AS label,
            unnest(?::DOUBLE[]) AS seconds, unnest(?::VARCHAR[]) AS comment)
        """,
        [
            action,
            round,
            origin,
            annotator,
            batch_id,
            list(item_ids),
            list(labels or blank),
            list(seconds or blank),
            list(comments or blank),
        ],
    )
    return len(item_ids)


def undo(con: Connection, *, annotator: str) -> LabelEvent | None:
    """Take back the person's last live event (a bulk action as a whole) and return it.

    Imported labels are not keystrokes and stay. Returns None when there is nothing to undo.
    """
    row = con.execute(
        f"SELECT {_COLUMNS}, batch_id FROM live_events WHERE origin NOT IN ('import', 'gold') "
        "ORDER BY event_id DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    *columns, batch_id = row
    undone = _event(tuple(columns))
    con.execute(
        """
        INSERT INTO label_events (event_id, item_id, action, round, origin, annotator, undoes)
        SELECT nextval('event_ids'), item_id, 'undo', round, origin, ?, event_id
        FROM (SELECT * FROM live_events WHERE event_id = ? OR batch_id = ? ORDER BY event_id)
        """,
        [annotator, undone.event_id, batch_id],
    )
    return undone


def history(
    con: Connection, *, limit: int, item_id: int | None = None, of: Collection[Action] = ()
) -> list[LabelEvent]:
    """Return live events, newest first, of one item or of all; all kinds, or those of ``of``."""
    wanted: list[tuple[str, object]] = []
    if item_id is not None:
        wanted.append(("item_id = ?", item_id))
    if of:
        wanted.append(("list_contains(?, action)", [action.value for action in of]))
    where = "WHERE " + " AND ".join(condition for condition, _ in wanted) if wanted else ""
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM live_events {where} ORDER BY event_id DESC LIMIT ?",
        [*(value for _, value in wanted), limit],
    ).fetchall()
    return [_event(row) for row in rows]


def human_labels(con: Connection) -> dict[int, str]:
    """Return every current human label by item id, in the order of ids."""
    rows = con.execute("SELECT item_id, label FROM human_labels ORDER BY item_id").fetchall()
    return {item_id: label for item_id, label in rows}


def decided_actions(con: Connection) -> dict[int, str]:
    """Return the current decision (`Action` value) of every decided item."""
    rows = con.execute("SELECT item_id, action FROM decisions ORDER BY item_id").fetchall()
    return {item_id: action for item_id, action in rows}


def current(con: Connection, item_id: int) -> tuple[str | None, str | None]:
    """Return an item's label as it stands and its source, both None where it has none."""
    row = con.execute(
        "SELECT label, source FROM current_labels WHERE item_id = ?", [item_id]
    ).fetchone()
    return (row[0], row[1]) if row else (None, None)


def newest_decision(con: Connection) -> int:
    """Return the id of the newest event that changed a decision, undoing included; 0 before any."""
    row = con.execute(
        "SELECT coalesce(max(event_id), 0) FROM label_events "
        "WHERE action NOT IN ('flag', 'unflag', 'note')"
    ).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class Decided:
    """What the person has said about one item so far."""

    action: str | None
    label: str | None
    flagged: bool
    comment: str | None


def decided(con: Connection, item_id: int) -> Decided:
    """Return what the person has said about an item."""
    row = con.execute(
        """
        SELECT (SELECT struct_pack(action, label) FROM decisions WHERE item_id = $item),
            EXISTS (SELECT 1 FROM flagged_items WHERE item_id = $item),
            (SELECT comment FROM comments WHERE item_id = $item)
        """,
        {"item": item_id},
    ).fetchone()
    assert row is not None
    decision, flagged, comment = row
    decision = decision or {"action": None, "label": None}
    return Decided(decision["action"], decision["label"], flagged, comment or None)


def flagged_ids(con: Connection) -> set[int]:
    """Return the ids of the flagged items."""
    return {row[0] for row in con.execute("SELECT item_id FROM flagged_items").fetchall()}


def comments(con: Connection) -> dict[int, str]:
    """Return the current comments by item id."""
    rows = con.execute("SELECT item_id, comment FROM comments ORDER BY item_id").fetchall()
    return {item_id: comment for item_id, comment in rows if comment}


def median_seconds(con: Connection, *, last: int = 100) -> float | None:
    """Return the median time of the latest labels in seconds, or None before the first."""
    row = con.execute(
        "SELECT median(seconds) FROM (SELECT seconds FROM live_events WHERE action = 'label' "
        "AND seconds IS NOT NULL ORDER BY event_id DESC LIMIT ?)",
        [last],
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else None


def minutes_spent(con: Connection) -> float:
    """Return the person's time in minutes, undone work included: the minutes are gone.

    Imported labels were made elsewhere, in time that nobody set a budget for.
    """
    row = con.execute(
        "SELECT coalesce(sum(seconds), 0) / 60 FROM label_events WHERE origin <> 'import'"
    ).fetchone()
    return float(row[0]) if row else 0.0


def _event(row: tuple[Any, ...]) -> LabelEvent:
    event_id, item_id, action, label, round_, origin, annotator, seconds, comment, undoes, at = row
    return LabelEvent(
        event_id,
        item_id,
        Action(action),
        label,
        round_,
        Origin(origin),
        annotator,
        seconds,
        comment,
        undoes,
        at,
    )
