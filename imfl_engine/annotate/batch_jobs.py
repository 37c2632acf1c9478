"""The life of one provider batch: written down, uploaded, waited for, collected.

A job is written down before its file is uploaded and again with the provider's id, so a process
that dies at any point finds it: by its id, or by the mark in the batch's metadata. Results are taken
as they come: an expired or cancelled batch keeps its successes, and only the rest is asked again.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from imfl_engine.annotate.batch_results import BatchResults
from imfl_engine.annotate.item import ItemAsker
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.ports import (
    BatchEntry,
    BatchJob,
    BatchSaved,
    Change,
    Lost,
    PaidAnswer,
    ReplyStore,
    Reserved,
    Voided,
)
from imfl_engine.annotate.provider import BatchProvider, Unclear
from imfl_engine.errors import ANY_PROJECT, EndpointError, ImflError
from imfl_engine.events import Notice, Progress
from imfl_engine.types import AnnotationRequest

MOST_REQUESTS = 5000
MOST_BYTES = 40_000_000
"""Of one batch file; providers allow 50,000 requests and 200 MB."""
POLL_FIRST, POLL_MOST = 5.0, 60.0
ENDED = ("completed", "expired", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Submitted:
    """How many requests went off in a batch, and the US dollars that are reserved for them.

    ``limit_is_full`` says that more would have, had there been money to reserve for them.
    """

    requests: int
    reserved_usd: float
    limit_is_full: bool


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
        self.results = BatchResults(
            by_hash, item_asker=item_asker, store=store, ledger=ledger, provider=self._provider
        )
        self.submitted: dict[str, int] = {}
        """How often each prompt hash was submitted in this run."""

    @property
    def retries(self) -> int:
        """Calls to the provider that had to be repeated."""
        return self._provider.retries

    async def unfinished(self) -> list[BatchJob]:
        """This annotator's jobs that are not finished, oldest first."""
        return [job for job in await self._store.batches() if job.annotator == self._name]

    async def submit(self, hashes: Sequence[str]) -> Submitted:
        """Send off a batch of as many of ``hashes`` as one batch and the budget allow.

        Raises `BudgetReached` when the budget does not allow a single one.
        """
        asker, price = self._items.asker, self._items.price
        paid = await self._store.find(hashes[:MOST_REQUESTS])
        lines: list[bytes] = []
        entries: list[BatchEntry] = []
        changes: list[Change] = []
        size, reserved, limit_is_full = 0, 0.0, False
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
                limit_is_full = True
                break
            reserved += usd
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
        return Submitted(len(entries), reserved, limit_is_full)

    async def _send_off(self, job: BatchJob, content: bytes) -> None:
        file_id = await self._provider.upload(content)
        job = replace(job, input_file_id=file_id, status="uploaded")
        await self._save(job)
        batch = await self._provider.create(file_id, job.batch_id, job.created_at)
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
            batch = await self._provider.find(job.batch_id, job.created_at)
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
        missing = await self.results.collect(job, batch)
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

    async def _save(self, job: BatchJob) -> None:
        await self._ledger.writer.write(BatchSaved(job))
