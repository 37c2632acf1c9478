"""Speed limits: a slot gate that narrows on 429, and budgets per minute."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
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


class Gate:
    """At most ``width`` requests in flight; fewer after a 429, more again as answers come.

    Additive increase, multiplicative decrease, as TCP does, so that several programs that share an
    account share its limit. Requests are paced, also as TCP does it: what begins together is
    answered together, and then waits for this one processor instead of the server (measured with 64
    slots at 200 ms: 225 ms a request without, 205 ms with it). Use it as an async context manager;
    first come, first served.
    """

    def __init__(self, width: int) -> None:
        self._most = float(width)
        self._width = float(width)
        self._in_flight = 0
        self._held_until = 0.0
        self._narrowed = float("-inf")
        self._next_start = 0.0
        self._latency: float | None = None
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot now."""
        return self._in_flight

    @property
    def width(self) -> int:
        """Requests that may be in flight now."""
        return max(1, int(self._width))

    async def __aenter__(self) -> None:
        if not self._waiting and self._may_start():
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            else:
                self._waiting.remove(turn)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

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
        self._paused = paused
        self._wake()

    def _may_start(self) -> bool:
        return (
            not self._paused
            and self._in_flight < self.width
            and time.monotonic() >= max(self._held_until, self._next_start)
        )

    def _take(self) -> None:
        self._in_flight += 1
        pace = PACE_FIRST
        if self._latency is not None:
            pace = min(PACE * self._latency / self.width, PACE_MOST)
        self._next_start = max(self._next_start, time.monotonic() - pace) + pace

    def _leave(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._may_start():
            turn = self._waiting.popleft()
            if not turn.done():
                # The slot is taken here, so that nobody slips in before the waiter runs.
                self._take()
                turn.set_result(None)
        left = max(self._held_until, self._next_start) - time.monotonic()
        if self._waiting and left > 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(left, self._wake)


class PerMinute:
    """At most ``limit`` units in any 60 seconds, spread over them; None means no limit.

    A token bucket whose capacity c and rate (limit - c) / 60 together never exceed the limit in a
    window. What is taken beyond the level is a debt that the taker waits for, so takers go in order
    and an amount above the capacity is only slow, not impossible.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._capacity = max(1.0, (limit or 0) / 30)
        self._rate = max(((limit or 0) - self._capacity) / 60, 1 / 60)
        self._level = self._capacity
        self._seen = time.monotonic()

    async def take(self, amount: float = 1.0) -> None:
        """Take ``amount`` units, and wait until they are free."""
        if self._limit is None:
            return
        now = time.monotonic()
        self._level = min(self._capacity, self._level + (now - self._seen) * self._rate) - amount
        self._seen = now
        if self._level < 0:
            try:
                await asyncio.sleep(-self._level / self._rate)
            except asyncio.CancelledError:
                self._level += amount
                raise

    def correct(self, amount: float) -> None:
        """Give back what was taken and not used, or (negative) take what was used beyond."""
        if self._limit is not None:
            self._level = min(self._capacity, self._level + amount)


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
