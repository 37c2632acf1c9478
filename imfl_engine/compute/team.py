"""The processes that fine-tune together, as one of them sees them.

All of them go through the same plan; each computes its share of every batch, and what they found is
summed. Which process it is and how the others are reached is known from what `accelerate launch`
left in the environment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from imfl_engine.compute.memory import is_out_of_memory
from imfl_engine.compute.wire import IndexArray
from imfl_engine.errors import ComputeCrashed

RANK_SEED = 2**16
"""What the seeds of neighbouring ranks differ by; more than one process adds to its own."""


@dataclass(frozen=True, slots=True)
class Team:
    """``rank`` of ``size`` processes; rank 0 reports and writes the checkpoint."""

    rank: int = 0
    size: int = 1

    def share(self, rows: IndexArray) -> IndexArray:
        """Those of ``rows`` this process computes; may be none. Lengths are spread evenly."""
        return rows[self.rank :: self.size]

    def seed(self, seed: int) -> int:
        """The seed of what has to differ between processes (dropout); rank 0 keeps ``seed``."""
        return seed + RANK_SEED * self.rank

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum ``values`` over all processes, in place; every process has to call this.

        The result is the same to the bit everywhere. Raises `ComputeCrashed` if a process is gone.
        """
        if self.size > 1:
            try:
                torch.distributed.all_reduce(values)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise process_lost() from error
        return values


ALONE = Team()


def join(*, cpu: bool) -> Team:
    """Meet the other processes; by gloo on CPUs, else by what the accelerators talk with (NCCL)."""
    from accelerate import PartialState

    state = PartialState(cpu=cpu)
    return Team(state.process_index, state.num_processes)


def process_lost() -> ComputeCrashed:
    """The error for a process that ended without a word."""
    return ComputeCrashed(
        "One of the processes that fine-tune together ended in the middle of the job.",
        "If memory ran out, set training.processes lower; the log has the details.",
    )
