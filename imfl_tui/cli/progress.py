"""What a running job shows: bars with an ETA on a terminal, one line a step everywhere else."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from imfl_engine.events import (
    Annotated,
    Event,
    ModelReady,
    Notice,
    Progress,
    StepFinished,
    StepStarted,
    TrainingProgress,
    ValidationMeasured,
)
from imfl_tui.cli.shell import say, visible
from imfl_tui.text import duration, reply_counts

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

REFRESHES_PER_SECOND = 8
SECONDS_BEFORE_A_BAR = 1.0
POLL_SECONDS = 0.2


@asynccontextmanager
async def shown(read: Callable[[], Progress]) -> AsyncIterator[None]:
    """Show how far something is while the body runs, which ``read`` says whenever it is asked."""

    async def watch(reporter: Reporter) -> None:
        while True:
            reporter.show(read())
            await asyncio.sleep(POLL_SECONDS)

    with Reporter() as reporter:
        watcher = asyncio.create_task(watch(reporter))
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)


class Reporter:
    """Shows events on stderr. Use it as a context manager around the loop over the events.

    Bars appear only on a terminal, and only for work that takes longer than a second.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._step_started = self._started
        self._stack = ExitStack()
        self._last_detail = ""
        self._device = ""
        # For an ETA of our own, where the event brings none.
        self._counting = ""
        self._counting_since = self._started
        self._done_at_first = self._done_before = 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        self._bars = None

    def show(self, event: object) -> None:
        """Show one event; kinds that are not for people are ignored."""
        match event:
            case StepStarted():
                self._step_started = time.monotonic()
                self._last_detail = ""
                self._end()
            case Progress():
                text = event.detail or event.job
                self._update(text, event.done, event.total, event.unit, event.eta_seconds)
            case Annotated():
                money = f" · ${event.spent_usd:.2f}" if event.limit_usd or event.spent_usd else ""
                ended = "".join(f" · {words}" for _, words in reply_counts(event.statuses))
                self._update(
                    f"annotate{money}{ended}",
                    event.done,
                    event.total,
                    "labels",
                    event.eta_seconds,
                )
            case TrainingProgress():
                text = f"train · loss {event.loss:.3f} · {event.samples_per_second:.0f}/s"
                self._update(text, event.step, event.total, "steps", event.eta_seconds)
            case ValidationMeasured():
                self._last_detail = f"validation {event.accuracy:.3f}"
            case ModelReady():
                if event.samples_per_second >= 1:
                    self._last_detail = f"{event.samples_per_second:.0f} samples/s"
                if event.device != self._device:
                    self._device = event.device
                    self.tell(f"training on {event.device}")
            case StepFinished(step):
                seconds = time.monotonic() - self._step_started
                detail = f" · {self._last_detail}" if self._last_detail else ""
                self._end()
                self.tell(f"round {step.round} · {step.kind.value} done in {seconds:.1f} s{detail}")
            case Notice():
                self.tell(f"{event.level}: {event.text}")
                if event.hint:
                    self.tell(event.hint)

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Show every event of a job until it is over."""
        async for event in events:
            self.show(event)

    def _end(self) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.remove_task(self._task)
        self._task = None

    def _update(self, text: str, done: int, total: int, unit: str, eta: float | None) -> None:
        if not sys.stderr.isatty():
            return
        now = time.monotonic()
        if text.partition(" ")[0] != self._counting or done < self._done_before:
            self._counting, self._counting_since = text.partition(" ")[0], now
            self._done_at_first = done
        self._done_before = done
        if now - self._step_started < SECONDS_BEFORE_A_BAR and self._bars is None:
            return
        if eta is None and done > self._done_at_first:
            pace = (now - self._counting_since) / (done - self._done_at_first)
            eta = pace * (total - done)
        bars = self._bars or self._make_bars()
        if self._task is None:
            self._task = bars.add_task("", total=None, count="", eta="")
        bars.update(
            self._task,
            description=visible(text),
            completed=done,
            total=total or None,
            count=f"{done:,}/{total:,} {unit}" if total else f"{done:,} {unit}" if done else "",
            eta=f"about {duration(eta)} left" if eta is not None and done < total else "",
        )

    def _make_bars(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bars = self._stack.enter_context(
            Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[count]}", markup=False),
                TextColumn("{task.fields[eta]}", markup=False),
                console=Console(file=sys.stderr),
                transient=True,
                refresh_per_second=REFRESHES_PER_SECOND,
            )
        )
        return self._bars

    def tell(self, text: str) -> None:
        """Say a line, above the bars where there are any."""
        if self._bars is not None:
            self._bars.console.print(visible(text), markup=False, highlight=False)
        else:
            say(text)
