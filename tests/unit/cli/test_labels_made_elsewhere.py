"""Labels of a plain file become labels of known items, and every label says where it was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

Cli = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def plain(folder: Path) -> Path:
    """A csv with a label for two items of the project, one that is unknown, one left open."""
    path = folder / "plain.csv"
    path.write_text(
        "text,mine\nroom number 0,good\nmeal number 1,good\nnowhere,bad\ntrain number 2,\n", "utf-8"
    )
    return path


def origins(project: Path) -> dict[str, str]:
    with duckdb.connect(str(project), read_only=True) as store:
        rows = store.execute(
            "SELECT key, origin FROM label_events JOIN items USING (item_id)"
        ).fetchall()
    return dict(rows)


def test_a_label_column_is_imported_for_known_items(cli: Cli, project: Path, plain: Path) -> None:
    done = cli("import", "p.db", "plain.csv", "--labels", "--label", "mine")
    assert done.code == 0, done.err
    assert done.err.strip() == (
        "plain.csv (a label column): 2 labels imported, 1 without a decision, "
        "1 for items that are not in the project."
    )
    assert origins(project) == {"r0": "import", "r1": "import"}


def test_the_status_shows_how_many_labels_were_imported(
    cli: Cli, project: Path, plain: Path
) -> None:
    assert "imported" not in cli("status", "p.db").out
    cli("import", "p.db", "plain.csv", "--labels", "--label", "mine")
    assert "you 0 of 12, LLM 0 of 8; 2 imported" in cli("status", "p.db").out
    assert cli("status", "p.db", "--json").json["imported"] == 2
    cli("label", "p.db", "r0", "bad")
    assert cli("status", "p.db", "--json").json["imported"] == 1


def test_labels_of_known_items_that_were_not_read_are_spoken_of(
    cli: Cli, project: Path, plain: Path
) -> None:
    done = cli("import", "p.db", "plain.csv", "--label", "mine")
    assert "3 left out as duplicates" in done.err
    assert "add --labels" in done.err


def test_a_file_without_labels_is_told_how_to_name_them(
    refused: Refused, project: Path, plain: Path
) -> None:
    assert "--label" in refused("import", "p.db", "plain.csv", "--labels", code=2)


def test_a_label_outside_the_batch_is_not_recorded_as_of_the_batch(cli: Cli, project: Path) -> None:
    assert cli("run", "p.db", "--until", "select").code == 0
    waiting = cli("next", "p.db", "--limit", 50, "--json").json["items"]
    inside, keys = waiting[0]["id"], {item["id"] for item in waiting}
    outside, skipped = [f"r{n}" for n in range(48) if f"r{n}" not in keys][:2]
    done = cli("label", "p.db", inside, "good", outside, "bad", "--skip", skipped)
    assert done.code == 0, done.err
    assert origins(project) == {inside: "batch", outside: "explore", skipped: "explore"}


def test_a_correction_of_the_llm_is_a_review(cli: Cli, finished: Path, tmp_path: Path) -> None:
    assert cli("export", finished, tmp_path / "out.csv").code == 0
    with duckdb.connect(str(finished), read_only=True) as store:
        key = store.execute(
            "SELECT key FROM selections JOIN items USING (item_id) WHERE role = 'llm' LIMIT 1"
        ).fetchone()[0]  # type: ignore[index]
    saved = cli("label", finished, key, "admin", "--json").json["saved"][0]
    assert saved["origin"] == "review"
    assert cli("label", finished, "--undo").code == 0
