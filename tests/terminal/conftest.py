"""A terminal for each test; skipped where there is no tmux."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from tmux import Tmux


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Tmux]:
    """A tmux of its own."""
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux on this machine")
    tmux = Tmux(tmp_path)
    yield tmux
    tmux.close()
