"""What the running jobs look like right now, folded from the engine's events.

The app feeds every event to `fold`; screens see one immutable `Jobs` snapshot at most four times a
second, however fast the events come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from imfl_engine.errors import ImflError
from imfl_engine.events import (
    Annotated,
    Event,
    ModelReady,
    Notice,
    Progress,
    StepFinished,
    StepStarted,
    TrainingProgress,
    ValidationMeasured,
)
from imfl_engine.types import Reply, Step, StepKind
from imfl_tui.text import duration, money, thousands

_OF_TOTAL = re.compile(r"([\d,]+)/([\d,]+)")

KEPT_REPLIES = 200
KEPT_POINTS = 2_000

STEP_WORDS: dict[StepKind, str] = {
    StepKind.START: "drawing a sub-sample",
    StepKind.EMBED: "embedding",
    StepKind.SCORE: "scoring",
    StepKind.SELECT: "choosing items",
    StepKind.LABEL: "waiting for you",
    StepKind.ANNOTATE: "LLM",
    StepKind.TRAIN: "training",
    StepKind.EVALUATE: "evaluating",
    StepKind.FINISHED: "finished",
}

JOB_WORDS = {"prefetch": "embedding ahead", "export": "writing", "rounds": "the round"}

DONE_WORDS: dict[StepKind, str] = {
    StepKind.SELECT: "Your next batch is ready",
    StepKind.ANNOTATE: "The LLM has labelled its share",
    StepKind.EVALUATE: "The model is trained and measured",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One running iterator of events; ``name`` is its group (rounds, prefetch, export, import)."""

    name: str
    step: Step | None = None
    progress: Progress | None = None
    paused: bool = False
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """The latest LLM run: its last event and the replies seen, newest last."""

    last: Annotated
    replies: tuple[Reply, ...] = ()
    running: bool = True


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The latest training: ``losses`` are (step, loss), ``validation`` (step, loss, accuracy)."""

    last: TrainingProgress | None = None
    losses: tuple[tuple[int, float], ...] = ()
    validation: tuple[tuple[int, float, float], ...] = ()
    ready: ModelReady | None = None
    running: bool = True
    round: int | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """Everything that runs, and what the last annotation and training run looked like."""

    running: dict[str, Job] = field(default_factory=dict)
    annotation: Annotation | None = None
    training: TrainingRun | None = None
    notices: tuple[Notice, ...] = ()
    failure: ImflError | None = None
    """Why the rounds stopped, until they begin again."""

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        return bool(self.running)

    @property
    def rounds(self) -> Job | None:
        """The job that carries the rounds forward."""
        return self.running.get("rounds")

    def in_step(self, kind: StepKind) -> bool:
        """Whether the rounds job is in a step of this kind."""
        job = self.rounds
        return bool(job and job.step and job.step.kind is kind)


def start(jobs: Jobs, name: str) -> Jobs:
    """A job begins."""
    failure = None if name == "rounds" else jobs.failure
    return replace(jobs, running={**jobs.running, name: Job(name)}, failure=failure)


def finish(jobs: Jobs, name: str, error: ImflError | None = None) -> Jobs:
    """A job ended, whichever way; what it showed last stays visible, and why it stopped."""
    running = {key: job for key, job in jobs.running.items() if key != name}
    annotation, training = jobs.annotation, jobs.training
    if name == "rounds":
        annotation = replace(annotation, running=False) if annotation else None
        training = replace(training, running=False) if training else None
    failure = error if name == "rounds" else jobs.failure
    return replace(jobs, running=running, annotation=annotation, training=training, failure=failure)


def mark(jobs: Jobs, name: str, *, paused: bool = False, stopping: bool = False) -> Jobs:
    """Show a running job as paused or stopping."""
    job = jobs.running.get(name)
    if job is None:
        return jobs
    marked = replace(job, paused=paused, stopping=stopping)
    return replace(jobs, running={**jobs.running, name: marked})


def fold(jobs: Jobs, name: str, event: Event) -> Jobs:
    """The snapshot after ``event`` of the job called ``name``."""
    job = jobs.running.get(name) or Job(name)
    if isinstance(event, StepStarted):
        job = replace(job, step=event.step, progress=None)
        jobs = _step_started(jobs, event.step)
    elif isinstance(event, StepFinished):
        job = replace(job, progress=None)
        jobs = _step_finished(jobs, event.step)
    elif isinstance(event, Progress):
        job = replace(job, progress=event)
    elif isinstance(event, Annotated):
        replies = jobs.annotation.replies if jobs.annotation else ()
        kept = (*replies, event.reply)[-KEPT_REPLIES:]
        jobs = replace(jobs, annotation=Annotation(event, kept))
    elif isinstance(event, Notice):
        jobs = replace(jobs, notices=(*jobs.notices, event)[-50:])
    else:
        jobs = replace(jobs, training=_fold_training(jobs.training or TrainingRun(), event))
    return replace(jobs, running={**jobs.running, name: job})


def _fold_training(
    run: TrainingRun, event: TrainingProgress | ValidationMeasured | ModelReady
) -> TrainingRun:
    if isinstance(event, TrainingProgress):
        losses = (*run.losses, (event.step, event.loss))
        if len(losses) > KEPT_POINTS:
            losses = losses[::2]
        return replace(run, last=event, losses=losses, running=True)
    if isinstance(event, ValidationMeasured):
        point = (event.step, event.loss, event.accuracy)
        return replace(run, validation=(*run.validation, point))
    return replace(run, ready=event)


def _step_started(jobs: Jobs, step: Step) -> Jobs:
    if step.kind is StepKind.TRAIN:
        return replace(jobs, training=TrainingRun(round=step.round))
    return jobs


def _step_finished(jobs: Jobs, step: Step) -> Jobs:
    if step.kind is StepKind.TRAIN and jobs.training:
        return replace(jobs, training=replace(jobs.training, running=False))
    if step.kind is StepKind.ANNOTATE and jobs.annotation:
        return replace(jobs, annotation=replace(jobs.annotation, running=False))
    return jobs


SHORT_WORDS = {
    "embedding ahead": "embedding",
    "drawing a sub-sample": "drawing",
    "choosing items": "choosing",
}


def describe(jobs: Jobs, name: str, *, short: bool = False) -> str:
    """One job in a few words for the header: ``training 63 % · 2 min``.

    A ``short`` one leaves the room of a narrow screen to the person's own figures.
    """
    text = _described(jobs, name)
    if short:
        for words, fewer in SHORT_WORDS.items():
            text = text.replace(words, fewer)
        text = _OF_TOTAL.sub(_percent, text) if not text.startswith("LLM") else text
    return text


def _percent(found: re.Match[str]) -> str:
    done, total = (int(part.replace(",", "")) for part in found.groups())
    return f"{100 * done // max(total, 1)} %"


def _described(jobs: Jobs, name: str) -> str:
    job = jobs.running[name]
    if job.stopping:
        return f"stopping {JOB_WORDS.get(name, name)}"
    if name == "rounds":
        text = _describe_rounds(jobs, job)
    else:
        words = JOB_WORDS.get(name, name)
        text = words if job.progress is None else _describe_progress(job.progress, words)
    return f"{text} (paused)" if job.paused else text


def quitting_words(jobs: Jobs, names: Sequence[str]) -> list[str]:
    """What stops when the app is left while the jobs called ``names`` run, and what is lost by it."""
    stops = f"Stops: {', '.join(describe(jobs, name) for name in names)}."
    kept = "Every label and every paid reply is on disk already"
    trained = jobs.training is not None and jobs.training.ready is not None
    if "rounds" in names and jobs.in_step(StepKind.TRAIN) and not trained:
        return [stops, f"{kept}.", "The training so far is lost; it starts again."]
    return [stops, f"{kept}; the next start goes on from there."]


def _describe_rounds(jobs: Jobs, job: Job) -> str:
    kind = job.step.kind if job.step else None
    if kind is StepKind.ANNOTATE and jobs.annotation and jobs.annotation.running:
        last = jobs.annotation.last
        spent = f" {money(last.spent_usd)}" if last.spent_usd or last.limit_usd else ""
        return f"LLM {thousands(last.done)}/{thousands(last.total)}{spent}"
    training = jobs.training if kind is StepKind.TRAIN else None
    if training and training.ready and job.progress and job.progress.job == "score":
        return _describe_progress(job.progress, STEP_WORDS[StepKind.SCORE])
    if training and (step := training.last):
        return _share("training", step.step, step.total, step.eta_seconds)
    words = STEP_WORDS[kind] if kind else "starting"
    return _describe_progress(job.progress, words) if job.progress else words


def _share(words: str, done: int, total: int, eta_seconds: float | None) -> str:
    eta = f" {duration(eta_seconds)}" if eta_seconds is not None else ""
    return f"{words} {100 * done // max(total, 1)} %{eta}"


def _describe_progress(progress: Progress, words: str) -> str:
    if not progress.total:
        return f"{words} {thousands(progress.done)}"
    return f"{words} {thousands(progress.done)}/{thousands(progress.total)}"
