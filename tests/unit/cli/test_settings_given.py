"""What the flags give is checked at once, and errors call it what the person typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.given_names import EMBEDDERS, TARGETS, device_problem, model_problem

Cli = Callable[..., Any]
Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--human", "-3"], "--human should be greater than or equal to 0, not -3."),
        (["--rounds", "0"], "--rounds should be greater than 0, not 0."),
        (["--money", "-1"], "--money"),
        (["--query", "foo"], "--query should be 'eeq'"),
        (["--task", "choice"], "--task should be 'classification'"),
        (["--price", "-1", "2"], "--price"),
        (["--price", "1", "2", "--price-cached", "-1"], "--price-cached should be"),
        (["--annotator", "gpt"], "--annotator is not valid: 'gpt' is no annotator"),
        (["--set", "budget.llm=-4"], "--set budget.llm should be"),
    ],
)
def test_an_error_names_the_flag_and_the_help_of_the_command(
    refused: Refused, words: list[str], named: str
) -> None:
    told = refused("new", "p.db", "good.jsonl", *words, code=2)
    assert named in told
    assert "imfl-tui new --help" in told
    assert "PROJECT.db" not in told


@pytest.mark.parametrize("words", [["budget.human", "many"], ["budget.humn", "3"]])
def test_a_hint_names_the_project_that_was_asked(
    refused: Refused, project: Path, words: list[str]
) -> None:
    assert "imfl-tui config p.db" in refused("config", "p.db", *words, code=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [("budget.human", "-1"), ("budget.money_usd", "-0.5"), ("annotator.temperature", "-.5")],
)
def test_a_negative_value_reaches_the_settings_and_is_refused_there(
    refused: Refused, project: Path, key: str, value: str
) -> None:
    assert f"{key} should be greater than" in refused("config", "p.db", key, value, code=2)


def test_a_list_is_written_in_brackets_and_its_labels_by_their_names(
    cli: Cli, refused: Refused, project: Path
) -> None:
    told = refused("config", "p.db", "task.labels", "x,y", code=2)
    assert "task.labels should be a list in square brackets, not x,y." in told
    told = refused("config", "p.db", "task.labels", '[["x"], ["y"]]', code=2)
    assert "task.labels.0 is not valid: a label is a name, or braces with its name" in told
    assert "budget should be settings in braces, not 3" in refused(
        "config", "p.db", "budget", "3", code=2
    )
    assert cli("config", "p.db", "task.labels", '["x", "y"]').code == 0
    assert "'x' is no label" not in cli("label", "p.db", "r1", "x").err


def test_a_budget_beyond_the_items_is_told_and_not_refused(cli: Cli, folder: Path) -> None:
    more = cli("new", "p.db", "good.jsonl", "--labels", "a,b", "--human", "50", "--llm", "950")
    assert more.code == 0
    assert "1,000 labels are asked for, but there are only" in more.err
    fits = cli("new", "q.db", "good.jsonl", "--labels", "a,b", "--human", "1", "--llm", "0")
    assert "are asked for" not in fits.err


def test_a_negative_number_can_be_a_label(cli: Cli, folder: Path) -> None:
    assert cli("new", "p.db", "good.jsonl", "--labels", "-1,0,1").code == 0
    assert cli("label", "p.db", "r1", "-1", "--json").json["saved"][0]["label"] == "-1"


def test_what_is_no_number_is_still_an_unknown_option(refused: Refused, project: Path) -> None:
    assert "No such option: --jsn" in refused("config", "p.db", "--jsn", code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "minilmm"], "--target 'minilmm' is no model that is known (did you mean"),
        (["--target", "./gone"], "--target './gone' is a path to nothing"),
        (["--target", "good.jsonl"], "is a file and no folder of a model"),
        (["--target", "."], "is a folder without a config.json"),
        (["--embedder", "foo"], "--embedder 'foo' is no model that is known"),
        (["--device", "cudda"], "--device 'cudda' is no device"),
        (["--annotator", "local:smolm2"], "--annotator 'smolm2'"),
        (["--set", "training.target=prob"], "--set training.target 'prob'"),
    ],
)
def test_a_model_or_device_that_cannot_be_meant_is_refused_before_anything_is_written(
    refused: Refused, words: list[str], said: str
) -> None:
    assert said in refused("new", "p.db", "good.jsonl", *words, code=2)


def test_the_same_is_refused_where_a_setting_is_changed(refused: Refused, project: Path) -> None:
    assert "'cudda' is no device" in refused("config", "p.db", "training.device", "cudda", code=2)
    assert "'minilmm'" in refused("config", "p.db", "training.target", "minilmm", code=2)


@pytest.mark.parametrize(
    "name", ["minilm", "probe", "owner/some-name", "bert-base-uncased", "gpt2", "distilgpt2"]
)
def test_a_name_that_only_the_hub_can_judge_is_accepted(name: str) -> None:
    assert model_problem(name, TARGETS) is None


def test_a_folder_of_a_model_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert model_problem(str(tmp_path), EMBEDDERS) is None


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_a_device_that_may_be_there_is_accepted(name: str) -> None:
    assert device_problem(name) is None


@pytest.mark.parametrize("words", [[], ["--options", "id"]])
def test_multiple_choice_needs_options_in_the_data(refused: Refused, words: list[str]) -> None:
    told = refused("new", "p.db", "good.jsonl", "--task", "multiple-choice", *words, code=2)
    assert "--options" in told
    assert "id, text, label" in told


def test_more_items_of_multiple_choice_need_options_too(
    cli: Cli, refused: Refused, folder: Path
) -> None:
    rows = [{"question": f"which {n}?", "choices": ["this", "that"]} for n in range(4)]
    (folder / "c.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    assert cli("new", "c.db", "c.jsonl", "--task", "multiple-choice").code == 0
    told = refused("import", "c.db", "good.jsonl", "--text", "text", code=2)
    assert "own options" in told


def test_multiple_choice_with_options_is_made(cli: Cli, folder: Path) -> None:
    rows = [{"question": f"which {n}?", "choices": ["this", "that"]} for n in range(4)]
    (folder / "c.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    made = cli("new", "c.db", "c.jsonl", "--task", "multiple-choice")
    assert made.code == 0, made.err


def test_how_the_items_are_divided_is_told(cli: Cli, folder: Path) -> None:
    made = cli("new", "p.db", "good.jsonl", "--test", "0.3", "--json")
    pool, test = made.json["added"] - made.json["test"], made.json["test"]
    assert min(pool, test) > 0
    assert f"{pool} items in the pool, {test} in the test set." in made.err
    status = cli("status", "p.db", "--json").json
    assert (status["pool_size"], status["test_size"]) == (pool, test)
