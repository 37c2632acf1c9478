"""Memory that every training step uses again, under names.

A step on a CPU makes some four hundred tensors whose sizes follow the length of its batch's texts. glibc
searches long for room between those that are still there, and finds it where no cache has it. Measured
in DECISIONS.md.
"""

from __future__ import annotations

import torch


class Workspace:
    """Tensors by name; what is taken under a name is overwritten when it is taken again."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._memory: dict[str, torch.Tensor] = {}
        self._views: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor of ``shape`` with any values, in the memory of the largest so far of this name."""
        view = self._views.get((name, shape))
        if view is None:
            with torch.inference_mode(False):  # or training could not write to it afterwards
                view = self._views[name, shape] = self._room(name, shape)
        return view

    def _room(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        count = torch.Size(shape).numel()
        memory = self._memory.get(name)
        if memory is None or len(memory) < count:
            self._views = {key: kept for key, kept in self._views.items() if key[0] != name}
            memory = self._memory[name] = torch.empty(count, dtype=self.dtype)
        return memory[:count].view(shape)

    def clear(self) -> None:
        """Give the memory back."""
        self._memory.clear()
        self._views.clear()


class LayerSpace:
    """Where a layer's passes write: what the way back needs, and what only passes through.

    A forward pass borrows a `Workspace` that its way back returns, so that one whose way back is yet to
    come, or never comes, shares its own with nobody. What passes through is in memory that all layers
    of a model share, which stays in the processor's caches.
    """

    def __init__(self, passing: Workspace) -> None:
        self.passing = passing
        self._free: list[Workspace] = []

    def borrow(self) -> Workspace:
        """A workspace that nothing else writes to until it is given back."""
        return self._free.pop() if self._free else Workspace(self.passing.dtype)

    def give_back(self, space: Workspace) -> None:
        """Let the next forward pass have ``space``."""
        self._free.append(space)

    def clear(self) -> None:
        """Give all memory back."""
        self._free.clear()
        self.passing.clear()
