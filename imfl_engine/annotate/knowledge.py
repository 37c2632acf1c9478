"""What this process knows about its endpoint: asked once, kept in the store, asked again in doubt."""

from __future__ import annotations

import time
from collections.abc import Sequence

from imfl_engine.annotate.asking import Asker
from imfl_engine.annotate.facts import EndpointFacts
from imfl_engine.annotate.ledger import Ledger
from imfl_engine.annotate.ports import Learned, ReplyStore
from imfl_engine.annotate.probe import Probe
from imfl_engine.events import Notice


class Knowledge:
    """Fills the abilities of ``asker``, which speaks to ``model`` at the address ``where``."""

    def __init__(self, asker: Asker, *, where: str, model: str) -> None:
        self._asker = asker
        self._where = where
        self._model = model
        self._asked_at: float | None = None
        self._kept: EndpointFacts | None = None
        """What the store has."""

    @property
    def there(self) -> bool:
        """Whether it is known what the endpoint can do."""
        return self._asked_at is not None

    async def recall(self, store: ReplyStore) -> None:
        """Take over what an earlier process found out, unless it has become old."""
        if self.there:
            return
        facts = await store.facts(self._where, self._model)
        if facts is not None and facts.holds(time.time()):
            self._asker.take_over(facts)
            self._asked_at, self._kept = facts.asked_at, facts

    async def ask(self, probe: Probe, ledger: Ledger | None) -> list[Notice]:
        """Find out what the endpoint takes; what that costs is entered in ``ledger``."""
        notices = await probe.run(ledger)
        self._asked_at = time.time()
        if ledger is not None:
            await self.keep(ledger)
        return notices

    async def reconsider(self, probe: Probe, ledger: Ledger) -> Sequence[Notice]:
        """Ask again, where what was known has turned out wrong."""
        if not self._asker.doubted:
            return []
        self._forget()
        return await self.ask(probe, ledger)

    async def keep(self, ledger: Ledger) -> None:
        """Let the next process know; what is in doubt is not handed on."""
        if self._asker.doubted:
            self._forget()
        facts = self._asker.facts(self._asked_at or 0.0)
        if facts != self._kept and (self.there or self._kept is not None):
            self._kept = facts
            await ledger.writer.write(Learned(self._where, self._model, facts))

    def _forget(self) -> None:
        self._asked_at = None
        self._asker.forget()
