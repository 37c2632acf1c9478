"""The life of one provider batch: written down, uploaded, waited for, collected.

A job is written down before its file is uploaded and again with the provider's id, so a process
that dies at any point finds it: by its id, or by the mark in the batch's metadata. Results are taken
as they come: an expired or cancelled batch keeps its successes, and only the rest is asked again.
An answer without a label is settled and left without a reply: its one repair is not worth another
day, so `batch.BatchRun` asks for it outside the batch.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from imfl_engine.annotate.completion import Answer
from imfl_engine.annotate.hand import ItemInHand
from imfl_engine.annotate.item import ItemAsker
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.ports import (
    BatchEntry,
    BatchJob,
    BatchSaved,
    Change,
    Committed,
    Lost,
    PaidAnswer,
    ReplyStore,
    Reserved,
    Voided,
)
from imfl_engine.annotate.prompts import Message, Prompt
from imfl_engine.annotate.provider import (
    BatchProvider,
    Unclear,
    is_rejected,
    result_answer,
    sent_messages,
)
from imfl_engine.errors import ANY_PROJECT, EndpointError, ImflError
from imfl_engine.events import Notice, Progress
from imfl_engine.types import AnnotationRequest, Item, Purpose, Reply

T = TypeVar("T")
Asked = tuple[int, int, Purpose]
"""What a reply is about: item, round, purpose."""

MOST_REQUESTS = 5000
MOST_BYTES = 40_000_000
"""Of one batch file; providers allow 50,000 requests and 200 MB."""
GROUP = 500
"""Replies committed in one transaction."""
POLL_FIRST, POLL_MOST = 5.0, 60.0
ENDED = ("completed", "expired", "cancelled", "failed")


class BatchJobs:
    """The batches of the annotator ``name``; ``by_hash`` holds the requests of this run."""

    def __init__(
        self,
        by_hash: Mapping[str, AnnotationRequest],
        *,
        item_asker: ItemAsker,
        store: ReplyStore,
        ledger: Ledger,
        name: str,
        poll: float | None,
    ) -> None:
        self._by_hash = by_hash
        self._items = item_asker
        self._store = store
        self._ledger = ledger
        self._name = name
        self._poll = poll
        self._provider = BatchProvider(item_asker.endpoint, item_asker.patience, item_asker.rng)
        self.submitted: dict[str, int] = {}
        """How often each prompt hash was submitted in this run."""
        self.why: dict[str, str] = {}
        """Why a prompt hash got no answer the last time."""
        self.bought_as: dict[Asked, str] = {}
        """The prompt hash under which collected jobs brought a reply."""

    @property
    def retries(self) -> int:
        """Calls to the provider that had to be repeated."""
        return self._provider.retries

    async def unfinished(self) -> list[BatchJob]:
        """This annotator's jobs that are not finished, oldest first."""
        return [job for job in await self._store.batches() if job.annotator == self._name]

    async def submit(self, hashes: Sequence[str]) -> int:
        """Send off a batch of as many of ``hashes`` as one batch and the budget allow; return how many.

        Raises `BudgetReached` when the budget does not allow a single one.
        """
        asker, price = self._items.asker, self._items.price
        paid = await self._store.find(hashes[:MOST_REQUESTS])
        lines: list[bytes] = []
        entries: list[BatchEntry] = []
        changes: list[Change] = []
        size = 0
        for prompt_hash in hashes[:MOST_REQUESTS]:
            request = self._by_hash[prompt_hash]
            item = self._items.take(request, prompt_hash)
            earlier = paid.get(prompt_hash)
            if isinstance(earlier, PaidAnswer):
                item.resume(earlier)
            prompt = item.prompt()
            body = asker.body(item.messages(prompt), prompt.labels)
            usd = price.at_most(asker.count(body), asker.output_tokens)
            charge = self._ledger.hold(usd)
            if charge is None:
                if not entries:
                    raise self._ledger.stop(usd)
                break
            line = {
                "custom_id": charge,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body,
            }
            lines.append(json.dumps(line).encode())
            size += len(lines[-1]) + 1
            changes.append(Reserved(charge, prompt_hash, request.item.item_id, request.round, usd))
            entries.append(
                BatchEntry(
                    charge,
                    prompt_hash,
                    request.item.item_id,
                    request.round,
                    request.purpose,
                    prompt.labels,
                    prompt.shown,
                )
            )
            self.submitted[prompt_hash] = self.submitted.get(prompt_hash, 0) + 1
            if size > MOST_BYTES:
                break
        job = BatchJob(
            batch_id=uuid.uuid4().hex,
            annotator=self._name,
            entries=tuple(entries),
            created_at=time.time(),
            where=self._items.endpoint.where,
        )
        # The reservations belong to the batch from here on, whatever happens to this process.
        await self._ledger.writer.write(*changes, BatchSaved(job))
        await self._ledger.hand_over([entry.charge_id for entry in entries])
        try:
            await self._send_off(job, b"\n".join(lines) + b"\n")
        except Unclear:
            raise  # it may be there: looked for by its mark when the job is taken up again
        except ImflError:
            await self._abandon(job)
            raise
        return len(entries)

    async def _send_off(self, job: BatchJob, content: bytes) -> None:
        file_id = await self._provider.upload(content)
        job = replace(job, input_file_id=file_id, status="uploaded")
        await self._save(job)
        batch = await self._provider.create(file_id, job.batch_id)
        await self._save(replace(job, remote_id=batch.id, status=str(batch.status)))

    async def _abandon(self, job: BatchJob) -> None:
        voided = [Voided(entry.charge_id) for entry in job.entries]
        done = replace(job, status="not submitted", finished=True)
        await self._ledger.writer.write(*voided, BatchSaved(done))
        await self._ledger.refresh()

    async def recall(self) -> AsyncIterator[Progress | Notice]:
        """Stop the jobs that are under way and put on disk what they brought."""
        for job in await self.unfinished():
            if job.remote_id is not None:
                await self._provider.cancel(job.remote_id)
            async for event in self.finish(job, 0, len(job.entries)):
                yield event

    async def finish(
        self, job: BatchJob, done: int, total: int
    ) -> AsyncIterator[Progress | Notice]:
        """Wait for a job and put its results on disk; ``done`` of ``total`` requests are settled.

        Raises `EndpointError` for one that is at another address.
        """
        here = self._items.endpoint.where
        if job.where not in (None, here):
            raise EndpointError(
                f"A batch of {len(job.entries):,} requests is under way at {job.where}, not at {here}.",
                f"Set annotator.base_url back to collect it: `imfl-tui config {ANY_PROJECT} "
                "annotator.base_url ADDRESS`.",
            )
        if job.remote_id is None:
            batch = await self._provider.find(job.batch_id)
            if batch is None:
                await self._abandon(job)
                return
            job = replace(job, remote_id=batch.id)
        remote_id, wait = job.remote_id or "", self._poll or POLL_FIRST
        while True:
            batch = await self._provider.state(remote_id)
            if batch is None:
                yield await self._write_off(job)
                return
            status = str(batch.status)
            if status != job.status:
                job = replace(job, status=status)
                await self._save(job)
            if status in ENDED:
                break
            counts = batch.request_counts
            ready = int(getattr(counts, "completed", 0) or 0) if counts else 0
            yield Progress(
                "annotate",
                done,
                total,
                detail=f"batch {status.replace('_', ' ')}: {ready:,}/{len(job.entries):,} "
                "at the provider",
            )
            await asyncio.sleep(wait)
            wait = wait if self._poll else min(wait * 1.5, POLL_MOST)
        missing = await self._collect(job, batch)
        if missing:
            yield Notice(
                "warning",
                f"The batch is {status}: {len(job.entries) - missing:,} of {len(job.entries):,} "
                f"answers came and are kept, {missing:,} are asked again.",
            )

    async def _write_off(self, job: BatchJob) -> Notice:
        """The provider has forgotten the batch: its requests may have been billed."""
        lost = [Lost(entry.charge_id) for entry in job.entries]
        done = replace(job, status="unknown", finished=True)
        await self._ledger.writer.write(*lost, BatchSaved(done))
        await self._ledger.refresh()
        return Notice(
            "warning",
            f"{self._items.endpoint.where} does not know the batch of {len(job.entries):,} requests "
            "any more; they count as possibly billed and are asked again.",
        )

    async def _collect(self, job: BatchJob, batch: Any) -> int:
        """Settle and commit what came, void what did not; return how many did not.

        With every group the job is saved without it, so nothing is collected twice after a kill.
        """
        results: dict[str, dict[str, Any]] = {}
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id:
                results.update(await self._provider.results(file_id))
        sent = await self._sent(job)
        missing, left = 0, job.entries
        for entries in chunks(job.entries, GROUP):
            known = await self._store.find([entry.prompt_hash for entry in entries])
            changes: list[Change] = []
            for entry in entries:
                earlier = known.get(entry.prompt_hash)
                if isinstance(earlier, Reply):  # collected by an older version before it died
                    self._note_bought(entry)
                    continue
                result = results.get(entry.charge_id)
                answer, why = result_answer(result)
                if answer is None:
                    missing += 1
                    if is_rejected(result):
                        self._items.asker.doubted = True
                    self.why[entry.prompt_hash] = self._items.endpoint.redact(why)[:200]
                    changes.append(Voided(entry.charge_id))
                else:
                    changes += self._take(entry, answer, earlier, sent.get(entry.charge_id, ()))
            left = left[len(entries) :]
            rest = replace(job, entries=left, finished=not left)
            await self._ledger.writer.write(*changes, BatchSaved(rest))
        await self._ledger.refresh()
        return missing

    async def _sent(self, job: BatchJob) -> dict[str, tuple[Message, ...]]:
        """The messages of a job's requests by charge, where this run would word one differently."""
        if job.input_file_id is None or all(e.prompt_hash in self._by_hash for e in job.entries):
            return {}
        lines = await self._provider.results(job.input_file_id)
        return {charge: sent_messages(line) for charge, line in lines.items()}

    def _take(
        self,
        entry: BatchEntry,
        answer: Answer,
        earlier: PaidAnswer | None,
        sent: tuple[Message, ...],
    ) -> list[Change]:
        """What an answer amounts to; no reply where a repair or more room for thinking is due."""
        asker, price = self._items.asker, self._items.price
        request = self._by_hash.get(entry.prompt_hash)
        item: ItemInHand
        if request is None:  # the examples have moved on since; the answer is kept all the same
            bare = AnnotationRequest(Item(entry.item_id, "", ""), entry.round, entry.purpose)
            item = self._items.take(bare, entry.prompt_hash)
            prompt = Prompt(sent, tuple(entry.labels), asker.style, tuple(entry.shown))
        else:
            item = self._items.take(request, entry.prompt_hash)
            prompt = item.prompt()
        if earlier is not None:
            item.resume(earlier)
        item.tally.attempts += 1
        messages = item.messages(prompt)
        count = asker.count(asker.body(messages, prompt.labels))
        if messages:
            usage = item.usage(answer, count, asker.output_tokens)
        else:
            usage = answer.usage or item.usage(answer, count, asker.output_tokens)
        usd = price.cost(usage.input, usage.cached, usage.output)
        item.tally.add(usage, usd)
        verdict = item.judge(answer, prompt)
        settled = self._ledger.settled(
            entry.charge_id,
            usd,
            input_tokens=usage.input,
            cached_tokens=usage.cached,
            output_tokens=usage.output,
            answer=verdict.said,
        )
        if verdict.starved and asker.allow_more_output(asker.output_tokens):
            return [settled]
        if verdict.wants_repair and item.stage == 0:
            return [settled]
        reply = item.reply(verdict, prompt, messages, answer)
        mine = replace(reply, item_id=entry.item_id, round=entry.round, purpose=entry.purpose)
        self._note_bought(entry)
        return [settled, Committed(mine)]

    def _note_bought(self, entry: BatchEntry) -> None:
        self.bought_as[entry.item_id, entry.round, entry.purpose] = entry.prompt_hash

    async def _save(self, job: BatchJob) -> None:
        await self._ledger.writer.write(BatchSaved(job))


def asked(request: AnnotationRequest) -> Asked:
    """What the reply to ``request`` will be about."""
    return request.item.item_id, request.round, request.purpose


def chunks(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Runs of at most ``size`` values."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
