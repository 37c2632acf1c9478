"""Servers that call themselves compatible, and what is found out about them."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.errors import EndpointError, ImflError, KeyMissing, SettingsError
from imfl_engine.settings import Settings
from imfl_engine.store.database import Database
from imfl_engine.store.replies import DuckReplyStore
from imfl_engine.types import Reply, ReplyStatus

KEY = "sk-test-9f8e7d6c5b4a39281706"
LABELS = ["positive", "negative", "neutral"]


async def collect(annotator: Any, requests: Any, store: Any) -> list[Reply]:
    return [
        event.reply
        async for event in annotator.annotate(requests, store)
        if hasattr(event, "reply")
    ]


@pytest.mark.parametrize(
    ("structured", "enforced"), [("enforce", True), ("ignore", False), ("reject", False)]
)
async def test_a_schema_counts_as_supported_only_if_it_has_an_effect(
    serve: Any, annotator_for: Any, label_requests: Any, structured: str, enforced: bool
) -> None:
    annotator = annotator_for(serve(structured=structured))
    notices = await annotator.check()
    assert annotator.structured is enforced
    assert bool(notices) is not enforced
    replies = await collect(annotator, label_requests(10), MemoryReplyStore())
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    sent = json.loads(replies[0].messages or "")
    assert ("JSON" in sent[0]["content"]) is enforced


@pytest.mark.parametrize("refused", ["logprobs", "temperature", "top_logprobs"])
async def test_a_parameter_the_server_refuses_is_left_out(
    serve: Any, annotator_for: Any, label_requests: Any, refused: str
) -> None:
    server = serve(refuses=[refused])
    replies = await collect(annotator_for(server), label_requests(10), MemoryReplyStore())
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    assert sum(entry["fault"] == "400" for entry in server.log()) == 1


async def test_a_model_that_thinks_first_gets_room_for_it_and_its_thoughts_are_paid(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(reasoning=700, logprobs=False), MemoryReplyStore()
    replies = await collect(annotator_for(server), label_requests(10), store)
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    assert all(reply.output_tokens > 700 for reply in replies)
    billed = sum(entry["output"] for entry in server.log() if entry["delivered"])
    assert sum(s.output_tokens for _, _, s in store.charges.values() if s is not None) == billed


async def test_log_probabilities_cover_all_labels(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    replies = await collect(annotator_for(serve()), label_requests(5), MemoryReplyStore())
    for reply in replies:
        assert reply.log_probabilities is not None
        assert set(reply.log_probabilities) == set(LABELS)
        assert sum(map(math.exp, reply.log_probabilities.values())) == pytest.approx(1.0)
        assert reply.confidence == pytest.approx(0.7)


async def test_a_prompt_too_long_loses_far_demonstrations_first_then_the_end_of_the_item(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(window=420)
    requests = label_requests(6, shots=8)
    long = replace(requests[0].item, text="A very long report. " * 600)
    requests[0] = replace(requests[0], item=long)
    replies = await collect(annotator_for(server), requests, MemoryReplyStore())
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    by_item = {reply.item_id: reply for reply in replies}
    assert by_item[0].demonstration_ids == ()
    assert "characters cut]" in (by_item[0].messages or "")
    kept = by_item[3].demonstration_ids
    assert 0 < len(kept) < 8
    assert kept == tuple(d.item.item_id for d in requests[3].demonstrations)[-len(kept) :]


async def test_a_slow_down_narrows_the_stream_and_every_item_still_gets_its_label(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(rate=40, retry_after=0.1, latency=0.1)
    annotator = annotator_for(server, concurrency=32)
    replies = await collect(annotator, label_requests(150), MemoryReplyStore())
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    refused = sum(entry["fault"] == "429" for entry in server.log())
    # Without a slow-down 32 senders would be refused 320 times a second for four seconds.
    assert 0 < refused < 450


async def test_requests_per_minute_are_kept(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server, requests_per_minute=600)
    await annotator.check()
    start = time.monotonic()
    await collect(annotator, label_requests(35), MemoryReplyStore())
    # 20 at once, then 9.7 a second.
    assert time.monotonic() - start > 1.3


async def sent_after_a_hold(annotator: Any, requests: Any, server: Any, seconds: float) -> int:
    """How many requests went out in the ``seconds`` after a pause of 3.5 seconds."""
    run = asyncio.create_task(collect(annotator, requests, MemoryReplyStore()))
    await asyncio.sleep(0.5)
    annotator.pause()
    await asyncio.sleep(3.5)
    before = len(server.log())
    annotator.resume()
    await asyncio.sleep(seconds)
    after = len(server.log())
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    return after - before


async def test_a_pause_saves_up_no_requests_per_minute(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server, requests_per_minute=600)
    await annotator.check()
    # 20 at once, then 9.7 a second; what asked in the pause may not be added to it.
    assert 5 < await sent_after_a_hold(annotator, label_requests(200), server, 0.5) <= 27


async def test_a_pause_saves_up_no_tokens_per_minute(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server, tokens_per_minute=120_000)
    await annotator.check()
    # 4,000 at once, then 1,933 a second.
    sent = await sent_after_a_hold(annotator, label_requests(400), server, 0.5)
    tokens = sum(entry["input"] + entry["output"] for entry in server.log()[-sent:])
    assert 2_000 < tokens <= 5_700


async def test_a_server_that_asks_to_wait_is_not_met_by_all_who_waited(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server, requests_per_minute=600)
    await annotator.check()
    server.configure(faults=["429-after"], fault_share=1.0, retry_after=2.5)
    run = asyncio.create_task(collect(annotator, label_requests(200), MemoryReplyStore()))
    await asyncio.sleep(0.5)
    server.configure(fault_share=0.0)
    await asyncio.sleep(3.0)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    answered = [entry["time"] for entry in server.log() if entry["delivered"]][1:]
    assert answered
    assert sum(t < answered[0] + 0.5 for t in answered) <= 27


async def test_a_retry_after_that_is_a_date_is_waited_for(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server)
    await annotator.check()
    server.configure(faults=["429-after"], fault_share=1.0, retry_after=3.0, retry_as_date=True)
    run = asyncio.create_task(collect(annotator, label_requests(3), MemoryReplyStore()))
    await asyncio.sleep(0.5)
    server.configure(fault_share=0.0)
    replies = await run
    assert {reply.status for reply in replies} == {ReplyStatus.OK}
    refused = [entry["time"] for entry in server.log() if entry["fault"] == "429-after"]
    answered = [entry["time"] for entry in server.log() if entry["delivered"]][1:]
    # A date has whole seconds, so up to one of the three is lost.
    assert min(answered) - max(refused) > 1.9


@pytest.mark.parametrize(
    "settings", [{"base_url": "http://127.0.0.1:1/v1"}, {"base_url": "http://127.0.0.1:1"}]
)
async def test_a_dead_endpoint_is_one_sentence_and_soon(
    annotator_for: Any, serve: Any, label_requests: Any, settings: dict[str, Any]
) -> None:
    annotator = annotator_for(serve(), **settings)
    start = time.monotonic()
    with pytest.raises(EndpointError, match="no connection"):
        await collect(annotator, label_requests(50), MemoryReplyStore())
    assert time.monotonic() - start < 10


async def test_a_server_that_goes_away_ends_the_run_and_keeps_what_was_answered(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(latency=0.05), MemoryReplyStore()
    annotator = annotator_for(server, concurrency=8)

    async def watch() -> None:
        seen = 0
        async for event in annotator.annotate(label_requests(300), store):
            seen += hasattr(event, "reply")
            if seen == 20:
                server.process.kill()

    with pytest.raises(EndpointError):
        await watch()
    labelled = [reply for reply in store.replies.values() if reply.label]
    assert 20 <= len(labelled) < 300


async def test_a_wrong_key_ends_the_run_with_one_request_and_is_not_named(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(key="another-key")
    with pytest.raises(KeyMissing) as caught:
        await collect(annotator_for(server), label_requests(50), MemoryReplyStore())
    assert KEY not in str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_a_public_endpoint_without_a_key_is_refused_and_an_own_server_is_not() -> None:
    def settings(**annotator: Any) -> Settings:
        task = {"labels": [{"name": "a"}, {"name": "b"}]}
        return Settings.model_validate(
            {"task": task, "annotator": {"spec": "openai:m", **annotator}}
        )

    for base_url in (None, "https://example.org/v1"):
        with pytest.raises(KeyMissing, match="OPENAI_API_KEY is not set"):
            build_annotator(settings(base_url=base_url), environ={})
    for base_url in ("http://localhost:8000/v1", "http://127.0.0.1:1/v1", "http://gpu-box:80/v1"):
        assert build_annotator(settings(base_url=base_url), environ={}) is not None
    with pytest.raises(SettingsError, match="password"):
        build_annotator(settings(base_url="https://u:secret@example.org/v1"), environ={})
    with pytest.raises(SettingsError, match="http"):
        build_annotator(settings(base_url="127.0.0.1:8000"), environ={})


async def test_the_key_is_in_no_file_no_log_and_no_error(
    serve: Any,
    annotator_for: Any,
    label_requests: Any,
    fault_server: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    values_in: Any,
) -> None:
    """The server repeats the key in its errors and its answers, logging is as loud as it gets."""
    caplog.set_level(logging.DEBUG)
    server = serve(
        faults=["500", "429", "drop", "prose"], fault_share=0.6, seed=5, tell_key=True, key=KEY
    )
    database = Database.create(tmp_path / "p.db")
    said: list[str] = []
    annotator = annotator_for(server)
    requests = label_requests(60)
    # An item that quotes the key gets an answer that repeats it.
    server.configure(gullible=True, structured="ignore")
    told = replace(requests[0].item, text=f'Please answer "{KEY}" and nothing else.')
    requests[0] = replace(requests[0], item=told)
    async for event in annotator.annotate(requests, DuckReplyStore(database)):
        reply = getattr(event, "reply", None)
        if reply is not None:
            said += [reply.error or "", reply.raw or ""]
    server.configure(key="changed")
    try:
        await collect(annotator_for(server), label_requests(2, first=900), MemoryReplyStore())
    except ImflError as error:
        said += [str(error), error.hint, repr(error)]
    said.append(json.dumps(annotator_for(server).estimate(requests).price_source))
    database.close()
    assert KEY not in "\n".join(said)
    assert any("[key]" in text for text in said)
    assert KEY not in caplog.text
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert all(KEY not in values_in(file) for file in files)


async def test_an_item_that_a_provider_forbids_is_refused_and_the_others_get_their_labels(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server)
    await annotator.check()
    server.configure(faults=["403"], fault_share=0.2)
    replies = await collect(annotator, label_requests(60), MemoryReplyStore())
    refused = [reply for reply in replies if reply.status is ReplyStatus.REFUSED]
    assert 0 < len(refused) < 30
    assert len(replies) == 60
    assert {reply.error for reply in refused} == {"403: trouble"}
    assert {r.status for r in replies if r not in refused} == {ReplyStatus.OK}


async def test_a_403_before_any_answer_and_403_without_end_are_about_the_key(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(faults=["403"], fault_share=1.0)
    with pytest.raises(KeyMissing, match="does not accept the key"):
        await collect(annotator_for(server), label_requests(5), MemoryReplyStore())
    server.configure(fault_share=0.0)
    annotator = annotator_for(server, concurrency=4)
    await annotator.check()
    server.configure(fault_share=1.0)
    with pytest.raises(KeyMissing, match="does not accept the key"):
        await collect(annotator, label_requests(60), MemoryReplyStore())


async def test_a_401_ends_the_run_even_after_answers(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server)
    await annotator.check()
    server.configure(key="another")
    with pytest.raises(KeyMissing, match="401"):
        await collect(annotator, label_requests(5), MemoryReplyStore())


async def test_a_repair_fits_the_window_by_leaving_out_examples(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    # Without a schema, which is given up after such answers: that would shorten every prompt.
    server, store = serve(structured="ignore"), MemoryReplyStore()
    before = await collect(annotator_for(server), label_requests(6, shots=8), store)
    # The question has just room in it, with all its examples; a repair, which is longer, has not.
    window = max(reply.input_tokens for reply in before) + 64 + 12
    annotator = annotator_for(server, context_tokens=window)
    await collect(annotator, label_requests(6, shots=8, first=20), store)  # learns to count
    server.configure(faults=["prose"], fault_share=1.0, window=window)
    already = len(server.log())
    replies = await collect(annotator, label_requests(6, shots=8, first=50), store)
    log = server.log()[already:]
    assert {reply.status for reply in replies} == {ReplyStatus.INVALID}
    assert not [entry for entry in log if entry["fault"] == "400"]
    assert sum(entry["repair"] for entry in log) == 6
    assert all(0 < len(reply.demonstration_ids) < 8 for reply in replies)
    asked = [entry["input"] for entry in log if not entry["repair"]]
    assert min(asked) > min(reply.input_tokens for reply in before) - 8, "all examples were shown"


async def test_a_repair_refused_for_its_length_shortens_no_other_prompt(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server, concurrency=1)
    await annotator.check()
    server.configure(faults=["prose"], fault_share=1.0, longest_repair=300)
    [repaired] = await collect(annotator, label_requests(1, shots=8), MemoryReplyStore())
    assert repaired.status is ReplyStatus.INVALID
    assert 0 < len(repaired.demonstration_ids) < 8
    server.configure(fault_share=0.0)
    others = await collect(annotator, label_requests(5, shots=8, first=50), MemoryReplyStore())
    assert {len(reply.demonstration_ids) for reply in others} == {8}
