"""Fixtures for tests that run the app by a pilot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_project import FakeProject

from imfl_tui.app import ImflApp


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., ImflApp]:
    """Make an app on a fake project, with its own empty settings folder."""

    def make(project: Any = None, **options: Any) -> ImflApp:
        project = project or FakeProject()
        options.setdefault("start_jobs", False)
        options.setdefault("preferences_file", tmp_path / "settings.toml")
        return ImflApp(project.path, project, **options)

    return make
