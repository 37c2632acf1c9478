"""What a project is made of; the costly parts are built on first use, so that opening stays instant."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.deciding import Decisions
from imfl_engine.settings import Settings
from imfl_engine.store.database import Database

if TYPE_CHECKING:
    from imfl_engine.annotate.ports import Annotator
    from imfl_engine.compute.client import Compute
    from imfl_engine.loop.context import LoopContext
    from imfl_engine.loop.runner import Loop


def files_folder(path: Path) -> Path:
    """Return the folder beside a project file that holds its models and job files."""
    return path.with_name(path.name + ".files")


class ProjectParts:
    """The parts of an open project, which its groups of methods share."""

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
