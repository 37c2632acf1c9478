"""Ten thousand options, lines of a megabyte, text that wants to be obeyed: on every screen and window."""

from __future__ import annotations

import asyncio
import sys
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from driving import go, shown, until
from fake_project import HOSTILE, FakeProject, annotation_script

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from loop_watch import Watcher

from imfl_engine.views import ItemDetail, Status
from imfl_tui.app import ImflApp
from imfl_tui.preloading import preload
from imfl_tui.screens import registry
from imfl_tui.screens.dialogs import Ask, Picker, Reader

MARKS = "[/red]\x1b[2J\u202e\u200b"
STALL = 8.0
"""How many times the processor time of `yardstick` the app's loop may take at once: about 80 ms on a
processor that needs 10 ms for it. A limit in milliseconds would test the processor. Processor time, so
that the programs that run beside it do not count; `loop_stall.py` measures both."""

MOST_APPS = 4


def names(kind: str, number: int) -> tuple[str, ...]:
    """Ten thousand; other ones for each ``number``, so that no cache of an earlier app knows them."""
    return tuple(f"{MARKS} {kind} {number}.{n}" for n in range(10_000))


class HugeProject(FakeProject):
    """Everything that comes from outside is hostile, long or many."""

    def __init__(self, *, number: int, multiple_choice: bool) -> None:
        options = names("option", number) if multiple_choice else ()
        labels = () if multiple_choice else names("label", number)
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


def yardstick() -> float:
    """Processor milliseconds of some Python that makes, sorts and keeps sixty thousand strings."""
    taken = []
    for _ in range(5):
        begun = time.thread_time()
        kept = {text: len(text) for text in sorted(f"{n}a" for n in range(60_000))}
        taken.append(1000 * (time.thread_time() - begun))
        assert len(kept) == 60_000
    return sorted(taken)[2]


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


@pytest.mark.parametrize(
    ("multiple_choice", "size"), [(False, (80, 24)), (True, (120, 40))], ids=["labels", "options"]
)
async def test_every_screen_and_window_shows_it_as_text_and_never_stalls(
    make_app, multiple_choice, size
):
    worst: dict[str, list[float]] = {}

    async def visit_all(app: ImflApp) -> None:
        watcher = Watcher()

        def look(name: str) -> None:
            worst.setdefault(name, []).append(watcher.take()["cpu_ms"])
            text = shown(app)
            assert harmless(text), (name, text)

        async with app.run_test(size=size) as pilot:
            await until(app, lambda: app.status is not None and app.estimate is not None)
            await asyncio.to_thread(preload)  # as the app does beside its first frame
            app.start_rounds()
            watching = asyncio.create_task(watcher.run())
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

    # A stall of ours is there on every app's first visit; one that is there once or twice is the
    # collector's, or another program's that shares the processor's core.
    for number in range(MOST_APPS):
        await visit_all(make_app(HugeProject(number=number, multiple_choice=multiple_choice)))
        limit = STALL * yardstick()
        stalls = {name: costs for name, costs in worst.items() if min(costs) > limit}
        if not stalls:
            break
    assert not stalls, limit
