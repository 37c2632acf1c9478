"""From a finished project to its row."""

from __future__ import annotations

from imfl_engine.project import Project
from imfl_engine.replay.arms import Arm
from imfl_engine.replay.rows import ReplayRow
from imfl_engine.store import labels, replies, rounds
from imfl_engine.types import Purpose, StepKind


async def measure(
    project: Project, dataset: str, arm: Arm, seconds: float, *, changes: str, data: str
) -> ReplayRow:
    """Read everything a row holds from a project whose loop is through."""
    context = project.context
    settings = context.settings
    status = await project.status()
    evaluation = await project.evaluation()
    bought, by_person, trained = await context.database.read(
        lambda con: (
            replies.latest(con, Purpose.ANNOTATE),
            labels.human_labels(con),
            rounds.completed(con, kind=StepKind.TRAIN),
        )
    )
    labelled = {item_id: reply.label for item_id, reply in bought.items() if reply.label}
    found = await context.items_of(sorted(labelled))
    right = sum(item.gold == labelled[item.item_id] for item in found)
    wrong = sum(
        item.gold != labelled[item.item_id] and item.item_id not in by_person for item in found
    )
    details = trained[-1].details if trained else {}
    trust = status.trust.accuracy
    return ReplayRow(
        dataset=dataset,
        arm=arm.name,
        seed=settings.seed,
        accuracy=evaluation.accuracy.value if evaluation else None,
        accuracy_low=evaluation.accuracy.low if evaluation else None,
        accuracy_high=evaluation.accuracy.high if evaluation else None,
        macro_f1=evaluation.macro_f1.value if evaluation else None,
        calibration_error=evaluation.expected_calibration_error if evaluation else None,
        llm_accuracy=right / len(labelled) if labelled else None,
        control_accuracy=trust.value if trust else None,
        control_low=trust.low if trust else None,
        control_high=trust.high if trust else None,
        expected_errors=details.get("expected_errors") if labelled else None,
        true_errors=wrong if labelled else None,
        human=status.budget.human_done,
        llm=status.budget.llm_done,
        cost_usd=status.budget.money_spent,
        seconds=seconds,
        training_seconds=sum(float(step.details.get("seconds", 0.0)) for step in trained),
        simulated=settings.annotator.kind == "simulated",
        annotator=settings.annotator.spec,
        target=settings.training.target,
        embedder=settings.embedder,
        query=arm.query,
        loss=arm.loss,
        schedule=arm.schedule,
        retrieval=arm.retrieval,
        training=arm.training,
        routing=arm.routing,
        changes=changes,
        data=data,
        rounds=settings.budget.rounds,
        test_size=status.test_size,
        human_budget=settings.budget.human,
        llm_budget=settings.budget.llm,
        curve=[point.accuracy.value for point in status.curve],
    )
