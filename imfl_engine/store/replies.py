"""Everything bought from annotators: replies, charges, provider batches, and what was learned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from imfl_engine.annotate.facts import EndpointFacts
from imfl_engine.annotate.ports import (
    Balance,
    BatchEntry,
    BatchJob,
    BatchSaved,
    Change,
    Committed,
    Learned,
    Lost,
    PaidAnswer,
    Reserved,
    Settled,
    Voided,
)
from imfl_engine.store.database import Connection, Database
from imfl_engine.types import Purpose, Reply, ReplyStatus

_COLUMNS = (
    "item_id, round, purpose, status, label, annotator, prompt_hash, confidence, "
    "log_probabilities, raw, messages, error, demonstration_ids, input_tokens, cached_tokens, "
    "output_tokens, cost_usd, attempts, seconds"
)
_FINAL = tuple(status.value for status in ReplyStatus if status.is_final)


class DuckReplyStore:
    """The `imfl_engine.annotate.ports.ReplyStore` of a project file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, changes: Sequence[Change]) -> None:
        """See `ReplyStore.write`."""
        await self._database.write(lambda con: write(con, changes))

    async def find(self, prompt_hashes: Sequence[str]) -> Mapping[str, Reply | PaidAnswer]:
        """See `ReplyStore.find`."""
        return await self._database.read(lambda con: find(con, prompt_hashes))

    async def balance(self) -> Balance:
        """See `ReplyStore.balance`."""
        return await self._database.read(balance)

    async def recover(self) -> Balance:
        """See `ReplyStore.recover`."""
        return await self._database.write(recover)

    async def batches(self) -> Sequence[BatchJob]:
        """See `ReplyStore.batches`."""
        return await self._database.read(batches)

    async def facts(self, where: str, model: str) -> EndpointFacts | None:
        """See `ReplyStore.facts`."""
        return await self._database.read(lambda con: facts(con, where, model))


def write(con: Connection, changes: Sequence[Change]) -> None:
    """Append ``changes`` in order."""
    outcomes: list[tuple[str, str, float, int, int, int, str | None]] = []
    reserved: list[Reserved] = []
    for change in changes:
        match change:
            case Reserved():
                reserved.append(change)
            case Settled():
                outcomes.append(
                    (
                        change.charge_id,
                        "settled",
                        change.usd,
                        change.input_tokens,
                        change.cached_tokens,
                        change.output_tokens,
                        change.answer,
                    )
                )
            case Voided():
                outcomes.append((change.charge_id, "voided", 0.0, 0, 0, 0, None))
            case Lost():
                outcomes.append((change.charge_id, "lost", 0.0, 0, 0, 0, None))
            case Committed() | BatchSaved() | Learned():
                pass
    if reserved:
        con.execute(
            "INSERT INTO charges (charge_id, prompt_hash, item_id, round, usd) SELECT "
            "unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[]), "
            "unnest(?::INTEGER[]), unnest(?::DOUBLE[])",
            [
                [r.charge_id for r in reserved],
                [r.prompt_hash for r in reserved],
                [r.item_id for r in reserved],
                [r.round for r in reserved],
                [r.usd for r in reserved],
            ],
        )
    if outcomes:
        con.execute(
            "INSERT INTO outcomes (outcome_id, charge_id, state, usd, input_tokens, cached_tokens, "
            "output_tokens, answer) SELECT nextval('outcome_ids'), * FROM (SELECT "
            "unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::DOUBLE[]), unnest(?::BIGINT[]), "
            "unnest(?::BIGINT[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[]))",
            [list(column) for column in zip(*outcomes, strict=True)],
        )
    _insert_replies(con, [change.reply for change in changes if isinstance(change, Committed)])
    for change in changes:
        if isinstance(change, BatchSaved):
            con.execute(
                "INSERT INTO batch_log (batch_seq, batch_id, job) "
                "VALUES (nextval('batch_seqs'), ?, ?)",
                [change.job.batch_id, json.dumps(asdict(change.job))],
            )
        if isinstance(change, Learned):
            con.execute(
                "INSERT INTO endpoint_facts (base_url, model, facts) VALUES (?, ?, ?)",
                [change.where, change.model, json.dumps(asdict(change.facts))],
            )


def _insert_replies(con: Connection, replies: Sequence[Reply]) -> None:
    if not replies:
        return
    types = {
        "item_id": "BIGINT",
        "round": "INTEGER",
        "confidence": "DOUBLE",
        "input_tokens": "BIGINT",
        "cached_tokens": "BIGINT",
        "output_tokens": "BIGINT",
        "cost_usd": "DOUBLE",
        "attempts": "INTEGER",
        "seconds": "DOUBLE",
    }
    names = _COLUMNS.split(", ")
    columns: list[list[Any]] = []
    for name in names:
        values = [getattr(reply, name) for reply in replies]
        if name == "log_probabilities":
            values = [None if value is None else json.dumps(value) for value in values]
        elif name == "demonstration_ids":
            # A list of lists cannot be unnested one level by the same SELECT as plain lists.
            values = [json.dumps(list(value)) for value in values]
        columns.append(values)
    selected = ", ".join(
        f"unnest(?::VARCHAR[])::JSON::BIGINT[] AS {name}"
        if name == "demonstration_ids"
        else f"unnest(?::{types.get(name, 'VARCHAR')}[]) AS {name}"
        for name in names
    )
    con.execute(
        f"INSERT INTO replies (reply_id, {_COLUMNS}) "
        f"SELECT nextval('reply_ids'), {_COLUMNS} FROM (SELECT {selected})",
        columns,
    )


