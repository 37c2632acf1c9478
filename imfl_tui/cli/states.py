"""``status``, ``plan`` and ``config``: what a project is, will cost and is set to."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from imfl_engine.errors import SettingsError
from imfl_engine.types import Interval, ReplyStatus, Step, StepKind
from imfl_engine.views import LEAST_USD, BudgetUse, CostEstimate, Status
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.settings_given import parse_value
from imfl_tui.cli.shell import jsonable, show, show_json
from imfl_tui.lines.price import price_words
from imfl_tui.text import duration, money, pasteable, plural, thousands


async def status(project: opt.ProjectPath, json: opt.AsJson = False) -> None:
    """Show the round, the next step, the budgets and what the model can do."""
    async with opened(project) as opened_project:
        found = await opened_project.status()
    if json:
        show_json(found)
        return
    for line in status_lines(found):
        show(line)


def status_lines(status: Status) -> list[str]:
    """What ``status`` prints, line by line."""
    budget = status.budget
    lines = [
        f"project    {status.path}",
        f"data       {thousands(status.pool_size)} in the pool, "
        f"{thousands(status.test_size)} to test on",
        f"task       {status.task_kind}: {', '.join(status.labels) or 'options of each item'}",
        f"annotator  {status.annotator} · target {status.target}",
        f"next       {step_words(status.step)}",
        f"labels     you {budget.human_done} of {budget.human_limit}, "
        f"LLM {budget.llm_done} of {budget.llm_limit}"
        + (f"; {thousands(status.imported)} imported" if status.imported else ""),
        *reply_lines(status.replies),
        *without_label_lines(status),
        f"money      {money_words(budget)}"
        + (f", stops at {money(budget.money_limit)}" if budget.money_limit is not None else ""),
        f"your time  {budget.minutes_spent:.0f} min"
        + (f" of {budget.minutes_limit:.0f}" if budget.minutes_limit is not None else ""),
    ]
    if status.majority is not None:
        lines.append(f"majority   always '{status.majority[0]}' scores {status.majority[1]:.3f}")
    for point in status.curve:
        lines.append(
            f"round {point.round:<4} {point.scope} accuracy {interval(point.accuracy)}, "
            f"macro-F1 {point.macro_f1:.3f}, {point.human} human + {point.llm} LLM labels"
            + (" (those left out of the training)" if point.llm and not point.llm_weight else "")
        )
    trust = status.trust
    if trust.accuracy is not None:
        lines.append(f"LLM        right on {interval(trust.accuracy)} of the control slice")
    if trust.expected_errors is not None:
        lines.append(
            f"review     {trust.reviewed} of {trust.labels} LLM labels reviewed, {trust.found_wrong} "
            f"found wrong; about {trust.expected_errors:.0f} of the others wrong"
        )
    if status.advice:
        lines.append(f"advice     {status.advice}")
    return lines


def money_words(budget: BudgetUse) -> str:
    """What is spent, what requests under way may cost, and what was possibly billed for nothing."""
    words = f"{money(budget.money_spent)} spent"
    if budget.money_under_way:
        words += f", {money(budget.money_under_way)} reserved for requests under way"
    if budget.money_lost >= LEAST_USD:
        words += (
            f", up to {money(budget.money_lost)} more possibly billed for answers that never came"
        )
    return words


def reply_lines(replies: Mapping[str, int]) -> list[str]:
    """What became of the LLM's share, by all six ways it can end; where it was asked at all."""
    if not replies:
        return []
    counts = {kind: replies.get(kind.value, 0) for kind in ReplyStatus}
    words = ", ".join(
        f"{thousands(n)} {kind.value.replace('_', ' ')}" for kind, n in counts.items()
    )
    return [f"replies    {words}"]


def without_label_lines(status: Status) -> list[str]:
    """What became of the LLM's share, where some of it has no label, and who may give one."""
    lines = []
    refused = (ReplyStatus.INVALID, ReplyStatus.REFUSED)
    without = [f"{status.replies[kind]} {kind.value}" for kind in refused if kind in status.replies]
    by_hand = "no round follows, so label them in Explore"
    if without:
        then = by_hand
        if status.next_human:
            then = "they can be yours in a later round"
        elif status.offered:
            then = "no round follows, so they wait for you in Label and in `imfl-tui next`"
        lines.append(f"no label   {', '.join(without)}: the LLM gave none; {then}")
    if status.unanswered:
        limit = "budget.money_usd" if status.money_spent_up else "budget.llm"
        then = f"{by_hand} or raise {limit} to have the LLM asked again"
        if status.next_llm:
            then = "the next round asks the LLM again"
        lines.append(f"no answer  {plural(status.unanswered, 'item')}: {then}")
    return lines


def step_words(step: Step) -> str:
    """A step in words, with how far it is where it goes item by item."""
    words = f"round {step.round}, {step.kind.value}"
    if step.total and step.kind is not StepKind.START:
        words += f" ({step.done} of {step.total} done)"
    return f"{words}: {step.reason}" if step.reason else words


