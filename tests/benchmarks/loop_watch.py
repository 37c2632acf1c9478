"""A watcher of an event loop: how long nothing else could run on it."""

from __future__ import annotations

import asyncio
import time

TICK = 0.002


class Watcher:
    """Records the worst gap of the running loop."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            wall, processor = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            self.wall = max(self.wall, time.perf_counter() - wall - TICK)
            self.processor = max(self.processor, time.thread_time() - processor)

    def take(self) -> dict[str, float]:
        """The worst since the last call, in milliseconds."""
        worst = {"wall_ms": round(self.wall * 1000, 1), "cpu_ms": round(self.processor * 1000, 1)}
        self.wall = self.processor = 0.0
        return worst
