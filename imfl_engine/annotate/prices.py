"""The prices of one annotator's requests: looked up once, and only when something is asked."""

from __future__ import annotations

import asyncio
from functools import cached_property

from imfl_engine.annotate.money import Price, find_price, unknown_price
from imfl_engine.settings import Annotator


class Prices:
    """What requests with these ``settings`` cost at ``base_url``.

    Every price is None where nobody has said it; the first look at one takes up to a second.
    """

    def __init__(self, settings: Annotator, base_url: str | None) -> None:
        self._settings = settings
        self._base_url = base_url

    @cached_property
    def usual(self) -> Price | None:
        """The price of most requests: that of batches where the settings want them."""
        return self.batched if self._settings.batch else self.single

    @cached_property
    def single(self) -> Price | None:
        """The price of a request by itself, which repairs have in any case."""
        return self._find(batch=False)

    @cached_property
    def batched(self) -> Price | None:
        """The price of a request in a batch."""
        return self._find(batch=True)

    async def need(self, *, batch: bool) -> Price:
        """The price of a request in a batch or by itself; raises `PriceUnknown` without one."""
        # The price table takes most of a second to import: not on the app's loop.
        price = await asyncio.to_thread(lambda: self.batched if batch else self.single)
        if price is None:
            raise unknown_price(self._settings.model, self._base_url)
        return price

    def _find(self, *, batch: bool) -> Price | None:
        settings = self._settings
        return find_price(
            settings.model,
            base_url=self._base_url,
            price_input=settings.price_input,
            price_output=settings.price_output,
            price_cached=settings.price_cached,
            batch=batch,
        )
