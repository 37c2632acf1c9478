"""What a person decides about items of a project; each decision is on disk when it returns."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.project_parts import ProjectParts
from imfl_engine.store import reports, rounds, selections
from imfl_engine.types import Action, LabelEvent, Origin
from imfl_engine.views import LabelsBelow


class ProjectDecisions(ProjectParts):
    """The decisions of `imfl_engine.project.Project`."""

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

    async def labels_below(self, risks: Sequence[float]) -> tuple[LabelsBelow, ...]:
        """Return what `accept_below` would keep at each of ``risks``."""
        return await self._database.read(
            lambda con: tuple(reports.labels_below(con, risk) for risk in risks)
        )

    async def undo(self) -> LabelEvent | None:
        """Take back the last decision, however long ago; None when there is nothing left."""
        return await self._decisions.undo()
