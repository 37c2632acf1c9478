"""The person's batch as the Label screen walks through it: what is next, what was, what comes back.

Plain values without a screen: items wait in order, answered ones can be visited again, and an
undone one comes back to the front.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from imfl_engine.types import Action
from imfl_engine.views import QueueItem

LOW_WATER = 6
"""Fetch more when fewer items wait."""

MARKS = frozenset([Action.FLAG, Action.UNFLAG, Action.NOTE])
"""What is written beside an item; it answers nothing, so neither count nor order depends on it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was given for an item: a label, or None for a skip."""

    item: QueueItem
    label: str | None
    seconds: float


class Batch:
    """The queue of the Label screen."""

    def __init__(self) -> None:
        self.current: QueueItem | None = None
        self.answers: list[Answer] = []
        """In the order given, newest last."""
        self._waiting: deque[QueueItem] = deque()
        self._seen: list[QueueItem] = []
        """Items visited before the current one, newest last."""
        self._labelled: dict[int, str] = {}

    @property
    def is_low(self) -> bool:
        """Whether more items should be fetched."""
        return len(self._waiting) < LOW_WATER

    def given(self, item_id: int) -> str | None:
        """The label given since the app was started."""
        return self._labelled.get(item_id)

    def add(self, items: Iterable[QueueItem]) -> None:
        """Append fetched items, except those answered or waiting already."""
        known = {item.item.item_id for item in self._waiting} | set(self._labelled)
        if self.current is not None:
            known.add(self.current.item.item_id)
        self._waiting.extend(item for item in items if item.item.item_id not in known)
        if self.current is None:
            self.advance()

    def replace(self, items: Iterable[QueueItem], *, first: int | None = None) -> None:
        """Start over with fetched items; the one with id ``first`` comes to the front."""
        ordered = list(items)
        front = [item for item in ordered if item.item.item_id == first]
        if first is not None:
            self._labelled.pop(first, None)
        self.current = None
        self._waiting.clear()
        self.add([*front, *(item for item in ordered if item.item.item_id != first)])

    def advance(self) -> QueueItem | None:
        """Go to the next waiting item."""
        if self.current is not None:
            self._seen.append(self.current)
        self.current = self._waiting.popleft() if self._waiting else None
        return self.current

    def answer(self, label: str | None, seconds: float) -> None:
        """The current item got ``label`` (None: skipped); go on to the next."""
        if self.current is None:
            return
        if label is not None:
            self._labelled[self.current.item.item_id] = label
        self.answers.append(Answer(self.current, label, seconds))
        self.advance()

    def back(self) -> bool:
        """Go back to the item visited before; False when there is none."""
        if not self._seen:
            return False
        if self.current is not None:
            self._waiting.appendleft(self.current)
        self.current = self._seen.pop()
        return True

    def recall(self, item_id: int) -> bool:
        """Bring an item whose answer was undone back to the front; False when it is not known.

        Where it was answered twice, the answer before counts again.
        """
        before = self._forget_answer(item_id)
        if before is not None:
            self._labelled[item_id] = before
        if self.current is not None and self.current.item.item_id == item_id:
            return True
        for index in range(len(self._seen) - 1, -1, -1):
            if self._seen[index].item.item_id == item_id:
                item = self._seen.pop(index)
                if self.current is not None:
                    self._waiting.appendleft(self.current)
                self.current = item
                return True
        return False

    def _forget_answer(self, item_id: int) -> str | None:
        """Forget the newest answer to an item; returns the label it had been given before that."""
        self._labelled.pop(item_id, None)
        own = [n for n, answer in enumerate(self.answers) if answer.item.item.item_id == item_id]
        before = self.answers[own[-2]].label if len(own) > 1 else None
        if own:
            del self.answers[own[-1]]
        return before

    def reconcile(self, items: Sequence[QueueItem], *, complete: bool) -> None:
        """Take in what other screens did: ``items`` are open now, all of them if ``complete``.

        What was taken back there comes to the front; what was answered there waits no longer; the
        others are as they were fetched now, with the marks that were written there.
        """
        opened = {item.item.item_id: item for item in items}
        undone = [item for item in items if item.item.item_id in self._labelled]
        for item in undone:
            self._forget_answer(item.item.item_id)
        back = {item.item.item_id for item in undone}

        def still_waits(item: QueueItem) -> bool:
            item_id = item.item.item_id
            return item_id not in back and (item_id in opened or not complete)

        self._seen = [item for item in self._seen if item.item.item_id not in back]
        self._waiting = deque(
            opened.get(item.item.item_id, item) for item in self._waiting if still_waits(item)
        )
        current = self.current
        if current is not None:
            revisited = current.item.item_id in self._labelled
            stays = revisited or still_waits(current)
            self.current = opened.get(current.item.item_id, current) if stays else None
        if undone:
            if self.current is not None:
                self._waiting.appendleft(self.current)
            self._waiting.extendleft(reversed(undone))
            self.current = None
        if self.current is None:
            self.advance()

    def mark(self, item_id: int, *, flagged: bool, comment: str | None) -> bool:
        """Give an item these marks, wherever it is; True when it is the current one."""

        def marked(item: QueueItem) -> QueueItem:
            if item.item.item_id != item_id:
                return item
            return replace(item, flagged=flagged, comment=comment)

        self._waiting = deque(marked(item) for item in self._waiting)
        self._seen = [marked(item) for item in self._seen]
        if self.current is None:
            return False
        self.current = marked(self.current)
        return self.current.item.item_id == item_id

    def seconds_left(self, items: int) -> float | None:
        """How long ``items`` more will take at the pace of the last twenty; None at the start."""
        paces = [answer.seconds for answer in self.answers[-20:] if answer.label is not None]
        return median(paces) * items if len(paces) >= 3 else None
