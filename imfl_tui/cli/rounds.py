"""``run``: every step that needs no person, one after the other."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imfl_engine.errors import BudgetReached, UsageError
from imfl_engine.types import StepKind
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.progress import Reporter
from imfl_tui.cli.shell import say, show, show_json
from imfl_tui.cli.states import status_lines
from imfl_tui.text import pasteable

if TYPE_CHECKING:
    from pathlib import Path

    from imfl_engine.views import Status


HARD_STOPS = {
    "the money budget is reached": "budget.money_usd",
    "the time budget is reached": "budget.minutes",
}
"""Why a run may end before its labels are used up, and the setting that says so."""


class Human(StrEnum):
    """Who answers the items that are meant for the person."""

    GOLD = "gold"
    WAIT = "wait"


async def run(
    project: opt.ProjectPath,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Stop after so many rounds.")
    ] = None,
    human: Annotated[
        Human, typer.Option("--human", help="Answer from the gold column, or wait for you.")
    ] = Human.WAIT,
    until: Annotated[StepKind | None, typer.Option("--until", help="Stop after this step.")] = None,
    json: opt.AsJson = False,
) -> None:
    """Do every step that needs no person; stop where you are needed."""
    async with opened(project) as opened_project:
        gold = human is Human.GOLD
        if gold and not (await opened_project.status()).gold_available:
            raise UsageError(
                f"{project} has no gold labels to answer from.",
                "Label the items yourself, or create it again with the gold column in --label.",
            )
        with Reporter() as reporter:
            asks = await opened_project.will_annotate(until=until, gold=gold, rounds=rounds)
            if asks:
                # A missing key or a dead endpoint is told before anything is begun. What cannot be
                # paid is told when it comes to it: there may be labels to train on before.
                with contextlib.suppress(BudgetReached):
                    for notice in await opened_project.check_annotator():
                        reporter.show(notice)
            await reporter.follow(opened_project.advance(until=until, gold=gold, rounds=rounds))
        after = await opened_project.status()
    report(after, project, json=json)
    step = after.step
    if step.kind is StepKind.FINISHED and step.reason in HARD_STOPS:
        raise BudgetReached(
            f"{project} is finished: {step.reason}.",
            f"To go on, raise it: `imfl-tui config {pasteable(project)} {HARD_STOPS[step.reason]} VALUE`.",
        )
    if asks and after.money_spent_up and step.kind is not StepKind.FINISHED:
        raise BudgetReached(
            f"The money limit of {project} is reached; the LLM has labelled "
            f"{after.budget.llm_done} of {after.budget.llm_limit}.",
            f"Raise it with `imfl-tui config {pasteable(project)} budget.money_usd AMOUNT`, or go on with "
            "the labels there are: run it again.",
        )


def report(status: Status, project: Path, *, json: bool) -> None:
    """Print where a run has ended, and tell the person what is theirs to do."""
    if json:
        show_json(status)
    else:
        for line in status_lines(status):
            show(line)
    if status.step.kind is StepKind.LABEL:
        waiting = status.step.total - status.step.done
        say(
            f"{waiting} item{'s wait' if waiting != 1 else ' waits'} for your label: "
            f"`imfl-tui {pasteable(project)}`."
        )
