"""A run by provider batches: half the price, answers within a day, across any number of restarts.

Batches that are under way are collected first. Answers without a label are repaired by single
requests at their own price, because another batch can take another day; then what still has no
answer is submitted, until every request has a reply or was submitted too often.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from imfl_engine.annotate.batch_jobs import BatchJobs, Submitted
from imfl_engine.annotate.batch_results import GROUP, asked, chunks
from imfl_engine.annotate.hand import Verdict, for_request
from imfl_engine.annotate.item import ItemAsker
from imfl_engine.annotate.ledger import Ledger, dollars
from imfl_engine.annotate.limits import Gate
from imfl_engine.annotate.ports import Balance, Change, Committed, PaidAnswer, ReplyStore
from imfl_engine.annotate.run import Run
from imfl_engine.events import Annotated, Notice, Progress
from imfl_engine.types import AnnotationRequest, Reply, ReplyStatus

SUBMISSIONS = 3
"""How often an item is submitted before it counts as failed."""


class BatchRun:
    """One pass over ``requests`` by batches; iterate `events` once.

    ``live`` makes the run of single requests that repairs what a batch has brought, ``reconsider``
    asks the endpoint what it takes, where a batch has shown that we are wrong about it.
    """

    def __init__(
        self,
        requests: Sequence[AnnotationRequest],
        *,
        item_asker: ItemAsker,
        store: ReplyStore,
        ledger: Ledger,
        gate: Gate,
        name: str,
        hash_of: Callable[[AnnotationRequest], str],
        live: Callable[[Sequence[AnnotationRequest]], Run],
        reconsider: Callable[[], Awaitable[Sequence[Notice]]],
        poll: float | None = None,
    ) -> None:
        self._requests = requests
        self._items = item_asker
        self._store = store
        self._ledger = ledger
        self._gate = gate
        self._live = live
        self._reconsider = reconsider
        self._hashes = [hash_of(request) for request in requests]
        self._jobs = BatchJobs(
            dict(zip(self._hashes, requests, strict=True)),
            item_asker=item_asker,
            store=store,
            ledger=ledger,
            name=name,
            poll=poll,
        )
        self._done = 0
        self._told_of_limit = False
        self._statuses: Counter[ReplyStatus] = Counter()
        self._started = time.monotonic()

    async def events(self) -> AsyncGenerator[Annotated | Notice | Progress, None]:
        """See `ports.Annotator.annotate`; between submission and results `Progress` is yielded."""
        pending = dict(enumerate(self._hashes))
        while True:
            for job in await self._jobs.unfinished():
                async for event in self._jobs.finish(job, self._done, len(self._requests)):
                    yield event
            unlabelled: list[int] = []
            async for reply in self._known(pending, unlabelled):
                yield self._event(reply)
            async with aclosing(self._repaired(pending, unlabelled)) as repaired:
                async for said in repaired:
                    yield said if isinstance(said, Notice) else self._event(said)
            if not pending:
                return
            if self._gate.paused:
                total = len(self._requests)
                yield Progress("annotate", self._done, total, detail="batch not submitted: paused")
            await self._gate.resumed()
            for notice in await self._reconsider():
                yield notice
            due = list(dict.fromkeys(pending.values()))
            submitted = await self._jobs.submit(due)
            yield Notice(
                "info",
                f"A batch of {_requests(submitted.requests)} was submitted; until it is "
                "done the provider is asked about it again and again.",
                "It can take up to a day. It goes on without this program: run the step again to "
                "collect it.",
            )
            if submitted.limit_is_full and not self._told_of_limit:
                self._told_of_limit = True
                yield split_by_limit(submitted, len(due), self._ledger.balance, self._ledger.limit)

    async def _known(self, pending: dict[int, str], unlabelled: list[int]) -> AsyncIterator[Reply]:
        """Take every request that has a reply, or will not get one, out of ``pending``.

        Those that were answered without a label stay, and are added to ``unlabelled``.
        """
        for indices in chunks(list(pending), GROUP):
            # An item whose examples have changed since was bought under another hash.
            hashes = {
                index: self._jobs.results.bought_as.get(
                    asked(self._requests[index]), self._hashes[index]
                )
                for index in indices
            }
            known = await self._store.find(list(hashes.values()))
            replies: list[Reply] = []
            changes: list[Change] = []
            for index, prompt_hash in hashes.items():
                request, found = self._requests[index], known.get(prompt_hash)
                if isinstance(found, PaidAnswer) and found.answers:
                    unlabelled.append(index)
                    continue
                reply = found if isinstance(found, Reply) else self._given_up(request, prompt_hash)
                if reply is None:
                    continue
                del pending[index]
                mine = for_request(reply, request)
                replies.append(mine)
                if mine is not found:
                    changes.append(Committed(mine))
            if changes:
                await self._ledger.writer.write(*changes)
            for reply in replies:
                yield reply

    async def _repaired(
        self, pending: dict[int, str], due: Sequence[int]
    ) -> AsyncGenerator[Notice | Reply, None]:
        """Ask once more about what was answered without a label; take it out of ``pending``."""
        if not due:
            return
        for index in due:
            del pending[index]
        yield Notice(
            "info",
            f"{len(due):,} {'answer' if len(due) == 1 else 'answers'} of the batch had no label; each "
            "is asked for once more, by a request at the full price.",
        )
        run = self._live([self._requests[index] for index in due])
        try:
            async for event in run.events():
                yield event.reply
        finally:
            await run.close()

    def _given_up(self, request: AnnotationRequest, prompt_hash: str) -> Reply | None:
        if self._jobs.submitted.get(prompt_hash, 0) < SUBMISSIONS:
            return None
        item = self._items.take(request, prompt_hash)
        item.tally.attempts = SUBMISSIONS
        item.tally.note = self._jobs.results.why.get(prompt_hash, "the batch had no result for it")
        prompt = item.prompt()
        return item.reply(Verdict(ReplyStatus.FAILED), prompt, prompt.messages, None)

    def _event(self, reply: Reply) -> Annotated:
        self._done += 1
        self._statuses[reply.status] += 1
        rate = self._done / max(time.monotonic() - self._started, 1e-6)
        balance = self._ledger.balance
        return Annotated(
            reply=reply,
            done=self._done,
            total=len(self._requests),
            in_flight=0,
            retries=self._jobs.retries,
            statuses=dict(self._statuses),
            spent_usd=balance.spent,
            reserved_usd=balance.reserved + balance.lost,
            lost_usd=balance.lost,
            limit_usd=self._ledger.limit,
            per_minute=rate * 60,
            eta_seconds=None,
        )


def split_by_limit(submitted: Submitted, due: int, balance: Balance, limit: float | None) -> Notice:
    """Say that the money limit, and not the provider, makes several batches of one.

    A batch waits for all its requests at once, each reserved at the most it could cost, which is
    several times what it does cost; what that leaves free is only known when the batch is done.
    """
    enough = balance.committed + submitted.reserved_usd / submitted.requests * (
        due - submitted.requests
    )
    return Notice(
        "warning",
        f"The limit of {dollars(limit or 0.0)} has room for {submitted.requests:,} of "
        f"{_requests(due)} at the most that each could cost. The others follow in batches of their "
        "own, one after the other, and each can take a day.",
        f"With budget.money_usd at about {dollars(math.ceil(enough * 100) / 100)} all would go at once, for "
        "the same price in the end.",
    )


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"
