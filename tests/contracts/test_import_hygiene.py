"""What a process imports decides how fast it starts; these look at ``sys.modules`` from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("textual", "duckdb", "torch", "transformers", "sentence_transformers", "peft", "openai")


def modules_after(code: str) -> set[str]:
    """Top-level names in ``sys.modules`` of a fresh interpreter that ran ``code``."""
    script = f"{code}\nimport sys\nprint('MODULES', *sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    line = next(row for row in done.stdout.splitlines() if row.startswith("MODULES "))
    return {name.partition(".")[0] for name in line.split()[1:]}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["new", "--help"], ["run", "--help"], ["doctor", "--help"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    loaded = modules_after(
        "import sys\n"
        f"sys.argv = ['imfl-tui', *{arguments!r}]\n"
        "from imfl_tui.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
    )
    assert loaded.isdisjoint(HEAVY), sorted(loaded & set(HEAVY))


def test_a_usage_error_imports_nothing_heavy() -> None:
    loaded = modules_after(
        "import sys\n"
        "sys.argv = ['imfl-tui', 'exprot']\n"
        "from imfl_tui.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert stop.code == 2, stop.code\n"
    )
    assert loaded.isdisjoint(HEAVY), sorted(loaded & set(HEAVY))


@pytest.mark.parametrize(
    "module", ["imfl_engine", "imfl_engine.settings", "imfl_engine.project", "imfl_engine.replay"]
)
def test_the_engine_knows_no_user_interface_and_no_torch(module: str) -> None:
    loaded = modules_after(f"import {module}")
    forbidden = {"textual", "rich", "typer", "torch", "transformers", "sentence_transformers"}
    assert loaded.isdisjoint(forbidden), sorted(loaded & forbidden)


def test_the_app_does_not_import_torch() -> None:
    loaded = modules_after("import imfl_tui.app")
    forbidden = {"torch", "transformers", "sentence_transformers", "peft", "openai"}
    assert loaded.isdisjoint(forbidden), sorted(loaded & forbidden)


def test_arrow_does_not_bring_pandas_along() -> None:
    pytest.importorskip("pandas")
    make_a_table = "import pyarrow\npyarrow.table({'a': pyarrow.array([1, 2])})"
    assert "pandas" in modules_after(make_a_table), "then the guard can go"
    guard = "from imfl_tui.cli.lean_imports import leave_pandas_alone\nleave_pandas_alone()\n"
    assert "pandas" not in modules_after(guard + make_a_table)


def test_a_project_is_made_without_pandas(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    loaded = modules_after(
        f"import os, sys\nos.chdir({str(tmp_path)!r})\n"
        "sys.argv = ['imfl-tui', 'new', 'p.db', 'a.jsonl', '--labels', 'a,b', '--human', '1']\n"
        "from imfl_tui.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
    )
    assert "pyarrow" in loaded
    assert "pandas" not in loaded


def test_labelling_needs_no_arrow(tmp_path: Path) -> None:
    loaded = modules_after(
        "import numpy\n"
        "from pathlib import Path\n"
        "from imfl_engine.store import predictions\n"
        "from imfl_engine.store.database import Database\n"
        "from imfl_tui.preloading import preload\n"
        "preload()\n"
        f"database = Database.create(Path({str(tmp_path / 'p.db')!r}))\n"
        "said = numpy.array([[0.25, 0.75], [0.5, 0.5]], dtype=numpy.float32)\n"
        "database.write_now(lambda con: predictions.replace(con, 1, [7, 3], said))\n"
        "found = database.read_now(lambda con: predictions.before_round(con, 2, [3, 7]))\n"
        "database.close()\n"
        "assert found[7].tolist() == [0.25, 0.75], found\n"
    )
    assert "pyarrow" not in loaded
