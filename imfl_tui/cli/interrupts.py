"""Ctrl+c before a command runs: while Python imports it, when nothing has begun yet."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130


def leave_at_once() -> None:
    """End the process quietly on ctrl+c, until `interrupt_as_usual` is called.

    An exception would come out of the middle of an import as a traceback, or be swallowed there. An
    interrupt that whoever started us has us ignore stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def interrupt_as_usual() -> None:
    """Let ctrl+c be a `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
