"""Importing ahead what the screens will need: done when first used, it holds up a key."""

from __future__ import annotations

import contextlib
import gc
from importlib import import_module

from imfl_tui.screens import registry

PRELOADED = (
    *(entry.module for entry in registry.SCREENS if entry.mode != "setup"),
    "imfl_engine.browse",
    "imfl_engine.loop.runner",
    "imfl_engine.compute.client",
)


def preload() -> None:
    """Import it all; meant for a thread.

    What is imported stays until the end, so the garbage collector need not look at it again: a full
    collection would hold up the keyboard for 70 ms. `release` undoes this.
    """
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            import_module(name)
    gc.freeze()


def release() -> None:
    """Let the collector have everything again; libraries clean up after themselves at the end."""
    gc.unfreeze()
