"""The device models run on: chosen by trying it, described with its memory."""

from __future__ import annotations

import contextlib
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from imfl_engine.compute.allocator import give_back_memory
from imfl_engine.compute.system_memory import resident_memory, system_memory
from imfl_engine.compute.wire import DeviceInfo

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

EXACT_CPU = "cpu:float32"
BF16_GAIN = 1.2
"""bf16 is used when a matrix product is at least this much faster in it than in float32."""


@dataclass(frozen=True, slots=True)
class Device:
    """A working device and the number format that is fastest on it."""

    torch_device: torch.device
    dtype: torch.dtype
    threads: int
    fallback: str = ""
    processes: int = 1
    """Processes that compute together, each on a device like this one."""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return str(self.torch_device.type)

    @property
    def name(self) -> str:
        """The device's name for a person."""
        return self._name if self.processes == 1 else f"{self.processes} × {self._name}"

    @property
    def _name(self) -> str:
        if self.kind == "cuda":
            return str(torch.cuda.get_device_name(self.torch_device))
        if self.kind == "mps":
            return f"Apple {platform.machine()} (MPS)"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{processor_name()}, {threads}"

    @property
    def number_format(self) -> str:
        """``bfloat16`` or ``float32``."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> Any:
        """The context to compute in: bf16 autocast where that is faster."""
        if self.dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.kind, dtype=self.dtype)

    def memory(self) -> tuple[int, int]:
        """Total and free memory in bytes."""
        if self.kind == "cuda":
            free, total = torch.cuda.mem_get_info(self.torch_device)
            # What PyTorch has freed and kept is used again first.
            kept = torch.cuda.memory_reserved(self.torch_device)
            return total, free + kept - torch.cuda.memory_allocated(self.torch_device)
        if self.kind == "mps":
            total = int(torch.mps.recommended_max_memory())
            return total, total - int(torch.mps.driver_allocated_memory())
        memory = system_memory()
        return memory.total, memory.free

    def used(self) -> int | None:
        """Bytes this process holds on the device; None where nobody counts."""
        if self.kind == "cuda":
            return int(torch.cuda.memory_allocated(self.torch_device))
        return resident_memory()

    def release(self) -> None:
        """Give cached memory back: after an out-of-memory error, and after a cancelled job."""
        if self.kind == "cuda":
            torch.cuda.empty_cache()
        elif self.kind == "mps":
            torch.mps.empty_cache()
        give_back_memory()

    def info(self) -> DeviceInfo:
        """The device in the wire's words."""
        total, free = self.memory()
        return DeviceInfo(
            name=self.name,
            kind=self.kind,
            memory_total=total,
            memory_free=free,
            dtype=self.number_format,
            threads=self.threads,
            fallback=self.fallback,
        )


def choose(wanted: str, threads: int) -> Device:
    """The device ``wanted`` if it computes, else the CPU; ``auto`` prefers CUDA, then MPS.

    ``cpu:float32`` is the CPU in a format every processor computes alike, however fast bf16 is.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    reasons = []
    for candidate in candidates(wanted):
        if candidate == "cpu":
            break
        problem = try_device(candidate)
        if problem is None:
            device = torch.device(candidate)
            return Device(device, fastest_dtype(device), threads)
        reasons.append(f"{candidate} {problem}")
    fallback = ""
    if wanted not in ("auto", "cpu", EXACT_CPU):
        why = "; ".join(reasons) or f"'{wanted}' is no device (auto, cpu, {EXACT_CPU}, cuda, mps)"
        fallback = f"Models run on the CPU because {why}."
    cpu = torch.device("cpu")
    dtype = torch.float32 if wanted == EXACT_CPU else fastest_dtype(cpu)
    return Device(cpu, dtype, threads, fallback)


def candidates(wanted: str) -> tuple[str, ...]:
    """Device names to try, in order."""
    if wanted == "auto":
        found = []
        if torch.cuda.is_available():
            found.append("cuda")
        if torch.backends.mps.is_available():
            found.append("mps")
        return (*found, "cpu")
    if wanted.split(":")[0] in ("cuda", "mps"):
        return (wanted, "cpu")
    return ("cpu",)


def try_device(name: str) -> str | None:
    """None if ``name`` multiplies matrices correctly, else what is wrong, as a verb phrase."""
    kind, _, number = name.partition(":")
    if kind == "mps" and not torch.backends.mps.is_available():
        return "is not available on this machine"
    if kind == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda is not None
        return "is not available" if built else "is not in this build of PyTorch"
    if number and not (number.isdigit() and int(number) < torch.cuda.device_count()):
        return f"does not exist (there are {torch.cuda.device_count()})"
    try:
        ones = torch.ones(8, 8, device=name)
        if float((ones @ ones).sum()) != 512.0:
            return "computes wrong results"
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        return f"does not work ({said[:100].rstrip('.')})"
    return None


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if it is right and clearly faster than float32 here, by measurement; else float32.

    Flags are not asked: a processor may list the format and emulate it (0.26 of float32's speed was
    measured on an AVX-512 machine without it).
    """
    left = torch.randn(512, 384, device=device)
    right = torch.randn(384, 1536, device=device)
    try:
        exact = left @ right
        low = (left.bfloat16() @ right.bfloat16()).float()
        if not torch.isfinite(low).all() or (low - exact).abs().max() > 0.05 * exact.abs().max():
            return torch.float32
        full = matmul_seconds(left, right)
        half = matmul_seconds(left.bfloat16(), right.bfloat16())
    except RuntimeError:
        return torch.float32
    # A GPU's gain shows on matrices larger than these; there it is enough not to lose.
    gain = BF16_GAIN if device.type == "cpu" else 0.8
    return torch.bfloat16 if full > gain * half else torch.float32


def matmul_seconds(left: torch.Tensor, right: torch.Tensor, *, repeats: int = 5) -> float:
    """The shortest of ``repeats`` products, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        synchronise(left.device)
        start = time.perf_counter()
        left @ right
        synchronise(left.device)
        best = min(best, time.perf_counter() - start)
    return best


def synchronise(device: torch.device) -> None:
    """Wait for everything queued on ``device``."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def processor_name() -> str:
    """The processor's name, or what the platform knows of it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "CPU"


def describe(job: Job, workshop: Workshop) -> None:
    """The ``describe`` job."""
    job.emit(workshop.device.info())
