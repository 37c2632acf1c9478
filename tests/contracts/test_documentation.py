"""The README speaks of every command and flag that scripts rely on, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from imfl_tui.cli.root import app

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")
COMMANDS = get_command(app).commands

CONTRACT = {
    "new": "--text --context --options --label --id --test --labels --labels-from --task "
    "--guidelines --preset --human --llm --rounds --money --minutes --seed --annotator --base-url "
    "--target --embedder --price --batch --device",
    "import": "",
    "plan": "--json",
    "run": "--rounds --human --until",
    "label": "",
    "next": "--json",
    "status": "--json",
    "config": "--json",
    "export": "--format",
    "evaluate": "--json",
    "predict": "",
    "save-model": "",
    "replay": "--test --label --preset --arms --seeds --human --llm --rounds --target --annotator "
    "--llm-accuracy --out",
    "demo": "",
    "doctor": "--json",
}


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_the_command_has_the_promised_flags(name: str) -> None:
    flags = {flag for option in COMMANDS[name].params for flag in option.opts}
    assert set(CONTRACT[name].split()) <= flags


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_the_readme_names_the_command(name: str) -> None:
    assert f"imfl-tui {name}" in README


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"open"}))
def test_no_command_is_left_out_of_the_contract(name: str) -> None:
    assert name in CONTRACT


def test_the_readme_names_no_flag_that_does_not_exist() -> None:
    known = {
        flag for command in COMMANDS.values() for option in command.params for flag in option.opts
    }
    known |= {
        flag for c in COMMANDS.values() for option in c.params for flag in option.secondary_opts
    }
    known |= {"--help", "--version", "--install-completion"}
    ours = "\n".join(line for line in README.splitlines() if "pip " not in line)
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert used <= known, sorted(used - known)


def test_every_relative_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (REPOSITORY / link).exists()]
    assert not missing, missing


def test_every_command_explains_itself() -> None:
    for name, command in COMMANDS.items():
        assert command.help, name
        for option in command.params:
            assert getattr(option, "help", None), f"{name} {option.opts}"
