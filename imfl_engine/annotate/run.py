"""A run of the endpoint over many items: workers, retries, and one event for each item.

What was bought before is looked up by prompt hash; the rest goes through `item.ItemAsker`, several
at a time. What one item meets stays with it. What concerns the whole endpoint (`BudgetReached`, a
refused key, a server that is gone) ends the run, after everything in flight has been brought home.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence

from imfl_engine.annotate.hand import for_request
from imfl_engine.annotate.item import ItemAsker, Known
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.limits import Gate
from imfl_engine.annotate.ports import Committed, ReplyStore
from imfl_engine.errors import BudgetReached
from imfl_engine.events import Annotated
from imfl_engine.types import AnnotationRequest, Reply, ReplyStatus

LOOKUP = 256
"""Prompt hashes looked up in the store at once."""
FIRST_LOOKUP = 16
"""So many at first, so that the first requests are under way while the others are prepared."""
SPARE = 1.0
"""Workers beyond the concurrency, per slot: their items are being reserved, written or retried, so
that a slot that comes free is taken at once."""
RATE_WINDOW = 256
"""Replies over which the rate is measured."""


async def anything_new(
    requests: Sequence[AnnotationRequest],
    store: ReplyStore,
    hash_of: Callable[[AnnotationRequest], str],
) -> bool:
    """Whether any request will be sent; a re-run of what is there costs nothing at all."""
    for start in range(0, len(requests), LOOKUP):
        hashes = {hash_of(request) for request in requests[start : start + LOOKUP]}
        known = await store.find(sorted(hashes))
        if sum(isinstance(reply, Reply) for reply in known.values()) < len(hashes):
            return True
    return False


class Run:
    """One pass over ``requests``; iterate `events` once, then call `close` whatever happened."""

    def __init__(
        self,
        requests: Sequence[AnnotationRequest],
        *,
        item_asker: ItemAsker,
        store: ReplyStore,
        ledger: Ledger,
        gate: Gate,
        concurrency: int,
        hash_of: Callable[[AnnotationRequest], str],
    ) -> None:
        self._requests = requests
        self._items = item_asker
        self._store = store
        self._ledger = ledger
        self._gate = gate
        self._hash_of = hash_of
        self._workers = min(len(requests), concurrency + int(concurrency * SPARE) + 1)
        self._todo: asyncio.Queue[tuple[AnnotationRequest, str, Known] | None] = asyncio.Queue(
            maxsize=self._workers + LOOKUP
        )
        self._out: asyncio.Queue[Reply | None] = asyncio.Queue(maxsize=LOOKUP)
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: dict[str, asyncio.Event] = {}
        # What was answered after the lookup of the items now queued; older answers were found.
        self._recent: deque[str] = deque(maxlen=4 * (LOOKUP + self._workers))
        self._recently: set[str] = set()
        self._error: Exception | None = None

    async def events(self) -> AsyncGenerator[Annotated, None]:
        """One event for each reply, after it is on disk; raises what ended the run early."""
        self._tasks = [asyncio.create_task(self._feed())]
        self._tasks += [asyncio.create_task(self._work()) for _ in range(self._workers)]
        running = self._workers
        done = 0
        statuses: Counter[ReplyStatus] = Counter()
        finished: deque[float] = deque([time.monotonic()], maxlen=RATE_WINDOW)
        while running:
            reply = await self._out.get()
            if reply is None:
                running -= 1
                continue
            done += 1
            statuses[reply.status] += 1
            finished.append(time.monotonic())
            rate = (len(finished) - 1) / max(finished[-1] - finished[0], 1e-6)
            balance = self._ledger.balance
            yield Annotated(
                reply=reply,
                done=done,
                total=len(self._requests),
                in_flight=self._gate.in_flight,
                retries=self._items.retries,
                statuses=dict(statuses),
                spent_usd=balance.spent,
                reserved_usd=balance.reserved + balance.lost,
                lost_usd=balance.lost,
                limit_usd=self._ledger.limit,
                per_minute=rate * 60,
                eta_seconds=(len(self._requests) - done) / rate,
            )
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Stop at once: what is in flight is dropped and written off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ledger.close()

    async def _feed(self) -> None:
        try:
            start, size = 0, FIRST_LOOKUP
            while start < len(self._requests):
                chunk = self._requests[start : start + size]
                start, size = start + size, LOOKUP
                hashes = [self._hash_of(request) for request in chunk]
                known = await self._store.find(hashes)
                for request, prompt_hash in zip(chunk, hashes, strict=True):
                    await self._todo.put((request, prompt_hash, known.get(prompt_hash)))
                if self._error is not None:
                    break
        except Exception as error:
            self._stop(error)
        for _ in range(self._workers):
            await self._todo.put(None)

    async def _work(self) -> None:
        try:
            while (job := await self._todo.get()) is not None:
                if self._error is not None:
                    continue
                reply = await self._answer(*job)
                await self._out.put(reply)
        except Exception as error:
            self._stop(error)
            while await self._todo.get() is not None:
                pass
        await self._out.put(None)

    def _stop(self, error: Exception) -> None:
        """End the run; the first error counts, but a spent budget yields to a real failure."""
        if self._error is None or isinstance(self._error, BudgetReached):
            self._error = error
        if not isinstance(error, BudgetReached):
            self._items.stop(error)

    async def _answer(self, request: AnnotationRequest, prompt_hash: str, known: Known) -> Reply:
        """The reply about one item, on disk; identical items are asked about once."""
        asked = prompt_hash in self._recently
        while (asking := self._asking.get(prompt_hash)) is not None:
            await asking.wait()
            asked = True
        if asked:
            known = (await self._store.find([prompt_hash])).get(prompt_hash)
        if isinstance(known, Reply):
            return await self._reuse(request, known)
        done = self._asking.setdefault(prompt_hash, asyncio.Event())
        try:
            return await self._items.ask(request, prompt_hash, known)
        finally:
            del self._asking[prompt_hash]
            done.set()
            self._remember(prompt_hash)

    def _remember(self, prompt_hash: str) -> None:
        if prompt_hash in self._recently:
            return
        if len(self._recent) == self._recent.maxlen:
            self._recently.discard(self._recent.popleft())
        self._recent.append(prompt_hash)
        self._recently.add(prompt_hash)

    async def _reuse(self, request: AnnotationRequest, known: Reply) -> Reply:
        """A reply that was paid for before, for this request; it costs nothing."""
        reply = for_request(known, request)
        if reply is known:
            return known
        await self._ledger.replies.write(Committed(reply))
        return reply
