"""What the app tells its screens beside the two snapshots they watch (status and jobs)."""

from __future__ import annotations

from textual.message import Message

from imfl_engine.errors import ImflError


class JobEnded(Message):
    """A job came to its end: done, cancelled, or failed with ``error``."""

    def __init__(self, name: str, error: ImflError | None = None, cancelled: bool = False) -> None:
        super().__init__()
        self.name, self.error, self.cancelled = name, error, cancelled
