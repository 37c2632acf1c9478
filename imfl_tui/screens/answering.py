"""What a person does to the item in view on Label: an answer, none, a mark, and taking any back."""

from __future__ import annotations

from collections import Counter

from imfl_engine.types import LabelEvent, Origin
from imfl_engine.views import QueueItem
from imfl_tui.queue import MARKS
from imfl_tui.screens.batch import WHOLE, BatchScreen


class AnsweringScreen(BatchScreen):
    """A screen on which the items of the batch are answered; a subclass shows them."""

    def __init__(self) -> None:
        super().__init__()
        self._opinions = False
        """Whether what model and LLM say is shown."""
        self._uses: Counter[str] = Counter()

    def show_item(self, *, rewind: bool = True) -> None:
        """Show the item as it is now; without ``rewind`` it stays scrolled where it was."""
        raise NotImplementedError

    async def action_give(self, label: str) -> None:
        """Give ``label`` to the item: on disk before the next one is shown."""
        item = self._batch.current
        if item is None:
            return
        seconds = self.stopwatch.seconds
        again = self._batch.given(item.item.item_id) is not None
        if not await self.done(
            lambda: self.project.label(item.item.item_id, label, seconds=seconds)
        ):
            return
        self._uses[label] += 1
        self._batch.answer(label, seconds)
        if not again:
            self._done += 1
        self._go_on(answered=True)

    async def action_skip(self) -> None:
        """Put the item at the end of the batch."""
        item = self._batch.current
        if item is None:
            return
        seconds = self.stopwatch.seconds
        if await self.done(lambda: self.project.skip(item.item.item_id, seconds=seconds)):
            self._batch.answer(None, seconds)
            self._go_on(answered=True)

    async def action_reject(self) -> None:
        """No label fits: the item leaves the training set."""
        item = self._batch.current
        if item is None:
            return
        seconds = self.stopwatch.seconds
        item_id = item.item.item_id
        if await self.done(
            lambda: self.project.reject(item_id, seconds=seconds, origin=Origin.BATCH)
        ):
            self._batch.answer("none fits", seconds)
            self._done += 1
            self._go_on(answered=True)

    async def action_suggested(self) -> None:
        """Accept what the LLM or the model says, once it can be seen; start what comes next."""
        item = self._batch.current
        if item is None:
            await self._start_next()
            return
        opinion = item.llm or item.model
        if not self._opinions:
            key = self.imfl.key_of("label.opinions")
            self.notify(f"Press {key} to see what model and LLM say first.", timeout=3)
        elif opinion is not None:
            await self.action_give(opinion.label)

    async def action_undo(self) -> None:
        """Take back the last action, also one of an earlier day."""
        event = await self.undo()
        if event is None:
            return
        if event.action in MARKS:
            await self._mark_undone(event)
            return
        given = self._batch.given(event.item_id) is not None
        if self._batch.recall(event.item_id):
            self._done -= 1 if given and self._batch.given(event.item_id) is None else 0
        else:
            items = await self.attempt(lambda: self.project.queue(limit=WHOLE))
            self._batch.replace(items or [], first=event.item_id)
            self._earlier = [e for e in self._earlier if e.event_id != event.event_id]
            self._set_progress_from_engine()
            current = self._batch.current
            if current is None or current.item.item_id != event.item_id:
                await self.tell_undone(event)
        self._go_on()

    async def _mark_undone(self, event: LabelEvent) -> None:
        """Show the marks the item has now; the item in view stays, whichever it is."""
        detail = await self.attempt(lambda: self.project.detail(event.item_id))
        if detail is not None and self._batch.mark(
            event.item_id, flagged=detail.flagged, comment=detail.comment
        ):
            self.show_item(rewind=False)
        else:
            await self.tell_undone(event)

    async def action_flag(self) -> None:
        """Mark the item, or take the mark away."""
        item = self._batch.current
        if item is None:
            return
        if await self.done(lambda: self.project.flag(item.item.item_id, not item.flagged)):
            self._change(item, flagged=not item.flagged)

    def action_note(self) -> None:
        """Write a comment on the item."""
        item = self._batch.current
        if item is not None:
            self.ask_note(
                item.item.item_id, item.comment, lambda note: self._change(item, note=note)
            )

    def action_pick(self) -> None:
        """Choose the label by name; the ones you use most come first."""
        if self._batch.current is not None:
            self.ask_label("Which label?", weights=self._uses)

    def _change(
        self, item: QueueItem, *, flagged: bool | None = None, note: str | None = None
    ) -> None:
        self._batch.mark(
            item.item.item_id,
            flagged=item.flagged if flagged is None else flagged,
            comment=item.comment if note is None else note,
        )
        self.show_item(rewind=False)
