"""The schema, as a list of upgrades; the table ``migrations`` records which have run."""

from __future__ import annotations

from pathlib import Path

import duckdb

from imfl_engine.errors import NewerSchema, NotAProject

FIRST = """
CREATE TABLE settings_log (
    settings JSON NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE TABLE items (
    item_id BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    context VARCHAR,
    options VARCHAR[],
    gold VARCHAR,
    split VARCHAR NOT NULL,
    meta VARCHAR,
    content_hash VARCHAR NOT NULL,
    draw UBIGINT NOT NULL -- a hash of the key, from which sub-samples are drawn
);

-- What the person did, append only; the current label is the view human_labels.
CREATE TABLE label_events (
    event_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    action VARCHAR NOT NULL,
    label VARCHAR,
    round INTEGER NOT NULL,
    origin VARCHAR NOT NULL,
    annotator VARCHAR NOT NULL,
    seconds DOUBLE,
    comment VARCHAR,
    undoes BIGINT,
    batch_id VARCHAR,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE SEQUENCE event_ids;

CREATE VIEW live_events AS
    SELECT * FROM label_events
    WHERE action <> 'undo'
      AND event_id NOT IN (SELECT undoes FROM label_events WHERE undoes IS NOT NULL);

CREATE VIEW decisions AS
    SELECT * FROM live_events
    WHERE action IN ('label', 'skip', 'accept', 'accept_bulk', 'reject')
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY event_id DESC) = 1;

CREATE VIEW human_labels AS
    SELECT item_id, label, round, origin, annotator, seconds, event_id, created_at
    FROM decisions WHERE action = 'label';

CREATE VIEW flagged_items AS
    SELECT item_id FROM live_events WHERE action IN ('flag', 'unflag')
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY event_id DESC) = 1 AND action = 'flag';

CREATE VIEW comments AS
    SELECT item_id, comment FROM live_events WHERE action = 'note'
    QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY event_id DESC) = 1;

-- The loop's decisions. A row in steps says that a step of a round is complete.
CREATE TABLE rounds (
    round INTEGER NOT NULL, human_planned INTEGER NOT NULL, llm_planned INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE TABLE sub_samples (round INTEGER NOT NULL, item_id BIGINT NOT NULL);
CREATE TABLE selections (
    round INTEGER NOT NULL, item_id BIGINT NOT NULL, role VARCHAR NOT NULL, rank INTEGER NOT NULL,
    control BOOLEAN NOT NULL, score DOUBLE, reason VARCHAR
);
CREATE TABLE steps (
    round INTEGER NOT NULL, kind VARCHAR NOT NULL, seconds DOUBLE, details JSON,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE TABLE vectors (embedder VARCHAR NOT NULL, item_id BIGINT NOT NULL, vector FLOAT[] NOT NULL);
CREATE TABLE predictions (round INTEGER NOT NULL, item_id BIGINT NOT NULL, probabilities FLOAT[] NOT NULL);
CREATE TABLE posteriors (
    round INTEGER NOT NULL, item_id BIGINT NOT NULL, probabilities FLOAT[] NOT NULL, p_wrong DOUBLE
);

-- Everything bought from an annotator, append only, committed before it is shown.
CREATE TABLE replies (
    reply_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    round INTEGER NOT NULL,
    purpose VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    label VARCHAR,
    annotator VARCHAR NOT NULL,
    prompt_hash VARCHAR NOT NULL,
    confidence DOUBLE,
    log_probabilities JSON,
    raw VARCHAR,
    messages VARCHAR,
    error VARCHAR,
    demonstration_ids BIGINT[] NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_usd DOUBLE NOT NULL,
    attempts INTEGER NOT NULL,
    seconds DOUBLE NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE SEQUENCE reply_ids;
CREATE VIEW latest_replies AS
    SELECT * FROM replies
    QUALIFY row_number() OVER (PARTITION BY item_id, purpose ORDER BY reply_id DESC) = 1;

-- Money: a charge is reserved before its request is sent; what became of it follows in outcomes,
-- of which the last one counts.
CREATE TABLE charges (
    charge_id VARCHAR NOT NULL, prompt_hash VARCHAR NOT NULL, item_id BIGINT NOT NULL,
    round INTEGER NOT NULL, usd DOUBLE NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE TABLE outcomes (
    outcome_id BIGINT NOT NULL, charge_id VARCHAR NOT NULL, state VARCHAR NOT NULL,
    usd DOUBLE NOT NULL, input_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL, answer VARCHAR,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE SEQUENCE outcome_ids;
CREATE VIEW charge_states AS
    SELECT c.charge_id, c.prompt_hash, c.item_id, c.round, coalesce(o.state, 'open') AS state,
        CASE WHEN o.state IS NULL OR o.state = 'lost' THEN c.usd ELSE o.usd END AS usd,
        o.input_tokens, o.cached_tokens, o.output_tokens, o.answer, o.outcome_id, c.created_at
    FROM charges c
    LEFT JOIN (
        SELECT * FROM outcomes
        QUALIFY row_number() OVER (PARTITION BY charge_id ORDER BY outcome_id DESC) = 1
    ) o USING (charge_id);

CREATE TABLE batch_log (
    batch_seq BIGINT NOT NULL, batch_id VARCHAR NOT NULL, job JSON NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
CREATE SEQUENCE batch_seqs;
CREATE VIEW batch_jobs AS
    SELECT batch_id, job FROM batch_log
    QUALIFY row_number() OVER (PARTITION BY batch_id ORDER BY batch_seq DESC) = 1;
"""

