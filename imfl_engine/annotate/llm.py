"""``openai:MODEL``: any OpenAI-compatible endpoint as an annotator."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from imfl_engine.annotate.asking import Asker
from imfl_engine.annotate.batch import BatchRun
from imfl_engine.annotate.batch_jobs import BatchJobs
from imfl_engine.annotate.batch_results import Asked, asked
from imfl_engine.annotate.endpoint import Endpoint
from imfl_engine.annotate.estimate import estimate_cost
from imfl_engine.annotate.item import ItemAsker
from imfl_engine.annotate.knowledge import Knowledge
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.limits import Gate, Patience
from imfl_engine.annotate.money import Price
from imfl_engine.annotate.ports import ReplyStore
from imfl_engine.annotate.prices import Prices
from imfl_engine.annotate.probe import Probe
from imfl_engine.annotate.prompts import fixed_part, prompt_hash
from imfl_engine.annotate.run import Run, anything_new
from imfl_engine.events import Annotated, Notice, Progress
from imfl_engine.settings import Annotator as AnnotatorSettings
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest
from imfl_engine.views import CostEstimate


class EndpointAnnotator:
    """Labels items with a language model behind an OpenAI-compatible endpoint."""

    def __init__(
        self,
        task: Task,
        settings: AnnotatorSettings,
        *,
        key: str,
        base_url: str | None,
        patience: Patience | None = None,
        seed: int | None = None,
        poll: float | None = None,
    ) -> None:
        self._task = task
        self._settings = settings
        self._patience = patience or Patience()
        self._rng = random.Random(seed)
        self._poll = poll
        self._endpoint = Endpoint(
            base_url=base_url,
            key=key,
            key_name=settings.key_name,
            timeout=settings.timeout_seconds,
            width=settings.concurrency,
        )
        self._asker = Asker(settings, base_url)
        self._gate = Gate(
            settings.concurrency,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        self._prices = Prices(settings, base_url)
        self._knowledge = Knowledge(self._asker, where=self._endpoint.where, model=settings.model)
        self._planned_output = self._asker.output_tokens
        self._outputs = [0, 0]  # answers seen, their output tokens
        self._question = fixed_part(task, settings, base_url)

    @property
    def name(self) -> str:
        """The annotator's spec."""
        return self._settings.spec

    @property
    def shots(self) -> int | None:
        """As many demonstrations as the settings say."""
        return None

    @property
    def free(self) -> bool:
        """Every question is paid for, if only in a server's time."""
        return False

    @property
    def structured(self) -> bool | None:
        """Whether the endpoint enforces the label set; None while that is unknown."""
        return self._asker.abilities.structured if self._knowledge.there else None

    async def check(
        self, store: ReplyStore | None = None, *, limit_usd: float | None = None
    ) -> Sequence[Notice]:
        """See `ports.Annotator.check`: one short question, unless the store knows the answer."""
        await self._need_price()
        if self._knowledge.there:
            return []
        probe = await self._probe()
        # A dead address or a wrong key is found out before anything is entered in the books.
        await probe.knock()
        if store is None:
            return await self._knowledge.ask(probe, None)
        await self._knowledge.recall(store)
        if self._knowledge.there:
            return []
        ledger = Ledger(store, limit_usd)
        await ledger.open()
        try:
            return await self._knowledge.ask(probe, ledger)
        finally:
            await ledger.close()

    async def recall(self, store: ReplyStore) -> None:
        """See `ports.Annotator.recall`."""
        await self._knowledge.recall(store)

    def estimate(
        self, requests: Sequence[AnnotationRequest], *, calls: int | None = None
    ) -> CostEstimate:
        """See `ports.Annotator.estimate`. Looks up the price (up to a second, the first time)."""
        price = self._prices.usual
        if price is not None:
            self._asker.state_window(price.context_tokens)
        return estimate_cost(
            self._task,
            requests,
            self._asker,
            price,
            repair_price=self._prices.single,
            calls=calls,
            thinks=self._asker.output_tokens > self._settings.max_output_tokens,
        )

    async def annotate(
        self,
        requests: Sequence[AnnotationRequest],
        store: ReplyStore,
        *,
        limit_usd: float | None = None,
    ) -> AsyncGenerator[Annotated | Notice | Progress, None]:
        """See `ports.Annotator.annotate`."""
        price = await self._need_price()
        if not requests:
            return
        single = await self._prices.need(batch=False)
        ledger = Ledger(store, limit_usd)
        await ledger.open()
        run: Run | None = None
        try:
            await self._knowledge.recall(store)
            if not self._knowledge.there and await anything_new(requests, store, self.hash_of):
                for notice in await self._knowledge.ask(await self._probe(), ledger):
                    yield notice
            if (thinking := self._told_of_thinking(requests)) is not None:
                yield thinking
            bought_as: dict[Asked, str] = {}

            def live(requests: Sequence[AnnotationRequest]) -> Run:
                return Run(
                    requests,
                    item_asker=self._item_asker(ledger, single),
                    store=store,
                    ledger=ledger,
                    gate=self._gate,
                    concurrency=self._settings.concurrency,
                    hash_of=lambda request: bought_as.get(asked(request)) or self.hash_of(request),
                )

            if self._settings.batch:
                batch = BatchRun(
                    requests,
                    item_asker=self._item_asker(ledger, price),
                    store=store,
                    ledger=ledger,
                    gate=self._gate,
                    name=self.name,
                    hash_of=self.hash_of,
                    live=live,
                    reconsider=partial(self._knowledge.reconsider, await self._probe(), ledger),
                    poll=self._poll,
                )
                async with aclosing(batch.events()) as events:
                    async for news in events:
                        yield news
                return
            async for news in self._recall_batches(requests, store, ledger, bought_as):
                yield news
            run = live(requests)
            async for event in run.events():
                yield event
        finally:
            if run is not None:
                await run.close()
            await ledger.close()
            await self._knowledge.keep(ledger)

    def hash_of(self, request: AnnotationRequest) -> str:
        """The prompt hash of a request: what was bought under it is never bought again."""
        shown = [
            [d.item.text, d.item.context, list(d.item.options), d.label]
            for d in request.demonstrations
        ]
        return prompt_hash({"question": self._question, "shown": shown}, request.item)

    def pause(self) -> None:
        """See `ports.Annotator.pause`."""
        self._gate.pause(True)

    def resume(self) -> None:
        """See `ports.Annotator.resume`."""
        self._gate.pause(False)

    async def close(self) -> None:
        """See `ports.Annotator.close`."""
        await self._endpoint.close()

    async def _recall_batches(
        self,
        requests: Sequence[AnnotationRequest],
        store: ReplyStore,
        ledger: Ledger,
        bought_as: dict[Asked, str],
    ) -> AsyncGenerator[Notice | Progress, None]:
        """Stop batches that an earlier run with ``batch`` left, and keep what they brought.

        Their items would be bought twice otherwise; ``bought_as`` is told under which hash they were.
        """
        if not any(job.annotator == self.name for job in await store.batches()):
            return
        price = await self._prices.need(batch=True)
        jobs = BatchJobs(
            {self.hash_of(request): request for request in requests},
            item_asker=self._item_asker(ledger, price),
            store=store,
            ledger=ledger,
            name=self.name,
            poll=self._poll,
        )
        yield Notice("info", "A batch is under way: it is stopped, and what it brought is kept.")
        async for event in jobs.recall():
            yield event
        bought_as.update(jobs.results.bought_as)

    def _told_of_thinking(self, requests: Sequence[AnnotationRequest]) -> Notice | None:
        """Say once that the model thinks, where that was not known when the price was told."""
        tokens = self._asker.output_tokens
        if tokens <= self._planned_output:
            return None
        self._planned_output = tokens
        cost = self.estimate(requests)
        price = ""
        if cost.money_low is not None and cost.money_high is not None:
            price = f" This run may cost ${cost.money_low:.2f} to ${cost.money_high:.2f}."
        return Notice(
            "warning",
            f"{self._settings.model} thinks before it answers, which is paid for: up to {tokens:,} "
            f"output tokens a label.{price}",
            "The limit in budget.money_usd holds; a model that does not think costs less.",
        )

    def _item_asker(self, ledger: Ledger, price: Price) -> ItemAsker:
        return ItemAsker(
            task=self._task,
            name=self.name,
            endpoint=self._endpoint,
            asker=self._asker,
            price=price,
            ledger=ledger,
            gate=self._gate,
            patience=self._patience,
            rng=self._rng,
        )

    async def _need_price(self) -> Price:
        price = await self._prices.need(batch=self._settings.batch)
        self._asker.state_window(price.context_tokens)
        return price

    async def _probe(self) -> Probe:
        price = await self._prices.need(batch=False)
        return Probe(self._endpoint, self._asker, self._patience, self._rng, price)
