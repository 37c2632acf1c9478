from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

Cli = Callable[..., Any]


@pytest.fixture
def train(tmp_path: Path, sample_data: Path) -> Path:
    rows = (sample_data / "clinic-inbox" / "train.jsonl").read_text("utf-8").splitlines()[:90]
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "train.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    return folder / "train.jsonl"


def one_arm(train: Path, folder: Path) -> list[object]:
    """The command for one arm of twelve human labels."""
    return [
        "replay", train, "--human", 12, "--llm", 0, "--rounds", 1, "--arms", "human-12",
        "--out", folder / "r.parquet", "--json",
    ]  # fmt: skip


def test_replay_writes_a_row_per_arm_and_goes_on_where_it_was(
    cli: Cli, train: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.parquet"
    common = [
        "replay", train, "--test", "0.3", "--label", "label", "--human", 12, "--llm", 12,
        "--rounds", 1, "--llm-accuracy", "0.8", "--out", out, "--json",
    ]  # fmt: skip
    first = cli(*common, "--arms", "human-12")
    assert first.code == 0, first.err
    both = cli(*common, "--arms", "human-12,random+two-mean")
    assert both.code == 0, both.err
    assert "already there" in both.err
    rows = pyarrow.parquet.read_table(out).to_pylist()
    assert {(row["dataset"], row["arm"], row["simulated"]) for row in rows} == {
        ("inbox", "human-12", False),
        ("inbox", "random+two-mean", True),
    }
    assert both.json[0]["accuracy"] == first.json[0]["accuracy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inbox", "r.parquet"]


def test_what_was_measured_on_other_data_is_not_taken_for_this(
    cli: Cli, train: Path, tmp_path: Path
) -> None:
    common = one_arm(train, tmp_path)
    assert cli(*common, "--test", "0.3").code == 0
    other = cli(*common, "--test", "0.4")
    assert other.code == 0, other.err
    assert "already there" not in other.err
    train.write_text("\n".join(train.read_text("utf-8").splitlines()[:80]) + "\n", "utf-8")
    shorter = cli(*common, "--test", "0.4")
    assert "already there" not in shorter.err
    assert pyarrow.parquet.read_table(tmp_path / "r.parquet").num_rows == 3


def test_tables_say_that_the_llm_is_simulated(cli: Cli, train: Path, tmp_path: Path) -> None:
    done = cli(
        "replay", train, "--human", 12, "--llm", 12, "--rounds", 1, "--llm-accuracy", "0.8",
        "--arms", "random", "--out", tmp_path / "r.parquet",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "simulated:0.8" in done.out


def test_a_setting_changed_for_a_replay_makes_rows_of_their_own(
    cli: Cli, train: Path, tmp_path: Path
) -> None:
    common = one_arm(train, tmp_path)
    assert cli(*common).code == 0
    changed = cli(*common, "--set", "query.control_minimum=5")
    assert changed.code == 0, changed.err
    assert "already there" not in changed.err
    rows = pyarrow.parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert [row["changes"] for row in rows] == ["", "query.control_minimum=5"]


@pytest.mark.parametrize(
    ("arms", "out", "word"),
    [
        ("eeq+teleport", "r.parquet", "teleport"),
        ("eeq", "r.csv", "r.csv"),
        ("", "r.parquet", "arm"),
    ],
)
def test_a_wrong_arm_or_output_is_refused_before_anything_is_written(
    cli: Cli, train: Path, tmp_path: Path, arms: str, out: str, word: str
) -> None:
    refused = cli("replay", train, "--arms", arms, "--out", tmp_path / out)
    assert refused.code == 2
    assert word in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]
