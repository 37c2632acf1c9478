"""One item from question to reply: fit, reserve, send, read, repair once, settle, commit.

The most a request can cost is reserved on disk, the request is sent in a slot of the gate, its
answer is settled there, and the reply it leads to is committed. What a kill leaves between the last
two is a paid answer, which the next run makes into the reply. Every request is a charge of
its own, whatever the item's fate, so the ledger can be compared with the provider's bill line by
line.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from typing import Any

from imfl_engine.annotate.asking import Asker
from imfl_engine.annotate.endpoint import Endpoint
from imfl_engine.annotate.faults import Fault, FaultKind
from imfl_engine.annotate.hand import ItemInHand, Verdict
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.limits import Gate, Patience
from imfl_engine.annotate.money import Price
from imfl_engine.annotate.ports import Committed, PaidAnswer
from imfl_engine.annotate.prompts import Prompt
from imfl_engine.errors import EndpointError
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest, Reply, ReplyStatus

Known = Reply | PaidAnswer | None

ADAPTATIONS = 8
"""How often one item's request is rebuilt for what the endpoint does not take."""
GONE_AFTER = 20
"""Refused connections in a row, with no answer in between, after which the server is gone; as many
answers of 403 in a row are about the key and no longer about single items."""


def most_unsettled(width: int) -> int:
    """Requests that may be sent and not settled: a full gate, and a quarter being written."""
    return width + max(1, width // 4)


class ItemAsker:
    """Asks one endpoint about items; holds what all items of a run share."""

    def __init__(
        self,
        *,
        task: Task,
        name: str,
        endpoint: Endpoint,
        asker: Asker,
        price: Price,
        ledger: Ledger,
        gate: Gate,
        patience: Patience,
        rng: random.Random,
    ) -> None:
        self.endpoint = endpoint
        self.asker = asker
        self.price = price
        self.patience = patience
        self.rng = rng
        self.retries = 0
        self._task = task
        self._name = name
        self._ledger = ledger
        self._gate = gate
        self._unsettled = asyncio.Semaphore(most_unsettled(gate.width))
        self._refused_in_a_row = 0
        self._forbidden_in_a_row = 0
        self._stopped: Exception | None = None
        self._any_answer = False

    def stop(self, error: Exception) -> None:
        """Retry nothing more: what concerns the whole endpoint has ended the run."""
        self._stopped = error

    def take(self, request: AnnotationRequest, prompt_hash: str) -> ItemInHand:
        """The item of ``request``, to be asked about here or in a batch."""
        return ItemInHand(
            request,
            prompt_hash,
            task=self._task,
            name=self._name,
            asker=self.asker,
            redact=self.endpoint.redact,
        )

    async def ask(self, request: AnnotationRequest, prompt_hash: str, known: Known) -> Reply:
        """The reply about ``request``, durable when it is returned.

        ``known`` holds answers that were paid for before a crash; they are used first. Raises only
        what ends the run.
        """
        item = self.take(request, prompt_hash)
        if isinstance(known, PaidAnswer):
            reply = item.resume(known)
            if reply is not None:
                await self._ledger.replies.write(Committed(reply))
                return reply
        attempt, adaptations = 1, 0
        while True:
            prompt = item.prompt()
            try:
                outcome = await self._send(item, prompt)
            except Fault as fault:
                if adaptations < ADAPTATIONS and item.adapt(fault, prompt):
                    adaptations += 1
                elif await self._may_retry(fault, attempt):
                    attempt += 1
                else:
                    return await self._fail(item, prompt, fault)
                continue
            if isinstance(outcome, Reply):
                return outcome
            if not outcome.starved:
                item.repair(outcome.text)
            attempt = 1

    async def _send(self, item: ItemInHand, prompt: Prompt) -> Reply | Verdict:
        """One request: reserve, send, settle. A reply is committed; a verdict wants another try.

        Raises `Fault` when there was no answer.
        """
        messages = item.messages(prompt)
        body = self.asker.body(messages, prompt.labels)
        count = self.asker.count(body)
        output_limit = self.asker.output_tokens
        likely = count.likely * self.asker.calibration.factor + min(output_limit, 16)
        charge = await self._ledger.reserve(
            self.price.at_most(count, output_limit),
            prompt_hash=item.prompt_hash,
            item_id=item.request.item.item_id,
            round_=item.request.round,
        )
        # The slot is held for the request alone: the disk has its time before and after it. What
        # is sent and not settled is what a kill can cost.
        async with self._unsettled:
            async with self._gate.slot(likely):
                self._ledger.sent(charge)
                item.tally.attempts += 1
                started = time.monotonic()
                try:
                    answer = await self.endpoint.ask(body, idempotency_key=_digest(body))
                except Fault as fault:
                    await self._settle_fault(fault, charge)
                    raise
                self._refused_in_a_row = self._forbidden_in_a_row = 0
                self._any_answer = True
                self._gate.answered(time.monotonic() - started)
            self.asker.observe(prompt, answer, count)
            usage = item.usage(answer, count, output_limit)
            self._gate.correct(likely - usage.input - usage.output)
            usd = self.price.cost(usage.input, usage.cached, usage.output)
            verdict = item.judge(answer, prompt)
            item.tally.add(usage, usd)
            settled = self._ledger.settled(
                charge,
                usd,
                input_tokens=usage.input,
                cached_tokens=usage.cached,
                output_tokens=usage.output,
                answer=verdict.said,
            )
            await self._ledger.writer.write(settled)
        if verdict.starved:
            again = self.asker.allow_more_output(output_limit)
        else:
            again = verdict.wants_repair and item.stage == 0
        if again:
            return verdict
        if self.asker.thought_only(answer):
            raise EndpointError(
                f"{self._name} spends {output_limit:,} output tokens on thinking and says nothing.",
                "Choose another model, or raise annotator.max_output_tokens; every request is paid.",
            )
        reply = item.reply(verdict, prompt, messages, answer)
        await self._ledger.replies.write(Committed(reply))
        return reply

    async def _fail(self, item: ItemInHand, prompt: Prompt, fault: Fault) -> Reply:
        """Commit that the item got no answer."""
        status = {
            FaultKind.RATE_LIMITED: ReplyStatus.RATE_LIMITED,
            FaultKind.REFUSED: ReplyStatus.REFUSED,
        }.get(fault.kind, ReplyStatus.FAILED)
        item.tally.note = fault.message
        if fault.kind is FaultKind.REJECTED and not self._any_answer:
            self.asker.doubted = True  # more likely about all requests than about this one
        reply = item.reply(Verdict(status), prompt, item.messages(prompt), None)
        await self._ledger.replies.write(Committed(reply))
        return reply

    async def _may_retry(self, fault: Fault, attempt: int) -> bool:
        """Wait as long as it takes; False when the patience is at its end."""
        limited = fault.kind is FaultKind.RATE_LIMITED
        most = self.patience.attempts_when_limited if limited else self.patience.attempts
        if not fault.worth_retrying or attempt >= most:
            return False
        self.retries += 1
        await asyncio.sleep(self.patience.wait(attempt, fault.retry_after, self.rng))
        if self._stopped is not None:
            raise self._stopped
        return True

    async def _settle_fault(self, fault: Fault, charge: str) -> None:
        if fault.billed is False:
            await self._ledger.void(charge)
        else:
            await self._ledger.lose(charge)
        if fault.kind is FaultKind.RATE_LIMITED:
            self._gate.limited(fault.retry_after)
        if fault.error is not None:
            raise fault.error
        too_many = max(GONE_AFTER, 2 * self._gate.width)
        if fault.forbidden:
            self._forbidden_in_a_row += 1
            if self._forbidden_in_a_row >= too_many:
                raise self.endpoint.key_refused()
        if fault.kind is not FaultKind.UNREACHABLE:
            self._refused_in_a_row = 0
            return
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= too_many:
            raise EndpointError(
                f"{self.endpoint.where} does not answer any more: {fault.message}.",
                "Check that the server runs; what was answered is kept, run the step again.",
            )


def _digest(body: dict[str, Any]) -> str:
    return "imfl-" + hashlib.sha256(json.dumps(body).encode()).hexdigest()[:40]
