"""What an endpoint can do is asked once, kept in the project, and asked again when it proves wrong."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.annotate.facts import LASTS_SECONDS, EndpointFacts
from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.annotate.ports import Learned
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import Reply, ReplyStatus


async def collect(annotator: Any, requests: Any, store: Any) -> list[Reply]:
    return [
        event.reply
        async for event in annotator.annotate(requests, store)
        if hasattr(event, "reply")
    ]


def questions(server: Any) -> int:
    """How often the server was asked what it can do, refused attempts included."""
    return sum("sky" in entry["item"] for entry in server.log())


async def test_an_endpoint_is_asked_once_for_all_processes_of_a_project(
    serve: Any, annotator_for: Any, label_requests: Any, tmp_path: Path
) -> None:
    server = serve(structured="ignore", refuses=["temperature"])
    path = tmp_path / "p.db"
    for first in (0, 50, 100):
        database = Database.open(path) if path.exists() else Database.create(path)
        store = DuckReplyStore(database)
        annotator = annotator_for(server)
        await annotator.check(store)
        replies = await collect(annotator, label_requests(5, first=first), store)
        assert annotator.structured is False
        database.close()
        assert {reply.status for reply in replies} == {ReplyStatus.OK}
        assert '"label"' not in (replies[0].raw or "")
        if not first:
            asked, refused = questions(server), sum(e["fault"] == "400" for e in server.log())
    assert 0 < asked == questions(server)
    assert refused == sum(e["fault"] == "400" for e in server.log())


async def test_another_model_or_another_address_is_asked_for_itself(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, other, store = serve(), serve(), MemoryReplyStore()
    await annotator_for(server).check(store)
    await annotator_for(server, spec="openai:another").check(store)
    await annotator_for(other).check(store)
    assert (questions(server), questions(other)) == (2, 1)


async def test_what_was_known_long_ago_is_asked_again(serve: Any, annotator_for: Any) -> None:
    server, store = serve(), MemoryReplyStore()
    await annotator_for(server).check(store)
    [((where, model), facts)] = store.learned.items()
    old = replace(facts, asked_at=time.time() - LASTS_SECONDS - 1)
    await store.write([Learned(where, model, old)])
    await annotator_for(server).check(store)
    assert questions(server) == 2


async def test_a_schema_that_is_enforced_no_more_is_noticed_and_asked_about_again(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    await annotator_for(server).check(store)
    server.configure(structured="ignore", faults=["wrong-label"], fault_share=1.0)
    await collect(annotator_for(server, concurrency=1), label_requests(6), store)
    assert questions(server) == 1
    server.configure(faults=[], fault_share=0.0)
    annotator = annotator_for(server)
    replies = await collect(annotator, label_requests(6, first=50), store)
    assert questions(server) > 1
    assert annotator.structured is False
    assert {reply.status for reply in replies} == {ReplyStatus.OK}


async def test_a_server_that_rejects_every_request_now_is_asked_again_in_the_next_run(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    await annotator_for(server).check(store)
    server.configure(structured="reject-silently")
    failed = await collect(annotator_for(server), label_requests(3), store)
    assert {reply.status for reply in failed} == {ReplyStatus.FAILED}
    replies = await collect(annotator_for(server), label_requests(3), store)
    assert {reply.status for reply in replies} == {ReplyStatus.OK}


async def test_a_batch_that_is_rejected_leads_to_another_question_and_then_to_answers(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    await annotator_for(server).check(store)
    server.configure(structured="reject")
    replies = await collect(annotator_for(server, batch=True), label_requests(8), store)
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    assert sum(entry["batch"] and entry["billed"] for entry in server.log()) == 8


async def test_the_estimate_of_another_process_begins_with_the_endpoints_own_token_counts(
    serve: Any, annotator_for: Any, label_requests: Any, tmp_path: Path
) -> None:
    server, store = serve(adds_to_prompt=500), MemoryReplyStore()
    requests = label_requests(60, shots=3)
    replies = await collect(annotator_for(server), requests, store)
    spent = sum(reply.cost_usd for reply in replies)
    stranger, heir = annotator_for(server), annotator_for(server)
    await heir.recall(store)
    unknown, known = stranger.estimate(requests), heir.estimate(requests)
    assert known.money_low <= spent <= known.money_high
    assert not unknown.money_low <= spent <= unknown.money_high
    assert known.money_high < 1.3 * spent


async def test_a_context_window_is_learned_from_one_refusal_for_all_processes(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(window=420), MemoryReplyStore()

    def refused() -> int:
        return sum(entry["fault"] == "400" for entry in server.log())

    await collect(annotator_for(server, concurrency=1), label_requests(3, shots=8), store)
    once = refused()
    replies = await collect(annotator_for(server), label_requests(6, shots=8, first=50), store)
    assert 0 < once == refused()
    assert all(0 < len(reply.demonstration_ids) < 8 for reply in replies)


async def test_facts_survive_the_store_unchanged(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "p.db")
    store = DuckReplyStore(database)
    facts = EndpointFacts(3.0, ("logprobs",), "max_tokens", 1024, 8192, None, 7, 100, 131)
    await store.write([Learned("a", "m", replace(facts, asked_at=1.0)), Learned("a", "m", facts)])
    assert await store.facts("a", "m") == facts
    assert await store.facts("b", "m") is None
    database.close()


@pytest.mark.parametrize("ago", [-5.0, LASTS_SECONDS])
def test_facts_of_the_future_or_the_distant_past_do_not_hold(ago: float) -> None:
    assert not EndpointFacts(asked_at=1e9 - ago).holds(1e9)
    assert EndpointFacts(asked_at=1e9).holds(1e9 + 60)
