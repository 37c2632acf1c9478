"""What every test needs: a home of its own, so that no test reads or writes the person's files."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, logs and caches go to a temporary home; no API key leaks in from the shell."""
    home = tmp_path_factory.mktemp("home")
    for variable, folder in (
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_DATA_HOME", "data"),
    ):
        monkeypatch.setenv(variable, str(home / folder))
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The data sets shipped with the project."""
    return REPOSITORY / "sample_data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The research data sets, which lie beside the repository and are never copied into it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the research data sets are not at {folder}")
    return folder
