"""The command line called in this process, with a log file of its own for every test."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imfl_tui.cli.root import app

Cli = Callable[..., Any]
FolderState = Callable[[Path], dict[str, str]]
REPOSITORY = Path(__file__).resolve().parents[3]
ROWS = [
    {"id": f"r{n}", "text": f"{word} number {n}", "label": "good" if n % 2 else "bad"}
    for n, word in enumerate(["room", "meal", "train", "visit", "call", "form"] * 8)
]


@dataclass(frozen=True)
class Outcome:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def told(self) -> list[str]:
        """The lines on stderr."""
        return [line for line in self.err.splitlines() if line.strip()]


def call(*arguments: object) -> Outcome:
    """Run the command line in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def forget_log() -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if getattr(handler, "imfl_log", False) or type(handler) is logging.NullHandler:
            root.removeHandler(handler)
            handler.close()


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    yield
    forget_log()


@pytest.fixture
def cli() -> Callable[..., Outcome]:
    return call


@pytest.fixture
def folder_state() -> Callable[[Path], dict[str, str]]:
    """Every file under a folder with a digest of its content."""

    def state(folder: Path) -> dict[str, str]:
        return {
            path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return state


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one good file in it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "good.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), "utf-8")
    return here


@pytest.fixture
def refused(cli: Cli, folder: Path, folder_state: FolderState) -> Callable[..., str]:
    """Call the command line and check that it refuses properly; returns what it said."""

    def call(*arguments: object, code: int) -> str:
        before = folder_state(folder)
        outcome = cli(*arguments)
        assert outcome.code == code, outcome.err
        assert outcome.out == ""
        assert len(outcome.told) == 2, outcome.err
        sentence, hint = outcome.told
        assert sentence.endswith((".", "?"))
        assert hint.endswith((".", "?"))
        assert "Traceback" not in outcome.err
        assert folder_state(folder) == before
        return str(outcome.err)

    return call


@pytest.fixture
def project(cli: Cli, folder: Path) -> Path:
    """A small project that asks nobody: probe target, neighbours, ten labels each."""
    made = cli(
        "new", "p.db", "good.jsonl", "--human", 12, "--llm", 8, "--rounds", 2, "--target", "probe"
    )
    assert made.code == 0, made.err
    return folder / "p.db"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the sample data whose two rounds are run through with the gold labels."""
    folder = tmp_path_factory.mktemp("finished")
    source = REPOSITORY / "sample_data" / "clinic-inbox"
    for name, rows in (("train", 160), ("test", 40)):
        lines = (source / f"{name}.jsonl").read_text("utf-8").splitlines()[:rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    project = folder / "p.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        made = call(
            "new", project, folder / "train.jsonl", "--test", folder / "test.jsonl",
            "--human", 24, "--llm", 26, "--rounds", 2, "--target", "probe",
        )  # fmt: skip
        assert made.code == 0, made.err
        ran = call("run", project, "--human", "gold", "--json")
        forget_log()
    assert ran.code == 0, ran.err
    assert ran.json["step"]["kind"] == "finished"
    return project
