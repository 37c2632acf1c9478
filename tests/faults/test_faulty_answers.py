"""Three answers in ten are at fault: every item ends definitely, and the books agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.annotate.limits import Patience
from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.errors import EndpointError
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore, latest
from imfl_engine.types import Purpose, Reply, ReplyStatus

PRICE_IN, PRICE_OUT = 1e-6, 2e-6


async def collect(
    annotator: Any, requests: Any, store: Any, limit: float | None = None
) -> list[Reply]:
    return [
        event.reply
        async for event in annotator.annotate(requests, store, limit_usd=limit)
        if hasattr(event, "reply")
    ]


@dataclass(frozen=True)
class Charge:
    """A charge as it lies on disk."""

    item_id: int
    state: str
    usd: float
    input: int
    output: int


def charges_of(database: Database) -> list[Charge]:
    rows = database.read_now(
        lambda con: con.execute(
            "SELECT item_id, state, usd, coalesce(input_tokens, 0), coalesce(output_tokens, 0) "
            "FROM charge_states ORDER BY outcome_id"
        ).fetchall()
    )
    return [Charge(*row) for row in rows]


async def test_three_faults_in_ten_of_every_kind_leave_definite_items_and_the_servers_own_books(
    serve: Any, annotator_for: Any, label_requests: Any, fault_server: Any, tmp_path: Path
) -> None:
    n = 400
    server = serve(faults=fault_server.FAULTS, fault_share=0.3, seed=1, hang=60.0)
    database = Database.create(tmp_path / "p.db")
    store, requests = DuckReplyStore(database), label_requests(n, shots=2)
    annotator = annotator_for(server, timeout_seconds=6.0, concurrency=48)

    replies = await collect(annotator, requests, store)

    assert sorted(r.item_id for r in replies) == list(range(n))
    on_disk = database.read_now(lambda con: latest(con, Purpose.ANNOTATE))
    assert {r.item_id: r.status for r in replies} == {k: r.status for k, r in on_disk.items()}
    statuses = Counter(r.status for r in replies)
    assert statuses[ReplyStatus.OK] > 0.75 * n
    assert statuses[ReplyStatus.REPAIRED] > 10
    assert statuses[ReplyStatus.REFUSED] > 3
    assert all((r.label is not None) == r.status.has_label for r in replies)
    names = ["positive", "negative", "neutral"]
    truth = {r.item.item_id: fault_server.truth(r.item.text, names) for r in requests}
    assert all(r.label == truth[r.item_id] for r in replies if r.label)

    log = server.log()
    assert {entry["fault"] for entry in log} > set(fault_server.FAULTS)
    charges = charges_of(database)
    check_charges(charges, log, {r.item.text: r.item.item_id for r in requests})
    settled = [charge for charge in charges if charge.state == "settled"]
    spent = sum(PRICE_IN * charge.input + PRICE_OUT * charge.output for charge in settled)
    balance = await store.balance()
    assert balance.spent == pytest.approx(spent, rel=1e-9)
    questions = sum(charge.usd for charge in settled if charge.item_id < 0)
    assert sum(r.cost_usd for r in replies) + questions == pytest.approx(spent, rel=1e-9)
    assert balance.reserved == 0
    assert balance.lost == pytest.approx(sum(c.usd for c in charges if c.state == "lost"))

    database.close()
    database = Database.open(tmp_path / "p.db")
    again = await collect(annotator_for(server), requests, DuckReplyStore(database))
    database.close()
    assert len(again) == n
    bought = {entry["item"] for entry in server.log()[len(log) :]}
    unanswered = {requests[r.item_id].item.text for r in replies if not r.status.is_final}
    assert bought <= unanswered, "failures are not kept as answers, all else is"


def check_charges(
    charges: list[Charge], log: list[dict[str, Any]], item_ids: dict[str, int]
) -> None:
    """Every answer that came is one settled charge, with the server's tokens where it told them."""
    assert {charge.state for charge in charges} <= {"settled", "lost", "voided"}
    theirs, ours = defaultdict(list), defaultdict(list)
    for entry in log:
        if entry["delivered"]:
            theirs[item_ids.get(entry["item"], -1)].append(entry)
    for charge in charges:
        if charge.state == "settled":
            ours[charge.item_id].append(charge)
    assert {k: len(found) for k, found in ours.items()} == {k: len(v) for k, v in theirs.items()}
    for item_id, entries in theirs.items():
        if item_id >= 0:  # the first question is no item
            assert len(entries) <= 2, "a question and its repair"
            assert sum(entry["usable"] for entry in entries) <= 1, "bought twice"
        for charge, entry in zip(ours[item_id], entries, strict=True):
            told = (charge.input, charge.output) == (entry["input"], entry["output"])
            near = charge.input == pytest.approx(entry["input"], rel=0.25)
            assert told if entry["usage_ok"] else near
    lost = sum(charge.state == "lost" for charge in charges)
    assert lost == sum(entry["billed"] and not entry["delivered"] for entry in log)
    voided = sum(charge.state == "voided" for charge in charges)
    assert voided == sum(not entry["billed"] for entry in log)


