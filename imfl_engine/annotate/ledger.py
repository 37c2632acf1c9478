"""Who may spend what: the decision in memory, its record in the store.

The hard stop is an inequality that holds at every moment: spent + reserved + lost <= limit. A
request is only sent once the most it can cost is reserved; a reservation that does not fit waits
for others to be settled below what they reserved, and is refused when there are none left.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence

from imfl_engine.annotate.ports import (
    Balance,
    Change,
    Lost,
    ReplyStore,
    Reserved,
    Settled,
    Voided,
)
from imfl_engine.errors import BudgetReached

LINGER = 0.002
"""Seconds that a group of charges waits for more: a transaction costs as much for one as for 30."""
REPLIES_LINGER = 0.05
"""The same for replies, which are wide and hold up nothing."""
TOLERANCE = 1e-12
"""US dollars; absorbs the rounding of long sums."""


class GroupWriter:
    """Writes changes to the store in groups: what arrives during a write goes into the next.

    ``nothing_follows`` says that no more is to come for now, so that waiting for it is idle.
    """

    def __init__(
        self,
        store: ReplyStore,
        linger: float,
        nothing_follows: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._linger = linger
        self._nothing_follows = nothing_follows
        self._hurry = asyncio.Event()
        self._waiting: list[tuple[Sequence[Change], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, *changes: Change) -> None:
        """Return when ``changes`` are durable. Cancelling the caller does not take them back."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue(changes, done)
        await done

    def write_later(self, *changes: Change) -> None:
        """Queue ``changes`` behind the others; `drain` waits for them."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._queue(changes, done)

    def _queue(self, changes: Sequence[Change], done: asyncio.Future[None]) -> None:
        self._waiting.append((changes, done))
        if self._nothing_follows():
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def drain(self) -> None:
        """Wait until nothing is queued."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._linger)
            self._hurry.clear()
            group, self._waiting = self._waiting, []
            try:
                await self._store.write([change for changes, _ in group for change in changes])
            except Exception as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)


class Ledger:
    """The money of one run. Open it with `open`, leave it with `close`."""

    def __init__(self, store: ReplyStore, limit_usd: float | None) -> None:
        self.writer = GroupWriter(store, LINGER)
        self.replies = GroupWriter(store, REPLIES_LINGER, lambda: not self._open)
        self.limit = limit_usd
        self._store = store
        self._spent = 0.0
        self._lost = 0.0
        self._before = 0.0
        self._open: dict[str, float] = {}
        self._sent: set[str] = set()
        self._freed = asyncio.Event()

    async def open(self) -> None:
        """Take over what earlier runs left: their open reservations become lost."""
        balance = await self._store.recover()
        self._spent, self._lost = balance.spent, balance.lost
        # What is still reserved belongs to batches at the provider.
        self._before = balance.reserved

    @property
    def balance(self) -> Balance:
        """The project's money now."""
        return Balance(self._spent, self._before + sum(self._open.values()), self._lost)

    def fits(self, usd: float) -> bool:
        """Whether ``usd`` more can be reserved without crossing the limit."""
        return self.limit is None or self.balance.committed + usd <= self.limit + TOLERANCE

    async def reserve(self, usd: float, *, prompt_hash: str, item_id: int, round_: int) -> str:
        """Reserve ``usd`` durably and return the charge's id.

        Waits while settling other requests could make room; raises `BudgetReached` when it cannot.
        """
        charge_id = self.hold(usd)
        while charge_id is None:
            if not self._open:
                raise self.stop(usd)
            self._freed.clear()
            await self._freed.wait()
            charge_id = self.hold(usd)
        await self.writer.write(Reserved(charge_id, prompt_hash, item_id, round_, usd))
        return charge_id

    def hold(self, usd: float) -> str | None:
        """Reserve in memory only, for a caller that writes `Reserved` itself; None if too much."""
        if not self.fits(usd):
            return None
        charge_id = uuid.uuid4().hex
        self._open[charge_id] = usd
        return charge_id

    def stop(self, usd: float) -> BudgetReached:
        """The error that ends a run: says what is spent and what the next request would need."""
        balance = self.balance
        parts = [f"${balance.spent:.4f} spent"]
        if balance.reserved > 0:
            parts.append(f"${balance.reserved:.4f} reserved")
        if balance.lost > 0:
            parts.append(f"${balance.lost:.4f} possibly billed for answers that never came")
        return BudgetReached(
            f"The money limit of {dollars(self.limit or 0.0)} is reached: {', '.join(parts)}; "
            f"the next request could cost up to ${usd:.4f}.",
            "The loop goes on with the labels there are; `imfl-tui config PROJECT.db "
            "budget.money_usd AMOUNT` raises the limit for the rounds after it.",
        )

    def sent(self, charge_id: str) -> None:
        """From now on the charge may be billed, whatever happens to us."""
        self._sent.add(charge_id)

    def settled(
        self,
        charge_id: str,
        usd: float,
        *,
        input_tokens: int,
        cached_tokens: int,
        output_tokens: int,
        answer: str | None,
    ) -> Settled:
        """Reconcile a charge in memory; the caller writes the returned change."""
        self._close(charge_id)
        self._spent += usd
        return Settled(charge_id, usd, input_tokens, cached_tokens, output_tokens, answer)

    async def void(self, charge_id: str) -> None:
        """The charge was certainly not billed."""
        if self._close(charge_id) is not None:
            await self.writer.write(Voided(charge_id))

    async def lose(self, charge_id: str) -> None:
        """The charge may have been billed; keep counting it."""
        usd = self._close(charge_id)
        if usd is not None:
            self._lost += usd
            await self.writer.write(Lost(charge_id))

    async def hand_over(self, charge_ids: Sequence[str]) -> None:
        """Leave open charges to the store: they belong to a batch and outlive this run."""
        for charge_id in charge_ids:
            self._close(charge_id)
        await self.refresh()

    async def refresh(self) -> None:
        """Take the sums from the store, for charges that this ledger does not hold itself."""
        await self.writer.drain()
        balance = await self._store.balance()
        self._spent, self._lost = balance.spent, balance.lost
        self._before = balance.reserved - sum(self._open.values())

    async def close(self) -> None:
        """Write off what was cut short, and wait for the disk."""
        for charge_id, usd in list(self._open.items()):
            sent = charge_id in self._sent
            self._close(charge_id)
            self._lost += usd if sent else 0.0
            self.writer.write_later(Lost(charge_id) if sent else Voided(charge_id))
        await self.writer.drain()
        await self.replies.drain()

    def _close(self, charge_id: str) -> float | None:
        usd = self._open.pop(charge_id, None)
        self._sent.discard(charge_id)
        self._freed.set()
        return usd


def dollars(usd: float) -> str:
    """US dollars in cents, or with four digits where cents do not say it."""
    return f"${usd:.2f}" if abs(usd - round(usd, 2)) < 5e-5 else f"${usd:.4f}"
