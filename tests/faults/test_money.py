"""The hard stop, the price, and what a run is estimated at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imfl_engine.annotate.endpoint import Endpoint
from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.annotate.ports import Balance, Reserved, Settled
from imfl_engine.errors import BudgetReached, EndpointError, PriceUnknown
from imfl_engine.events import Notice

TOO_MANY = 1e-9


async def spend(annotator: Any, requests: Any, store: Any, limit: float | None) -> tuple[int, bool]:
    """How many items got an event, and whether the limit ended the run."""
    events, worst = 0, 0.0
    try:
        async for event in annotator.annotate(requests, store, limit_usd=limit):
            if hasattr(event, "reply"):
                events += 1
                worst = max(worst, event.spent_usd + event.reserved_usd)
    except BudgetReached:
        assert limit is None or worst <= limit + TOO_MANY
        return events, True
    return events, False


async def test_half_the_money_is_never_exceeded_and_nearly_all_used(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    requests = label_requests(300, shots=2)
    tenth = MemoryReplyStore()
    await spend(annotator_for(serve()), requests[::10], tenth, None)
    limit = (await tenth.balance()).spent * 10 / 2

    store, server = MemoryReplyStore(), serve(latency=0.02)
    events, stopped = await spend(annotator_for(server), requests, store, limit)

    balance = await store.balance()
    assert stopped
    assert balance.committed <= limit + TOO_MANY
    assert balance.spent >= 0.95 * limit
    assert len(store.replies) == events  # what was bought was delivered
    billed = [entry for entry in server.log() if entry["billed"]]
    assert sum(e["input"] * 1e-6 + e["output"] * 2e-6 for e in billed) <= limit + TOO_MANY


@pytest.mark.parametrize("aiohttp", [True, False])
async def test_the_stop_holds_when_answers_get_lost_whichever_library_carries_them(
    serve: Any,
    annotator_for: Any,
    label_requests: Any,
    monkeypatch: pytest.MonkeyPatch,
    aiohttp: bool,
) -> None:
    if aiohttp:
        pytest.importorskip("aiohttp")
    else:
        monkeypatch.setattr(Endpoint, "_fast_transport", staticmethod(lambda: False))
    server = serve(faults=["drop", "drop-half", "cut-body"], fault_share=0.3, latency=0.01)
    store = MemoryReplyStore()
    _, stopped = await spend(annotator_for(server), label_requests(400), store, 0.02)
    billed = sum(e["input"] * 1e-6 + e["output"] * 2e-6 for e in server.log() if e["billed"])
    balance = await store.balance()
    assert stopped
    lost = [charge for charge in store.charges.values() if charge[1] == "lost"]
    assert len(lost) == sum(e["billed"] and not e["delivered"] for e in server.log())
    assert billed <= balance.committed <= 0.02 + TOO_MANY


def billed_usd(server: Any) -> float:
    return float(sum(e["input"] * 1e-6 + e["output"] * 2e-6 for e in server.log() if e["billed"]))


@pytest.mark.parametrize("told", ["details", "apart", "total"])
async def test_thinking_beyond_the_limit_of_a_request_is_booked_as_it_is_billed(
    serve: Any, annotator_for: Any, label_requests: Any, told: str
) -> None:
    server = serve(reasoning=3000, thinks_beyond=told)
    store, annotator = MemoryReplyStore(), annotator_for(server)
    notices = [
        event.text
        async for event in annotator.annotate(label_requests(20), store)
        if isinstance(event, Notice)
    ]
    assert (await store.balance()).spent == pytest.approx(billed_usd(server))
    assert sum(entry["billed"] for entry in server.log()) == 21
    assert any("thinks before it answers" in text and "may cost $" in text for text in notices)


async def test_the_hard_stop_holds_against_a_model_that_thinks_beyond_its_limit(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(reasoning=3000, thinks_beyond="details", latency=0.02)
    store = MemoryReplyStore()
    _, stopped = await spend(annotator_for(server), label_requests(60), store, 0.1)
    assert stopped
    assert billed_usd(server) == pytest.approx((await store.balance()).spent)
    assert 0.05 < billed_usd(server) <= 0.1


async def test_prompt_tokens_that_a_server_adds_are_booked_and_reserved(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(adds_to_prompt=20_000, latency=0.02)
    store = MemoryReplyStore()
    _, stopped = await spend(annotator_for(server), label_requests(60), store, 0.5)
    assert stopped
    assert billed_usd(server) == pytest.approx((await store.balance()).spent)
    assert 0.3 < billed_usd(server) <= 0.5


async def test_a_model_that_only_thinks_is_given_up_soon(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(reasoning=10**6)
    with pytest.raises(EndpointError, match="says nothing"):
        async for _ in annotator_for(server).annotate(label_requests(400), MemoryReplyStore()):
            pass
    assert len(server.log()) < 150


async def test_the_first_question_is_a_charge_within_the_limit(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    with pytest.raises(BudgetReached):
        await annotator_for(server).check(store, limit_usd=0.0)
    assert server.log() == []
    annotator = annotator_for(server)
    await annotator.check(store, limit_usd=1.0)
    assert (await store.balance()).spent == pytest.approx(billed_usd(server))
    await spend(annotator, label_requests(5), store, 1.0)
    assert (await store.balance()).spent == pytest.approx(billed_usd(server))
    assert len(server.log()) == 6


async def test_a_first_answer_with_impossible_counts_does_not_end_the_run(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve(faults=["usage-huge"], fault_share=1.0)
    store = MemoryReplyStore()
    events, stopped = await spend(annotator_for(server), label_requests(5), store, 1.0)
    assert (events, stopped) == (5, False)


async def test_a_limit_below_one_request_buys_nothing_and_says_so(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server)
    with pytest.raises(BudgetReached, match=r"limit of \$0.00") as caught:
        async for _ in annotator.annotate(label_requests(5), store, limit_usd=1e-6):
            pass
    assert "budget.money_usd" in caught.value.hint
    assert server.log() == []


async def test_money_spent_before_counts_against_the_limit(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    await store.write([Reserved("a", "h", 1, 1, 0.5), Settled("a", 0.4)])
    await store.write([Reserved("killed", "h2", 2, 1, 0.1)])
    events, stopped = await spend(annotator_for(server), label_requests(5), store, 0.5)
    assert (events, stopped) == (0, True)
    assert await store.balance() == Balance(0.4, 0.0, 0.1)


async def test_an_unknown_price_is_asked_for_before_anything_is_sent(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server = serve()
    annotator = annotator_for(server, price_input=None, price_output=None)
    with pytest.raises(PriceUnknown) as caught:
        await annotator.check()
    assert "--price IN OUT" in caught.value.hint
    assert "annotator.price_input" in caught.value.hint
    with pytest.raises(PriceUnknown):
        await spend(annotator, label_requests(1), MemoryReplyStore(), None)
    assert annotator.estimate(label_requests(1)).money_high is None
    assert server.log() == []


async def test_a_price_of_nothing_needs_no_money(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server, price_input=0.0, price_output=0.0)
    assert await spend(annotator, label_requests(10), store, 0.0) == (10, False)


@pytest.mark.parametrize("batch", [False, True])
async def test_cached_prompt_tokens_cost_what_was_given_for_them(
    serve: Any, annotator_for: Any, label_requests: Any, batch: bool
) -> None:
    server, store = serve(cached=50), MemoryReplyStore()
    annotator = annotator_for(server, price_cached=0.1, batch=batch)
    requests = label_requests(12, shots=2)
    before = annotator.estimate(requests)
    await spend(annotator, requests, store, None)
    settled = [s for r, _, s in store.charges.values() if s is not None and r.item_id >= 0]
    assert {s.cached_tokens for s in settled} == {50}
    bought = [entry for entry in server.log() if "sky" not in entry["item"]]
    share = 0.5 if batch else 1.0
    true = share * sum((e["input"] - 50) * 1e-6 + 50 * 0.1e-6 + e["output"] * 2e-6 for e in bought)
    assert sum(reply.cost_usd for reply in store.replies.values()) == pytest.approx(true)
    for estimate in (before, annotator.estimate(requests)):
        assert estimate.money_low <= true <= estimate.money_high


async def test_an_estimate_learns_how_much_of_the_prompts_is_cached(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(cached=10_000), MemoryReplyStore()
    annotator = annotator_for(server, price_cached=0.1)
    requests = label_requests(12, shots=5)
    await spend(annotator, requests, store, None)
    spent = sum(reply.cost_usd for reply in store.replies.values())
    assert annotator.estimate(requests).money_low <= spent < annotator.estimate(requests).money_high


async def test_the_estimate_holds_the_true_cost_and_narrows_with_use(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(), MemoryReplyStore()
    annotator = annotator_for(server)
    requests = label_requests(120, shots=3)
    before = annotator.estimate(requests[:20], calls=120)
    await spend(annotator, requests, store, None)
    after = annotator.estimate(requests)
    spent = sum(reply.cost_usd for reply in store.replies.values())
    for estimate in (before, after):
        assert estimate.calls == 120
        assert estimate.money_low <= spent <= estimate.money_high
    assert after.money_high - after.money_low < before.money_high - before.money_low


async def test_cancelling_writes_off_what_was_in_flight_and_a_re_run_finishes(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(latency=0.5), MemoryReplyStore()
    annotator = annotator_for(server, concurrency=8)
    requests = label_requests(40)
    started = asyncio.get_running_loop().time()
    run = annotator.annotate(requests, store)
    async for event in run:
        if hasattr(event, "reply") and event.done >= 4:
            await asyncio.sleep(0.25)  # the next ones are on their way by now
            break
    before = asyncio.get_running_loop().time()
    await run.aclose()
    assert asyncio.get_running_loop().time() - before < 3.0
    assert started < before
    states = [state for _, state, _ in store.charges.values()]
    assert "open" not in states
    assert 0 < states.count("lost") <= 8
    kept = set(store.replies)
    await spend(annotator, requests, store, None)
    assert len(store.replies) == 40
    paid = [s for r, _, s in store.charges.values() if s is not None and r.item_id >= 0]
    assert len(paid) == 40
    assert kept <= set(store.replies)


async def test_pausing_finishes_what_is_in_flight_and_sends_nothing_new(
    serve: Any, annotator_for: Any, label_requests: Any
) -> None:
    server, store = serve(latency=0.1), MemoryReplyStore()
    annotator = annotator_for(server, concurrency=8)
    await annotator.check()
    seen = 0
    some = asyncio.Event()

    async def work() -> None:
        nonlocal seen
        async for _ in annotator.annotate(label_requests(40), store):
            seen += 1
            if seen >= 4:
                some.set()

    task = asyncio.create_task(work())
    await some.wait()
    annotator.pause()
    for _ in range(50):
        await asyncio.sleep(0.2)
        if "open" not in [state for _, state, _ in store.charges.values()]:
            break
    await asyncio.sleep(0.2)
    paused_at = seen
    assert paused_at < 40
    await asyncio.sleep(0.3)
    assert seen == paused_at
    annotator.resume()
    await task
    assert seen == 40
