"""The batch API: half price, any number of restarts, successes kept."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.annotate.ports import BatchSaved, Settled
from imfl_engine.errors import BudgetReached, EndpointError
from imfl_engine.events import Notice, Progress
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import ReplyStatus


async def run(annotator: Any, requests: Any, store: Any, limit: float | None = None) -> list[Any]:
    return [event async for event in annotator.annotate(requests, store, limit_usd=limit)]


def replies_of(events: list[Any]) -> list[Any]:
    return [event.reply for event in events if hasattr(event, "reply")]


def batched(server: Any) -> list[dict[str, Any]]:
    return [entry for entry in server.log() if entry["batch"]]


async def test_a_batch_labels_every_item_at_half_the_price(
    serve: Any, annotator_for: Any, label_requests: Any, fault_server: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, batch=True)
    requests = label_requests(60, shots=2)
    events = await run(annotator, requests, store)
    replies = replies_of(events)
    assert sorted(reply.item_id for reply in replies) == list(range(60))
    labels = ["positive", "negative", "neutral"]
    assert all(
        r.label == fault_server.truth(requests[r.item_id].item.text, labels) for r in replies
    )
    assert any(isinstance(event, Progress) for event in events)
    full = sum(e["input"] * 1e-6 + e["output"] * 2e-6 for e in batched(server))
    assert sum(reply.cost_usd for reply in replies) == pytest.approx(full / 2)
    assert (
        annotator.estimate(requests).money_low
        <= full / 2
        <= annotator.estimate(requests).money_high
    )
    assert (await store.balance()).reserved == 0


async def test_a_batch_is_collected_after_a_restart_and_not_bought_again(
    serve: Any, annotator_for: Any, label_requests: Any, tmp_path: Path
) -> None:
    server = serve(batch_delay=0.6)
    path = tmp_path / "p.db"
    requests = label_requests(30)
    database = Database.create(path)
    first = annotator_for(server, batch=True).annotate(requests, DuckReplyStore(database))
    async for event in first:
        if isinstance(event, Progress):
            break
    await first.aclose()
    database.close()

    database = Database.open(path)
    store = DuckReplyStore(database)
    before = await store.balance()
    assert before.reserved > 0
    assert before.lost == 0
    replies = replies_of(await run(annotator_for(server, batch=True), requests, store))
    balance = await store.balance()
    database.close()
    assert len(replies) == 30
    assert len(batched(server)) == 30
    assert balance.reserved == balance.lost == 0
    assert balance.spent > 0


async def test_a_batch_whose_submission_was_cut_short_is_found_by_its_mark(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    requests = label_requests(10)
    first = annotator_for(server, batch=True).annotate(requests, store)
    async for event in first:
        if isinstance(event, Progress):
            break
    await first.aclose()
    (job,) = store.jobs.values()
    # As if the process had died before the provider's id was written down.
    store.jobs[job.batch_id] = replace(job, remote_id=None, status="uploaded")
    replies = replies_of(await run(annotator_for(server, batch=True), requests, store))
    assert len(replies) == len(batched(server)) == 10

    # And as if it had died before the provider heard of it.
    first = annotator_for(server, batch=True).annotate(label_requests(5, first=50), store)
    async for event in first:
        if isinstance(event, Progress):
            break
    await first.aclose()
    job = list(store.jobs.values())[-1]
    store.jobs.pop(job.batch_id)
    other = replace(job, batch_id="never sent", remote_id=None)
    store.jobs[other.batch_id] = other
    replies = replies_of(
        await run(annotator_for(server, batch=True), label_requests(5, first=50), store)
    )
    assert {reply.status for reply in replies} == {ReplyStatus.OK}


async def test_a_batch_is_found_by_its_mark_behind_any_number_of_others(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    requests = label_requests(10)
    await left_under_way(annotator_for(server, batch=True), requests, store)
    (job,) = store.jobs.values()
    store.jobs[job.batch_id] = replace(job, remote_id=None, status="uploaded")
    for _ in range(120):
        server.post("/v1/batches", {"endpoint": "/v1/chat/completions", "input_file_id": "other"})
    replies = replies_of(await run(annotator_for(server, batch=True), requests, store))
    assert len(replies) == len(batched(server)) == 10
    assert list(store.jobs) == [job.batch_id]


async def test_an_expired_batch_keeps_its_successes_and_the_rest_is_asked_again(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(batch_expires=0.3, batch_fails=0.1, seed=4), MemoryReplyStore()
    annotator = annotator_for(server, batch=True)
    events = await run(annotator, label_requests(80), store)
    replies = replies_of(events)
    assert len(replies) == 80
    ok = [reply for reply in replies if reply.status is ReplyStatus.OK]
    failed = [reply for reply in replies if reply.status is ReplyStatus.FAILED]
    assert len(ok) + len(failed) == 80
    assert len(failed) < 20
    assert len(batched(server)) == len(ok)
    assert all("could not be executed" in r.error or "500" in r.error for r in failed)
    assert any(isinstance(e, Notice) and "are kept" in e.text for e in events)
    settled = [s for r, _, s in store.charges.values() if s is not None and r.item_id >= 0]
    assert len(settled) == len(ok)
    assert (await store.balance()).reserved == 0


async def test_the_limit_holds_for_batches_too(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, batch=True)
    with pytest.raises(BudgetReached):
        await run(annotator, label_requests(200), store, limit=0.01)
    balance = await store.balance()
    assert 0.8 * 0.01 < balance.committed <= 0.01
    labelled = [reply for reply in store.replies.values() if reply.label]
    assert len(labelled) == len(batched(server))


async def test_a_limit_that_makes_several_batches_of_one_is_told_once_with_what_would_not(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    requests, limit = label_requests(60), 0.02
    server, store = serve(), MemoryReplyStore()
    events = await run(annotator_for(server, batch=True), requests, store, limit=limit)
    sizes = [e.text for e in events if isinstance(e, Notice) and "was submitted" in e.text]
    told = [e for e in events if isinstance(e, Notice) and e.level == "warning"]
    assert len(sizes) > 1
    assert len(told) == 1
    assert "one after the other" in told[0].text

    enough = float(re.search(r"\$(\d+\.\d+)", told[0].hint).group(1))  # type: ignore[union-attr]
    assert enough > limit
    again = await run(annotator_for(server, batch=True), requests, MemoryReplyStore(), limit=enough)
    assert not [e for e in again if isinstance(e, Notice) and e.level == "warning"]
    assert len([e for e in again if isinstance(e, Notice) and "was submitted" in e.text]) == 1


async def test_a_server_without_a_batch_api_is_named_and_nothing_stays_reserved(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(refuse_batches=True), MemoryReplyStore()
    with pytest.raises(EndpointError, match="batch"):
        await run(annotator_for(server, batch=True), label_requests(5), store)
    assert (await store.balance()).reserved == 0


async def left_under_way(annotator: Any, requests: Any, store: Any) -> None:
    """Submit a batch and leave it."""
    run_ = annotator.annotate(requests, store)
    async for event in run_:
        if isinstance(event, Progress):
            break
    await run_.aclose()


async def test_a_batch_is_stopped_and_kept_when_batches_are_switched_off(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(batch_delay=60), MemoryReplyStore()
    requests = label_requests(30)
    await left_under_way(annotator_for(server, batch=True), requests, store)
    replies = replies_of(await run(annotator_for(server), requests, store))
    assert len(replies) == 30
    billed = [entry for entry in server.log() if entry["billed"] and entry["item"] != ""]
    texts = [entry["item"] for entry in billed if "sky" not in entry["item"]]
    assert sorted(texts) == sorted(request.item.text for request in requests)
    assert sum(entry["batch"] for entry in billed) == 12
    balance = await store.balance()
    assert balance.reserved == balance.lost == 0
    assert await store.batches() == []


async def test_a_batch_that_the_provider_forgot_is_written_off_and_asked_again(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(batch_delay=1.0), MemoryReplyStore()
    requests = label_requests(10)
    await left_under_way(annotator_for(server, batch=True), requests, store)
    [job] = await store.batches()
    await store.write([BatchSaved(replace(job, remote_id="batch-unknown"))])
    events = await run(annotator_for(server, batch=True), requests, store)
    assert any("does not know the batch" in e.text for e in events if isinstance(e, Notice))
    assert len(replies_of(events)) == 10
    balance = await store.balance()
    assert balance.reserved == 0
    assert balance.lost > 0


async def test_a_batch_at_another_address_is_not_looked_for_here(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(batch_delay=60), MemoryReplyStore()
    requests = label_requests(5)
    await left_under_way(annotator_for(server, batch=True), requests, store)
    other = serve()
    with pytest.raises(EndpointError, match="under way at http") as caught:
        await run(annotator_for(other, batch=True), requests, store)
    assert "annotator.base_url" in caught.value.hint
    assert len(await store.batches()) == 1


async def test_a_submitted_batch_is_told_once_with_its_size(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    events = await run(annotator_for(serve(), batch=True), label_requests(12), MemoryReplyStore())
    told = [e for e in events if isinstance(e, Notice) and "was submitted" in e.text]
    assert len(told) == 1
    assert "12 requests" in told[0].text
    assert events.index(told[0]) < min(
        index for index, event in enumerate(events) if hasattr(event, "reply")
    )


async def test_no_batch_is_submitted_while_paused(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    store = MemoryReplyStore()
    annotator = annotator_for(serve(), batch=True)
    await annotator.check()
    annotator.pause()
    running = asyncio.create_task(run(annotator, label_requests(6), store))
    await asyncio.sleep(0.5)
    assert await store.batches() == []
    assert (await store.balance()).reserved == 0
    annotator.resume()
    assert len(replies_of(await running)) == 6


def books(log: list[dict[str, Any]]) -> float:
    """What the server bills: half the price in batches, the whole price outside them."""
    return sum(
        (0.5 if entry["batch"] else 1.0) * (entry["input"] * 1e-6 + entry["output"] * 2e-6)
        for entry in log
        if entry["billed"]
    )


async def test_an_answer_without_a_label_gets_one_repair_outside_the_batch_at_its_own_price(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, batch=True)
    await annotator.check(store)
    server.configure(faults=["prose", "empty"], fault_share=0.4, seed=3)
    events = await run(annotator, label_requests(60), store)
    replies = replies_of(events)
    assert sorted(reply.item_id for reply in replies) == list(range(60))
    repaired = [reply for reply in replies if reply.status is ReplyStatus.REPAIRED]
    invalid = [reply for reply in replies if reply.status is ReplyStatus.INVALID]
    assert repaired
    assert invalid
    assert {reply.attempts for reply in [*repaired, *invalid]} == {2}
    log = server.log()
    repairs = [entry for entry in log if entry["repair"]]
    assert len(repairs) == len(repaired) + len(invalid)
    assert not any(entry["batch"] for entry in repairs)
    assert len(batched(server)) == 60
    assert events[-1].done == events[-1].total == 60
    told = [event.text for event in events if isinstance(event, Notice)]
    assert f"{len(repairs)} answers of the batch had no label" in told[-1]
    balance = await store.balance()
    assert balance.spent == pytest.approx(books(log))
    assert balance.reserved == balance.lost == 0
    assert sum(reply.cost_usd for reply in replies) == pytest.approx(
        books([entry for entry in log if "sky" not in entry["item"]])
    )
    before = len(log)
    assert len(replies_of(await run(annotator, label_requests(60), store))) == 60
    assert len(server.log()) == before


async def test_repairs_of_a_batch_go_on_after_a_restart_and_buy_nothing_twice(
    serve: Any, annotator_for: Any, label_requests: Any, tmp_path: Path
) -> None:
    server, path = serve(), tmp_path / "p.db"
    database = Database.create(path)
    requests = label_requests(40)
    annotator = annotator_for(server, batch=True, concurrency=1)
    await annotator.check(DuckReplyStore(database))
    server.configure(faults=["prose"], fault_share=0.5, seed=3, latency=0.2)
    first = annotator.annotate(requests, DuckReplyStore(database))
    async for event in first:
        if hasattr(event, "reply") and event.reply.attempts == 2:
            break
    working = asyncio.all_tasks() - {asyncio.current_task()}
    await first.aclose()
    assert working
    assert all(task.done() for task in working), "cancelled at once"
    database.close()

    database = Database.open(path)
    store = DuckReplyStore(database)
    replies = replies_of(await run(annotator_for(server, batch=True), requests, store))
    balance = await store.balance()
    database.close()
    assert len({reply.item_id for reply in replies}) == 40
    assert {reply.status for reply in replies} <= {
        ReplyStatus.OK,
        ReplyStatus.REPAIRED,
        ReplyStatus.INVALID,
    }
    assert len(batched(server)) == 40
    spent_or_cut_short = books(server.log())
    assert balance.spent <= spent_or_cut_short <= balance.committed
    assert balance.reserved == 0


async def test_the_limit_holds_for_repairs_of_a_batch(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, batch=True, concurrency=1)
    await annotator.check(store)
    server.configure(faults=["prose"], fault_share=1.0)
    requests = label_requests(20)
    await left_under_way(annotator, requests, store)
    limit = 0.35 * (await store.balance()).committed
    with pytest.raises(BudgetReached):
        await run(annotator, requests, store, limit=limit)
    balance = await store.balance()
    assert balance.spent == pytest.approx(books(server.log()))
    assert balance.reserved == 0
    assert balance.committed <= limit
    assert 0 < len(store.replies) < 20, "some repairs fitted, others did not"


async def test_a_batch_of_items_whose_examples_have_changed_since_is_kept_and_not_bought_again(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    for batch in (True, False):
        server, store = serve(batch_delay=0.5, batch_done=1.0), MemoryReplyStore()
        first = label_requests(12, shots=2)
        await left_under_way(annotator_for(server, batch=True), first, store)
        again = [replace(request, demonstrations=()) for request in first]
        replies = replies_of(await run(annotator_for(server, batch=batch), again, store))
        assert {reply.status for reply in replies} == {ReplyStatus.OK}
        assert len(replies) == len(batched(server)) == 12
        assert len([e for e in server.log() if not e["batch"] and "sky" not in e["item"]]) == 0
        assert {reply.demonstration_ids for reply in replies} == {(10_000, 10_001)}
        assert all("Example number 1" in (reply.messages or "") for reply in replies)


class DiesAmongResults(MemoryReplyStore):
    """A disk that is gone when the second group of a batch's results is written."""

    async def write(self, changes: Any) -> None:
        results = any(isinstance(change, Settled) for change in changes) and self.jobs
        if results and any(state == "settled" for _, state, _ in self.charges.values()):
            raise OSError("the disk is gone")
        await super().write(changes)


