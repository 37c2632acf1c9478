"""Keeping the garbage collector away from what lives as long as the process."""

from __future__ import annotations

import atexit
import gc


def keep_what_is_loaded() -> None:
    """Never look again at what is alive now: modules, classes, tables. Call it after imports.

    A full collection goes through all of it, which takes 50 to 70 ms beside the large libraries:
    the keyboard and every request in flight would wait for it.
    """
    gc.freeze()
    # Libraries clean up after themselves at the end, and report what they cannot reach.
    atexit.unregister(gc.unfreeze)
    atexit.register(gc.unfreeze)
