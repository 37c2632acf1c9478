"""Counts and pages over labels and replies, as the screens show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imfl_engine.store.database import Connection
from imfl_engine.views import LabelCount, LabelsBelow, ReviewRow

if TYPE_CHECKING:
    import pyarrow as pa

_LATEST_RISK = (
    "SELECT item_id, p_wrong FROM posteriors WHERE round = (SELECT max(round) FROM posteriors)"
)

# Every LLM label of the training set, with what the person has said of it.
_LLM_LABELS = f"""
    SELECT r.item_id, r.label AS llm_label, r.confidence, r.round, p.p_wrong,
        CASE WHEN d.action = 'label' AND d.label <> r.label THEN 'corrected'
             WHEN d.action = 'label' OR d.action IN ('accept', 'accept_bulk') THEN 'accepted'
             WHEN d.action = 'reject' THEN 'corrected'
             ELSE 'unreviewed' END AS status,
        coalesce(d.action, '') AS action
    FROM llm_labels r
    LEFT JOIN decisions d USING (item_id)
    LEFT JOIN ({_LATEST_RISK}) p USING (item_id)
"""


@dataclass(frozen=True, slots=True)
class ReviewTotals:
    """The numbers above the review queue.

    ``reviewed`` are labels a person looked at one by one, of which ``kept`` stand; what was kept
    unseen is neither. ``expected_errors`` are those among the labels that nobody looked at,
    ``expected_in_queue`` those among the labels that wait for a decision.
    """

    labels: int
    unreviewed: int
    reviewed: int
    kept: int
    found_wrong: int
    expected_errors: float | None
    expected_in_queue: float | None
    expected_in_next: float | None


def review_totals(con: Connection, *, upcoming: int = 20) -> ReviewTotals:
    """Return the totals of the review queue."""
    row = con.execute(
        f"""
        WITH queue AS ({_LLM_LABELS})
        SELECT count(*), count(*) FILTER (status = 'unreviewed'),
            count(*) FILTER (status <> 'unreviewed' AND action <> 'accept_bulk'),
            count(*) FILTER (action = 'accept'),
            count(*) FILTER (status = 'corrected'),
            sum(p_wrong) FILTER (status = 'unreviewed' OR action = 'accept_bulk'),
            sum(p_wrong) FILTER (status = 'unreviewed'),
            (SELECT sum(p_wrong) FROM (SELECT p_wrong FROM queue WHERE status = 'unreviewed'
                ORDER BY p_wrong DESC NULLS LAST, item_id LIMIT ?))
        FROM queue
        """,
        [upcoming],
    ).fetchone()
    assert row is not None
    return ReviewTotals(*row)


def review_page(
    con: Connection, *, offset: int, limit: int, order: Literal["risk", "round"] = "risk"
) -> list[ReviewRow]:
    """Return a page of the LLM's labels: unreviewed first, riskiest first."""
    by = "p_wrong DESC NULLS LAST" if order == "risk" else "round DESC, p_wrong DESC NULLS LAST"
    rows = con.execute(
        f"""
        WITH queue AS ({_LLM_LABELS}), page AS (
            SELECT *, row_number() OVER (ORDER BY status <> 'unreviewed', {by}, item_id) AS place
            FROM queue QUALIFY place > ? AND place <= ?
        )
        SELECT item_id, left(i.text, 300), llm_label, p_wrong, page.round, status
        FROM page JOIN items i USING (item_id) ORDER BY place
        """,
        [offset, offset + limit],
    ).fetchall()
    return [ReviewRow(*row) for row in rows]


_UNREVIEWED_BELOW = f"FROM ({_LLM_LABELS}) WHERE status = 'unreviewed' AND p_wrong < ?"


def unreviewed_below(con: Connection, risk: float) -> list[int]:
    """Return the ids of unreviewed LLM labels with a risk strictly below ``risk``."""
    rows = con.execute(f"SELECT item_id {_UNREVIEWED_BELOW} ORDER BY item_id", [risk]).fetchall()
    return [row[0] for row in rows]


def labels_below(con: Connection, risk: float) -> LabelsBelow:
    """Return how many labels `unreviewed_below` returns, and the sum of their risks."""
    row = con.execute(
        f"SELECT count(*), coalesce(sum(p_wrong), 0) {_UNREVIEWED_BELOW}", [risk]
    ).fetchone()
    assert row is not None
    return LabelsBelow(risk, row[0], row[1])


