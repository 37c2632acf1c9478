"""What a project does that takes time; closing an iterator of events cancels its job."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.creating import import_items
from imfl_engine.events import Event, Progress
from imfl_engine.project_parts import ProjectParts
from imfl_engine.types import Step, StepKind
from imfl_engine.views import Evaluation, ImportReport

if TYPE_CHECKING:
    from imfl_engine.data.guess import Columns
    from imfl_engine.data.labels import LabelImportReport
    from imfl_engine.data.reading import Source


class ProjectJobs(ProjectParts):
    """The jobs of `imfl_engine.project.Project`."""

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
