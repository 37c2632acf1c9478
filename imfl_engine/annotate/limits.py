"""Speed limits: a slot gate that narrows on 429, and budgets per minute."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

NARROW = 0.7
"""What a 429 leaves of the concurrency; at most once in `NARROW_SECONDS`."""
NARROW_SECONDS = 1.0
BACKOFF_FIRST = 0.5
BACKOFF_MOST = 30.0
RETRY_AFTER_MOST = 120.0
PACE = 0.75
"""Requests begin at least this share of ``latency / width`` apart."""
PACE_FIRST = 0.002
"""Seconds apart until the latency is known."""
PACE_MOST = 0.003
"""Seconds apart at most: the time a request takes this process, beyond which nothing is gained."""
LATENCY_MEMORY = 0.9
"""Weight of the past in the running mean of the latency."""
ROUNDING = 1e-6
"""Units that may be missing, so that a wait computed exactly is not followed by another."""


class PerMinute:
    """At most ``limit`` units in any 60 seconds, spread over them; None means no limit.

    A token bucket whose capacity c and rate (limit - c) / 60 together never exceed the limit in a
    window. An amount above the capacity goes when the bucket is full and leaves a debt to those
    after it, so it is only slow, not impossible.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._capacity = max(1.0, (limit or 0) / 30)
        self._rate = max(((limit or 0) - self._capacity) / 60, 1 / 60)
        self._level = self._capacity
        self._seen = time.monotonic()

    def seconds_until(self, amount: float) -> float:
        """Seconds until ``amount`` units may be taken; 0.0 when they may be now."""
        if self._limit is None:
            return 0.0
        now = time.monotonic()
        self._level = min(self._capacity, self._level + (now - self._seen) * self._rate)
        self._seen = now
        missing = min(amount, self._capacity) - self._level
        return missing / self._rate if missing > ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take ``amount`` units, which `seconds_until` has said are there."""
        if self._limit is not None:
            self._level -= amount

    def correct(self, amount: float) -> None:
        """Give back what was taken and not used, or (negative) take what was used beyond."""
        if self._limit is not None:
            self._level = min(self._capacity, self._level + amount)


class Gate:
    """At most ``width`` requests in flight; fewer after a 429, more again as answers come.

    Additive increase, multiplicative decrease, as TCP does, so that several programs that share an
    account share its limit. Requests are paced, also as TCP does it: what begins together is
    answered together, and then waits for this one processor instead of the server (measured with 64
    slots at 200 ms: 225 ms a request without, 205 ms with it). First come, first served.

    What a minute allows is taken with the slot and not before: whoever had taken it and then waited
    for a pause or a ``Retry-After`` to end would go out with all the others that had.
    """

    def __init__(
        self,
        width: int,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        self._requests = PerMinute(requests_per_minute)
        self._tokens = PerMinute(tokens_per_minute)
        self._most = float(width)
        self._width = float(width)
        self._in_flight = 0
        self._held_until = 0.0
        self._narrowed = float("-inf")
        self._next_start = 0.0
        self._latency: float | None = None
        self._going = asyncio.Event()
        self._going.set()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot now."""
        return self._in_flight

    @property
    def width(self) -> int:
        """Requests that may be in flight now."""
        return max(1, int(self._width))

    @asynccontextmanager
    async def slot(self, tokens: float = 0.0) -> AsyncIterator[None]:
        """Hold a slot for one request of about ``tokens`` tokens; wait until it may be sent."""
        await self._enter(tokens)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, tokens: float) -> None:
        if not self._waiting and self._may_start(tokens):
            self._take(tokens)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, tokens))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            else:
                with suppress(ValueError):  # passed over already
                    self._waiting.remove((turn, tokens))
            raise

    def correct(self, tokens: float) -> None:
        """Give back tokens that were taken and not used, or (negative) take what was used beyond."""
        self._tokens.correct(tokens)

    def answered(self, seconds: float) -> None:
        """An answer came after ``seconds``: widen by one slot for each full width of answers."""
        before = seconds if self._latency is None else self._latency
        self._latency = LATENCY_MEMORY * before + (1 - LATENCY_MEMORY) * seconds
        if self._width < self._most:
            self._width = min(self._most, self._width + 1.0 / self._width)
            self._wake()

    def limited(self, retry_after: float | None) -> None:
        """A 429 came: narrow, and hold everything for as long as the server asks."""
        now = time.monotonic()
        if now - self._narrowed >= NARROW_SECONDS:
            self._narrowed = now
            self._width = max(1.0, self._width * NARROW)
        if retry_after:
            self._held_until = max(self._held_until, now + min(retry_after, RETRY_AFTER_MOST))

    def pause(self, paused: bool) -> None:
        """Let nothing start, or go on."""
        if paused:
            self._going.clear()
        else:
            self._going.set()
            self._wake()

    @property
    def paused(self) -> bool:
        """Whether nothing may start."""
        return not self._going.is_set()

    async def resumed(self) -> None:
        """Wait until there is no pause; for what is sent without a slot."""
        await self._going.wait()

    def _may_start(self, tokens: float) -> bool:
        return (
            not self.paused
            and self._in_flight < self.width
            and self._seconds_until_start(tokens) <= 0
        )

    def _seconds_until_start(self, tokens: float) -> float:
        held = max(self._held_until, self._next_start) - time.monotonic()
        return max(held, self._requests.seconds_until(1.0), self._tokens.seconds_until(tokens))

    def _take(self, tokens: float) -> None:
        self._in_flight += 1
        self._requests.take(1.0)
        self._tokens.take(tokens)
        pace = PACE_FIRST
        if self._latency is not None:
            pace = min(PACE * self._latency / self.width, PACE_MOST)
        self._next_start = max(self._next_start, time.monotonic() - pace) + pace

    def _leave(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn, tokens = self._waiting[0]
            if not turn.done():
                if not self._may_start(tokens):
                    break
                # The slot is taken here, so that nobody slips in before the waiter runs.
                self._take(tokens)
                turn.set_result(None)
            self._waiting.popleft()
        if not self._waiting:
            return
        left = self._seconds_until_start(self._waiting[0][1])
        if left > 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(left, self._wake)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried, and how long is waited in between (seconds)."""

    attempts: int = 6
    attempts_when_limited: int = 10
    first: float = BACKOFF_FIRST
    most: float = BACKOFF_MOST

    def wait(self, attempt: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds before attempt number ``attempt + 1`` (the first attempt is 1).

        What the server asks for, plus up to a quarter so that nobody comes back at once; otherwise
        jitter on a doubling ceiling ("Exponential Backoff And Jitter", M. Brooker, 2015).
        """
        if retry_after is not None:
            return min(retry_after, RETRY_AFTER_MOST) * (1 + rng.random() / 4)
        ceiling: float = min(self.most, self.first * 2 ** (attempt - 1))
        return ceiling * (0.2 + 0.8 * rng.random())
