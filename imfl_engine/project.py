"""`Project`: the one object a caller holds. It delegates; the logic is in the packages beside it.

Reads return immutable snapshots (`imfl_engine.views`). Effects are on disk when they return. Jobs
are async iterators of `imfl_engine.events`; closing one cancels the job.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imfl_engine.creating import create_file
from imfl_engine.events import Event
from imfl_engine.given_names import check_names
from imfl_engine.project_decisions import ProjectDecisions
from imfl_engine.project_jobs import ProjectJobs
from imfl_engine.settings import Settings, check_frozen, replace_setting
from imfl_engine.store import (
    items,
    labels,
    replies,
    rounds,
    search,
    settings_log,
)
from imfl_engine.store.database import Database
from imfl_engine.types import Action, LabelEvent, Reply, StepKind
from imfl_engine.views import (
    CostEstimate,
    Evaluation,
    ImportReport,
    ItemDetail,
    ItemFilter,
    ItemRow,
    QueueItem,
    ReviewPage,
    SimilarItem,
    Status,
)

if TYPE_CHECKING:
    from imfl_engine.annotate.ports import Learned
    from imfl_engine.data.reading import Source


class Project(ProjectDecisions, ProjectJobs):
    """An open project. Make one with `open` or `create`; always `close` it."""

    @classmethod
    async def open(cls, path: Path) -> Project:
        """Open a project. Raises as `Database.open` does, with nothing changed."""
        return cls.open_now(path)

    @classmethod
    def open_now(cls, path: Path) -> Project:
        """Do what `open` does without an event loop, before there is a screen."""
        database = Database.open(path)
        try:
            settings = database.read_now(settings_log.newest)
        except BaseException:
            database.close()
            raise
        return cls(database, settings)

    @classmethod
    async def create(
        cls, path: Path, settings: Settings, sources: Sequence[Source] = ()
    ) -> tuple[Project, ImportReport]:
        """Create a project and import ``sources`` into it; all or nothing."""
        report = await create_file(path, settings, sources)
        return cls.open_now(path), report

    async def close(self) -> None:
        """End the compute process and the annotator, and release the file."""
        if self._context is not None:
            await self._context.forget_annotator()
            if not self._shares_compute:
                await self._context.compute.close()
        self._database.close()

    # Reads

    async def status(self) -> Status:
        """Return everything Home shows."""
        from imfl_engine.overview import read_status

        return await read_status(self.loop)

    async def estimate(self) -> CostEstimate:
        """Return what the next round with the LLM will cost; needs no key."""
        from imfl_engine.planning import estimate_next_round

        return await estimate_next_round(self.loop)

    async def estimate_rest(self) -> CostEstimate:
        """Return what all of the plan that is left will cost; needs no key."""
        from imfl_engine.planning import estimate_rest

        return await estimate_rest(self.loop)

    async def will_annotate(
        self, *, until: StepKind | None = None, gold: bool = False, rounds: int | None = None
    ) -> bool:
        """Return whether `advance`, called with the same words, comes to asking the annotator."""
        from imfl_engine.loop.lookahead import will_annotate

        loop = self.loop
        state = await loop.state()
        return will_annotate(state, loop.plan(), until=until, gold=gold, rounds=rounds)

    async def check_annotator(self) -> Sequence[Event]:
        """See whether the annotator can be asked; raises `AnnotatorError` with nothing changed."""
        from imfl_engine.store.replies import DuckReplyStore

        limit = self._settings.budget.money_usd
        return await self.context.annotator.check(DuckReplyStore(self._database), limit_usd=limit)

    async def queue(self, limit: int = 20) -> list[QueueItem]:
        """Return the open items of the human batch in order, skipped ones last.

        When the last round is over: what the LLM gave no label for.
        """
        from imfl_engine.browse import read_queue

        queue = await read_queue(self.loop, limit)
        self._decisions.remember(one.item for one in queue)
        return queue

    async def review(
        self, offset: int = 0, limit: int = 50, order: Literal["risk", "round"] = "risk"
    ) -> ReviewPage:
        """Return a page of the LLM's labels, riskiest first."""
        from imfl_engine.browse import read_review

        return await read_review(self.context, offset, limit, order)

    async def detail(self, item_id: int) -> ItemDetail:
        """Return everything known about an item."""
        from imfl_engine.browse import read_detail

        return await read_detail(self.context, item_id)

    async def similar(self, item_id: int, k: int = 5) -> list[SimilarItem]:
        """Return the nearest human-labelled items; empty while the item has no embedding."""
        from imfl_engine.browse import read_similar

        return await read_similar(self.context, item_id, k)

    async def find(self, word: str) -> int | None:
        """Return the id of the item a person calls ``word``: its key, or else its number."""
        return await self._database.read(lambda con: items.find(con, word))

    async def search(self, wanted: ItemFilter, after: int = 0, limit: int = 100) -> list[ItemRow]:
        """Return the matching pool items whose ids follow ``after``."""
        names = self._settings.task.label_names
        return await self._database.read(
            lambda con: search.page(con, wanted, labels=names, after=after, limit=limit)
        )

    async def count(self, wanted: ItemFilter) -> int:
        """Return how many pool items match."""
        names = self._settings.task.label_names
        return await self._database.read(lambda con: search.count(con, wanted, labels=names))

    async def evaluation(self, round: int | None = None) -> Evaluation | None:
        """Return how good the model of a round (the newest measured one) is."""
        from imfl_engine.browse import read_evaluation

        return await read_evaluation(self.context, round)

    async def history(self, limit: int = 20, *, of: Collection[Action] = ()) -> list[LabelEvent]:
        """Return the person's live events, newest first; all, or those ``of`` some kinds."""
        return await self._database.read(lambda con: labels.history(con, limit=limit, of=of))

    async def replies(self, limit: int = 200) -> list[Reply]:
        """Return the newest replies of the annotator, newest first."""
        return await self._database.read(lambda con: replies.newest(con, limit))

    async def texts(self, item_ids: Sequence[int]) -> dict[int, str]:
        """Return the texts of items by id."""
        found = await self._database.read(lambda con: items.by_ids(con, list(item_ids)))
        return {item.item_id: item.text for item in found}

    # Effects

    async def remember(self, learned: Sequence[Learned]) -> None:
        """Keep what was found out about endpoints before there was a project."""
        from imfl_engine.store.replies import DuckReplyStore

        await DuckReplyStore(self._database).write(learned)

    def pause(self, on: bool) -> None:
        """Send no new requests to the annotator while ``on``; those in flight end."""
        if on:
            self.context.annotator.pause()
        else:
            self.context.annotator.resume()

    async def configure(self, path: str, value: Any) -> None:
        """Change one setting.

        Raises `SettingsError` for a value that cannot work, and for what would change the meaning of
        labels.
        """
        changed = replace_setting(self._settings, path, value)
        labelled = bool(await self.history(limit=1))
        begun = bool(await self._database.read(rounds.opened))
        check_frozen(self._settings, changed, path, labelled=labelled, begun=begun)
        check_names(changed, self._settings)
        await self._database.write(lambda con: settings_log.append(con, changed))
        self._settings = changed
        if self._context is not None:
            self._context.settings = changed
            if path.startswith(("annotator.", "task.", "retrieval.")):
                await self._context.forget_annotator()
