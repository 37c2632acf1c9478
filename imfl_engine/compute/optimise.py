"""The training loop every neural target shares.

Covers: soft targets and per-example weights, length-sorted batches, gradient accumulation when the
memory is short, warm-up and linear decay, keeping the best epoch by a validation share, progress
with an ETA by cost, cancellation between steps. Does not know what the model is: it is given a
function from rows to logits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from imfl_engine.compute.batches import padded_tokens, token_batches, training_batches
from imfl_engine.compute.job import EtaEstimate
from imfl_engine.compute.memory import is_out_of_memory, out_of_memory
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
class Recipe:
    """How a target is trained unless the job says otherwise."""

    epochs: int
    learning_rate: float
    head_learning_rate: float
    batch_size: int
    minimum_steps: int = 0
    """Small sets are gone through more often, until there are this many steps."""
    maximum_epochs: int = 20
    """… but no more often than this."""
    warmup: float = 0.1
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    patience: int = 3
    """Epochs without a better validation loss after which training stops."""

    def epochs_for(self, rows: int, batch_size: int) -> int:
        """Epochs over ``rows`` examples."""
        per_epoch = max(1, round(rows / batch_size))
        wanted = -(-self.minimum_steps // per_epoch)
        return max(self.epochs, min(self.maximum_epochs, wanted))


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is trained: ``head`` is new and learns faster than ``body``."""

    body: Sequence[torch.nn.Parameter]
    head: Sequence[torch.nn.Parameter]

    def all(self) -> list[torch.nn.Parameter]:
        """Both, body first."""
        return [*self.body, *self.head]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``samples_per_second`` counts training examples, without validation."""

    steps: int
    samples_per_second: float


def optimise(
    job: Job,
    device: Device,
    spec: TrainingJob,
    recipe: Recipe,
    *,
    parameters: Parameters,
    logits: Logits,
    lengths: IndexArray,
    set_training: Callable[[bool], Any],
    save_memory: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train in place and return what was done.

    ``lengths`` (n,) are tokens per example. ``save_memory`` is called when even one example does
    not fit and says whether it could do anything (gradient checkpointing).
    """
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
    stepper = Stepper(device, spec, recipe, parameters, sum(map(len, plan)), size)
    checks = [
        validation_rows[batch]
        for batch in token_batches(lengths[validation_rows], EVALUATION_TOKENS)
    ]
    check_cost = EVALUATION_COST * float(padded_tokens(lengths, checks).sum())
    costs = [padded_tokens(lengths, batches) for batches in plan]
    eta = EtaEstimate(sum(float(cost.sum()) + check_cost for cost in costs))
    report = Report(job, device, total=stepper.total, epochs=epochs, eta=eta)
    best = Best(parameters)
    for epoch, batches in enumerate(plan):
        set_training(True)
        for place, rows in enumerate(batches):
            job.check()
            mean_loss = stepper.step(rows, lambda part: loss(part, logits(part)), save_memory)
            eta.advance(float(costs[epoch][place]))
            report.step(len(rows), mean_loss, epoch + (place + 1) / len(batches))
        if checks:
            set_training(False)
            report.pause()
            measured = evaluate(job, device, loss, logits, checks)
            report.resume()
            eta.advance(check_cost)
            job.emit(ValidationMeasured(report.steps, *measured))
            if best.offer(measured[0], epoch) >= recipe.patience:
                job.emit(Notice("info", f"Training stopped early, after epoch {epoch + 1}."))
                break
    best.restore()
    set_training(False)
    return Outcome(report.steps, report.rate())


class WeightedLoss:
    """Weighted cross-entropy with soft targets."""

    def __init__(self, spec: TrainingJob, device: Device) -> None:
        place = device.torch_device
        self._targets = torch.as_tensor(np.asarray(spec.targets, dtype=np.float32)).to(place)
        self._weights = torch.as_tensor(np.asarray(spec.weights, dtype=np.float32)).to(place)
        self._device = place

    def __call__(self, rows: IndexArray, logits: torch.Tensor) -> torch.Tensor:
        """Sum over ``rows`` of weight times cross-entropy."""
        return (self._weights[self._index(rows)] * self.cross_entropy(rows, logits)).sum()

    def cross_entropy(self, rows: IndexArray, logits: torch.Tensor) -> torch.Tensor:
        """Cross-entropy (m,) of soft targets; options that are absent (-inf) count nothing."""
        targets = self._targets[self._index(rows)][:, : logits.shape[1]]
        log_probabilities = torch.log_softmax(logits.float(), dim=-1)
        return -torch.where(targets > 0, targets * log_probabilities, 0.0).sum(-1)

    def hits(self, rows: IndexArray, logits: torch.Tensor) -> torch.Tensor:
        """How many of ``rows`` the logits get right."""
        targets = self._targets[self._index(rows)][:, : logits.shape[1]]
        return (logits.argmax(-1) == targets.argmax(-1)).sum()

    def _index(self, rows: IndexArray) -> torch.Tensor:
        return torch.from_numpy(rows).to(self._device, non_blocking=True)


