"""What a batch has brought: every answer settled, every label committed, the rest made void.

An answer without a label is settled and left without a reply: its one repair is not worth another
day, so `batch.BatchRun` asks for it outside the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    PaidAnswer,
    ReplyStore,
    Voided,
)
from imfl_engine.annotate.prompts import Message, Prompt
from imfl_engine.annotate.provider import (
    BatchProvider,
    is_rejected,
    result_answer,
    sent_messages,
)
from imfl_engine.errors import EndpointError
from imfl_engine.types import AnnotationRequest, Item, Purpose, Reply

T = TypeVar("T")
Asked = tuple[int, int, Purpose]
"""What a reply is about: item, round, purpose."""

GROUP = 500
"""Replies committed in one transaction."""


class BatchResults:
    """Collects the jobs of one run; ``by_hash`` holds its requests."""

    def __init__(
        self,
        by_hash: Mapping[str, AnnotationRequest],
        *,
        item_asker: ItemAsker,
        store: ReplyStore,
        ledger: Ledger,
        provider: BatchProvider,
    ) -> None:
        self._by_hash = by_hash
        self._items = item_asker
        self._store = store
        self._ledger = ledger
        self._provider = provider
        self.why: dict[str, str] = {}
        """Why a prompt hash got no answer the last time."""
        self.bought_as: dict[Asked, str] = {}
        """The prompt hash under which collected jobs brought a reply."""

    async def collect(self, job: BatchJob, batch: Any) -> int:
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
        """The messages of a job's requests by charge, where this run would word one differently.

        None where the provider does not give back what was uploaded: the answers count all the same.
        """
        if job.input_file_id is None or all(e.prompt_hash in self._by_hash for e in job.entries):
            return {}
        try:
            lines = await self._provider.results(job.input_file_id)
        except EndpointError:
            return {}
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


def asked(request: AnnotationRequest) -> Asked:
    """What the reply to ``request`` will be about."""
    return request.item.item_id, request.round, request.purpose


def chunks(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Runs of at most ``size`` values."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
