"""Opening a project for the length of a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.errors import ImflError
from imfl_tui.problems import about_project

if TYPE_CHECKING:
    from imfl_engine.project import Project


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Project]:
    """The project at ``path``, closed again whatever happens; jobs are cancelled with it.

    A hint about any project becomes one about this.
    """
    from imfl_engine.project import Project

    project = await Project.open(path)
    try:
        yield project
    except ImflError as error:
        about_project(error, path)
        raise
    finally:
        await project.close()
