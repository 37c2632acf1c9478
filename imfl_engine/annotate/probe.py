"""One short question to an endpoint: is it there, what does it take, does it enforce a schema?"""

from __future__ import annotations

import asyncio
import random

from imfl_engine.annotate.asking import Asker
from imfl_engine.annotate.completion import MOST_HIDDEN, Answer, Usage
from imfl_engine.annotate.endpoint import Endpoint
from imfl_engine.annotate.faults import Fault, FaultKind
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.limits import Patience
from imfl_engine.annotate.money import Price
from imfl_engine.annotate.tokens import TokenRange
from imfl_engine.errors import EndpointError, KeyMissing
from imfl_engine.events import Notice

PROBE_ITEM = -1
"""The item id of charges that belong to no item."""
PROBE_ATTEMPTS = 6


class Probe:
    """Asks until the endpoint's abilities are known."""

    def __init__(
        self,
        endpoint: Endpoint,
        asker: Asker,
        patience: Patience,
        rng: random.Random,
        price: Price,
    ) -> None:
        self._endpoint = endpoint
        self._asker = asker
        self._patience = patience
        self._rng = rng
        self._price = price

    async def knock(self) -> None:
        """See for nothing whether the endpoint is there and takes the key.

        Raises `KeyMissing` or `EndpointError`. Servers without a list of models are taken as they are.
        """
        failed = 0
        while True:
            try:
                return await self._endpoint.knock()
            except Fault as fault:
                failed += 1
                if isinstance(fault.error, KeyMissing) or fault.kind is FaultKind.UNREACHABLE:
                    await self._after_fault(fault, failed)
                else:
                    return

    async def run(self, ledger: Ledger | None) -> list[Notice]:
        """Find out what the endpoint takes, and whether it enforces a schema, by its effect.

        Every question is a charge in ``ledger``, where there is one (the set-up has none yet).
        Raises `KeyMissing`, `EndpointError` or `BudgetReached`.
        """
        asker, prompt, price = self._asker, self._asker.proof(), self._price
        failed = 0
        doubted = False
        while True:
            body = asker.body(prompt.messages, prompt.labels)
            count = asker.count(body)
            charge = None
            if ledger is not None:
                charge = await ledger.reserve(
                    price.at_most(count, asker.output_tokens),
                    prompt_hash="probe",
                    item_id=PROBE_ITEM,
                    round_=0,
                )
                ledger.sent(charge)
            try:
                answered = await self._endpoint.ask(body)
            except Fault as fault:
                if ledger is not None and charge is not None:
                    await (ledger.void(charge) if fault.billed is False else ledger.lose(charge))
                failed += 1
                await self._after_fault(fault, failed)
                continue
            usage = self._usage(answered, count)
            usd = price.cost(usage.input, usage.cached, usage.output)
            if ledger is not None and charge is not None:
                await ledger.writer.write(
                    ledger.settled(
                        charge,
                        usd,
                        input_tokens=usage.input,
                        cached_tokens=usage.cached,
                        output_tokens=usage.output,
                        answer=None,
                    )
                )
            if answered.starved and asker.allow_more_output(asker.output_tokens):
                continue
            if asker.abilities.structured and not asker.proven(answered):
                if not doubted:  # a single garbled answer proves nothing
                    doubted = True
                    continue
                asker.leave_out("structured")
            if asker.abilities.structured:
                return []
            return [
                Notice(
                    "info",
                    f"{self._endpoint.where} does not enforce a label set; answers are read "
                    "strictly instead.",
                )
            ]

    def _usage(self, answered: Answer, count: TokenRange) -> Usage:
        """The server's count where it can be true, else ours; what it adds is learned from it."""
        usage, most_input = answered.usage, count.high + MOST_HIDDEN
        visible = self._asker.output_tokens
        if usage is None or not usage.is_believable(most_input=most_input, most_visible=visible):
            return Usage(count.likely, 0, 8)
        self._asker.expect_input(usage, count)
        self._asker.expect_output(usage.output)
        return usage

    async def _after_fault(self, fault: Fault, failed: int) -> None:
        """Adapt or wait; raises when the endpoint cannot be asked at all."""
        if fault.error is not None:
            raise fault.error
        if fault.kind is FaultKind.UNSUPPORTED and failed < 4 * PROBE_ATTEMPTS:
            if self._asker.adapt(fault) or self._asker.simplify():
                return
        elif fault.kind is FaultKind.REJECTED and self._asker.simplify():
            return
        unreachable = fault.kind is FaultKind.UNREACHABLE and failed >= 3
        if not fault.worth_retrying or unreachable or failed >= PROBE_ATTEMPTS:
            raise EndpointError(
                f"{self._endpoint.where} cannot be asked: {fault.message}.",
                fault.hint or "Check that the server runs and that `--base-url` is right.",
            )
        await asyncio.sleep(self._patience.wait(failed, fault.retry_after, self._rng))
