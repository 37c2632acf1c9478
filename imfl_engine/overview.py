"""`Status`: what Home shows, read in one go from the store."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap, takewhile
from typing import Any

from imfl_engine.label_model.control import ControlAnswer, accuracy_of_bought
from imfl_engine.loop.lookahead import fitting, pool_left
from imfl_engine.loop.runner import Loop
from imfl_engine.loop.steps import LoopState, RoundSizes, is_last, is_over, next_step
from imfl_engine.query.stopping import StopEvidence, advise
from imfl_engine.store import items, labels, replies, reports, rounds, selections
from imfl_engine.store.database import Connection
from imfl_engine.types import Interval, Step, StepKind
from imfl_engine.views import BudgetUse, CurvePoint, LlmTrust, RoundProgress, Status


async def read_status(loop: Loop) -> Status:
    """Return a fresh snapshot; a handful of aggregates over small tables."""
    context = loop.context
    state = await loop.state()
    settings = context.settings
    facts = await context.database.read(_facts)
    step = next_step(state)
    money = facts.balance
    curve = _curve(facts)
    over = is_last(state)
    follows = RoundSizes(0, 0) if over else RoundSizes(state.next_human, state.next_llm)
    offered, offered_total = (0, 0)
    if is_over(state) and not state.minutes_spent_up:
        offered, offered_total = facts.unanswerable
    budget = BudgetUse(
        human_done=sum(count.human_labelled for count in facts.counts.values()),
        human_limit=settings.budget.human,
        llm_done=sum(count.llm_labelled for count in facts.counts.values()),
        llm_limit=0 if settings.annotator.kind == "none" else settings.budget.llm,
        money_spent=money.spent,
        money_reserved=money.reserved + money.lost,
        money_limit=settings.budget.money_usd,
        minutes_spent=facts.minutes,
        minutes_limit=settings.budget.minutes,
        money_lost=money.lost,
    )
    return Status(
        path=context.database.path,
        step=step,
        rounds=_rounds(facts, _planned(loop, state), step),
        budget=budget,
        curve=curve,
        majority=facts.majority,
        label_counts=facts.label_counts,
        trust=_trust(facts),
        pool_size=facts.pool,
        test_size=facts.test,
        task_kind=settings.task.kind,
        labels=settings.task.label_names,
        annotator=settings.annotator.spec,
        target=settings.training.target,
        advice=_advice(facts, curve, budget, money_spent_up=state.money_spent_up),
        gold_available=facts.gold_available,
        imported=facts.imported,
        replies=facts.replies,
        unanswered=facts.unanswered,
        offered=offered,
        offered_total=offered_total,
        next_human=follows.human,
        next_llm=follows.llm,
        money_spent_up=state.money_spent_up,
        minutes_spent_up=state.minutes_spent_up,
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    opened: list[rounds.OpenedRound]
    counts: dict[int, selections.BatchCounts]
    completed: list[rounds.CompletedStep]
    balance: Any
    minutes: float
    majority: tuple[str, float] | None
    label_counts: tuple[Any, ...]
    pool: int
    test: int
    gold_available: bool
    control: list[tuple[int, int, bool]]
    review: reports.ReviewTotals
    costs: dict[int, float]
    minutes_of: dict[int, float]
    imported: int
    replies: dict[str, int]
    unanswered: int
    unanswerable: tuple[int, int]


def _facts(con: Connection) -> _Facts:
    return _Facts(
        opened=rounds.opened(con),
        counts=selections.batch_counts(con),
        completed=rounds.completed(con),
        balance=replies.balance(con),
        minutes=labels.minutes_spent(con),
        majority=reports.majority(con),
        label_counts=reports.label_counts(con),
        pool=items.count(con, "pool"),
        test=items.count(con, "test"),
        gold_available=reports.gold_available(con),
        control=reports.control_answers(con),
        review=reports.review_totals(con),
        costs=reports.cost_by_round(con),
        minutes_of=reports.minutes_by_round(con),
        imported=reports.imported_labels(con),
        replies=reports.reply_statuses(con),
        unanswered=len(selections.unanswered(con)),
        unanswerable=selections.unanswerable_counts(con),
    )


def _planned(loop: Loop, state: LoopState) -> dict[int, RoundSizes]:
    """Return what the rounds buy by the plan, and the one after it where one may follow.

    Rounds that the pool is too small for are left out.
    """
    plan = loop.plan()
    sizes = dict(enumerate(plan, start=1))
    if state.first_round == 0:
        wanted = loop.context.settings.query.first_human
        first = plan[0].human if wanted is None else min(wanted, plan[0].human)
        sizes = {
            0: RoundSizes(first, 0),
            **sizes,
            1: RoundSizes(plan[0].human - first, plan[0].llm),
        }
    if state.next_round > len(plan) and next_step(state).kind is StepKind.START:
        sizes[state.next_round] = RoundSizes(state.next_human, state.next_llm)
    left = pool_left(state, plan)
    begun = -1 if state.round is None else state.round
    for number in sorted(number for number in sizes if number > begun):
        fits = fitting(sizes[number], left)
        left -= fits.human + fits.llm
        if fits == sizes[number]:
            continue
        if fits == RoundSizes(0, 0):
            del sizes[number]
        else:
            sizes[number] = fits
    return sizes


def _rounds(facts: _Facts, planned: dict[int, RoundSizes], step: Step) -> tuple[RoundProgress, ...]:
    begun = {one.round: one for one in facts.opened}
    cells = []
    for number in sorted(planned.keys() | begun.keys()):
        if number == 0 and begun and 0 not in begun:
            continue
        counts = facts.counts.get(number)
        opened = begun.get(number)
        if opened is not None:
            human, llm = opened.human_planned, opened.llm_planned
        else:
            human, llm = planned[number].human, planned[number].llm
        evaluated = any(
            step.round == number and step.kind is StepKind.EVALUATE for step in facts.completed
        )
        is_now = number == step.round and step.kind is not StepKind.FINISHED and not evaluated
        cells.append(
            RoundProgress(
                number,
                max(human, counts.human if counts else 0),
                counts.human_labelled if counts else 0,
                max(llm, counts.llm if counts else 0),
                counts.llm_labelled if counts else 0,
                "done" if evaluated else "now" if is_now else "planned",
            )
        )
    return tuple(cells)


def _curve(facts: _Facts) -> tuple[CurvePoint, ...]:
    points = []
    trained = {step.round: step for step in facts.completed if step.kind is StepKind.TRAIN}
    for step in facts.completed:
        if step.kind is not StepKind.EVALUATE or "evaluation" not in step.details:
            continue
        found = step.details["evaluation"]
        training = trained.get(step.round)
        details = training.details if training else {}
        cost = sum(usd for number, usd in facts.costs.items() if number <= step.round)
        minutes = sum(spent for number, spent in facts.minutes_of.items() if number <= step.round)
        points.append(
            CurvePoint(
                step.round,
                Interval(**found["accuracy"]),
                float(found["macro_f1"]["value"]),
                found["scope"],
                int(details.get("human", 0)),
                int(details.get("llm", 0)),
                training.seconds if training else 0.0,
                cost,
                minutes,
                float(details.get("llm_weight", 1.0)),
            )
        )
    return tuple(points)


def _trust(facts: _Facts) -> LlmTrust:
    bought = {number: of.llm_labelled for number, of in facts.counts.items() if of.llm_labelled}
    worst: tuple[str, str, int, int] | None = None
    for step in facts.completed:
        if step.kind is StepKind.TRAIN and step.details.get("worst_pair"):
            pair = step.details["worst_pair"]
            worst = (str(pair[0]), str(pair[1]), int(pair[2]), int(pair[3]))
    return LlmTrust(
        accuracy=accuracy_of_bought(starmap(ControlAnswer, facts.control), bought),
        expected_errors=facts.review.expected_errors,
        labels=facts.review.labels,
        reviewed=facts.review.reviewed,
        kept=facts.review.kept,
        found_wrong=facts.review.found_wrong,
        worst_pair=worst,
    )


def _advice(
    facts: _Facts,
    curve: tuple[CurvePoint, ...],
    budget: BudgetUse,
    *,
    money_spent_up: bool,
) -> str:
    if not curve:
        return ""
    measured = [
        step.details.get("kappa") for step in facts.completed if step.kind is StepKind.EVALUATE
    ]
    # only rounds in a row say that the models have stopped changing
    kappas = tuple(takewhile(lambda kappa: kappa is not None, reversed(measured)))[::-1]
    evidence = StopEvidence(
        kappas=kappas,
        curve=tuple(point.accuracy for point in curve),
        majority=facts.majority,
        human_left=max(0, budget.human_limit - budget.human_done),
        llm_left=max(0, budget.llm_limit - budget.llm_done),
        money_spent_up=money_spent_up,
    )
    return advise(evidence).reason