async def test_a_request_without_an_answer_in_time_is_written_off_and_asked_again(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(faults=["timeout"], fault_share=0.4, hang=30.0, seed=6)
    annotator = annotator_for(server, timeout_seconds=1.0)
    store = MemoryReplyStore()
    replies = await collect(annotator, label_requests(12), store)
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    hung = sum(entry["fault"] == "timeout" for entry in server.log())
    lost = [charge for charge in store.charges.values() if charge[1] == "lost"]
    assert 0 < hung <= len(lost)
    assert (await store.balance()).lost == pytest.approx(sum(c[0].usd for c in lost))


@pytest.mark.parametrize(
    "fault", ["usage-missing", "usage-zero", "usage-negative", "usage-huge", "usage-words"]
)
async def test_token_counts_that_cannot_be_true_are_estimated_and_said_to_be(
    serve: Any, annotator_for: Any, label_requests: Any, fault: str
) -> None:
    server = serve()
    annotator = annotator_for(server)
    store = MemoryReplyStore()
    await collect(annotator, label_requests(20), store)
    server.configure(faults=[fault], fault_share=1.0)
    replies = await collect(annotator, label_requests(10, first=100), store)
    billed = [entry for entry in server.log() if entry["fault"] == fault]
    assert len(billed) == len(replies) == 10
    truth = sum(entry["input"] for entry in billed)
    assert sum(r.input_tokens for r in replies) == pytest.approx(truth, rel=0.15)
    assert all(r.status is ReplyStatus.OK and "estimated" in (r.error or "") for r in replies)


async def test_contradicting_choices_are_no_answer_but_agreeing_ones_are(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(faults=["contradiction"], fault_share=1.0)
    store = MemoryReplyStore()
    replies = await collect(annotator_for(server), label_requests(3), store)
    assert {r.status for r in replies} == {ReplyStatus.INVALID}
    assert {r.attempts for r in replies} == {2}
    server.configure(faults=["duplicate"])
    replies = await collect(annotator_for(server), label_requests(3, first=50), store)
    assert {r.status for r in replies} == {ReplyStatus.OK}


async def test_an_invalid_answer_gets_one_repair_and_is_not_asked_again(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(faults=["prose"], fault_share=1.0)
    store = MemoryReplyStore()
    annotator = annotator_for(server)
    replies = await collect(annotator, label_requests(4), store)
    assert {(r.status, r.attempts) for r in replies} == {(ReplyStatus.INVALID, 2)}
    assert all("repair" in (r.error or "") for r in replies)
    before = len(server.log())
    assert {r.status for r in await collect(annotator, label_requests(4), store)} == {
        ReplyStatus.INVALID
    }
    assert len(server.log()) == before


async def test_a_re_run_of_what_is_there_sends_nothing_even_in_a_new_process(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    first = await collect(annotator_for(server), label_requests(10), store)
    before, spent = len(server.log()), await store.balance()
    again = await collect(annotator_for(server), label_requests(10), store)
    assert sorted(r.item_id for r in again) == sorted(r.item_id for r in first)
    assert len(server.log()) == before
    assert await store.balance() == spent


async def test_one_item_that_always_fails_harms_no_other_and_is_asked_again_later(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(faults=["500"], fault_share=0.5, seed=3)
    annotator = annotator_for(server)
    store = MemoryReplyStore()
    replies = await collect(annotator, label_requests(150), store)
    failed = [r.item_id for r in replies if r.status is ReplyStatus.FAILED]
    assert len(replies) == 150
    assert len(failed) < 15
    server.configure(fault_share=1.0)
    replies = await collect(annotator, label_requests(3, first=500), store)
    assert {r.status for r in replies} == {ReplyStatus.FAILED}
    assert {r.attempts for r in replies} == {6}
    assert "500" in (replies[0].error or "")
    server.configure(fault_share=0.0)
    replies = await collect(annotator, label_requests(3, first=500), store)
    assert {r.status for r in replies} == {ReplyStatus.OK}


async def test_identical_items_are_bought_once(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    from dataclasses import replace

    server = serve(latency=0.05)
    requests = label_requests(5) * 4
    requests = [
        replace(request, item=replace(request.item, item_id=index))
        for index, request in enumerate(requests)
    ]
    store = MemoryReplyStore()
    replies = await collect(annotator_for(server), requests, store)
    assert len({r.item_id for r in replies}) == 20
    assert len([e for e in server.log() if "sky" not in e["item"]]) == 5
    assert sum(r.cost_usd > 0 for r in replies) == 5
    assert all(r.status is ReplyStatus.OK for r in replies)


async def test_an_item_that_is_only_ever_told_to_wait_is_rate_limited_and_asked_again_later(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, patience=Patience(first=0.001, most=0.01))
    await annotator.check(store)
    spent = (await store.balance()).spent
    server.configure(faults=["429"], fault_share=1.0)
    replies = await collect(annotator, label_requests(3), store)
    assert {(r.status, r.attempts) for r in replies} == {(ReplyStatus.RATE_LIMITED, 10)}
    assert (await store.balance()).committed == spent
    server.configure(fault_share=0.0)
    replies = await collect(annotator, label_requests(3), store)
    assert {r.status for r in replies} == {ReplyStatus.OK}


async def test_an_account_without_credit_ends_the_run_with_what_to_do(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, concurrency=4)
    await annotator.check(store)
    server.configure(faults=["429-quota"], fault_share=1.0)
    with pytest.raises(EndpointError, match="no credit left") as caught:
        await collect(annotator, label_requests(50), store)
    assert "Add credit" in caught.value.hint
    assert len(server.log()) < 20
    assert not store.replies
