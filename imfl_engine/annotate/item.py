"""One item from question to reply: fit, reserve, send, read, repair once, settle, commit.

Inside a slot of the gate the most a request can cost is reserved on disk, the request is sent, and
its answer is settled in the same transaction as the reply it leads to. Every request is a charge of
its own, whatever the item's fate, so the ledger can be compared with the provider's bill line by
line.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from imfl_engine.annotate.asking import Asker
from imfl_engine.annotate.endpoint import Answer, Endpoint, Fault, FaultKind, Usage
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.limits import Gate, Patience, PerMinute
from imfl_engine.annotate.money import Price
from imfl_engine.annotate.ports import Committed, PaidAnswer, Settled
from imfl_engine.annotate.prompts import (
    Message,
    Prompt,
    build_prompt,
    repair_messages,
)
from imfl_engine.annotate.replies import is_refusal, label_log_probabilities, parse_label
from imfl_engine.annotate.tokens import TokenRange, count_tokens
from imfl_engine.errors import EndpointError
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest, Reply, ReplyStatus

Known = Reply | PaidAnswer | None

ADAPTATIONS = 8
"""How often one item's request is rebuilt for what the endpoint does not take."""
GONE_AFTER = 20
"""Refused connections in a row, with no answer in between, after which the server is gone."""


def _digest(body: dict[str, Any]) -> str:
    return "imfl-" + hashlib.sha256(json.dumps(body).encode()).hexdigest()[:40]


