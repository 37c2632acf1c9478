"""What is told of the limits: minutes and money, how much of them is left, and how to raise them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
