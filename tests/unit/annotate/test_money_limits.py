"""Prices, the ledger's inequality, the gate, and the budgets per minute."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from imfl_engine.annotate.completion import read_answer, read_usage
from imfl_engine.annotate.faults import learned_window, retry_after
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.limits import Gate, Patience, PerMinute
from imfl_engine.annotate.memory_store import MemoryReplyStore
from imfl_engine.annotate.money import find_price
from imfl_engine.annotate.tokens import TokenRange
from imfl_engine.errors import BudgetReached
from imfl_engine.redacting import Redactor


def test_a_given_price_wins_and_half_a_price_is_none() -> None:
    price = find_price("gpt-4o-mini", base_url=None, price_input=1.0, price_output=4.0)
    assert price is not None
    assert price.cost(1_000_000, 0, 500_000) == pytest.approx(3.0)
    assert "as given" in price.source
    assert find_price("gpt-4o-mini", base_url=None, price_input=1.0) is None
    half = find_price("m", base_url=None, price_input=1.0, price_output=4.0, batch=True)
    assert half is not None
    assert half.cost(1_000_000, 0, 500_000) == pytest.approx(1.5)


def test_a_given_price_may_have_one_for_cached_tokens() -> None:
    price = find_price("m", base_url=None, price_input=4.0, price_output=8.0, price_cached=1.0)
    assert price is not None
    assert price.cost(1_000_000, 750_000, 0) == pytest.approx(1.75)
    assert "$1 cached" in price.source
    half = find_price(
        "m", base_url=None, price_input=4.0, price_output=8.0, price_cached=1.0, batch=True
    )
    assert half is not None
    assert half.cost(1_000_000, 750_000, 0) == pytest.approx(0.875)
    assert find_price("m", base_url=None, price_cached=1.0) is None


@pytest.mark.parametrize("cached", [0.5, 6.0])
def test_what_is_reserved_covers_a_prompt_that_was_cached_wholly_or_not_at_all(
    cached: float,
) -> None:
    price = find_price("m", base_url=None, price_input=4.0, price_output=8.0, price_cached=cached)
    assert price is not None
    reserved = price.at_most(TokenRange(100, 120, 200), 50)
    assert reserved >= price.cost(200, 0, 50)
    assert reserved >= price.cost(200, 200, 50)


def test_the_table_knows_the_providers_models_and_no_others() -> None:
    price = find_price("gpt-4o-mini", base_url=None)
    assert price is not None
    assert 0 < price.cached < price.input < price.output
    assert price.context_tokens == 128_000
    batch = find_price("gpt-4o-mini", base_url=None, batch=True)
    assert batch is not None
    assert batch.input == pytest.approx(price.input / 2)
    assert batch.output == pytest.approx(price.output / 2)
    assert find_price("no-such-model", base_url=None) is None
    # The same name at a server of one's own says nothing about its price.
    assert find_price("gpt-4o-mini", base_url="http://127.0.0.1:8000/v1") is None


@limits(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 2.0))
async def test_spent_reserved_and_lost_never_exceed_the_limit(seed: int, limit: float) -> None:
    rng = random.Random(seed)
    ledger = Ledger(MemoryReplyStore(), limit)
    await ledger.open()
    worst = 0.0

    async def work() -> None:
        nonlocal worst
        for _ in range(8):
            most = rng.random() * 0.2
            charge = await ledger.reserve(most, prompt_hash="h", item_id=1, round_=1)
            worst = max(worst, ledger.balance.committed)
            await asyncio.sleep(0)
            fate = rng.random()
            if fate < 0.15:
                await ledger.lose(charge)
            elif fate < 0.3:
                await ledger.void(charge)
            else:
                usd = most * rng.random()
                change = ledger.settled(
                    charge, usd, input_tokens=1, cached_tokens=0, output_tokens=1, answer=""
                )
                await ledger.writer.write(change)
            worst = max(worst, ledger.balance.committed)

    ends = await asyncio.gather(*(work() for _ in range(6)), return_exceptions=True)
    assert all(end is None or isinstance(end, BudgetReached) for end in ends)
    assert worst <= limit + 1e-9
    await ledger.close()


async def test_a_reservation_waits_for_room_and_is_refused_when_none_can_come() -> None:
    ledger = Ledger(MemoryReplyStore(), 1.0)
    await ledger.open()
    first = await ledger.reserve(0.8, prompt_hash="h", item_id=1, round_=1)
    waiting = asyncio.create_task(ledger.reserve(0.5, prompt_hash="h", item_id=2, round_=1))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    ledger.settled(first, 0.1, input_tokens=1, cached_tokens=0, output_tokens=1, answer="")
    second = await waiting
    await ledger.lose(second)
    with pytest.raises(BudgetReached, match="never came"):
        await ledger.reserve(0.5, prompt_hash="h", item_id=3, round_=1)


async def test_writes_that_wait_share_a_transaction_and_a_failure_reaches_its_writers() -> None:
    class Slow(MemoryReplyStore):
        groups: list[int] = []  # noqa: RUF012

        async def write(self, changes):  # type: ignore[no-untyped-def]
            self.groups.append(len(changes))
            await asyncio.sleep(0.01)
            if len(self.groups) == 3:
                raise OSError("disk full")
            await super().write(changes)

    store = Slow()
    ledger = Ledger(store, None)
    await ledger.open()
    charges = [ledger.reserve(0.1, prompt_hash="h", item_id=i, round_=1) for i in range(50)]
    ids = await asyncio.gather(*charges)
    assert sum(store.groups) == 50
    assert len(store.groups) <= 2
    await ledger.void(ids[0])
    if len(store.groups) < 3:
        with pytest.raises(OSError, match="disk full"):
            await ledger.void(ids[1])


async def test_the_gate_narrows_on_429_widens_on_answers_and_never_exceeds_its_width() -> None:
    gate = Gate(16)
    most = 0

    async def use() -> None:
        nonlocal most
        async with gate.slot():
            most = max(most, gate.in_flight)
            await asyncio.sleep(0.1)

    await asyncio.gather(*(use() for _ in range(100)))
    assert most == 16
    gate.limited(None)
    gate.limited(None)
    assert gate.width == 11  # a burst of refusals is one message
    for _ in range(200):
        gate.answered(0.1)
    assert gate.width == 16
    assert gate.in_flight == 0


async def test_the_gate_spreads_what_begins_over_the_latency() -> None:
    gate = Gate(10)
    gate.answered(0.02)  # 10 slots over 20 ms: 1.5 ms apart and more
    began: list[float] = []

    async def use() -> None:
        async with gate.slot():
            began.append(time.monotonic())
            await asyncio.sleep(0.02)

    await asyncio.gather(*(use() for _ in range(10)))
    assert began == sorted(began)
    assert began[-1] - began[0] >= 8 * 0.0015 - 0.001


async def test_the_gate_holds_everything_for_as_long_as_the_server_asks() -> None:
    gate = Gate(4)
    gate.limited(0.15)
    start = time.monotonic()
    async with gate.slot():
        assert time.monotonic() - start >= 0.14


async def test_cancelling_a_waiter_gives_its_slot_to_the_next() -> None:
    gate = Gate(1)
    began: list[int] = []

    async def use(number: int) -> None:
        async with gate.slot():
            began.append(number)

    async with gate.slot():
        waiters = [asyncio.create_task(use(number)) for number in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
    await asyncio.wait_for(waiters[1], 1)
    waiters[2].cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    assert began[0] == 1
    assert gate.in_flight == 0


def test_no_window_of_a_minute_holds_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    taken: list[float] = []
    monkeypatch.setattr("imfl_engine.annotate.limits.time.monotonic", lambda: now)
    bucket = PerMinute(90)
    for _ in range(400):
        now += bucket.seconds_until(1.0)
        bucket.take(1.0)
        taken.append(now)
    for start in taken:
        assert sum(start <= t < start + 60 for t in taken) <= 90
    assert taken[-1] - taken[0] < 400 / 90 * 60 * 1.1


def test_an_amount_above_what_may_go_at_once_is_slow_and_not_impossible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("imfl_engine.annotate.limits.time.monotonic", lambda: now)
    bucket = PerMinute(600)  # 20 at once
    start = now
    for _ in range(21):
        now += bucket.seconds_until(300.0)
        bucket.take(300.0)
    # Two of 300 a minute, after the first.
    assert 9.5 * 60 < now - start < 11 * 60


def test_patience_follows_the_server_or_doubles_with_jitter() -> None:
    patience, rng = Patience(), random.Random(0)
    waits = [[patience.wait(n, None, rng) for _ in range(200)] for n in range(1, 9)]
    assert all(0.1 <= w <= 0.5 for w in waits[0])
    assert max(waits[7]) <= 30.0
    assert len(set(waits[3])) > 190
    assert all(2.0 <= patience.wait(1, 2.0, rng) <= 2.5 for _ in range(50))


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after({"retry-after-ms": "250"}) == 0.25
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after": "nonsense"}) is None
    assert retry_after({"retry-after": "-1"}) is None
    assert retry_after({}) is None
    late = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < (retry_after({"retry-after": late}) or 0) < 31


def test_keys_are_taken_out_of_texts() -> None:
    redact = Redactor("my-secret-key-1234")
    said = redact("bad key my-secret-key-1234, sk-proj-abcdefgh, Bearer abc.def")
    assert "secret" not in said
    assert "abc" not in said
    assert redact("task-oriented desk-bound risk-averse") == "task-oriented desk-bound risk-averse"


@pytest.mark.parametrize(
    ("message", "window"),
    [
        ("This model's maximum context length is 8192 tokens.", 8192),
        ("exceeds the context window of 4,096 tokens", 4096),
        ("the context size is too small", None),
    ],
)
def test_a_context_window_is_learned_from_an_error(message: str, window: int | None) -> None:
    assert learned_window(message) == window


@pytest.mark.parametrize("data", [None, [], {}, {"choices": None}, {"choices": "x"}, "text", 3])
def test_what_is_no_completion_is_said_to_be_none(data: object) -> None:
    with pytest.raises(ValueError, match="choices"):
        read_answer(data)


FIELDS = (
    *("choices", "message", "content", "usage", "logprobs", "finish_reason", "refusal"),
    *("prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens"),
)


@limits(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(FIELDS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_no_answer_of_any_shape_is_more_than_a_value_error(data: object) -> None:
    try:
        answer = read_answer(data)
    except ValueError:
        return
    assert all(isinstance(text, str) for text in answer.texts)
    assert answer.usage is None or answer.usage.input > 0


def test_hidden_tokens_counted_apart_are_added() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    counted = read_usage({**usage, "completion_tokens_details": {"reasoning_tokens": 100}})
    assert counted is not None
    assert counted.output == 105
    within = read_usage({**usage, "completion_tokens_details": {"reasoning_tokens": 4}})
    assert within is not None
    assert within.output == 5


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens_details": {"cached_tokens": 6}},
        {"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4},
        {"prompt_cache_hit_tokens": 6, "prompt_tokens_details": {}},
    ],
)
def test_cached_tokens_are_read_under_both_names(told: dict[str, Any]) -> None:
    counted = read_usage({"prompt_tokens": 10, "completion_tokens": 5, **told})
    assert counted is not None
    assert counted.cached == 6
