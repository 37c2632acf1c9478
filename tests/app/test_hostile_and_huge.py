"""Ten thousand options, lines of a megabyte, text that wants to be obeyed: on every screen and window."""

from __future__ import annotations

import asyncio
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from driving import go, shown, until
from fake_project import HOSTILE, FakeProject, annotation_script

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from loop_watch import Watcher

from imfl_engine.collecting import keep_what_is_loaded
from imfl_engine.views import ItemDetail, Status
from imfl_tui.screens import registry
from imfl_tui.screens.dialogs import Ask, Picker, Reader

MARKS = "[/red]\x1b[2J\u202e\u200b"
OPTIONS = tuple(f"{MARKS} option {n}" for n in range(10_000))
STALL_MS = 80
"""Of processor time; 50 are promised and what `loop_stall.py` measures, on a machine left alone."""


class HugeProject(FakeProject):
    """Everything that comes from outside is hostile, long or many."""

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        labels = () if options else tuple(f"{MARKS} label {n}" for n in range(10_000))
        name = Path("bad\x1b[2J[b red]\u202e.db")
        super().__init__(labels=labels, texts=HOSTILE, options=options, path=name)
        self.items = [replace(item, key=f"{MARKS}{item.key}") for item in self.items]
        self.script = annotation_script(24, labels=(MARKS, "A", "B"))
        self.hold = True
        self.counted: Status | None = None

    async def status(self) -> Status:
        # The engine counts in a thread; counting anew here would be measured as the app's.
        if self.counted is None:
            self.counted = await super().status()
        return self.counted

    async def detail(self, item_id: int) -> ItemDetail:
        detail = await super().detail(item_id)
        return replace(
            detail,
            raw_reply=f"{MARKS} {'y' * 1_000_000}",
            reason=f"{MARKS} because",
            comment=f"{MARKS} note",
        )


def harmless(text: str) -> bool:
    """Whether a terminal would obey or hide nothing of it."""
    return not any(unicodedata.category(c) in ("Cc", "Cf") for c in text.replace("\n", ""))


WINDOWS = {
    "label": ("d", "slash", "n"),
    "review": ("d", "p", "slash", "n"),
    "explore": ("enter", "p", "n"),
    "annotate": ("p",),
}
"""Keys that open a window, by screen."""


@pytest.mark.parametrize(("options", "size"), [((), (80, 24)), (OPTIONS, (120, 40))])
async def test_every_screen_and_window_shows_it_as_text_and_never_stalls(make_app, options, size):
    app = make_app(HugeProject(options))
    watcher = Watcher()
    worst: dict[str, list[float]] = {}

    def look(name: str) -> None:
        worst.setdefault(name, []).append(watcher.take()["cpu_ms"])
        text = shown(app)
        assert harmless(text), (name, text)

    async with app.run_test(size=size) as pilot:
        await until(app, lambda: app.status is not None and app.estimate is not None)
        app.start_rounds()
        for entry in registry.SCREENS[:-1]:  # what is read from disk once is not what is measured
            await go(app, pilot, entry.mode)
        keep_what_is_loaded()  # as the app does once its screens are imported
        watching = asyncio.create_task(watcher.run())
        for _ in range(2):
            for entry in registry.SCREENS[:-1]:
                watcher.take()
                await go(app, pilot, entry.mode)
                await pilot.pause(0.1)
                look(entry.mode)
                for key in WINDOWS.get(entry.mode, ()):
                    await pilot.press(key)
                    await until(app, lambda: isinstance(app.screen, Ask | Picker | Reader))
                    await pilot.pause(0.1)
                    look(f"{key} on {entry.mode}")
                    if isinstance(app.screen, Picker):
                        await pilot.press("9", "9")
                        await pilot.pause(0.1)
                        look(f"{key} on {entry.mode}, searched")
                    await pilot.press("escape")
        watching.cancel()
    # Once may be the collector's or another program's doing.
    assert not {name: costs for name, costs in worst.items() if min(costs) > STALL_MS}