async def test_a_death_while_a_batch_is_collected_settles_and_repairs_nothing_twice(
    serve: Any, annotator_for: Any, label_requests: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imfl_engine.annotate.batch_results.GROUP", 10)
    server = serve(structured="ignore")
    asker = annotator_for(server, batch=True)
    await asker.check()
    server.configure(faults=["prose"], fault_share=0.5, seed=3)
    dying, requests = DiesAmongResults(), label_requests(30)
    with pytest.raises(OSError, match="gone"):
        await run(asker, requests, dying)
    [job] = await dying.batches()
    assert len(job.entries) == 20

    store = MemoryReplyStore(dying.charges, dying.replies, dying.jobs, dying.learned)
    replies = replies_of(await run(asker, requests, store))
    assert len(replies) == 30
    assert {reply.attempts for reply in replies} == {1, 2}
    log = [entry for entry in server.log() if "sky" not in entry["item"]]
    assert sum(entry["batch"] for entry in log) == 30
    assert sum(entry["repair"] for entry in log) == sum(reply.attempts == 2 for reply in replies)
    balance = await store.balance()
    assert balance.spent == pytest.approx(books(log))
    assert sum(reply.cost_usd for reply in replies) == pytest.approx(balance.spent)
    assert balance.reserved == balance.lost == 0


async def test_a_provider_that_does_not_give_back_what_was_uploaded_still_has_its_answers_kept(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(batch_delay=0.5, keep_inputs=True), MemoryReplyStore()
    first = label_requests(5, shots=2)
    await left_under_way(annotator_for(server, batch=True), first, store)
    again = [replace(request, demonstrations=()) for request in first]
    replies = replies_of(await run(annotator_for(server, batch=True), again, store))
    assert {(reply.status, reply.messages) for reply in replies} == {(ReplyStatus.OK, None)}
    assert len(batched(server)) == 5
