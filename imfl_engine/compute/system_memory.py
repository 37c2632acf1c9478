"""How much memory this process can still get, and how much it holds. Imports no torch.

A container or a batch system bounds a group of processes (cgroup) below what the machine has; the
tightest bound on the way up to the machine is the one that counts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
UNBOUNDED = 2**60
"""Version 1 says this much and more where nothing is bounded."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; 0 where the system does not say."""

    total: int
    free: int


def system_memory() -> Memory:
    """Memory of the machine, or of the group of processes this one belongs to where that is less."""
    machine = machine_memory()
    group = group_memory()
    if group is None:
        return machine
    if not machine.total:
        return group
    return Memory(min(machine.total, group.total), min(machine.free, group.free))


def machine_memory() -> Memory:
    """Memory of the whole machine."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
        return Memory(kilobytes["MemTotal"] * 1024, kilobytes["MemAvailable"] * 1024)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Memory(total, total // 2)
    return Memory(0, 0)


def group_memory(root: Path = CGROUPS, own: Path = OWN_CGROUP) -> Memory | None:
    """The tightest bound on this process's groups, None where nothing bounds them.

    ``own`` says which groups these are, in ``root``: of version 2 (``0::/path``), or the memory
    controller of version 1. Cached files count as free, as they do in ``MemAvailable``.
    """
    found: list[Memory] = []
    with contextlib.suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found += _bounds(root, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                found += _bounds(root / "memory", path, *names)
    if not found:
        return None
    return Memory(min(each.total for each in found), min(each.free for each in found))


def _bounds(root: Path, path: str, limit: str, usage: str, cached: str) -> Iterator[Memory]:
    """The bounds on a group and on those above it; none where one says ``max``."""
    inside = Path(path.lstrip("/"))
    for folder in (root / part for part in (inside, *inside.parents)):
        with contextlib.suppress(OSError, ValueError):
            most = int((folder / limit).read_text())
            used = int((folder / usage).read_text())
            with contextlib.suppress(OSError, ValueError):
                figures = dict(
                    row.split() for row in (folder / "memory.stat").read_text().splitlines()
                )
                used -= int(figures.get(cached, 0))
            if most < UNBOUNDED:
                yield Memory(most, max(0, most - used))


def resident_memory() -> int | None:
    """Bytes of memory this process occupies, where the system says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
