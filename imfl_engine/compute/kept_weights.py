"""Which weights a training ends with, where they are not those of its last step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

AVERAGED_EVERY = 4
"""Steps from one state in the mean to the next. Every step would cost 1 to 5 % of a CPU's training, and
neighbouring states hardly differ."""


class BestEpoch:
    """The weights of the epoch with the lowest validation loss."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self._parameters = parameters
        self._kept: list[torch.Tensor] = []
        self._loss = float("inf")
        self._epoch = 0

    def offer(self, loss: float, epoch: int) -> int:
        """Keep the weights if ``loss`` is the lowest so far; returns epochs since the lowest."""
        if loss < self._loss:
            self._loss, self._epoch = loss, epoch
            self._kept = copies(self._parameters)
        return epoch - self._epoch

    def restore(self) -> None:
        """Put the kept weights back, if any were kept."""
        put_back(self._parameters, self._kept)


class TailAverage:
    """The mean of the weights over the last ``share`` of ``steps`` (Izmailov et al., UAI 2018).

    A few hundred noisy labels move the last steps about; their mean is less of an accident. The count
    is Python's, so nothing is read from a GPU.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], steps: int, share: float) -> None:
        self._parameters = parameters
        self._steps = steps
        self._first = steps - int(share * steps)
        self._mean: list[torch.Tensor] = []
        self._count = 0

    def after_step(self, step: int) -> None:
        """Take the weights after ``step``, 1 being the first, into the mean if it is their turn."""
        if step <= self._first or (self._steps - step) % AVERAGED_EVERY:
            return
        self._count += 1
        if not self._mean:
            self._mean = copies(self._parameters)
            return
        with torch.no_grad():
            for mean, parameter in zip(self._mean, self._parameters, strict=True):
                mean.lerp_(parameter, 1 / self._count)

    def restore(self) -> None:
        """Put the mean in the place of the last weights, if there is one."""
        put_back(self._parameters, self._mean)


def copies(parameters: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    """Return the values of ``parameters``."""
    return [parameter.detach().clone() for parameter in parameters]


def put_back(parameters: Sequence[torch.nn.Parameter], kept: Sequence[torch.Tensor]) -> None:
    """Give ``parameters`` their ``kept`` values; without any they stay."""
    if kept:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
