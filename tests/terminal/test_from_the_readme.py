"""What a person does who has read nothing but the README: its commands and its keys, typed."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from steps import describe_data, quit_app, set_budget
from tmux import Tmux

README = Path(__file__).parents[2] / "README.md"
HUMAN, LLM = 12, 8
NUMBERS = itertools.count()


def commands() -> list[list[str]]:
    """The commands of imfl-tui in the README's code blocks, word by word."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in line.split("&&")]
    words = [shlex.split(part, comments=True) for part in parts]
    return [found for found in words if found and Path(found[0]).name == "imfl-tui"]


def command(name: str, *, with_word: str = "") -> list[str]:
    """The first command of the README with this subcommand, and with a word where one is given."""
    found = [c for c in commands() if c[1] == name and (not with_word or with_word in c)]
    assert found, f"the README shows no `imfl-tui {name}` with '{with_word}'"
    return found[0]


def home_keys() -> dict[str, str]:
    """The keys of the screens, as the table of keys tells them: ``{"review": "r"}``."""
    keys: dict[str, str] = {}
    for cells, names in re.findall(
        r"\| ((?:`\w`,? ?)+) \| from Home: ([\w, ]+) \|", README.read_text(encoding="utf-8")
    ):
        keys.update(zip(names.split(", "), re.findall(r"`(\w)`", cells), strict=True))
    return keys


def smaller(words: list[str]) -> str:
    """The command with few labels and the probe, so that it takes seconds."""
    text = shlex.join(["imfl-tui", *words[1:]])
    for flag, number in (("human", HUMAN), ("llm", LLM), ("rounds", 1)):
        text, count = re.subn(rf"--{flag} \d+", f"--{flag} {number}", text)
        assert count == 1, f"--{flag} is missing: {text}"
    return f"{text} --target probe"


def run(terminal: Tmux, text: str, *, seconds: float = 120.0) -> None:
    """Type a command and wait until the shell says that it went well."""
    mark = f"DONE{next(NUMBERS)}="
    terminal.type(f"{text}; echo {mark}$?=")
    terminal.keys("Enter")
    shown = terminal.wait(*(f"{mark}{code}=" for code in (0, 1, 2, 3, 4, 127)), seconds=seconds)
    assert f"{mark}0=" in shown, shown


def test_the_commands_of_the_readme_go_from_new_to_the_export(terminal: Tmux, sample_data: Path):
    for name in ("train.jsonl", "test.jsonl"):
        shutil.copy(sample_data / "clinic-inbox" / name, terminal.folder / name)
    terminal.start_shell()
    new, go_on = command("new", with_word="neighbours"), command("run")
    export, plan = command("export"), command("plan")
    run(terminal, smaller(new))
    run(terminal, shlex.join([*plan[:2], new[2]]))
    run(terminal, shlex.join(go_on))
    run(terminal, shlex.join(export))
    rows = pq.read_table(terminal.folder / export[-1])
    assert rows.num_rows >= HUMAN + LLM


@pytest.mark.slow
def test_the_first_round_of_the_readme_is_labelled_reviewed_and_exported_by_its_keys(
    terminal: Tmux, sample_data: Path
):
    terminal.start_shell()
    project = command("new", with_word="openai:gpt-5-mini")[2]
    opening = ["imfl-tui", project]
    assert opening in commands()
    keys = home_keys()
    terminal.type(shlex.join(opening) + "; echo EXIT=$?")
    terminal.keys("Enter")
    # “A file that does not exist yet opens the set-up screen instead.”
    describe_data(terminal, sample_data / "clinic-inbox" / "train.jsonl")
    terminal.keys("BTab", "Right")  # the probe
    set_budget(terminal, human=HUMAN, llm=LLM, rounds=1)
    terminal.keys("Enter")
    # “Home says what comes next; enter does it.”
    terminal.wait("your turn:")
    terminal.keys("Enter")
    labelled = int(re.findall(r"0 of (\d+)", terminal.wait("0 of"))[0])
    terminal.keys("1", "u")  # “u takes anything back”
    for number in range(labelled):
        terminal.keys("12345"[number % 5])
    terminal.wait("annotation budget is used up", seconds=240)
    terminal.keys("Escape", keys["review"])
    terminal.wait("to review")
    terminal.keys("a")
    terminal.wait("✓")
    terminal.keys("Escape", keys["results"])
    terminal.wait("accuracy .")
    terminal.keys("Escape", keys["export"])
    terminal.wait("what it will contain")
    terminal.keys("Down", "Enter")
    terminal.wait("written:")
    lines = (terminal.folder / project).with_suffix(".jsonl").read_text("utf-8").splitlines()
    assert len([json.loads(line) for line in lines]) >= labelled
    quit_app(terminal)
