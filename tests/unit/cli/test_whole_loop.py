"""From data to model through the command line alone, on the sample data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from imfl_engine.events import Progress
from imfl_tui.cli import results

Cli = Callable[..., Any]


def test_the_run_spends_the_label_budget_exactly(cli: Cli, finished: Path) -> None:
    status = cli("status", finished, "--json").json
    assert (status["budget"]["human_done"], status["budget"]["llm_done"]) == (24, 26)
    assert [point["round"] for point in status["curve"]] == [0, 1, 2]
    assert status["budget"]["money_spent"] == 0


def test_status_for_people_names_the_step_and_the_accuracy(cli: Cli, finished: Path) -> None:
    outcome = cli("status", finished)
    assert "finished" in outcome.out
    assert "test accuracy" in outcome.out
    assert outcome.err == ""


def test_evaluate_reports_intervals_and_every_class(cli: Cli, finished: Path) -> None:
    found = cli("evaluate", finished, "--json").json
    assert found["scope"] == "test"
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert found["accuracy"]["n"] == 40
    assert len(found["classes"]) == len(found["labels"]) == 5
    assert sum(map(sum, found["confusion"])) == 40
    assert "macro-F1" in cli("evaluate", finished).out


def test_evaluate_on_another_labelled_file_agrees_with_the_test_set(
    cli: Cli, finished: Path
) -> None:
    stored = cli("evaluate", finished, "--json").json
    fresh = cli("evaluate", finished, finished.parent / "test.jsonl", "--json").json
    assert fresh["accuracy"]["value"] == pytest.approx(stored["accuracy"]["value"])


def test_plan_after_the_last_round_costs_nothing(cli: Cli, finished: Path) -> None:
    assert cli("plan", finished, "--json").json["calls"] == 0


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_export_holds_each_annotated_item_once_with_its_source(
    cli: Cli, finished: Path, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"out.{ending}"
    assert cli("export", finished, out).code == 0
    if ending == "parquet":
        rows = pyarrow.parquet.read_table(out).to_pylist()
    elif ending == "csv":
        rows = pyarrow.csv.read_csv(out).to_pylist()
    else:
        rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    annotated = [row for row in rows if row["source"] in ("human", "llm")]
    assert len({row["id"] for row in annotated}) == len(annotated) == 50
    assert sum(row["source"] == "human" for row in annotated) == 24


@pytest.mark.parametrize("tool", ["prodigy", "labelstudio", "argilla"])
def test_export_for_another_tool(cli: Cli, finished: Path, tmp_path: Path, tool: str) -> None:
    out = tmp_path / {"prodigy": "o.jsonl", "labelstudio": "o.json", "argilla": "o.parquet"}[tool]
    outcome = cli("export", finished, out, "--format", tool)
    assert outcome.code == 0, outcome.err
    assert out.stat().st_size > 0


def test_predict_writes_one_row_per_item(cli: Cli, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "predicted.jsonl"
    outcome = cli("predict", finished, finished.parent / "test.jsonl", out)
    assert outcome.code == 0, outcome.err
    assert len(out.read_text("utf-8").splitlines()) == 40


def test_save_model_writes_weights_tokenizer_and_card(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    outcome = cli("save-model", finished, tmp_path / "model")
    assert outcome.code == 0, outcome.err
    assert f'SentenceTransformer("{tmp_path / "model"}")' in outcome.err
    assert "README.md" in outcome.err
    names = {path.name for path in (tmp_path / "model").rglob("*")}
    assert {"README.md", "tokenizer.json"} <= names
    assert any(name.endswith(".safetensors") for name in names)


def test_measuring_and_saving_say_how_far_they_are(
    cli: Cli, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []

    @asynccontextmanager
    async def shown(read: Callable[[], Progress]) -> AsyncIterator[None]:
        yield
        seen.append(read())

    monkeypatch.setattr(results, "shown", shown)
    assert cli("evaluate", finished, finished.parent / "test.jsonl").code == 0
    assert cli("save-model", finished, tmp_path / "model").code == 0
    assert [(now.done, now.total, now.detail) for now in seen] == [
        (40, 40, "measuring"),
        (0, 0, "saving the model"),
    ]


def test_next_says_why_nothing_waits(cli: Cli, finished: Path) -> None:
    assert cli("next", finished).told == ["Nothing waits for a label: all rounds are done."]


def test_before_the_first_round_no_items_are_counted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("one\ntwo\nthree\n", "utf-8")
    project = tmp_path / "p.db"
    assert cli("new", project, tmp_path / "d.txt", "--labels", "a,b", "--human", 2).code == 0
    assert "next       round 0, start\n" in cli("status", project).out


def test_running_again_does_nothing_twice(cli: Cli, finished: Path) -> None:
    before = cli("status", finished, "--json").json
    again = cli("run", finished, "--human", "gold", "--json")
    assert again.code == 0
    assert again.json["budget"] == before["budget"]
    assert again.json["curve"] == before["curve"]


def test_labelling_by_script_goes_on_where_the_run_waits(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text(
        "".join(f'{{"id": "k{n}", "text": "some text number {n}"}}\n' for n in range(30)), "utf-8"
    )
    project = tmp_path / "p.db"
    made = cli("new", project, data, "--labels", "a,b", "--human", 6, "--llm", 4, "--rounds", 2)
    assert made.code == 0, made.err
    waits = cli("run", project, "--until", "label")
    assert waits.code == 0
    assert "wait" in waits.err
    batch = cli("next", project, "--limit", 50, "--json").json
    assert batch["step"]["kind"] == "label"
    assert batch["waiting"] == len(batch["items"]) > 0
    assert batch["labels"] == ["a", "b"]
    first, *others = batch["items"]
    assert cli("label", project, first["id"], "a", others[0]["item"], "b").code == 0
    left = cli("next", project, "--limit", 50, "--json").json
    assert left["waiting"] == batch["waiting"] - 2
    assert first["id"] not in {item["id"] for item in left["items"]}
    undone = cli("label", project, "--undo", "--json").json
    assert undone["undone"]["label"] == "b"
    assert cli("next", project, "--json").json["waiting"] == batch["waiting"] - 1


@pytest.mark.parametrize("tool", ["prodigy", "labelstudio", "argilla", None])
def test_labels_exported_for_a_tool_can_be_imported_elsewhere(
    cli: Cli, finished: Path, tmp_path: Path, tool: str | None
) -> None:
    ending = {"prodigy": "jsonl", "labelstudio": "json", "argilla": "parquet", None: "csv"}[tool]
    labels = tmp_path / f"labels.{ending}"
    written = cli("export", finished, labels, *(["--format", tool] if tool else []))
    assert written.code == 0, written.err
    other = tmp_path / "other.db"
    names = "symptoms,medication,results,appointment,admin"
    made = cli("new", other, finished.parent / "train.jsonl", "--labels", names, "--label", "")
    assert made.code == 0, made.err
    imported = cli("import", other, labels, "--json")
    assert imported.code == 0, imported.err
    assert imported.json[0]["imported"] == 24
    assert imported.json[0]["unknown_items"] == 0


def test_more_items_are_added_and_duplicates_are_told(cli: Cli, tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("one line\nanother line\n", "utf-8")
    second.write_text("another line\na third line\n", "utf-8")
    project = tmp_path / "p.db"
    assert cli("new", project, first, "--labels", "x,y").code == 0
    added = cli("import", project, second, "--json")
    assert (added.json["added"], added.json["duplicates"]) == (1, 1)
    assert "duplicate" in added.err
    assert cli("status", project, "--json").json["pool_size"] == 3


def test_settings_are_read_and_changed_one_at_a_time(cli: Cli, finished: Path) -> None:
    assert cli("config", finished, "annotator.spec").out == "neighbours\n"
    assert cli("config", finished, "annotator.concurrency", 7, "--json").json == {
        "annotator.concurrency": 7
    }
    every = cli("config", finished, "--json").json
    assert every["annotator.concurrency"] == 7
    assert all("." in name or name in ("embedder", "seed") for name in every)


def test_a_setting_that_would_invalidate_labels_is_refused(cli: Cli, finished: Path) -> None:
    refused = cli("config", finished, "embedder", "other-model")
    assert refused.code == 2
    assert "embedder" in refused.err


def test_a_small_budget_fine_tunes_the_shipped_encoder(cli: Cli, tmp_path: Path) -> None:
    words = {"good": "what a lovely warm day", "bad": "this is broken and sad"}
    data = tmp_path / "d.jsonl"
    data.write_text(
        "".join(
            json.dumps({"text": f"{words[name]} {n}", "label": name}) + "\n"
            for n in range(20)
            for name in words
        ),
        "utf-8",
    )
    project = tmp_path / "p.db"
    made = cli(
        "new", project, data, "--test", "0.3", "--human", 8, "--llm", 8, "--rounds", 1,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert cli("config", project, "training.epochs", 2).code == 0
    ran = cli("run", project, "--human", "gold", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["target"] == "minilm"
    assert ran.json["step"]["kind"] == "finished"
    assert ran.json["curve"][-1]["scope"] == "test"
    saved = cli("save-model", project, tmp_path / "model")
    assert saved.code == 0, saved.err
    assert f'transformers.pipeline("text-classification", "{tmp_path / "model"}")' in saved.err
    assert (tmp_path / "model" / "config.json").exists()


@pytest.mark.slow
def test_the_demo_fine_tunes_unattended(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imfl_tui", "demo", "--headless", "--target", "minilm", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=900, check=True,
    )  # fmt: skip
    status = json.loads(done.stdout)
    assert status["step"]["kind"] == "finished"
    assert status["curve"][-1]["accuracy"]["value"] > status["majority"][1] + 0.2


def test_an_export_replaces_an_export_and_nothing_else(cli: Cli, finished: Path, tmp_path: Path):
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "mine"}\n')
    refused = cli("export", finished, data)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert data.read_text() == '{"text": "mine"}\n'
    for name in ("set.parquet", "set.jsonl", "set.csv"):
        assert cli("export", finished, tmp_path / name).code == 0
        assert cli("export", finished, tmp_path / name).code == 0
    assert cli("predict", finished, finished.parent / "test.jsonl", data).code == 2
    assert cli("export", finished, data, "--overwrite").code == 0
    assert "label_text" in data.read_text()


def test_a_project_copied_without_its_folder_says_that_its_model_is_gone(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "a copy.db"
    shutil.copy(finished, copied)
    told = cli("save-model", copied, tmp_path / "model")
    assert told.code == 2
    assert "The model of round 2 is gone from" in told.err
    assert f"`imfl-tui run '{copied}'`" in told.err
    assert cli("run", copied).code == 0
    assert cli("save-model", copied, tmp_path / "model").code == 0