def has_llm_label(con: Connection, item_id: int) -> bool:
    """Whether the LLM has labelled an item for the training set."""
    row = con.execute(
        "SELECT count(*) FROM llm_labels WHERE item_id = ?",
        [item_id],
    ).fetchone()
    return bool(row and row[0])


def risk_of(con: Connection, item_id: int) -> float | None:
    """Return the newest label model's risk of an item's LLM label."""
    row = con.execute(
        f"SELECT p_wrong FROM ({_LATEST_RISK}) WHERE item_id = ?", [item_id]
    ).fetchone()
    return row[0] if row else None


FEWEST_FOR_A_SHARE = 5
"""Of fewer labels the share of the commonest says nothing."""


def majority(con: Connection) -> tuple[str, float] | None:
    """Return the commonest label of what the model is measured on, and its share.

    That is the gold of the test set or, without one, the human labels of the control slice; None
    while they are too few.
    """
    row = con.execute(
        """
        WITH known AS (
            SELECT gold AS label FROM items WHERE split = 'test' AND gold IS NOT NULL
        ), used AS (
            SELECT label FROM known
            UNION ALL
            SELECT label FROM human_labels WHERE NOT EXISTS (FROM known)
                AND item_id IN (SELECT item_id FROM selections WHERE control)
        )
        SELECT label, count(*) / (SELECT count(*) FROM used) FROM used
        WHERE (SELECT count(*) FROM used) >= ?
        GROUP BY label ORDER BY count(*) DESC, label LIMIT 1
        """,
        [FEWEST_FOR_A_SHARE],
    ).fetchone()
    return (row[0], float(row[1])) if row else None


def label_counts(con: Connection) -> tuple[LabelCount, ...]:
    """Return how often each label was given, by whom, commonest first."""
    rows = con.execute(
        """
        SELECT label, count(*) FILTER (source = 'human'), count(*) FILTER (source <> 'human')
        FROM current_labels GROUP BY label ORDER BY count(*) DESC, label
        """
    ).fetchall()
    return tuple(LabelCount(*row) for row in rows)


def imported_labels(con: Connection) -> int:
    """Return how many of the current human labels were made elsewhere and imported."""
    row = con.execute("SELECT count(*) FROM human_labels WHERE origin = 'import'").fetchone()
    return int(row[0]) if row else 0