def interval(found: Interval) -> str:
    """An estimate with its 95 % interval and the number behind it."""
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}, n = {found.n})"


async def plan(project: opt.ProjectPath, json: opt.AsJson = False) -> None:
    """Show what the next round and the rest of the plan will cost, before anything is spent."""
    async with opened(project) as opened_project:
        estimate = await opened_project.estimate()
        rest = await opened_project.estimate_rest()
        found = await opened_project.status()
    if json:
        show_json({**jsonable(estimate), "rest": rest, "budget": found.budget})
        return
    for line in plan_lines(estimate, rest, found):
        show(line)


def plan_lines(estimate: CostEstimate, rest: CostEstimate, status: Status) -> list[str]:
    """What ``plan`` prints, line by line: the next round that asks the LLM, then all that is left.

    Last come the limits, what is spent of them, and how to raise one that is reached.
    """
    price = estimate.price_source
    if estimate.price_known and not estimate.money_limit_reached:
        price = f"{price_words(estimate)} ({estimate.price_source})"
    at_most = "at most " if estimate.stops_at_money_limit else ""
    tokens_in = (estimate.input_tokens_low, estimate.input_tokens_high)
    tokens_out = (estimate.output_tokens_low, estimate.output_tokens_high)
    return [
        *([f"round      {estimate.round}"] if estimate.round is not None else []),
        f"calls      {at_most}{thousands(estimate.calls)}",
        f"tokens in  {' to '.join(map(thousands, tokens_in))}",
        f"tokens out {' to '.join(map(thousands, tokens_out))}",
        f"money      {price}",
        f"your time  {time_words(estimate)}",
        f"in all     {rest_words(rest)}",
        *_limit_lines(status, priced=bool(rest.money_high) or not rest.price_known),
    ]


def rest_words(rest: CostEstimate) -> str:
    """What is left of the plan, in one line."""
    price = price_words(rest) if rest.price_known else "price unknown"
    at_most = "at most " if rest.stops_at_money_limit else ""
    calls = plural(rest.calls, "call")
    return f"{at_most}{calls}, {price}, {time_words(rest)} of you"


def time_words(estimate: CostEstimate) -> str:
    """The person's time, and whether the time budget ends before the labels."""
    about = f"about {duration(estimate.minutes_of_person * 60)}"
    return f"{about} (stops at the limit)" if estimate.stops_at_time_limit else about


def _limit_lines(status: Status, *, priced: bool) -> list[str]:
    """Limits of money and time with what is left of them; money only where some is asked for."""
    budget = status.budget
    lines = []
    used = f"{money(budget.money_spent)} spent"
    if budget.money_lost:
        used += f", {money(budget.money_lost)} may have been billed without an answer"
    if budget.money_under_way:
        used += f", {money(budget.money_under_way)} reserved"
    if budget.money_left is not None and budget.money_limit is not None:
        left = _left(status, "money_usd", money(budget.money_left), over=status.money_spent_up)
        lines.append(f"limit      {money(budget.money_limit)}: {used}, {left}")
    elif priced or budget.money_spent or budget.money_reserved:
        lines.append(f"limit      none for money: {used}")
    if budget.minutes_left is not None and budget.minutes_limit is not None:
        minutes = duration(budget.minutes_left * 60)
        left = _left(status, "minutes", minutes, over=status.minutes_spent_up)
        spent = f"{duration(budget.minutes_spent * 60)} spent"
        lines.append(f"time limit {budget.minutes_limit:g} min: {spent}, {left}")
    return lines


def _left(status: Status, setting: str, amount: str, *, over: bool) -> str:
    """How much of a limit is left or, where it is reached, the command that raises it."""
    if not over:
        return f"{amount} left"
    return f"the limit is reached; raise it: imfl-tui config {pasteable(status.path)} budget.{setting} N"


async def config(
    project: opt.ProjectPath,
    key: Annotated[str | None, typer.Argument(help="Dotted name, as in budget.llm.")] = None,
    value: Annotated[str | None, typer.Argument(help="New value, as JSON or plain text.")] = None,
    json: opt.AsJson = False,
) -> None:
    """Read or change settings. What would invalidate labels is refused."""
    async with opened(project) as opened_project:
        if key is not None and value is not None:
            await opened_project.configure(key, parse_value(value))
        values = flat(opened_project.settings.model_dump(mode="json"))
    if key is not None:
        values = {
            name: values[name] for name in values if name == key or name.startswith(f"{key}.")
        }
        if not values:
            raise SettingsError(
                f"There is no setting called '{key}'.",
                f"Run `imfl-tui config {pasteable(project)}` to see every setting.",
            )
    if json:
        show_json(values)
    elif key is not None and list(values) == [key]:
        show(as_text(values[key]))
    else:
        for name, found in values.items():
            show(f"{name} = {as_text(found)}")


def as_text(value: Any) -> str:
    """A setting's value the way it can be typed again."""
    if isinstance(value, str) and value.isprintable():
        return value
    return jsonlib.dumps(jsonable(value), ensure_ascii=False)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names; lists stay whole."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found