@dataclass
class _Tally:
    """What an item has used so far, over all its requests."""

    attempts: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    usd: float = 0.0
    note: str | None = None

    def add(self, usage: Usage, usd: float) -> None:
        self.input += usage.input
        self.cached += usage.cached
        self.output += usage.output
        self.usd += usd


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What an answer amounts to. ``status`` None means: ask again (``starved``: with more room)."""

    status: ReplyStatus | None
    label: str | None = None
    text: str = ""
    starved: bool = False


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
        requests_per_minute: PerMinute,
        tokens_per_minute: PerMinute,
        patience: Patience,
        rng: random.Random,
    ) -> None:
        self._task = task
        self._name = name
        self._endpoint = endpoint
        self._asker = asker
        self._price = price
        self._ledger = ledger
        self._gate = gate
        self._requests = requests_per_minute
        self._tokens = tokens_per_minute
        self._patience = patience
        self._rng = rng
        self._refused_in_a_row = 0
        self._stopped: Exception | None = None
        self.retries = 0

    def stop(self, error: Exception) -> None:
        """Retry nothing more: what concerns the whole endpoint has ended the run."""
        self._stopped = error

    async def ask(self, request: AnnotationRequest, prompt_hash: str, known: Known) -> Reply:
        """The reply about ``request``, durable when it is returned.

        ``known`` holds answers that were paid for before a crash; they are used first. Raises only
        what ends the run.
        """
        item = _ItemInHand(self, request, prompt_hash)
        if isinstance(known, PaidAnswer):
            reply = item.resume(known)
            if reply is not None:
                await self._ledger.writer.write(Committed(reply))
                return reply
        return await item.ask()

    # What follows is for _ItemInHand, which lives in this module.

    async def send(
        self, item: _ItemInHand, prompt: Prompt, messages: Sequence[Message]
    ) -> Reply | _Verdict:
        """One request: reserve, send, settle. A reply is committed; a verdict wants another try.

        Raises `Fault` when there was no answer.
        """
        body = self._asker.body(messages, prompt.labels)
        count = self._asker.count(body)
        output_limit = self._asker.output_tokens
        likely = count.likely * self._asker.calibration.factor + min(output_limit, 16)
        await self._requests.take()
        await self._tokens.take(likely)
        async with self._gate:
            charge = await self._ledger.reserve(
                self._price.at_most(count, output_limit),
                prompt_hash=item.prompt_hash,
                item_id=item.request.item.item_id,
                round_=item.request.round,
            )
            self._ledger.sent(charge)
            item.tally.attempts += 1
            try:
                answer = await self._endpoint.ask(body, idempotency_key=_digest(body))
            except Fault as fault:
                await self._settle_fault(fault, charge)
                raise
            self._refused_in_a_row = 0
            self._gate.answered()
            self._asker.observe(prompt, answer, count)
            usage = self._usage(item, answer, count, output_limit)
            self._tokens.correct(likely - usage.input - usage.output)
            usd = self._price.cost(usage.input, usage.cached, usage.output)
            verdict = item.judge(answer, prompt)
            item.tally.add(usage, usd)
            settled = self._ledger.settled(
                charge,
                usd,
                input_tokens=usage.input,
                cached_tokens=usage.cached,
                output_tokens=usage.output,
                answer=verdict.text,
            )
            if verdict.starved and self._asker.allow_more_output(output_limit):
                await self._ledger.writer.write(settled)
                return verdict
            if verdict.status is None and item.stage == 0:
                await self._ledger.writer.write(settled)
                return verdict
            reply = item.reply(verdict, prompt, messages, answer)
            await self._commit(settled, reply)
            return reply

    async def fail(self, item: _ItemInHand, prompt: Prompt, fault: Fault) -> Reply:
        """Commit that the item got no answer."""
        status = {
            FaultKind.RATE_LIMITED: ReplyStatus.RATE_LIMITED,
            FaultKind.REFUSED: ReplyStatus.REFUSED,
        }.get(fault.kind, ReplyStatus.FAILED)
        verdict = _Verdict(status)
        item.tally.note = fault.message
        reply = item.reply(verdict, prompt, prompt.messages, None)
        await self._ledger.writer.write(Committed(reply))
        return reply

    async def before_retry(self, fault: Fault, attempt: int) -> bool:
        """Wait as long as it takes; False when the patience is at its end."""
        limited = fault.kind is FaultKind.RATE_LIMITED
        most = self._patience.attempts_when_limited if limited else self._patience.attempts
        if not fault.worth_retrying or attempt >= most:
            return False
        self.retries += 1
        await asyncio.sleep(self._patience.wait(attempt, fault.retry_after, self._rng))
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
        if fault.kind is FaultKind.FATAL and fault.error is not None:
            raise fault.error
        if fault.kind is not FaultKind.UNREACHABLE:
            self._refused_in_a_row = 0
            return
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= max(GONE_AFTER, 2 * self._gate.width):
            raise EndpointError(
                f"{self._endpoint.where} does not answer any more: {fault.message}.",
                "Check that the server runs; what was answered is kept, run the step again.",
            )

    async def _commit(self, settled: Settled, reply: Reply) -> None:
        await self._ledger.writer.write(settled, Committed(reply))

    def _usage(
        self, item: _ItemInHand, answer: Answer, count: TokenRange, output_limit: int
    ) -> Usage:
        """The server's count where it can be true, else ours (and a note that it is ours)."""
        said = sum(count_tokens(text).high for text in answer.texts)
        usage = answer.usage
        if (
            usage is not None
            and usage.input <= count.high
            and usage.output <= max(output_limit, said) + 16
        ):
            return usage
        item.tally.note = "the server's token counts cannot be true; they are estimated"
        shown = sum(count_tokens(text).likely for text in answer.texts)
        factor = self._asker.calibration.factor
        return Usage(
            min(max(1, round(count.likely * factor)), count.high), 0, min(shown, output_limit)
        )

    @property
    def asker(self) -> Asker:
        """What is known about the endpoint."""
        return self._asker

    @property
    def task(self) -> Task:
        """What is asked."""
        return self._task

    @property
    def name(self) -> str:
        """The annotator's spec."""
        return self._name

    @property
    def endpoint(self) -> Endpoint:
        """The server."""
        return self._endpoint


