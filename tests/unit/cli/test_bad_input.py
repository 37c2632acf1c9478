"""Bad input: one sentence, one hint, the right exit code, and nothing changed on disk."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

Cli = Callable[..., Any]
FolderState = Callable[[Path], dict[str, str]]


def test_a_missing_file(refused: Callable[..., str]) -> None:
    assert "nowhere.csv" in refused("new", "p.db", "nowhere.csv", code=2)


def test_a_missing_test_file(refused: Callable[..., str]) -> None:
    assert "gone.jsonl" in refused("new", "p.db", "good.jsonl", "--test", "gone.jsonl", code=2)


def test_a_test_share_that_is_no_share(refused: Callable[..., str]) -> None:
    assert "1.5" in refused("new", "p.db", "good.jsonl", "--test", "1.5", code=2)


def test_a_test_share_of_data_without_labels(refused: Callable[..., str], folder: Path) -> None:
    (folder / "bare.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    told = refused("new", "n.db", "bare.jsonl", "--labels", "a,b", "--test", "0.5", code=2)
    assert "no column of labels" in told


@pytest.mark.parametrize("flag", ["--text", "--label", "--id", "--context", "--options"])
def test_a_column_that_is_not_there(refused: Callable[..., str], flag: str) -> None:
    told = refused("new", "p.db", "good.jsonl", flag, "sentiment", code=2)
    assert "sentiment" in told
    assert "text" in told


def test_a_label_column_for_the_schema_that_is_not_there(refused: Callable[..., str]) -> None:
    assert "nope" in refused("new", "p.db", "good.jsonl", "--labels-from", "nope", code=2)


def test_a_file_that_is_not_utf8(refused: Callable[..., str], folder: Path) -> None:
    (folder / "old.csv").write_bytes("text,label\ncaf\xe9,a\nth\xe9,b\n".encode("latin-1"))
    assert "old.csv" in refused("new", "p.db", "old.csv", code=1)


def test_an_empty_file(refused: Callable[..., str], folder: Path) -> None:
    (folder / "empty.csv").write_bytes(b"")
    assert "empty.csv" in refused("new", "p.db", "empty.csv", code=1)


def test_a_file_with_columns_and_no_rows(refused: Callable[..., str], folder: Path) -> None:
    (folder / "head.csv").write_text("text,label\n")
    assert "head.csv" in refused("new", "p.db", "head.csv", "--labels", "a,b", code=1)


def test_a_file_of_empty_texts(refused: Callable[..., str], folder: Path) -> None:
    (folder / "blank.jsonl").write_text('{"text": " "}\n{"text": ""}\n')
    refused("new", "p.db", "blank.jsonl", "--text", "text", "--labels", "a,b", code=2)


def test_a_file_broken_in_the_middle(refused: Callable[..., str], folder: Path) -> None:
    good = (folder / "good.jsonl").read_text("utf-8")
    (folder / "cut.jsonl").write_text(good + '{"text": "half', "utf-8")
    assert "cut.jsonl" in refused("new", "p.db", "cut.jsonl", code=1)


def test_one_label_only_in_the_data(refused: Callable[..., str], folder: Path) -> None:
    (folder / "one.jsonl").write_text(
        '{"text": "a b", "label": "x"}\n{"text": "c", "label": "x"}\n'
    )
    assert "'x'" in refused("new", "p.db", "one.jsonl", code=1)


def test_one_label_only_on_the_command_line(refused: Callable[..., str]) -> None:
    refused("new", "p.db", "good.jsonl", "--labels", "good", code=2)


def test_no_labels_at_all(refused: Callable[..., str], folder: Path) -> None:
    (folder / "plain.txt").write_text("one\ntwo\n")
    assert "--labels" in refused("new", "p.db", "plain.txt", code=2)


def test_a_label_column_of_free_text(refused: Callable[..., str]) -> None:
    refused("new", "p.db", "good.jsonl", "--labels-from", "id", code=1)


@pytest.mark.parametrize("command", [["new", "p.db", "sub"], ["new", "sub", "good.jsonl"]])
def test_a_directory_in_place_of_a_file(
    refused: Callable[..., str], folder: Path, command: list[str]
) -> None:
    (folder / "sub").mkdir()
    assert "directory" in refused(*command, code=2)


def test_a_directory_in_place_of_a_project(refused: Callable[..., str], folder: Path) -> None:
    (folder / "sub").mkdir()
    refused("status", "sub", code=2)


def test_a_project_that_is_there_already(refused: Callable[..., str], project: Path) -> None:
    assert "p.db" in refused("new", "p.db", "good.jsonl", code=2)


def test_a_folder_that_is_not_there(refused: Callable[..., str]) -> None:
    refused("new", "none/p.db", "good.jsonl", code=1)


@pytest.mark.parametrize(
    "command",
    [
        ["status"], ["plan"], ["run"], ["next"], ["config"], ["evaluate"],
        ["label", "{}", "1", "good"], ["export", "{}", "out.csv"],
        ["predict", "{}", "good.jsonl", "out.csv"], ["save-model", "{}", "model"],
        ["import", "{}", "good.jsonl"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_project_that_is_not_there(refused: Callable[..., str], command: list[str]) -> None:
    words = [word.format("gone.db") for word in command]
    assert "gone.db" in refused(*(words if "gone.db" in words else [*words, "gone.db"]), code=2)


def test_a_text_file_is_no_project(refused: Callable[..., str]) -> None:
    assert "good.jsonl" in refused("status", "good.jsonl", code=1)


def test_an_empty_file_is_no_project(refused: Callable[..., str], folder: Path) -> None:
    (folder / "void.db").write_bytes(b"")
    refused("status", "void.db", code=1)


def test_another_programs_database_is_no_project(refused: Callable[..., str], folder: Path) -> None:
    with duckdb.connect(str(folder / "other.db")) as other:
        other.execute("CREATE TABLE items AS SELECT 1 AS item_id")
    assert "not an imfl-tui project" in refused("status", "other.db", code=1)


def test_a_project_of_a_newer_version(refused: Callable[..., str], project: Path) -> None:
    with duckdb.connect(str(project)) as other:
        other.execute("INSERT INTO imfl_migrations (version) VALUES (999)")
    assert "newer" in refused("status", "p.db", code=1)


@pytest.fixture
def held(project: Path) -> Iterator[int]:
    """Another process that holds the project; its process id."""
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(project)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.communicate("\n")


def test_a_project_held_by_another_process(refused: Callable[..., str], held: int) -> None:
    assert str(held) in refused("status", "p.db", code=3)


def test_no_key_for_the_llm(refused: Callable[..., str], cli: Cli, project: Path) -> None:
    assert cli("config", "p.db", "annotator.spec", "openai:gpt-5-mini").code == 0
    assert "OPENAI_API_KEY" in refused("run", "p.db", "--human", "gold", code=1)


@pytest.mark.parametrize(
    "address",
    [
        "http://me:hunter2@host/v1",
        "https://host/v1?key=hunter2",
        "https://host/sk-proj-hunter2HUNTER2x/v1",
        "https://host/the-key-hunter2/v1",
    ],
)
def test_a_secret_in_an_address_is_refused_before_it_is_stored(
    refused: Callable[..., str], project: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-hunter2")
    for words in (
        ("new", "q.db", "good.jsonl", "--annotator", "openai:m", "--base-url", address),
        ("config", "p.db", "annotator.base_url", address),
    ):
        assert "hunter2" not in refused(*words, code=2)
    for file in project.parent.rglob("*"):
        assert file.is_dir() or b"hunter2" not in file.read_bytes()


@pytest.mark.parametrize(
    "path", ["sk-learn-inference-endpoint2", "pk-recommendations", "hf-1234/v1"]
)
def test_a_path_that_only_begins_like_a_key_is_an_address(
    cli: Cli, folder: Path, path: str
) -> None:
    address = f"https://host/{path}"
    assert cli("new", "p.db", "good.jsonl", "--base-url", address).code == 0


def test_an_endpoint_that_is_dead(
    refused: Callable[..., str], cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    for name, value in (
        ("annotator.spec", "openai:small"),
        ("annotator.base_url", f"http://127.0.0.1:{port}/v1"),
        ("annotator.price_input", "0"),
        ("annotator.price_output", "0"),
    ):
        assert cli("config", "p.db", name, value).code == 0
    told = refused("run", "p.db", "--human", "gold", code=1)
    assert str(port) in told
    assert "sk-not-a-real-key" not in told


def test_a_setting_that_does_not_exist(refused: Callable[..., str], project: Path) -> None:
    assert "budget.humans" in refused("config", "p.db", "budget.humans", "3", code=2)


@pytest.mark.parametrize(
    ("change", "named"),
    [("seed", "--set seed"), ("=3", "--set =3"), ("budget.beer=3", "budget.beer"),
     ("budget=3", "budget"), ("seed.x=3", "seed"), ("wine.red=3", "wine")],
)  # fmt: skip
def test_a_change_of_settings_that_cannot_be(
    refused: Callable[..., str], change: str, named: str
) -> None:
    assert named in refused("new", "p.db", "good.jsonl", "--set", change, code=2)


def test_a_setting_with_a_wrong_value(refused: Callable[..., str], project: Path) -> None:
    assert "budget.human" in refused("config", "p.db", "budget.human", "many", code=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("budget.money_usd", "Infinity"), ("budget.rounds", "1000000"), ("seed", "9" * 3 + ".5")],
)
def test_a_setting_that_could_not_work(
    refused: Callable[..., str], project: Path, name: str, value: str
) -> None:
    assert name in refused("config", "p.db", name, value, code=2)


def test_a_seed_below_zero(refused: Callable[..., str]) -> None:
    assert "seed" in refused("new", "p.db", "good.jsonl", "--seed", "-1", code=2)


def test_a_test_file_that_holds_every_item(refused: Callable[..., str]) -> None:
    told = refused("new", "p.db", "good.jsonl", "--test", "good.jsonl", code=2)
    assert "nothing is left to label" in told


def test_predictions_onto_the_data_itself(refused: Callable[..., str], project: Path) -> None:
    assert "is the data itself" in refused("predict", "p.db", "good.jsonl", "good.jsonl", code=2)


def test_of_two_label_files_one_that_is_broken(
    refused: Callable[..., str], project: Path, folder: Path
) -> None:
    rows = [json.loads(line) for line in (folder / "good.jsonl").read_text("utf-8").splitlines()]
    answers = [{"text": row["text"], "label": "good", "answer": "accept"} for row in rows[:3]]
    lines = [json.dumps(answer) for answer in answers]
    (folder / "a.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "b.jsonl").write_text("\n".join([*lines, '{"text": "cut']), "utf-8")
    assert "b.jsonl" in refused("import", "p.db", "a.jsonl", "b.jsonl", "--labels", code=1)


def test_wrong_settings_are_all_named_at_once(refused: Callable[..., str]) -> None:
    told = refused(
        "new", "p.db", "good.jsonl", "--human", "-3", "--rounds", "0", "--annotator", "gpt", code=2
    )
    for flag in ("--human", "--rounds", "--annotator"):
        assert flag in told


def test_an_item_without_a_label(refused: Callable[..., str], project: Path) -> None:
    refused("label", "p.db", "r1", code=2)


def test_an_item_that_does_not_exist(refused: Callable[..., str], project: Path) -> None:
    assert "r999" in refused("label", "p.db", "r999", "good", code=2)


def test_a_label_outside_the_schema_leaves_the_others_unwritten(
    refused: Callable[..., str], project: Path
) -> None:
    assert "maybe" in refused("label", "p.db", "r1", "good", "r2", "maybe", code=2)


def test_gold_answers_where_there_are_none(
    cli: Cli, folder: Path, refused: Callable[..., str]
) -> None:
    (folder / "plain.txt").write_text("".join(f"line {n}\n" for n in range(40)))
    assert cli("new", "q.db", "plain.txt", "--labels", "a,b").code == 0
    assert "gold" in refused("run", "q.db", "--human", "gold", code=2)


def test_nothing_trained_yet(refused: Callable[..., str], project: Path) -> None:
    refused("evaluate", "p.db", code=2)


def test_the_app_without_a_terminal(refused: Callable[..., str], project: Path) -> None:
    assert "terminal" in refused("p.db", code=2)


@pytest.mark.parametrize("words", [["exprot"], ["status"], ["new", "p.db"], ["status", "--jsn"]])
def test_a_command_line_that_is_wrong(refused: Callable[..., str], words: list[str]) -> None:
    assert "--help" in refused(*words, code=2)


def test_a_path_as_the_first_word_means_the_app(refused: Callable[..., str]) -> None:
    assert "terminal" in refused("brand-new.db", code=2)


def test_guidelines_that_cannot_be_read(refused: Callable[..., str], folder: Path) -> None:
    (folder / "g.md").write_bytes(b"caf\xe9")
    assert "g.md" in refused("new", "p.db", "good.jsonl", "--guidelines", "g.md", code=1)
    assert "h.md" in refused("new", "p.db", "good.jsonl", "--guidelines", "h.md", code=2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(refused: Callable[..., str], folder: Path) -> None:
    (folder / "good.jsonl").chmod(0)
    refused("new", "p.db", "good.jsonl", code=1)


@pytest.mark.parametrize(
    "name",
    ["sk-proj-ABCDEFGHIJ1234567890", "Bearer sk-foo", "skABCDEFGHIJKLMNOP12345", "two words"],
)
def test_a_key_where_the_name_of_a_variable_belongs_is_not_repeated(
    refused: Callable[..., str], name: str
) -> None:
    told = refused("new", "p.db", "good.jsonl", "--key-name", name, code=2)
    assert "OPENAI_API_KEY" in told
    assert name not in told


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999/v1", "http://h/v1#sk-abcdef"])
def test_an_address_that_cannot_be(refused: Callable[..., str], address: str) -> None:
    told = refused("new", "p.db", "good.jsonl", "--base-url", address, code=2)
    assert "sk-abcdef" not in told


def test_a_price_that_is_no_number(refused: Callable[..., str]) -> None:
    refused("new", "p.db", "good.jsonl", "--price", "inf", "inf", code=2)


def test_an_encoding_that_needs_a_mark(refused: Callable[..., str], folder: Path) -> None:
    (folder / "plain.csv").write_text("text,label\nfine,a\nbad,b\n")
    told = refused("new", "p.db", "plain.csv", "--encoding", "utf-16", code=1)
    assert "plain.csv" in told


def test_the_demo_is_not_run_on_another_project(refused: Callable[..., str], project: Path) -> None:
    assert "not the demo" in refused("demo", "p.db", "--headless", code=2)


def test_commands_that_are_told_can_be_pasted_where_the_name_has_a_space(
    cli: Cli, folder: Path
) -> None:
    made = cli("new", "my notes.db", "good.jsonl", "--annotator", "none")
    assert made.code == 0, made.err
    assert "imfl-tui 'my notes.db'" in made.out + made.err
    again = cli("new", "my notes.db", "good.jsonl")
    assert "imfl-tui 'my notes.db'" in again.err
    assert "imfl-tui new 'not here.db'" in cli("status", "not here.db").err
    for words, command in (
        (["next", "my notes.db"], "run"),
        (["label", "my notes.db"], "next"),
        (["label", "my notes.db", "nobody", "good"], "next"),
        (["config", "my notes.db", "no.such"], "config"),
        (["evaluate", "my notes.db"], "run"),
        (["export", "my notes.db", "out.csv"], "run"),
        (["save-model", "my notes.db", "model"], "run"),
    ):
        told = cli(*words)
        assert f"imfl-tui {command} 'my notes.db'" in told.out + told.err, words


def test_a_value_that_is_not_offered_is_refused_in_words_for_people(cli: Cli) -> None:
    refused = cli("run", "p.db", "--until", "foo")
    assert refused.code == 2
    assert "'--until': 'foo' is not one of" in refused.err
    assert "Value error" not in refused.err
