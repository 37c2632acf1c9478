"""What is told of the limits: minutes and money, how much of them is left, and how to raise them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from imfl_engine.project import Project

Cli = Callable[..., Any]


def label_slowly(path: Path, seconds: float) -> None:
    """Give the first waiting item a label after so many seconds."""

    async def label() -> None:
        project = await Project.open(path)
        item = (await project.queue())[0].item
        await project.label(item.item_id, "good", seconds=seconds)
        await project.close()

    asyncio.run(label())


def test_a_spent_time_budget_is_told_with_how_to_raise_it(cli: Cli, project: Path) -> None:
    assert cli("run", "p.db", "--until", "select").code == 0
    assert cli("config", "p.db", "budget.minutes", 2).code == 0
    label_slowly(project, 150.0)
    said = cli("next", "p.db")
    assert said.out == ""
    assert said.told[0] == "Your time budget of 2 min is reached; next is round 0, embed."
    assert "`imfl-tui config p.db budget.minutes N`" in said.told[1]
    assert cli("next", "p.db", "--json").json["waiting"] == 0
    assert cli("plan", "p.db", "--json").json["minutes_of_person"] == 0
    assert cli("label", "p.db", "r0", "good").code == 0


@pytest.fixture
def priced(cli: Cli, folder: Path) -> Path:
    """A project whose LLM has a price, with 30 LLM labels to buy; nobody is asked."""
    made = cli(
        "new", "paid.db", "good.jsonl", "--human", 8, "--llm", 30, "--rounds", 1,
        "--target", "probe", "--annotator", "openai:test-model",
        "--base-url", "http://127.0.0.1:9/v1", "--price", "100", "200",
    )  # fmt: skip
    assert made.code == 0, made.err
    return folder / "paid.db"


def plan(cli: Cli) -> dict[str, str]:
    """What ``plan`` says, by the first word or two of its lines."""
    told = cli("plan", "paid.db")
    assert told.code == 0, told.err
    return {line[:10].strip(): line[11:] for line in told.out.splitlines()}


def test_a_plan_without_limits_says_so(cli: Cli, priced: Path) -> None:
    said = plan(cli)
    assert said["limit"] == "none for money: $0.00 spent"
    assert "limit" not in said["money"] + said["in all"] + said["your time"]
    assert "time limit" not in said


def test_a_plan_promises_no_more_than_the_limits_leave(cli: Cli, priced: Path) -> None:
    for name, value in (("money_usd", 0.25), ("minutes", 0.5)):
        assert cli("config", "paid.db", f"budget.{name}", value).code == 0
    said = plan(cli)
    assert said["money"].startswith("$0.25, stops at the limit (")
    assert said["calls"] == "at most 38"
    assert said["your time"] == "about 30 s (stops at the limit)"
    assert said["in all"] == (
        "at most 38 calls, $0.25, stops at the limit, about 30 s (stops at the limit) of you"
    )
    assert said["limit"] == "$0.25: $0.00 spent, $0.25 left"
    assert said["time limit"] == "0.5 min: 0 s spent, 30 s left"


def test_what_may_have_been_billed_without_an_answer_is_told_beside_what_is_left(
    cli: Cli, priced: Path
) -> None:
    assert cli("config", "paid.db", "budget.money_usd", 5).code == 0
    with duckdb.connect(str(priced)) as store:
        store.execute(
            "INSERT INTO charges (charge_id, prompt_hash, item_id, round, usd) "
            "VALUES ('lost', 'a', 1, 1, 0.5), ('open', 'b', 2, 1, 0.25)"
        )
        store.execute(
            "INSERT INTO outcomes (outcome_id, charge_id, state, usd, input_tokens, "
            "cached_tokens, output_tokens) VALUES (1, 'lost', 'lost', 0, 0, 0, 0)"
        )
    assert plan(cli)["limit"] == (
        "$5.00: $0.00 spent, $0.50 may have been billed without an answer, $0.25 reserved, "
        "$4.25 left"
    )
    assert cli("plan", "paid.db", "--json").json["budget"]["money_lost"] == 0.5
