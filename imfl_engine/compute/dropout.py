"""Dropout that does not spend a tenth of a CPU training step on random numbers.

PyTorch draws a float per activation, one thread at a time: 3 ms for 16 x 33 x 384 values, thirteen
times a step. Here masks are windows at random offsets of one pool of drawn bits, which is as cheap
as the multiplication. The pool is drawn anew every `LIFE` masks, and follows the seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

POOL = 2**22
LIFE = 2048


class MaskPool:
    """Random masks with drop probability ``p``, scaled by ``1 / (1 - p)``."""

    def __init__(self, p: float, seed: int, dtype: torch.dtype) -> None:
        self._p = p
        self._dtype = dtype
        self._rng = np.random.Generator(np.random.SFC64(seed))
        self._draw(POOL)

    def mask(self, shape: torch.Size) -> torch.Tensor:
        """A mask of ``shape``."""
        count = shape.numel()
        if count * 2 > len(self._pool) or not self._places:
            self._draw(max(POOL, 2 * count))
        offset = int(self._places.pop() * (len(self._pool) - count))
        return self._pool[offset : offset + count].view(shape)

    def _draw(self, size: int) -> None:
        kept = self._rng.random(size, dtype=np.float32) >= self._p
        scaled = kept.astype(np.float32) / np.float32(1 - self._p)
        self._pool = torch.from_numpy(scaled).to(self._dtype)
        self._places: list[float] = self._rng.random(LIFE).tolist()
        """Where the masks to come begin, as shares; one by one they would cost ten times as much."""


class PooledDropout(torch.nn.Module):  # type: ignore[misc]
    """Dropout by masks of a pool."""

    def __init__(self, p: float, pool: MaskPool) -> None:
        super().__init__()
        self.p = p
        self._pool = pool

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` with some dropped while training, as they are otherwise."""
        return values * self.mask(values.shape) if self.training else values

    def mask(self, shape: torch.Size) -> torch.Tensor:
        """What values of ``shape`` are multiplied with: 0, or the inverse of the share that is kept."""
        return self._pool.mask(shape)


def pool_dropout(model: Any, seed: int, dtype: torch.dtype) -> None:
    """Replace a CPU model's dropout, in place; attention weights are no longer dropped.

    Dropout inside attention rules out the fused kernel. ``dtype`` is that of what flows between layers.
    """
    pools: dict[float, MaskPool] = {}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if not isinstance(child, torch.nn.Dropout) or not child.p:
                continue
            if "Attention" in type(module).__name__ and not hasattr(module, "dense"):
                child.p = 0.0
            elif child.p < 1:
                if child.p not in pools:
                    pools[child.p] = MaskPool(child.p, seed + len(pools), dtype)
                setattr(module, name, PooledDropout(child.p, pools[child.p]))


def unpool_dropout(model: Any) -> None:
    """Put PyTorch's dropout back, in place: it drops the same when a layer is computed once more."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PooledDropout):
                setattr(module, name, torch.nn.Dropout(child.p).train(child.training))