def find(con: Connection, prompt_hashes: Sequence[str]) -> dict[str, Reply | PaidAnswer]:
    """Return what was bought for each hash; see `ReplyStore.find`."""
    found: dict[str, Reply | PaidAnswer] = {}
    hashes = list(prompt_hashes)
    for row in con.execute(
        "SELECT prompt_hash, list(answer ORDER BY outcome_id) FILTER (answer IS NOT NULL), count(*), "
        "sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(usd) FROM charge_states "
        "WHERE state = 'settled' AND prompt_hash IN (SELECT unnest(?::VARCHAR[])) "
        "GROUP BY prompt_hash ORDER BY prompt_hash",
        [hashes],
    ).fetchall():
        prompt_hash, answers, attempts, tokens_in, cached, tokens_out, usd = row
        found[prompt_hash] = PaidAnswer(
            tuple(answers or ()), attempts, int(tokens_in), int(cached), int(tokens_out), float(usd)
        )
    for row in con.execute(
        f"SELECT {_COLUMNS} FROM replies WHERE prompt_hash IN (SELECT unnest(?::VARCHAR[])) "
        "AND status IN (SELECT unnest(?::VARCHAR[])) ORDER BY reply_id",
        [hashes, list(_FINAL)],
    ).fetchall():
        reply = _reply(row)
        found[reply.prompt_hash] = reply
    return found


def balance(con: Connection) -> Balance:
    """Return the sums over all charges in US dollars."""
    sums = {
        state: float(usd)
        for state, usd in con.execute(
            "SELECT state, sum(usd) FROM charge_states GROUP BY state ORDER BY state"
        ).fetchall()
    }
    return Balance(sums.get("settled", 0.0), sums.get("open", 0.0), sums.get("lost", 0.0))


def recover(con: Connection) -> Balance:
    """Mark the open charges that are in no unfinished batch as lost; return the balance."""
    batched = [entry.charge_id for job in batches(con) for entry in job.entries]
    con.execute(
        "INSERT INTO outcomes (outcome_id, charge_id, state, usd, input_tokens, cached_tokens, "
        "output_tokens) SELECT nextval('outcome_ids'), charge_id, 'lost', 0, 0, 0, 0 "
        "FROM (SELECT charge_id FROM charge_states WHERE state = 'open' "
        "AND charge_id NOT IN (SELECT unnest(?::VARCHAR[])) ORDER BY charge_id)",
        [batched],
    )
    return balance(con)


def batches(con: Connection) -> list[BatchJob]:
    """Return the batch jobs that are not finished, oldest first."""
    jobs = []
    for (text,) in con.execute("SELECT job FROM batch_jobs ORDER BY batch_id").fetchall():
        values = json.loads(text)
        values["entries"] = tuple(
            BatchEntry(**{**_tuples(entry), "purpose": Purpose(entry["purpose"])})
            for entry in values["entries"]
        )
        jobs.append(BatchJob(**values))
    return sorted((job for job in jobs if not job.finished), key=lambda job: job.created_at)


def facts(con: Connection, where: str, model: str) -> EndpointFacts | None:
    """Return what was last learned about a model at an address."""
    row = con.execute(
        "SELECT facts FROM endpoint_facts WHERE base_url = ? AND model = ? "
        "ORDER BY created_at DESC, rowid DESC LIMIT 1",
        [where, model],
    ).fetchone()
    return EndpointFacts(**_tuples(json.loads(row[0]))) if row else None


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the values had tuples."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def latest(con: Connection, purpose: Purpose) -> dict[int, Reply]:
    """Return the newest reply of every item for a purpose, in the order of ids."""
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM latest_replies WHERE purpose = ? ORDER BY item_id", [purpose]
    ).fetchall()
    return {row[0]: _reply(row) for row in rows}


def latest_of(con: Connection, item_ids: Sequence[int]) -> dict[int, Reply]:
    """Return the newest labelled reply of those of ``item_ids`` that have one."""
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM replies WHERE label IS NOT NULL "
        "AND item_id IN (SELECT unnest(?::BIGINT[])) ORDER BY reply_id",
        [list(item_ids)],
    ).fetchall()
    return {row[0]: _reply(row) for row in rows}


def newest(con: Connection, limit: int) -> list[Reply]:
    """Return the newest replies that went into the training set, newest first."""
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM replies WHERE purpose = ? ORDER BY reply_id DESC LIMIT ?",
        [Purpose.ANNOTATE, limit],
    ).fetchall()
    return [_reply(row) for row in rows]


def of_item(con: Connection, item_id: int) -> list[Reply]:
    """Return every reply about an item, newest first."""
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM replies WHERE item_id = ? ORDER BY reply_id DESC", [item_id]
    ).fetchall()
    return [_reply(row) for row in rows]


def _reply(row: tuple[Any, ...]) -> Reply:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["purpose"] = Purpose(values["purpose"])
    values["status"] = ReplyStatus(values["status"])
    values["demonstration_ids"] = tuple(values["demonstration_ids"] or ())
    if values["log_probabilities"] is not None:
        values["log_probabilities"] = json.loads(values["log_probabilities"])
    return Reply(**values)
