"""Importing ahead what the screens will need: done when first used, it holds up a key."""

from __future__ import annotations

import contextlib
from importlib import import_module

from imfl_engine.collecting import keep_what_is_loaded
from imfl_tui.screens import registry

PRELOADED = (
    *(entry.module for entry in registry.SCREENS if entry.mode != "setup"),
    "imfl_engine.browse",
    "imfl_engine.loop.runner",
    "imfl_engine.compute.client",
)


def preload() -> None:
    """Import it all, and keep it; meant for a thread."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            import_module(name)
    keep_what_is_loaded()
