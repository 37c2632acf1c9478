"""What models and the label model say about items: class probabilities, moved as Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imfl_engine.store.database import Connection, arrow_view

if TYPE_CHECKING:
    import pyarrow as pa

FloatVector = np.ndarray[tuple[int], np.dtype[np.float32]]
FloatArray = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def _list_column(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> pa.ListArray:
    import pyarrow as pa  # a quarter of a second that opening a project need not pay

    rows, width = matrix.shape
    offsets = pa.array(np.arange(0, rows * width + 1, width, dtype=np.int32))
    values = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(offsets, values)


def _matrix(column: pa.ChunkedArray, rows: int) -> FloatArray:
    """Return the lists as rows, shorter ones filled with zeros: options differ between items."""
    array = column.combine_chunks()
    values = np.asarray(array.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    widths = array.value_lengths().to_numpy(zero_copy_only=False)
    if (widths == widths[0]).all():
        return values.reshape(rows, -1)
    matrix = np.zeros((rows, int(widths.max())), dtype=np.float32)
    matrix[np.arange(matrix.shape[1]) < widths[:, None]] = values
    return matrix


def replace(con: Connection, round: int, ids: Sequence[int], probabilities: FloatArray) -> None:
    """Store class probabilities, shape (n, C), of a round's model; earlier ones of these ids go."""
    import pyarrow as pa

    table = pa.table(
        {
            "item_id": pa.array(list(ids), pa.int64()),
            "probabilities": _list_column(probabilities),
        }
    )
    with arrow_view(con, "batch_of_predictions", table):
        con.execute(
            "DELETE FROM predictions WHERE round = ? "
            "AND item_id IN (SELECT item_id FROM batch_of_predictions)",
            [round],
        )
        con.execute("INSERT INTO predictions SELECT ?, * FROM batch_of_predictions", [round])


def of_round(con: Connection, round: int, ids: Sequence[int]) -> dict[int, FloatVector]:
    """Return the probabilities of a round's model for those of ``ids`` it has scored."""
    table = con.sql(
        "SELECT item_id, probabilities FROM predictions WHERE round = ? "
        "AND item_id IN (SELECT unnest(?::BIGINT[])) ORDER BY item_id",
        params=[round, list(ids)],
    ).to_arrow_table()
    return _by_item(table)


def before_round(con: Connection, round: int, ids: Sequence[int]) -> dict[int, FloatVector]:
    """Return what the last model before a round said about those of ``ids`` it has scored."""
    table = con.sql(
        "SELECT item_id, probabilities FROM predictions WHERE round < ? "
        "AND item_id IN (SELECT unnest(?::BIGINT[])) "
        "QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY round DESC) = 1 ORDER BY item_id",
        params=[round, list(ids)],
    ).to_arrow_table()
    return _by_item(table)


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
    ids: Sequence[int],
    probabilities: FloatArray,
    p_wrong: Sequence[float | None],
) -> None:
    """Store the label model of a round, replacing it if it was there."""
    import pyarrow as pa

    table = pa.table(
        {
            "item_id": pa.array(list(ids), pa.int64()),
            "probabilities": _list_column(probabilities),
            "p_wrong": pa.array(list(p_wrong), pa.float64()),
        }
    )
    with arrow_view(con, "batch_of_posteriors", table):
        con.execute("DELETE FROM posteriors WHERE round = ?", [round])
        con.execute("INSERT INTO posteriors SELECT ?, * FROM batch_of_posteriors", [round])


def posteriors_in_question(con: Connection) -> dict[int, FloatVector]:
    """Return the newest posterior of every item that the LLM has labelled and nobody looked at."""
    table = con.sql(
        "SELECT item_id, probabilities FROM posteriors "
        "WHERE round = (SELECT max(round) FROM posteriors) "
        "AND item_id IN (SELECT item_id FROM latest_replies "
        "WHERE purpose = 'annotate' AND label IS NOT NULL) "
        "AND item_id NOT IN (SELECT item_id FROM decisions) ORDER BY item_id"
    ).to_arrow_table()
    return _by_item(table)


def _by_item(table: pa.Table) -> dict[int, FloatVector]:
    if table.num_rows == 0:
        return {}
    matrix = _matrix(table["probabilities"], table.num_rows)
    return dict(zip(table["item_id"].to_pylist(), matrix, strict=True))
