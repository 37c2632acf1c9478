"""Replies and money: what was bought is found again, and the balance is exact."""

from dataclasses import replace

from imfl_engine.annotate.ports import (
    BatchEntry,
    BatchJob,
    BatchSaved,
    Committed,
    Lost,
    PaidAnswer,
    Reserved,
    Settled,
    Voided,
)
from imfl_engine.store import replies
from imfl_engine.store.database import Database
from imfl_engine.types import Purpose, Reply, ReplyStatus

REPLY = Reply(
    item_id=1,
    round=1,
    purpose=Purpose.ANNOTATE,
    status=ReplyStatus.OK,
    label="yes",
    annotator="openai:m",
    prompt_hash="h1",
    confidence=0.8,
    log_probabilities={"yes": -0.2, "no": -1.7},
    raw='{"label": "yes"}',
    messages="[]",
    demonstration_ids=(3, 2),
    input_tokens=100,
    output_tokens=5,
    cost_usd=0.01,
    attempts=2,
    seconds=0.4,
)


def reserve(name: str, usd: float = 1.0) -> Reserved:
    return Reserved(name, f"h-{name}", 1, 1, usd)


def write(database: Database, *changes: object) -> None:
    database.write_now(lambda con: replies.write(con, changes))


def test_a_reply_comes_back_as_it_was_written(database: Database) -> None:
    write(database, Committed(REPLY), Committed(replace(REPLY, item_id=2, prompt_hash="h2")))
    assert database.read_now(lambda con: replies.find(con, ["h1"])) == {"h1": REPLY}
    assert list(database.read_now(lambda con: replies.latest(con, Purpose.ANNOTATE))) == [1, 2]


def test_failures_are_never_found_again(database: Database) -> None:
    for number, status in enumerate((ReplyStatus.FAILED, ReplyStatus.RATE_LIMITED)):
        failed = replace(REPLY, status=status, label=None, prompt_hash=f"f{number}")
        write(database, Committed(failed))
    assert database.read_now(lambda con: replies.find(con, ["f0", "f1"])) == {}


def test_an_answer_paid_for_before_a_kill_is_found(database: Database) -> None:
    write(database, reserve("a"), Settled("a", 0.4, input_tokens=7, answer="ye"))
    found = database.read_now(lambda con: replies.find(con, ["h-a"]))
    assert found == {"h-a": PaidAnswer(("ye",), 1, 7, 0, 0, 0.4)}


def test_the_balance_follows_every_outcome(database: Database) -> None:
    write(database, *(reserve(name) for name in "abcde"))
    write(database, Settled("a", 0.25), Voided("b"), Lost("c"))
    balance = database.read_now(replies.balance)
    assert (balance.spent, balance.reserved, balance.lost) == (0.25, 2.0, 1.0)
    write(database, Settled("c", 0.5))
    assert database.read_now(replies.balance).committed == 0.25 + 0.5 + 2.0


def test_open_reservations_of_a_killed_run_become_lost_but_not_those_of_a_batch(
    database: Database,
) -> None:
    job = BatchJob("batch", "openai:m", (BatchEntry("b", "h-b", 1, 1, Purpose.ANNOTATE),))
    write(database, reserve("a"), reserve("b"), BatchSaved(job))
    balance = database.write_now(replies.recover)
    assert (balance.reserved, balance.lost) == (1.0, 1.0)
    assert database.read_now(replies.batches) == [job]
    write(database, BatchSaved(replace(job, finished=True)))
    assert database.read_now(replies.batches) == []
