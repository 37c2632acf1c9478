"""What the person decides about items: checked and appended to the log in one write.

One write, because a key press must not wait for the reads that a screen has asked for; and one
statement, as far as it goes, because every statement costs a key about a millisecond.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable

from imfl_engine.errors import UsageError
from imfl_engine.store import items, labels, reports, rounds
from imfl_engine.store.database import Connection, Database
from imfl_engine.types import LONGEST_THOUGHT, Action, Item, LabelEvent, Origin

REMEMBERED = 512
"""Items kept in memory after they were shown, so that a key need not fetch them again."""

Check = Callable[[Connection, Item], None]


class Decisions:
    """The person's decisions in one project. Every method is on disk when it returns."""

    def __init__(self, database: Database, person: str) -> None:
        self._database = database
        self._person = person
        self._shown: OrderedDict[int, Item] = OrderedDict()

    def remember(self, shown: Iterable[Item]) -> None:
        """Keep items that a screen shows: an imported item never changes."""
        for item in shown:
            self._shown[item.item_id] = item
            self._shown.move_to_end(item.item_id)
        while len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)

    async def label(
        self,
        item_id: int,
        label: str,
        names: tuple[str, ...],
        *,
        seconds: float | None,
        origin: Origin,
    ) -> LabelEvent:
        """Give an item a label of its schema, ``names`` or its own options, else `UsageError`."""

        def check(con: Connection, item: Item) -> None:
            allowed = items.labels_of(item, names)
            if label not in allowed:
                shown = ", ".join(allowed[:10]) + (", …" if len(allowed) > 10 else "")
                raise UsageError(
                    f"'{label}' is not a label of '{item.key}'.", f"Use one of: {shown}."
                )

        return await self.decide(
            item_id, Action.LABEL, check, label=label, seconds=seconds, origin=origin
        )

    async def accept(self, item_id: int, *, seconds: float | None) -> LabelEvent:
        """Keep the LLM's label after looking at it. Raises `UsageError` where there is none."""

        def check(con: Connection, item: Item) -> None:
            if not reports.has_llm_label(con, item_id):
                raise UsageError(f"'{item.key}' has no LLM label to accept.", "Label it instead.")

        return await self.decide(
            item_id, Action.ACCEPT, check, seconds=seconds, origin=Origin.REVIEW
        )

    async def accept_below(self, risk: float) -> int:
        """Keep, unseen, every unreviewed LLM label below ``risk``; one `undo` takes all back."""
        batch_id = uuid.uuid4().hex

        def accept(con: Connection) -> int:
            ids = reports.unreviewed_below(con, risk)
            if not ids:
                return 0
            return labels.record_many(
                con,
                ids,
                Action.ACCEPT_BULK,
                round=rounds.newest_round(con),
                origin=Origin.REVIEW,
                annotator=self._person,
                batch_id=batch_id,
            )

        return await self._database.write(accept)

    async def undo(self) -> LabelEvent | None:
        """Take back the last decision, however long ago; None when there is nothing left."""
        return await self._database.write(lambda con: labels.undo(con, annotator=self._person))

    async def decide(
        self,
        item_id: int,
        action: Action,
        check: Check | None = None,
        *,
        label: str | None = None,
        seconds: float | None = None,
        comment: str | None = None,
        origin: Origin = Origin.BATCH,
    ) -> LabelEvent:
        """Check and append one event. Raises `UsageError` for an item that is not of the pool."""
        if seconds is not None:
            seconds = min(max(seconds, 0.0), LONGEST_THOUGHT)

        def write(con: Connection) -> LabelEvent:
            item = self._shown.get(item_id) or _fetch(con, item_id)
            if item.split != "pool":
                raise UsageError(
                    f"'{item.key}' is a test item, which nothing may be trained on.",
                    "Label items of the pool.",
                )
            if check is not None:
                check(con, item)
            return labels.record(
                con,
                item_id,
                action,
                label=label,
                origin=origin,
                annotator=self._person,
                seconds=seconds,
                comment=comment,
            )

        return await self._database.write(write, one_change=True)


def _fetch(con: Connection, item_id: int) -> Item:
    found = items.by_ids(con, [item_id])
    if not found:
        raise UsageError(f"There is no item {item_id}.", "See `imfl-tui next` for items.")
    return found[0]
