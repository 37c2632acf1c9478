"""What models and the label model say about items: class probabilities, moved as NumPy arrays.

DuckDB reads and writes those itself. By way of Arrow, which would do as well, the app would carry 26
MB of library from its first screen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from imfl_engine.store.database import Connection, registered

FloatVector = np.ndarray[tuple[int], np.dtype[np.float32]]
FloatArray = np.ndarray[tuple[int, int], np.dtype[np.float32]]

_LISTS = "(SELECT item_id, list(value ORDER BY place) AS list FROM given_numbers GROUP BY item_id)"
"""What `_given` holds as an item_id and a list of numbers a row."""


def replace(con: Connection, round: int, ids: Sequence[int], probabilities: FloatArray) -> None:
    """Store class probabilities, shape (n, C), of a round's model; earlier ones of these ids go."""
    with _given(con, ids, probabilities):
        con.execute(
            "DELETE FROM predictions WHERE round = ? "
            "AND item_id IN (SELECT item_id FROM given_numbers)",
            [round],
        )
        con.execute(
            f"INSERT INTO predictions SELECT ?, item_id, list FROM {_LISTS} ORDER BY item_id",
            [round],
        )


def forget(con: Connection, round: int) -> None:
    """Remove what a round's model said; another one has taken its place."""
    con.execute("DELETE FROM predictions WHERE round = ?", [round])


def of_round(con: Connection, round: int, ids: Sequence[int]) -> dict[int, FloatVector]:
    """Return the probabilities of a round's model for those of ``ids`` it has scored."""
    return _by_item(
        con,
        "SELECT item_id, probabilities FROM predictions WHERE round = ? "
        "AND item_id IN (SELECT unnest(?::BIGINT[]))",
        [round, list(ids)],
    )


def before_round(con: Connection, round: int, ids: Sequence[int]) -> dict[int, FloatVector]:
    """Return what the last model before a round said about those of ``ids`` it has scored."""
    return _by_item(
        con,
        "SELECT item_id, probabilities FROM predictions WHERE round < ? "
        "AND item_id IN (SELECT unnest(?::BIGINT[])) "
        "QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY round DESC) = 1",
        [round, list(ids)],
    )


def newest_round(con: Connection) -> int | None:
    """Return the newest round whose model has been evaluated and has scored something."""
    row = con.execute(
        "SELECT max(round) FROM predictions "
        "WHERE round IN (SELECT round FROM steps WHERE kind = 'evaluate')"
    ).fetchone()
    return row[0] if row else None


def newest_of_item(con: Connection, item_id: int) -> list[float] | None:
    """Return the probabilities of the newest model that has scored an item."""
    row = con.execute(
        "SELECT probabilities FROM predictions WHERE item_id = ? ORDER BY round DESC LIMIT 1",
        [item_id],
    ).fetchone()
    return list(row[0]) if row else None


def replace_posteriors(
    con: Connection,
    round: int,
    ids: Sequence[int] | NDArray[np.int64],
    probabilities: NDArray[np.floating],
    p_wrong: NDArray[np.float64],
) -> None:
    """Store the label model of a round, replacing it if it was there; ``p_wrong`` nan: no risk."""
    risks = {"item_id": np.asarray(ids, dtype=np.int64), "risk": p_wrong}
    with _given(con, ids, probabilities), registered(con, "given_risks", risks):
        con.execute("DELETE FROM posteriors WHERE round = ?", [round])
        con.execute(
            "INSERT INTO posteriors "
            "SELECT ?, item_id, list, CASE WHEN isnan(risk) THEN NULL ELSE risk END "
            f"FROM {_LISTS} JOIN given_risks USING (item_id) ORDER BY item_id",
            [round],
        )


def posteriors_in_question(con: Connection) -> dict[int, FloatVector]:
    """Return the newest posterior of every item that the LLM has labelled and nobody looked at."""
    return _by_item(
        con,
        "SELECT item_id, probabilities FROM posteriors "
        "WHERE round = (SELECT max(round) FROM posteriors) "
        "AND item_id IN (SELECT item_id FROM llm_labels) "
        "AND item_id NOT IN (SELECT item_id FROM decisions)",
        [],
    )


def _given(
    con: Connection, ids: Sequence[int] | NDArray[np.int64], matrix: NDArray[np.floating]
) -> AbstractContextManager[None]:
    """Let SQL read ``matrix`` (n, C) as ``given_numbers``, one number a row; see `_LISTS`."""
    rows, width = np.shape(matrix)
    flat = {
        "item_id": np.repeat(np.asarray(ids, dtype=np.int64), width),
        "place": np.tile(np.arange(width), rows),
        "value": np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1),
    }
    return registered(con, "given_numbers", flat)


def _by_item(con: Connection, query: str, parameters: list[object]) -> dict[int, FloatVector]:
    """Return the lists of ``query`` (item_id, probabilities) by item, in the order of ids.

    Shorter ones are filled with zeros: options differ between items.
    """
    found = con.execute(
        "SELECT item_id, len(probabilities) AS width, unnest(probabilities) AS value "
        f"FROM ({query}) ORDER BY item_id",
        parameters,
    ).fetchnumpy()
    values = np.asarray(found["value"], dtype=np.float32)
    if not len(values):
        return {}
    ids, starts = np.unique(found["item_id"], return_index=True)
    widths = found["width"][starts]
    matrix = np.zeros((len(ids), int(widths.max())), dtype=np.float32)
    matrix[np.arange(matrix.shape[1]) < widths[:, None]] = values
    return dict(zip(ids.tolist(), matrix, strict=True))
