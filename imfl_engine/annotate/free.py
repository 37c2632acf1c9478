"""What the annotators that cost nothing share: groups of replies, their commit, pause."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from imfl_engine.annotate.ports import Committed, ReplyStore
from imfl_engine.events import Annotated, Notice, Progress
from imfl_engine.types import AnnotationRequest, Reply, ReplyStatus
from imfl_engine.views import CostEstimate


class FreeAnnotator(ABC):
    """An `imfl_engine.annotate.ports.Annotator` without a bill: nothing to reserve or to retry."""

    group = 200
    """Requests answered and committed together."""

    def __init__(self) -> None:
        self._running = asyncio.Event()
        self._running.set()

    @property
    @abstractmethod
    def name(self) -> str:
        """The annotator's spec."""

    @property
    @abstractmethod
    def shots(self) -> int | None:
        """Demonstrations wanted for an item; None for what the settings say."""

    @property
    def free(self) -> bool:
        """Asking costs nothing."""
        return True

    @abstractmethod
    def estimate(
        self, requests: Sequence[AnnotationRequest], *, calls: int | None = None
    ) -> CostEstimate:
        """See `ports.Annotator.estimate`."""

    @abstractmethod
    def _answer(
        self, requests: Sequence[AnnotationRequest]
    ) -> AsyncGenerator[Reply | Notice | Progress, None]:
        """Yield one reply for each request of a group, in their order."""

    async def check(
        self, store: ReplyStore | None = None, *, limit_usd: float | None = None
    ) -> Sequence[Notice]:
        """Nothing can be missing before the first request."""
        return ()

    async def recall(self, store: ReplyStore) -> None:  # noqa: B027 - there is no endpoint
        """Nothing is known that an estimate needs."""

    async def annotate(
        self,
        requests: Sequence[AnnotationRequest],
        store: ReplyStore,
        *,
        limit_usd: float | None = None,
    ) -> AsyncGenerator[Annotated | Notice | Progress, None]:
        """See `ports.Annotator.annotate`."""
        balance = await store.balance()
        started = time.monotonic()
        done = 0
        statuses: Counter[ReplyStatus] = Counter()
        for first in range(0, len(requests), self.group):
            await self._running.wait()
            replies: list[Reply] = []
            part = requests[first : first + self.group]
            async with aclosing(self._answer(part)) as events:
                async for event in events:
                    if isinstance(event, Reply):
                        replies.append(event)
                    elif isinstance(event, Progress):
                        yield Progress("annotate", first + event.done, len(requests))
                    else:
                        yield event
            await store.write([Committed(reply) for reply in replies])
            rate = (done + len(replies)) / max(time.monotonic() - started, 1e-6)
            for reply in replies:
                done += 1
                statuses[reply.status] += 1
                yield Annotated(
                    reply=reply,
                    done=done,
                    total=len(requests),
                    in_flight=0,
                    retries=0,
                    statuses=dict(statuses),
                    spent_usd=balance.spent,
                    reserved_usd=balance.reserved + balance.lost,
                    lost_usd=balance.lost,
                    limit_usd=limit_usd,
                    per_minute=rate * 60,
                    eta_seconds=(len(requests) - done) / rate,
                )
            await asyncio.sleep(0)

    def pause(self) -> None:
        """Begin no further group."""
        self._running.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running.set()

    async def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Nothing is open."""
