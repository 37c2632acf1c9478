"""How a target is trained unless the job says otherwise, and what of it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


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
    averaged_share: float = 0.0
    """The model is the mean of its states over this share of the steps, the last ones, unless a
    validation share chooses the epoch or there are fewer than ``minimum_steps``."""
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
