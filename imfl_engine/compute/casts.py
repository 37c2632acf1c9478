"""What is made of weights, cast or laid out anew, and kept until they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch

Made = TypeVar("Made")


class Casts(Generic[Made]):
    """One thing made of some weights.

    Changes show by PyTorch's count of changes in place, which `stepper` keeps for fused optimisers too.
    A copy begins with nothing, since its weights count their changes anew.
    """

    def __init__(self) -> None:
        self._versions: list[int] | None = None
        self._made: Made | None = None

    def of(self, weights: Sequence[torch.Tensor], make: Callable[[], Made]) -> Made:
        """What ``make`` returned for these ``weights`` as they are now, for passes without gradients."""
        versions = [weight._version for weight in weights]
        if self._made is None or versions != self._versions:
            self._made, self._versions = make(), versions
        return self._made

    def forget(self) -> None:
        """Give the memory back, until something is wanted again."""
        self._made = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Casts, ()
