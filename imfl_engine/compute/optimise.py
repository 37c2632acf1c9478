"""The training loop every neural target shares.

Covers: soft targets or likelihoods and per-example weights, length-sorted batches, ending with the
best epoch by a validation share or with the mean of the last steps, progress with an ETA by cost,
cancellation between steps; the step itself is in `stepper`. Does not know what the model is: it is
given a function from rows to logits. A team of processes runs it in step, each with the same plan and
its share of every batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from imfl_engine.compute.batches import padded_tokens, token_batches, training_batches
from imfl_engine.compute.job import EtaEstimate
from imfl_engine.compute.kept_weights import BestEpoch, TailAverage
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.room import Room
from imfl_engine.compute.stepper import Stepper
from imfl_engine.compute.team import ALONE, Team
from imfl_engine.compute.transfer import to_device
from imfl_engine.compute.wire import IndexArray
from imfl_engine.events import Notice, TrainingProgress, ValidationMeasured

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.wire import TrainingJob

Logits = Callable[[IndexArray], torch.Tensor]
"""Rows (m,) → logits (m, C); absent options are -inf."""

EVALUATION_TOKENS = 4096
EVALUATION_COST = 1 / 3
"""A forward pass costs about a third of a training step."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``samples_per_second`` counts training examples, without validation.

    ``pace`` is the ``prior`` of the next fine-tune like this one.
    """

    steps: int
    samples_per_second: float
    pace: float | None = None


def optimise(
    job: Job,
    device: Device,
    spec: TrainingJob,
    recipe: Recipe,
    *,
    parameters: Parameters,
    logits: Logits,
    room: Room,
    set_training: Callable[[bool], Any],
    save_memory: Callable[[], bool] = lambda: False,
    team: Team = ALONE,
    prior: float | None = None,
) -> Outcome:
    """Train in place and return what was done.

    ``room`` knows how long the examples are. ``save_memory`` is called when even one of them does
    not fit and says whether it could do anything (gradient checkpointing). In a ``team`` every
    process has to call this with the same rows and the same parameters. ``prior`` is the `Outcome`'s
    ``pace`` of a fine-tune like this one, for the time left.
    """
    lengths = room.lengths
    if team.rank:  # what was drawn so far, the head, is the same everywhere; dropout is not
        torch.manual_seed(team.seed(spec.seed))
    training_rows = np.flatnonzero(~np.asarray(spec.validation, dtype=bool))
    validation_rows = np.flatnonzero(np.asarray(spec.validation, dtype=bool))
    if not len(training_rows):
        training_rows, validation_rows = validation_rows, training_rows
    size = spec.batch_size or recipe.batch_size
    epochs = spec.epochs or recipe.epochs_for(len(training_rows), size)
    rng = np.random.default_rng(spec.seed)
    plan = [
        [training_rows[batch] for batch in training_batches(lengths[training_rows], size, rng)]
        for _ in range(epochs)
    ]
    loss = WeightedLoss(spec, device)
    stepper = Stepper(device, spec, recipe, parameters, sum(map(len, plan)), room, team)
    checks = [
        validation_rows[batch]
        for batch in token_batches(lengths[validation_rows], EVALUATION_TOKENS)
    ]
    check_cost = EVALUATION_COST * float(padded_tokens(lengths, checks).sum())
    costs = [padded_tokens(lengths, batches) for batches in plan]
    eta = EtaEstimate(sum(float(cost.sum()) + check_cost for cost in costs), prior=prior)
    report = Report(job, device, total=stepper.total, epochs=epochs, eta=eta)
    best = BestEpoch(parameters.all())
    # A training of few steps learns to its end, and a validation share chooses the state.
    averaged = spec.average and not checks and stepper.total >= recipe.minimum_steps
    tail = recipe.averaged_share if averaged else 0.0
    average = TailAverage(parameters.all(), stepper.total, tail)
    for epoch, batches in enumerate(plan):
        set_training(True)
        for place, rows in enumerate(batches):
            job.check()
            mean_loss = stepper.step(rows, lambda part: loss(part, logits(part)), save_memory)
            average.after_step(report.steps + 1)
            eta.advance(float(costs[epoch][place]))
            report.step(len(rows), mean_loss, epoch + (place + 1) / len(batches))
        if checks:
            set_training(False)
            report.pause()
            measured = evaluate(job, device, loss, logits, checks, team)
            report.resume()
            eta.advance(check_cost)
            job.emit(ValidationMeasured(report.steps, *measured))
            if best.offer(measured[0], epoch) >= recipe.patience:
                job.emit(Notice("info", f"Training stopped early, after epoch {epoch + 1}."))
                break
    best.restore()
    average.restore()
    set_training(False)
    return Outcome(report.steps, report.rate(), eta.pace())


class WeightedLoss:
    """Weighted cross-entropy with soft targets, or the marginal likelihood of what was said."""

    def __init__(self, spec: TrainingJob, device: Device) -> None:
        place = device.torch_device
        self._targets = torch.as_tensor(np.asarray(spec.targets, dtype=np.float32)).to(place)
        self._weights = torch.as_tensor(np.asarray(spec.weights, dtype=np.float32)).to(place)
        self._marginal = spec.marginal
        self._device = place

    def __call__(self, rows: IndexArray, logits: torch.Tensor) -> torch.Tensor:
        """Sum over ``rows`` of weight times loss."""
        return (self._weights[self._index(rows)] * self.of_each(rows, logits)).sum()

    def of_each(self, rows: IndexArray, logits: torch.Tensor) -> torch.Tensor:
        """The loss of each row (m,); options that are absent (-inf) count nothing.

        Its gradient by the logits is ``f(y|x) - q(y)``: q are the targets, or, marginally, the
        posterior ``f(y|x) · targets_y`` scaled to sum to 1 (expectation-maximisation step by step).
        """
        targets = self._targets[self._index(rows)][:, : logits.shape[1]]
        log_probabilities = torch.log_softmax(logits.float(), dim=-1)
        if self._marginal:
            joint = torch.where(targets > 0, targets.log() + log_probabilities, -torch.inf)
            return -torch.logsumexp(joint, dim=-1)
        return -torch.where(targets > 0, targets * log_probabilities, 0.0).sum(-1)

    def hits(self, rows: IndexArray, logits: torch.Tensor) -> torch.Tensor:
        """How many of ``rows`` the logits get right."""
        targets = self._targets[self._index(rows)][:, : logits.shape[1]]
        return (logits.argmax(-1) == targets.argmax(-1)).sum()

    def _index(self, rows: IndexArray) -> torch.Tensor:
        return to_device(rows, self._device)


class Report:
    """Counts steps and sends `TrainingProgress`, reading the loss from the device only then."""

    def __init__(
        self, job: Job, device: Device, *, total: int, epochs: int, eta: EtaEstimate
    ) -> None:
        self.steps = 0
        self._job, self._device, self._eta = job, device, eta
        self._total, self._epochs = total, epochs
        self._samples = 0
        self._seconds = 0.0
        self._since = time.perf_counter()
        self._losses: list[torch.Tensor] = []

    def step(self, samples: int, loss: torch.Tensor, epoch: float) -> None:
        """Count a step, and report if it is time to."""
        self.steps += 1
        self._samples += samples
        self._losses.append(loss)
        last = self.steps == self._total
        if self._job.may_report(last=last):
            mean_loss = float(torch.stack(self._losses).mean())
            self._losses.clear()
            self._job.emit(
                TrainingProgress(
                    step=self.steps,
                    total=self._total,
                    epoch=round(epoch, 3),
                    loss=mean_loss,
                    samples_per_second=self.rate(),
                    eta_seconds=self._eta.seconds(),
                    device=self._device.name,
                    memory_bytes=self._device.used(),
                )
            )

    def pause(self) -> None:
        """Stop the clock (validation is not training)."""
        self._seconds += time.perf_counter() - self._since

    def resume(self) -> None:
        """Start the clock again."""
        self._since = time.perf_counter()

    def rate(self) -> float:
        """Training examples per second so far."""
        return self._samples / max(1e-9, self._seconds + time.perf_counter() - self._since)


def evaluate(
    job: Job,
    device: Device,
    loss: WeightedLoss,
    logits: Logits,
    batches: Iterable[IndexArray],
    team: Team = ALONE,
) -> tuple[float, float]:
    """Mean loss and accuracy over ``batches``, the same in every process of a team."""
    total = hits = 0.0
    count = 0
    with torch.inference_mode(), device.autocast():
        for batch in batches:
            job.check()
            count += len(batch)
            rows = team.share(batch)
            if len(rows):
                scores = logits(rows)
                total += float(loss.of_each(rows, scores).sum())
                hits += float(loss.hits(rows, scores))
    if team.size > 1:
        sums = torch.tensor([total, hits], dtype=torch.float64, device=device.torch_device)
        total, hits = team.sum(sums).tolist()
    return total / max(1, count), hits / max(1, count)