class _ItemInHand:
    """The state of one item while it is being asked about."""

    def __init__(self, owner: ItemAsker, request: AnnotationRequest, prompt_hash: str) -> None:
        self._owner = owner
        self.request = request
        self.prompt_hash = prompt_hash
        self.tally = _Tally()
        self.stage = 0  # 0: the question; 1: its one repair
        self._started = time.monotonic()
        self._bad_answer: str | None = None

    def resume(self, paid: PaidAnswer) -> Reply | None:
        """Go on from answers that were paid for: a reply, or None when the repair is due."""
        usage = Usage(paid.input_tokens, paid.cached_tokens, paid.output_tokens)
        self.tally.add(usage, paid.usd)
        self.tally.attempts += len(paid.answers)
        prompt = self._prompt()
        for text in paid.answers[:2]:
            answer = Answer((text,), None, "stop", None, ())
            verdict = self.judge(answer, prompt)
            if verdict.status is not None or self.stage:
                return self.reply(verdict, prompt, prompt.messages, answer)
            if text.strip():
                self.stage, self._bad_answer = 1, text
        return None

    async def ask(self) -> Reply:
        """Ask until there is a reply."""
        owner, prompt = self._owner, self._prompt()
        attempt, adaptations = 1, 0
        while True:
            messages = prompt.messages
            if self._bad_answer is not None:
                messages = repair_messages(prompt, self._bad_answer)
            try:
                outcome = await owner.send(self, prompt, messages)
            except Fault as fault:
                if adaptations < ADAPTATIONS and self._adapt(fault, prompt):
                    adaptations += 1
                    prompt = self._prompt()
                    continue
                if await owner.before_retry(fault, attempt):
                    attempt += 1
                    prompt = self._prompt()
                    continue
                return await owner.fail(self, prompt, fault)
            if isinstance(outcome, Reply):
                return outcome
            if not outcome.starved:
                self.stage, self._bad_answer = 1, outcome.text
            attempt = 1
            prompt = self._prompt()

    def judge(self, answer: Answer, prompt: Prompt) -> _Verdict:
        """Read an answer. More than one choice counts only if all give the same label."""
        item = self.request.item
        texts = [self._owner.endpoint.redact.exactly(text) for text in answer.texts]
        text = texts[0] if texts else ""
        if answer.refusal:
            said = self._owner.endpoint.redact(answer.refusal)
            return _Verdict(ReplyStatus.REFUSED, text=text or said)
        labels = {parse_label(choice, prompt.labels, item.options) for choice in texts}
        label = labels.pop() if len(labels) == 1 else None
        if label is not None:
            status = ReplyStatus.REPAIRED if self.stage else ReplyStatus.OK
            return _Verdict(status, label, text)
        if is_refusal(text):
            return _Verdict(ReplyStatus.REFUSED, text=text)
        if answer.starved:
            return _Verdict(None, text=text, starved=True)
        return _Verdict(None, text="\n".join(texts) if len(texts) > 1 else text)

    def reply(
        self,
        verdict: _Verdict,
        prompt: Prompt,
        messages: Sequence[Message],
        answer: Answer | None,
    ) -> Reply:
        """The reply that ``verdict`` leads to (an undecided one is invalid by now)."""
        owner, request = self._owner, self.request
        status = verdict.status or ReplyStatus.INVALID
        log_probabilities = None
        if verdict.label is not None and answer is not None and answer.tokens:
            log_probabilities = label_log_probabilities(answer.tokens, verdict.label, prompt.labels)
        confidence = None
        if log_probabilities is not None and verdict.label is not None:
            confidence = math.exp(log_probabilities[verdict.label])
        sent = replace(prompt, messages=tuple(messages))
        note = self.tally.note
        if status is ReplyStatus.INVALID:
            note = note or "the answer is none of the labels, and neither was its repair"
        return Reply(
            item_id=request.item.item_id,
            round=request.round,
            purpose=request.purpose,
            status=status,
            label=verdict.label,
            annotator=owner.name,
            prompt_hash=self.prompt_hash,
            confidence=confidence,
            log_probabilities=log_probabilities,
            raw=verdict.text if answer is not None else None,
            messages=owner.endpoint.redact.exactly(sent.to_json()),
            error=note,
            demonstration_ids=prompt.shown,
            input_tokens=self.tally.input,
            cached_tokens=self.tally.cached,
            output_tokens=self.tally.output,
            cost_usd=self.tally.usd,
            attempts=self.tally.attempts,
            seconds=time.monotonic() - self._started,
        )

    def _prompt(self) -> Prompt:
        asker = self._owner.asker
        return build_prompt(
            self._owner.task,
            self.request,
            style=asker.style,
            room=asker.room,
            factor=asker.calibration.factor,
        )

    def _adapt(self, fault: Fault, prompt: Prompt) -> bool:
        asker = self._owner.asker
        if fault.kind is FaultKind.UNSUPPORTED:
            return asker.adapt(fault)
        if fault.kind is FaultKind.TOO_LONG:
            body = asker.body(prompt.messages, prompt.labels)
            return asker.shrink(fault, asker.count(body))
        return False
