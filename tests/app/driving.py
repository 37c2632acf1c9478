"""Driving the app in tests: go somewhere, wait for what should appear, read the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.pilot import Pilot

from imfl_tui.app import ImflApp


def shown(app: ImflApp) -> str:
    """The text of the cells."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def until(app: ImflApp, wanted: str | Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until the words are on the screen, or the condition holds."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        if wanted in shown(app) if isinstance(wanted, str) else wanted():
            return
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"never came: {wanted}\n{shown(app)}")
        await asyncio.sleep(0.01)


async def go(app: ImflApp, pilot: Pilot[int], mode: str, words: str | None = None) -> None:
    """Show a screen and wait for words of it."""
    await until(app, lambda: app.status is not None and app.estimate is not None)
    await app.action_go(mode)
    await pilot.pause()
    if words:
        await until(app, words)
