"""What every test needs: a home of its own, so that no test reads or writes the person's files."""

from __future__ import annotations

import os
from collections.abc import Callable
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
def values_in() -> Callable[[Path], str]:
    """What a file holds, as text; Parquet and project files, which are compressed, by their values."""

    def read(path: Path) -> str:
        raw = path.read_bytes().decode("utf-8", "replace")
        if path.suffix not in (".parquet", ".db"):
            return raw
        import duckdb

        with duckdb.connect(str(path) if path.suffix == ".db" else ":memory:") as con:
            tables = [str(row[0]) for row in con.execute("SHOW TABLES").fetchall()]
            if path.suffix == ".parquet":
                tables = [f"read_parquet('{path}')"]
            values = [
                repr(con.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {table}").fetchall())
                for table in tables
            ]
        assert any(len(found) > 2 for found in values), f"{path} is empty"
        return "\n".join([raw, *values])

    return read


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