class Stepper:
    """AdamW with warm-up and linear decay; a batch that does not fit is accumulated in parts."""

    def __init__(
        self,
        device: Device,
        spec: TrainingJob,
        recipe: Recipe,
        parameters: Parameters,
        total: int,
        batch_size: int,
    ) -> None:
        body_rate = spec.learning_rate or recipe.learning_rate
        head_rate = recipe.head_learning_rate * body_rate / recipe.learning_rate
        groups = [
            {"params": list(params), "lr": rate, "weight_decay": decay}
            for params, rate, decay in (
                (_matrices(parameters.body), body_rate, recipe.weight_decay),
                (_vectors(parameters.body), body_rate, 0.0),
                (_matrices(parameters.head), head_rate, recipe.weight_decay),
                (_vectors(parameters.head), head_rate, 0.0),
            )
            if params
        ]
        fused = device.kind in ("cpu", "cuda")
        self.total = total
        self._device = device
        self._parameters = parameters.all()
        self._optimiser = torch.optim.AdamW(groups, fused=fused, foreach=None if fused else True)
        warmup = max(1, round(recipe.warmup * total))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser,
            lambda step: min((step + 1) / warmup, (total - step) / max(1, total - warmup)),
        )
        self._norm = recipe.gradient_norm
        self._part = batch_size

    def step(
        self,
        rows: IndexArray,
        loss: Callable[[IndexArray], torch.Tensor],
        save_memory: Callable[[], bool],
    ) -> torch.Tensor:
        """One optimiser step on ``rows``; returns their mean loss, still on the device."""
        while True:
            try:
                total = self._accumulate(rows, loss)
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._part == 1 and not save_memory():
                    raise out_of_memory(self._device) from error
            self._optimiser.zero_grad(set_to_none=True)
            self._device.release()
            self._part = max(1, self._part // 2)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._norm)
        self._optimiser.step()
        self._schedule.step()
        self._optimiser.zero_grad(set_to_none=True)
        return total

    def _accumulate(
        self, rows: IndexArray, loss: Callable[[IndexArray], torch.Tensor]
    ) -> torch.Tensor:
        total = torch.zeros((), device=self._device.torch_device)
        for start in range(0, len(rows), self._part):
            with self._device.autocast():
                part = loss(rows[start : start + self._part]) / len(rows)
            part.backward()
            total += part.detach()
        return total


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


class Best:
    """The parameters of the epoch with the lowest validation loss."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters.all()
        self._kept: list[torch.Tensor] | None = None
        self._loss = float("inf")
        self._epoch = 0

    def offer(self, loss: float, epoch: int) -> int:
        """Keep the parameters if ``loss`` is the lowest so far; returns epochs since the lowest."""
        if loss < self._loss:
            self._loss, self._epoch = loss, epoch
            self._kept = [parameter.detach().clone() for parameter in self._parameters]
        return epoch - self._epoch

    def restore(self) -> None:
        """Put the kept parameters back, if any were kept."""
        if self._kept is not None:
            with torch.no_grad():
                for parameter, kept in zip(self._parameters, self._kept, strict=True):
                    parameter.copy_(kept)


def evaluate(
    job: Job, device: Device, loss: WeightedLoss, logits: Logits, batches: Iterable[IndexArray]
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over ``batches``."""
    total = hits = 0.0
    count = 0
    with torch.inference_mode(), device.autocast():
        for rows in batches:
            job.check()
            scores = logits(rows)
            total += float(loss.cross_entropy(rows, scores).sum())
            hits += float(loss.hits(rows, scores))
            count += len(rows)
    return total / max(1, count), hits / max(1, count)


def _matrices(parameters: Iterable[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    return [parameter for parameter in parameters if parameter.ndim > 1]


def _vectors(parameters: Iterable[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    """Biases and norms, which are not decayed."""
    return [parameter for parameter in parameters if parameter.ndim <= 1]
