"""The compute process as a process: start it, send it lines, read its lines, end it.

Knows nothing of jobs. The child's standard error and its prints go to a log file; its standard
output carries the protocol and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

START = (
    "import sys; sys.path.append({root!r}); from imfl_engine.compute.{module} import main; main()"
)
"""What a process runs; this one's ``module`` is *child*. The folder the application was started in
is kept off its path (``-P``): a file of the person's that is called like a module must not be
imported. Our own package comes last on the path, for where it is not installed."""

PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
LINE_LIMIT = 2**24
LOG_LIMIT = 4 * 2**20
TERMINATE_SECONDS = 1.0


class ChildProcess:
    """One running compute process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0

    @classmethod
    async def start(
        cls, *, device: str, threads: int, work: Path, log: Path, ray: str | None = None
    ) -> ChildProcess:
        """Start the process and return at once; it imports torch while the caller goes on."""
        with await asyncio.to_thread(_open_log, log) as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", START.format(root=PACKAGE_ROOT, module="child")),
                *("--device", device, "--threads", str(threads), "--work", str(work)),
                *(("--ray", ray) if ray else ()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=_environment(threads),
                start_new_session=True,  # the terminal's ctrl+c is the application's to handle
                limit=LINE_LIMIT,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet, as far as is known."""
        return self._process.returncode is None

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; lost if the process has just ended, which its reader will notice."""
        assert self._process.stdin is not None
        if self.is_running and not self._process.stdin.is_closing():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the process's messages until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with contextlib.suppress(json.JSONDecodeError):  # cut short by a kill
                yield json.loads(line)
        await self._process.wait()

    def close_input(self) -> None:
        """End the child's input, at which it ends itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def end(self, seconds: float = TERMINATE_SECONDS) -> None:
        """Terminate the process, and kill it if it does not end within ``seconds``."""
        self.close_input()
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def ending(self) -> str:
        """How the process ended, in words."""
        code = self._process.returncode
        if code is None:
            return "it is still running"
        if code == -9:
            return "it was killed, which is what a system does when memory runs out"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def log_tail(self, lines: int = 3, characters: int = 600) -> str:
        """The last lines this process wrote to the log."""
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(self._log_start, size), size - 8192))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        kept = [line.strip() for line in text.splitlines() if line.strip()]
        return " | ".join(kept[-lines:])[-characters:]


def _open_log(log: Path) -> BinaryIO:
    """Open the log for appending; one that has grown large is set aside first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(log.suffix + ".1"))
    return log.open("ab")


def _environment(threads: int) -> dict[str, str]:
    """The child's environment: no bars, no forked tokenizers, memory kept rather than returned."""
    settings = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONUNBUFFERED": "1",
        # Freed activations stay with the process: a step allocates the same sizes again.
        "MALLOC_MMAP_THRESHOLD_": str(2**28),
        "MALLOC_TRIM_THRESHOLD_": str(2**30),
        # Waiting threads give up their core soon, which another program may need.
        "GOMP_SPINCOUNT": "20000",
    }
    return {
        **settings,
        **os.environ,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": str(threads),
    }
