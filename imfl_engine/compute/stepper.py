"""One optimiser step: a batch that may not fit the memory, shared out over a team.

Every process of a team computes its share of the batch and the gradients are summed once, after the
last backward pass. Unlike hooks that sum while a backward pass runs, this does not mind when one
process goes through its share in more parts than another because its memory is short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch.autograd.graph import increment_version

from imfl_engine.compute.memory import is_out_of_memory, out_of_memory
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.room import Room
from imfl_engine.compute.team import Team
from imfl_engine.compute.wire import IndexArray

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device
    from imfl_engine.compute.wire import TrainingJob


class Stepper:
    """AdamW with warm-up and linear decay; a batch that does not fit is accumulated in parts.

    ``total`` is the number of steps to come, ``room`` how much of a batch is computed at once.
    """

    def __init__(
        self,
        device: Device,
        spec: TrainingJob,
        recipe: Recipe,
        parameters: Parameters,
        total: int,
        room: Room,
        team: Team,
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
        self._fused = fused
        self._room = room
        self._team = team

    def step(
        self,
        rows: IndexArray,
        loss: Callable[[IndexArray], torch.Tensor],
        save_memory: Callable[[], bool],
    ) -> torch.Tensor:
        """One optimiser step on ``rows``; returns their mean loss, still on the device.

        ``rows`` are the team's whole batch, the same in every process.
        """
        share = self._team.share(rows)
        while True:
            try:
                total = self._accumulate(share, loss, len(rows))
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if not self._room.halve(share) and not save_memory():
                    raise out_of_memory(self._device) from error
            self._optimiser.zero_grad(set_to_none=True)
            self._device.release()
        if self._team.size > 1:
            total = sum_gradients(self._team, self._parameters, total)
        self._clip()
        self._optimiser.step()
        increment_version(self._parameters)  # as a step in place would; `casts` goes by it
        self._schedule.step()
        self._optimiser.zero_grad(set_to_none=True)
        return total

    def _clip(self) -> None:
        """Bound the norm of the gradients, in the optimiser's own pass over them where it is fused."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = norm_of(gradients)
        if not self._fused:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._norm, norm)
            return
        # As `torch.amp.GradScaler` does it: a fused optimiser divides every gradient by this.
        self._optimiser.grad_scale = (norm / self._norm).clamp(min=1.0)
        self._optimiser.found_inf = torch.zeros_like(norm)

    def _accumulate(
        self, rows: IndexArray, loss: Callable[[IndexArray], torch.Tensor], count: int
    ) -> torch.Tensor:
        """Add up the gradients of the loss of ``rows``, divided by ``count``; returns that loss."""
        total = torch.zeros((), device=self._device.torch_device)
        at_once = self._room.examples(rows)
        for start in range(0, len(rows), at_once):
            with self._device.autocast():
                part = loss(rows[start : start + at_once]) / count
            part.backward()
            total += part.detach()
        return total


def norm_of(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """The length of all ``gradients`` as one vector.

    On a CPU by products of each with itself, which use all threads; PyTorch's norms use one.
    """
    if any(gradient.device.type != "cpu" for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients)
    flat = [gradient.reshape(-1) for gradient in gradients]
    return torch.stack([values.dot(values) for values in flat]).sum().sqrt()


def sum_gradients(
    team: Team, parameters: Sequence[torch.nn.Parameter], loss: torch.Tensor
) -> torch.Tensor:
    """Sum the gradients over the team, in place, and return the summed ``loss``.

    One all-reduce of one flat float32 tensor: a flag per parameter, the loss, the gradients. A
    process without a gradient adds zeros; where no process has one there is none afterwards either.
    """
    sizes = [parameter.numel() for parameter in parameters]
    flags = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
    gradients = [
        loss.new_zeros(size, dtype=torch.float32)
        if parameter.grad is None
        else parameter.grad.float().flatten()
        for parameter, size in zip(parameters, sizes, strict=True)
    ]
    flat = torch.cat([flags.to(loss.device), loss.float().reshape(1), *gradients])
    counts, total, *summed = team.sum(flat).split([len(sizes), 1, *sizes])
    for parameter, count, gradient in zip(parameters, counts.tolist(), summed, strict=True):
        if count:
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype)
    return total[0].clone()  # not a view that keeps all of them


def _matrices(parameters: Iterable[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    return [parameter for parameter in parameters if parameter.ndim > 1]


def _vectors(parameters: Iterable[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    """Biases and norms, which are not decayed."""
    return [parameter for parameter in parameters if parameter.ndim <= 1]
