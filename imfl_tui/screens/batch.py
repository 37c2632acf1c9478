"""The person's batch on a screen: fetched ahead, counted, and what happens between two batches."""

from __future__ import annotations

from functools import partial

from imfl_engine.types import Action, LabelEvent, StepKind
from imfl_engine.views import Status
from imfl_tui.jobs import Jobs
from imfl_tui.lines.label import LAST, end_lines
from imfl_tui.lines.price import price_words
from imfl_tui.lines.progress import progress_line
from imfl_tui.queue import Batch
from imfl_tui.screens.labelling import LabellingScreen
from imfl_tui.spans import line
from imfl_tui.widgets.header import Place
from imfl_tui.widgets.item import ItemPane
from imfl_tui.widgets.labels import Labels

FETCH = 60
WHOLE = 1_000
"""Items asked for where all that are open matter; a batch is hardly ever larger."""


class BatchScreen(LabellingScreen):
    """A screen that walks through the batch; a subclass shows the item whose turn it is."""

    def __init__(self) -> None:
        super().__init__()
        self._batch = Batch()
        self._done = 0
        self._total = 0
        self._fetching = False
        self._fetch_again = False
        self._wrapping_up = False
        self._ended = False
        self._may_be_over = False
        """Whether an answer was given that may have been the last there are minutes for."""
        self._earlier: list[LabelEvent] = []
        """The newest answers the project holds; shown until one is given here."""

    def show_current(self) -> None:
        """Show the item whose turn it is."""
        raise NotImplementedError

    def place(self) -> Place:
        """Round, how far, how long still."""
        status = self.imfl.status
        number = self._batch.current.round if self._batch.current else None
        if number is None:
            number = status.step.round if status else 0
        done, total = self._done, self._total
        if not total:
            return f"label · round {max(number, 1)}"
        seconds = self._batch.seconds_left(max(total - done, 0))
        return lambda room: progress_line(done, total, number, seconds, room)

    # ------------------------------------------------------------------ fetching

    def _go_on(self, *, answered: bool = False) -> None:
        """Go to the next item; an answer may have spent the last of the person's minutes."""
        timed = answered and self.project.settings.budget.minutes is not None
        self._may_be_over = self._may_be_over or timed
        if self._batch.is_low or timed:
            self.beside("queue", self._fetch, exclusive=False)
        self.show_current()

    async def _reload(self) -> None:
        if self._fetching:
            return
        self._fetching = True
        # Back from another screen, on which items of the batch may have been answered or undone.
        limit = WHOLE if self._batch.answers or self._batch.current else FETCH
        items = await self.attempt(lambda: self.project.queue(limit=limit))
        answers = (Action.LABEL, Action.SKIP)
        history = await self.attempt(lambda: self.project.history(limit=LAST, of=answers))
        self._earlier = history or []
        self._fetching = False
        if items is not None:
            self._batch.reconcile(items, complete=len(items) < limit)
            if self._batch.current is None:
                self._batch.add(items)
        self.show_current()

    async def _fetch(self) -> None:
        """Fetch more of the batch beside the person's work; at its end, go on with the round.

        An answer given while a fetch is under way asks for another one: the last item of a batch
        may be answered before the fetch it began has ended.
        """
        if self._fetching:
            self._fetch_again = True
            return
        self._fetching, self._fetch_again = True, True
        empty = False
        while self._fetch_again:
            self._fetch_again = False
            may_be_over, self._may_be_over = self._may_be_over, False
            limit = FETCH * 2 if self._batch.is_low else 1
            items = await self.attempt(partial(self.project.queue, limit=limit))
            empty = empty or self._batch.current is None
            if items == [] and may_be_over:
                self._batch.replace([])
                empty = True
            self._batch.add(items or [])
        self._fetching = False
        if self._batch.current is None:
            await self._close_batch()
        if empty:
            self.show_current()

    async def _close_batch(self) -> None:
        """Everything is answered: do what needs no person, if it costs nothing."""
        self._wrapping_up = True
        self._show_end()
        await self.imfl.refresh_status()
        self._wrapping_up = False
        self._set_progress()
        status = self.imfl.status
        if status is not None and self.imfl.is_free_to_go_on(status):
            self.imfl.start_rounds()

    def _set_progress(self) -> None:
        status = self.imfl.status
        if status is not None and status.step.kind is StepKind.LABEL:
            self._done, self._total = status.step.done, status.step.total
        elif status is not None and status.offered:
            self._done = status.offered_total - status.offered
            self._total = status.offered_total
        elif status is not None:
            self._done = self._total

    def _set_progress_from_engine(self) -> None:
        async def fetch() -> None:
            counted: int | None = None
            while counted != self._done:  # what is answered meanwhile may be in it or not
                counted = self._done
                await self.imfl.refresh_status()
            self._set_progress()
            self.show_header()

        self.beside("progress", fetch)

    # ------------------------------------------------------------------ between batches

    def jobs_changed(self, jobs: Jobs) -> None:
        """While there is nothing to label, show what is happening instead."""
        if self._batch.current is None and not self._fetching:
            self._show_end()

    def status_changed(self, status: Status) -> None:
        """A new batch may be ready, or the first figures have come."""
        if status.step.kind is StepKind.LABEL and status.step.total != self._total:
            self._set_progress()
            self.show_header()
        if self._batch.current is None and not self._fetching:
            self._show_end()

    def _show_end(self) -> None:
        status = self.imfl.status
        if status is None:
            return
        self._has_ended(True)
        self.query_one(Labels).show(())
        self.query_one(ItemPane).show_words(
            [line(""), line(("  ▸ ", "accent"), ("one moment", "dim"))]
            if self._wrapping_up
            else end_lines(status, self.imfl.jobs, self._price(), self._batch.answers)
        )

    def _has_ended(self, ended: bool) -> None:
        if ended != self._ended:
            self._ended = ended
            self.refresh_bindings()

    def _price(self) -> str:
        estimate = self.imfl.estimate
        if estimate is None or not self.imfl.costs_money():
            return ""
        return price_words(estimate)

    async def _start_next(self) -> None:
        status = self.imfl.status
        if status is None:
            return
        finished = status.step.kind is StepKind.FINISHED
        if status.step.kind is StepKind.LABEL or (finished and status.offered):
            self._batch = Batch()
            self._set_progress()
            await self._reload()
        elif finished:
            await self.imfl.action_go("export")
        else:
            self.imfl.start_rounds()
