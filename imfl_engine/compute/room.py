"""How much of a training batch is computed at once: as much as the free memory holds.

The batch itself stays what the recipe says: what is not computed at once is accumulated. The first
guess is an estimate of what a step needs (`footprint`); where it was too high, memory runs out and
half is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imfl_engine.compute.footprint import Shape, training_footprint
from imfl_engine.compute.memory import config_of
from imfl_engine.compute.recipe import Parameters
from imfl_engine.compute.short_attention import LONGEST
from imfl_engine.compute.wire import IndexArray

if TYPE_CHECKING:
    from imfl_engine.compute.devices import Device

SHARE = 0.7
"""Share of the free memory that a training step may take: the estimate is rough."""


@dataclass(slots=True, eq=False)
class Room:
    """``tokens`` padded tokens are computed at once; ``lengths`` (n,) are those of each example."""

    lengths: IndexArray
    tokens: float = float("inf")

    def examples(self, batch: IndexArray) -> int:
        """How many examples of ``batch`` are computed at once, at least one."""
        longest = max(1, int(self.lengths[batch].max(initial=1)))
        return int(max(1, min(len(batch), self.tokens // longest)))

    def halve(self, batch: IndexArray) -> bool:
        """Compute half as much at once from now on; False if it was a single example already."""
        at_once = self.examples(batch)
        if at_once == 1:
            return False
        self.tokens = at_once // 2 * int(self.lengths[batch].max(initial=1))
        return True


def training_room(
    device: Device,
    model: Any,
    parameters: Parameters,
    lengths: IndexArray,
    *,
    adapters: bool = False,
    save_memory: Callable[[], bool],
) -> Room:
    """What fits the device's free memory.

    ``save_memory`` is called where not even the longest example would, and says whether gradient
    checkpointing could be turned on.
    """
    _, free = device.memory()
    if not free:  # nobody knows
        return Room(lengths)
    longest = int(lengths.max(initial=1))
    halved = device.kind == "cpu" and device.number_format == "bfloat16" and not adapters
    # A GPU's kernels keep no weights of attention, a CPU's none of longer texts.
    attention = {"cuda": 0, "cpu": min(longest, LONGEST)}.get(device.kind, longest)
    sharing = device.processes if device.kind == "cpu" else 1

    def fitting(*, checkpointing: bool) -> int:
        footprint = training_footprint(
            Shape.of(config_of(model)),
            trained=sum(parameter.numel() for parameter in parameters.all()),
            value_bytes=2 if halved else 4,
            attention=attention,
            adapters=adapters,
            checkpointing=checkpointing,
        )
        return footprint.tokens_in(int(SHARE * free / sharing))

    tokens = fitting(checkpointing=False)
    if tokens < longest and save_memory():
        tokens = fitting(checkpointing=True)
    return Room(lengths, tokens)
