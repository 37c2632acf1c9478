"""What needs no LLM needs no key: labelling first, and knowing what the LLM will cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


@pytest.fixture
def paid(cli: Cli, folder: Path) -> Path:
    """A project whose LLM has a price and no key."""
    made = cli(
        "new", "p.db", "good.jsonl", "--human", 12, "--llm", 18, "--rounds", 2, "--target",
        "probe", "--annotator", "openai:some-model", "--price", "100", "200",
    )  # fmt: skip
    assert made.code == 0, made.err
    return folder / "p.db"


@pytest.mark.parametrize("words", [[], ["--until", "label"]])
def test_a_run_that_stops_at_the_person_asks_for_no_key(
    cli: Cli, paid: Path, words: list[str]
) -> None:
    ran = cli("run", paid, *words)
    assert ran.code == 0, ran.err
    assert cli("next", paid, "--json").json["waiting"] == 8


def test_a_run_that_comes_to_the_llm_asks_for_the_key_first(cli: Cli, paid: Path) -> None:
    ran = cli("run", paid, "--human", "gold", "--until", "annotate")
    assert ran.code == 1
    assert "OPENAI_API_KEY" in ran.err
    assert f"imfl-tui config {paid}" in ran.err
    assert cli("status", paid, "--json").json["budget"]["human_done"] == 0


def test_the_plan_has_its_price_before_the_first_round(cli: Cli, paid: Path) -> None:
    planned = cli("plan", paid, "--json").json
    assert planned["round"] == 1
    # Eight labels of the person are asked about too, to measure the LLM.
    assert planned["calls"] == 15
    assert 0 < planned["money_low"] < planned["money_high"]
    assert planned["rest"]["calls"] == 30
    assert planned["rest"]["money_low"] == pytest.approx(2 * planned["money_low"], rel=0.01)


def test_the_plan_says_both_prices_to_people(cli: Cli, paid: Path) -> None:
    lines = cli("plan", paid).out.splitlines()
    assert lines[0] == "round      1"
    assert "money      $" in "\n".join(lines)
    assert any(line.startswith("in all     30 calls, $") for line in lines)


def test_the_plan_is_the_same_while_the_first_batch_is_labelled(cli: Cli, paid: Path) -> None:
    before = cli("plan", paid, "--json").json
    assert cli("run", paid, "--until", "select").code == 0
    assert cli("plan", paid, "--json").json == before
