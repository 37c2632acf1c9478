"""How much goes into one batch, and what happens when it was too much. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from imfl_engine.compute.footprint import Shape
from imfl_engine.compute.wire import IndexArray
from imfl_engine.errors import OutOfMemory

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device

CPU_TOKENS = 1536
"""Padded tokens of a CPU batch: activations of a small encoder stay near the caches."""

GPU_TOKENS = 131_072
SHARE = 0.4
"""Share of a device's free memory one batch may take; the estimate below is rough."""

Result = TypeVar("Result")


@dataclass(slots=True)
class Budget:
    """Padded tokens and rows of one batch; `Pieces` halves it when memory runs out."""

    tokens: int
    rows: int = 512

    @classmethod
    def for_inference(
        cls, device: Device, model: Any, *, most: int = GPU_TOKENS, caches: bool = False
    ) -> Budget:
        """From the device's free memory and the model's shape, within what computes well there.

        ``most`` is that for a GPU; ``caches`` says whether keys and values of all layers are kept.
        """
        _, free = device.memory()
        shape = Shape.of(config_of(model))
        fitting = int(SHARE * free / (shape.forward_bytes() + caches * shape.cache_bytes()))
        if device.kind == "cpu":
            return cls(max(1, min(CPU_TOKENS, fitting)) if free else CPU_TOKENS)
        return cls(max(1, min(most, fitting)), rows=4096)


class Pieces:
    """Computes batches of about the same size, in as many parts as the memory turns out to need."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._parts = 1

    def compute(
        self, rows: IndexArray, function: Callable[[IndexArray], Result]
    ) -> Iterator[tuple[IndexArray, Result]]:
        """Yield ``(rows, function(rows))``, in halves of halves if the whole does not fit.

        Later batches begin with as many parts. Raises `OutOfMemory` when a single row does not fit.
        """
        pending = [part for part in np.array_split(rows, self._parts) if len(part)]
        while pending:
            part = pending.pop(0)
            try:
                result = function(part)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise out_of_memory(self._device) from error
            else:
                yield part, result
                continue
            self._device.release()
            middle = len(part) // 2
            pending[:0] = [part[:middle], part[middle:]]
            self._parts = max(self._parts, -(-len(rows) // middle))


def config_of(model: Any) -> Any:
    """The ``transformers`` configuration of what reads text in a model that holds one somewhere."""
    return next(m.config for m in model.modules() if hasattr(m, "config")).get_text_config()


def out_of_memory(device: Device) -> OutOfMemory:
    """The error for a device on which even one row does not fit."""
    return OutOfMemory(
        f"{device.name} has not enough memory for this model, even one item at a time.",
        "Use a smaller model or a smaller training.max_length, or --device cpu.",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that the device or the machine has no memory left."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (
            isinstance(error, RuntimeError)
            and ("out of memory" in text or "not enough memory" in text)
        )
    )