# Control items are asked about again as the examples grow; that says nothing about their own labels.
MEASURED_AGAIN = """
CREATE OR REPLACE VIEW latest_replies AS
    SELECT * FROM replies
    WHERE purpose <> 'control'
    QUALIFY row_number() OVER (PARTITION BY item_id, purpose ORDER BY reply_id DESC) = 1;
"""

# Vectors are kept in files, see `embeddings`; those of an older project are computed again.
VECTORS_IN_FILES = "DROP TABLE vectors;"

# What an item's label is and who answers for it, said once. An LLM's label stands until the person
# gives another or says that none fits; skipping decides nothing, keeping it unseen is no look at it.
CURRENT_LABELS = """
CREATE VIEW llm_labels AS
    SELECT * FROM latest_replies WHERE purpose = 'annotate' AND label IS NOT NULL;

CREATE VIEW current_labels AS
    SELECT coalesce(d.item_id, l.item_id) AS item_id,
        CASE WHEN d.action = 'label' THEN d.label ELSE l.label END AS label,
        CASE WHEN d.action = 'label' THEN 'human'
             WHEN d.action = 'accept' THEN 'llm_reviewed' ELSE 'llm' END AS source,
        CASE WHEN d.action = 'label' THEN d.round ELSE l.round END AS round
    FROM decisions d FULL JOIN llm_labels l ON l.item_id = d.item_id
    WHERE d.action = 'label' OR (l.label IS NOT NULL AND coalesce(d.action, '') <> 'reject');
"""

# What was found out about endpoints, append only; the newest row about a model counts.
ENDPOINT_FACTS = """
CREATE TABLE endpoint_facts (
    base_url VARCHAR NOT NULL, model VARCHAR NOT NULL, facts JSON NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
"""

MIGRATIONS: tuple[str, ...] = (
    FIRST,
    MEASURED_AGAIN,
    VECTORS_IN_FILES,
    CURRENT_LABELS,
    ENDPOINT_FACTS,
)


def check(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise `NotAProject` for another program's DuckDB file, `NewerSchema` for a later version's."""
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'imfl_migrations'"
    ).fetchone()
    if not found or found[0] == 0:
        raise NotAProject(
            f"{path} is a DuckDB file, but not an imfl-tui project.", "Choose another file."
        )
    version = schema_version(connection)
    if version > len(MIGRATIONS):
        raise NewerSchema(
            f"{path} was written by a newer imfl-tui (schema {version}, this one knows "
            f"{len(MIGRATIONS)}).",
            "Upgrade with `pip install --upgrade imfl-tui`.",
        )


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many migrations the file has seen."""
    row = connection.execute("SELECT coalesce(max(version), 0) FROM imfl_migrations").fetchone()
    return int(row[0]) if row else 0


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Run the migrations that the file lacks, in the caller's transaction."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS imfl_migrations "
        "(version INTEGER NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'))"
    )
    for version in range(schema_version(connection) + 1, len(MIGRATIONS) + 1):
        connection.execute(MIGRATIONS[version - 1])
        connection.execute("INSERT INTO imfl_migrations (version) VALUES (?)", [version])
