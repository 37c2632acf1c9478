"""Opening a project for the length of a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imfl_engine.project import Project


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Project]:
    """The project at ``path``, closed again whatever happens; jobs are cancelled with it."""
    from imfl_engine.project import Project

    project = await Project.open(path)
    try:
        yield project
    finally:
        await project.close()
