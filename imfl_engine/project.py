"""`Project`: the one object a caller holds. It delegates; the logic is in the packages beside it.

Reads return immutable snapshots (`imfl_engine.views`). Effects are on disk when they return. Jobs
are async iterators of `imfl_engine.events`; closing one cancels the job.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imfl_engine.creating import create_file, import_items
from imfl_engine.deciding import Decisions
from imfl_engine.events import Event, Progress
from imfl_engine.given_names import check_names
from imfl_engine.settings import Settings, check_frozen, replace_setting
from imfl_engine.store import (
    items,
    labels,
    replies,
    reports,
    rounds,
    search,
    selections,
    settings_log,
)
from imfl_engine.store.database import Database
from imfl_engine.types import Action, LabelEvent, Origin, Reply, Step, StepKind
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
    from imfl_engine.annotate.ports import Annotator, Learned
    from imfl_engine.compute.client import Compute
    from imfl_engine.data.guess import Columns
    from imfl_engine.data.labels import LabelImportReport
    from imfl_engine.data.reading import Source
    from imfl_engine.loop.context import LoopContext
    from imfl_engine.loop.runner import Loop

Files = Sequence[str | Path]


def files_folder(path: Path) -> Path:
    """Return the folder beside a project file that holds its models and job files."""
    return path.with_name(path.name + ".files")


class Project:
    """An open project. Make one with `open` or `create`; always `close` it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._context: LoopContext | None = None
        self._loop: Loop | None = None
        self._shares_compute = False
        self._annotator_of: Callable[[LoopContext], Annotator] | None = None
        self.person = os.environ.get("USER") or "expert"
        self._decisions = Decisions(database, self.person)

    @property
    def path(self) -> Path:
        """The project file."""
        return self._database.path

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self._settings

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

    # What a project is made of; built on first use, so that opening one stays instant.

    @property
    def context(self) -> LoopContext:
        """What the loop works with."""
        if self._context is None:
            from imfl_engine.compute.client import Compute
            from imfl_engine.loop.annotators import annotator_for
            from imfl_engine.loop.context import LoopContext

            folder = files_folder(self.path)
            self._context = LoopContext(
                database=self._database,
                settings=self._settings,
                compute=Compute(
                    folder,
                    device=self._settings.training.device,
                    ray=self._settings.training.ray,
                ),
                files=folder,
                annotator_of=self._annotator_of or annotator_for,
                person=self.person,
            )
        return self._context

    @property
    def loop(self) -> Loop:
        """The state machine over this project."""
        if self._loop is None:
            from imfl_engine.loop.runner import Loop

            self._loop = Loop(self.context)
        return self._loop

    @property
    def compute(self) -> Compute:
        """The compute process."""
        return self.context.compute

    def use(
        self,
        *,
        compute: Compute | None = None,
        annotator_of: Callable[[LoopContext], Annotator] | None = None,
    ) -> None:
        """Replace parts before first use: another annotator, or a compute process that stays open."""
        self._annotator_of = annotator_of or self._annotator_of
        if compute is not None:
            self.context.compute = compute
            self._shares_compute = True

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

    async def remember(self, learned: Sequence[Learned]) -> None:
        """Keep what was found out about endpoints before there was a project."""
        from imfl_engine.store.replies import DuckReplyStore

        await DuckReplyStore(self._database).write(learned)

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

    async def history(self, limit: int = 20) -> list[LabelEvent]:
        """Return the person's live events, newest first."""
        return await self._database.read(lambda con: labels.history(con, limit=limit))

    # Effects

    async def label(
        self,
        item_id: int,
        label: str,
        *,
        seconds: float | None = None,
        origin: Origin = Origin.BATCH,
    ) -> LabelEvent:
        """Give an item a label. Raises `UsageError` for a label its schema does not have.

        A test item is refused: it would be trained on.
        """
        names = self._settings.task.label_names
        return await self._decisions.label(item_id, label, names, seconds=seconds, origin=origin)

    async def origin_of(self, item_id: int) -> Origin:
        """Return what a decision about an item is made in, where no screen says so."""
        selected, newest, by_llm = await self._database.read(
            lambda con: (
                selections.of_item(con, item_id),
                rounds.newest_round(con),
                reports.has_llm_label(con, item_id),
            )
        )
        if selected is not None and (selected.round, selected.role) == (newest, "human"):
            return Origin.BATCH
        return Origin.REVIEW if by_llm else Origin.EXPLORE

    async def skip(
        self, item_id: int, *, seconds: float | None = None, origin: Origin = Origin.BATCH
    ) -> LabelEvent:
        """Leave an item out of the batch; it costs no label and its place goes to a later round."""
        return await self._decisions.decide(item_id, Action.SKIP, seconds=seconds, origin=origin)

    async def flag(self, item_id: int, on: bool = True) -> LabelEvent:
        """Mark an item, or take the mark away."""
        return await self._decisions.decide(item_id, Action.FLAG if on else Action.UNFLAG)

    async def note(self, item_id: int, text: str) -> LabelEvent:
        """Write a comment on an item, replacing the one before."""
        return await self._decisions.decide(item_id, Action.NOTE, comment=text)

    async def accept(self, item_id: int, *, seconds: float | None = None) -> LabelEvent:
        """Keep the LLM's label after looking at it. Raises `UsageError` where there is none."""
        return await self._decisions.accept(item_id, seconds=seconds)

    async def reject(
        self, item_id: int, *, seconds: float | None = None, origin: Origin = Origin.REVIEW
    ) -> LabelEvent:
        """Take an item out of the training set and the export."""
        return await self._decisions.decide(item_id, Action.REJECT, seconds=seconds, origin=origin)

    async def accept_below(self, risk: float) -> int:
        """Keep, unseen, every unreviewed LLM label below ``risk``; one `undo` takes all back."""
        return await self._decisions.accept_below(risk)

    async def count_below(self, risk: float) -> int:
        """Return how many labels `accept_below` would keep."""
        return len(await self._database.read(lambda con: reports.unreviewed_below(con, risk)))

    async def replies(self, limit: int = 200) -> list[Reply]:
        """Return the newest replies of the annotator, newest first."""
        return await self._database.read(lambda con: replies.newest(con, limit))

    async def texts(self, item_ids: Sequence[int]) -> dict[int, str]:
        """Return the texts of items by id."""
        found = await self._database.read(lambda con: items.by_ids(con, list(item_ids)))
        return {item.item_id: item.text for item in found}

    def pause(self, on: bool) -> None:
        """Send no new requests to the annotator while ``on``; those in flight end."""
        if on:
            self.context.annotator.pause()
        else:
            self.context.annotator.resume()

    async def undo(self) -> LabelEvent | None:
        """Take back the last decision, however long ago; None when there is nothing left."""
        return await self._decisions.undo()

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

    # Jobs

    async def advance(
        self,
        *,
        until: StepKind | None = None,
        gold: bool = False,
        rounds: int | None = None,
        may: Callable[[Step], bool] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Do every step that needs no person; see `Loop.advance`."""
        steps = self.loop.advance(until=until, gold=gold, rounds=rounds, may=may)
        async with aclosing(steps) as events:
            async for event in events:
                yield event

    async def prefetch(self) -> AsyncGenerator[Event, None]:
        """Embed what the next steps will need, while the person labels."""
        async with aclosing(self.loop.prefetch()) as events:
            async for event in events:
                yield event

    async def import_items(self, sources: Sequence[Source]) -> ImportReport:
        """Add items; all or nothing."""
        return await import_items(self._database, self._settings, sources)

    async def import_labels(
        self, paths: Sequence[Path], *, encoding: str | None = None, columns: Columns | None = None
    ) -> list[LabelImportReport]:
        """Add labels made in another tool, in an earlier export, or in a column of a plain file.

        All files or none; ``columns`` are those of the plain ones.
        """
        from imfl_engine.importing import import_labels

        return await import_labels(self.context, paths, encoding, columns)

    async def export(
        self, destination: Path, format: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Write the annotated set; the destination is complete or untouched."""
        from imfl_engine.exporting import export

        async with aclosing(export(self.loop, destination, format)) as events:
            async for event in events:
                yield event

    async def predict(self, source: Source, destination: Path) -> AsyncGenerator[Event, None]:
        """Label new items with the newest model, streaming from file to file."""
        from imfl_engine.applying import predict_file

        async with aclosing(predict_file(self.context, source, destination)) as events:
            async for event in events:
                yield event

    async def evaluate_on(
        self, source: Source, tell: Callable[[Progress], object] = lambda progress: None
    ) -> Evaluation:
        """Measure the newest model on a labelled file, without keeping the file.

        ``tell`` is called with how far it is.
        """
        from imfl_engine.applying import evaluate_file

        return await evaluate_file(self.context, source, tell)

    async def save_model(self, folder: Path) -> str:
        """Save the newest model for other software; returns what loads it."""
        from imfl_engine.applying import save_model

        return await save_model(self.loop, folder)