def reply_statuses(con: Connection) -> dict[str, int]:
    """Return how many items of the LLM's share ended in each status (a `ReplyStatus` value).

    Where the LLM gave no label, items are left out that the person has labelled or rejected since.
    """
    rows = con.execute(
        """
        SELECT status, count(*) FROM latest_replies
        WHERE purpose = 'annotate' AND (label IS NOT NULL OR item_id NOT IN
            (SELECT item_id FROM decisions WHERE action IN ('label', 'reject')))
        GROUP BY status ORDER BY status
        """
    ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


def gold_available(con: Connection) -> bool:
    """Whether the pool has gold labels, so that `run --human gold` can answer."""
    row = con.execute(
        "SELECT EXISTS (FROM items WHERE split = 'pool' AND gold IS NOT NULL)"
    ).fetchone()
    return bool(row and row[0])


def control_answers(con: Connection) -> list[tuple[int, int, bool]]:
    """Return (item, round, right) of the LLM's last answer about a control item in a round."""
    rows = con.execute(
        """
        SELECT r.item_id, r.round, r.label = h.label
        FROM replies r JOIN human_labels h USING (item_id)
        WHERE r.label IS NOT NULL AND r.item_id IN (SELECT item_id FROM selections WHERE control)
        QUALIFY row_number() OVER (PARTITION BY r.item_id, r.round ORDER BY reply_id DESC) = 1
        ORDER BY r.item_id, r.round
        """
    ).fetchall()
    return [(item_id, round_, bool(right)) for item_id, round_, right in rows]


def minutes_by_round(con: Connection) -> dict[int, float]:
    """Return the person's minutes of each round, undone work included."""
    rows = con.execute(
        "SELECT round, coalesce(sum(seconds), 0) / 60 FROM label_events WHERE origin <> 'import' "
        "GROUP BY round ORDER BY round"
    ).fetchall()
    return {row[0]: float(row[1]) for row in rows}


def cost_by_round(con: Connection) -> dict[int, float]:
    """Return the settled US dollars of each round."""
    rows = con.execute(
        "SELECT round, sum(usd) FROM charge_states WHERE state = 'settled' "
        "GROUP BY round ORDER BY round"
    ).fetchall()
    return {row[0]: float(row[1]) for row in rows}


def export_rows(
    con: Connection, *, labels: Sequence[str], model_round: int | None, batch_size: int = 50_000
) -> Iterator[pa.RecordBatch]:
    """Yield every labelled pool item in the columns of the exported set, in the order of ids.

    Items the person rejected are left out. ``labels`` turns names into class indices (null for
    multiple choice); ``model_round`` is whose predictions are added.
    """
    reader = con.sql(
        f"""
        WITH risk AS ({_LATEST_RISK}), model AS (
            SELECT item_id, probabilities FROM predictions WHERE round = ?
        ), llm AS (
            SELECT * FROM latest_replies WHERE label IS NOT NULL
            QUALIFY row_number() OVER (
                PARTITION BY item_id ORDER BY purpose = 'annotate' DESC, reply_id DESC) = 1
        ), shown AS (
            SELECT d.item_id, list(k.key ORDER BY place) AS keys
            FROM (SELECT item_id, unnest(demonstration_ids) AS shown_id,
                generate_subscripts(demonstration_ids, 1) AS place FROM llm) d
            JOIN items k ON k.item_id = d.shown_id GROUP BY d.item_id
        ), paid AS (
            SELECT item_id, sum(cost_usd) AS cost_usd, sum(input_tokens) AS input_tokens,
                sum(output_tokens) AS output_tokens FROM replies GROUP BY item_id
        ), annotated AS (
            SELECT i.item_id, i.key, i.text, i.context, i.options, i.meta, i.split,
                final.label AS final, final.source AS source,
                coalesce(s.round, h.round, llm.round) AS round,
                CASE WHEN h.label IS NOT NULL THEN h.annotator ELSE llm.annotator END AS annotator,
                h.label AS human_label, llm.label AS llm_label, llm.confidence AS llm_confidence,
                CASE WHEN llm.label IS NOT NULL THEN risk.p_wrong END AS p_wrong,
                model.probabilities,
                CASE WHEN llm.purpose <> 'annotate' OR llm.label IS NULL THEN NULL
                     WHEN h.label IS NOT NULL AND h.label <> llm.label THEN 'corrected'
                     WHEN h.label IS NOT NULL OR d.action IN ('accept', 'accept_bulk')
                     THEN 'accepted' ELSE 'unreviewed' END AS review_status,
                coalesce(s.control, FALSE) AS control,
                f.item_id IS NOT NULL AS flag, c.comment, h.seconds,
                CASE WHEN llm.label IS NOT NULL THEN llm.annotator END AS llm_model,
                llm.prompt_hash,
                shown.keys AS demonstration_ids,
                paid.input_tokens, paid.output_tokens, paid.cost_usd,
                coalesce(h.created_at, llm.created_at) AS created_at
            FROM items i
            JOIN current_labels final USING (item_id)
            LEFT JOIN human_labels h USING (item_id)
            LEFT JOIN decisions d USING (item_id)
            LEFT JOIN llm USING (item_id)
            LEFT JOIN risk USING (item_id)
            LEFT JOIN model USING (item_id)
            LEFT JOIN paid USING (item_id)
            LEFT JOIN shown USING (item_id)
            LEFT JOIN flagged_items f USING (item_id)
            LEFT JOIN comments c USING (item_id)
            LEFT JOIN (SELECT item_id, max(round) AS round, bool_or(control) AS control
                FROM selections GROUP BY item_id) s USING (item_id)
            WHERE i.split = 'pool'
        )
        SELECT key AS id, text, context, options,
            list_position(?::VARCHAR[], final)::BIGINT - 1 AS label, final AS label_text, source,
            split, round::INTEGER AS round, annotator, human_label, llm_label,
            llm_confidence, p_wrong,
            (?::VARCHAR[])[list_position(probabilities, list_max(probabilities))] AS model_label,
            list_max(probabilities)::DOUBLE AS model_confidence, review_status, control, flag,
            comment, seconds, llm_model, prompt_hash, demonstration_ids,
            input_tokens::BIGINT AS input_tokens, output_tokens::BIGINT AS output_tokens,
            cost_usd, created_at, meta
        FROM annotated ORDER BY item_id
        """,
        params=[-1 if model_round is None else model_round, list(labels), list(labels)],
    ).to_arrow_reader(batch_size)
    yield from reader
