"""Running jobs beside the screens: each is one worker that folds the engine's events.

Jobs belong to the app and survive every change of screen. What they look like is one snapshot
(`imfl_tui.jobs`), published at most four times a second, so that a key never waits behind a flood
of progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from textual.reactive import var
from textual.timer import Timer
from textual.worker import Worker

from imfl_engine.errors import ImflError
from imfl_engine.events import Event
from imfl_tui import jobs as job_states
from imfl_tui.jobs import Jobs
from imfl_tui.messages import JobEnded
from imfl_tui.personal import PersonalApp
from imfl_tui.problems import unexpected

log = logging.getLogger(__name__)

PUBLISH_EVERY = 0.25
"""Seconds between two snapshots of the running jobs."""


class JobRunner(PersonalApp):
    """An app with jobs; it posts itself a `JobEnded` when one is over."""

    # A `var`: with `reactive` every new snapshot repaints the whole screen, 10 kB instead of one line.
    jobs: var[Jobs] = var(Jobs(), init=False)

    def __init__(self, preferences_file: Path | None = None) -> None:
        super().__init__(preferences_file)
        self._state = Jobs()
        self._workers_by_job: dict[str, Worker[None]] = {}
        self._publisher: Timer | None = None

    def announce(self, event: Event) -> None:
        """Say what a person may be waiting for; called with every event of every job."""

    def start_job(
        self,
        name: str,
        events: Callable[[], AsyncIterator[Event]],
        ended: Callable[[JobEnded], None] | None = None,
    ) -> bool:
        """Run an iterator of events beside everything else; one of a name at a time.

        ``ended`` is called on the app's loop when it is over, whichever way.
        """
        if name in self._workers_by_job:
            return False
        self._state = job_states.start(self._state, name)
        self._workers_by_job[name] = self.run_worker(
            self._run_job(name, events, ended), group=name, name=name, exit_on_error=False
        )
        if self._publisher is None:
            self._publisher = self.set_interval(PUBLISH_EVERY, self._publish)
        self._publisher.resume()
        self._publish()
        return True

    async def _run_job(
        self,
        name: str,
        events: Callable[[], AsyncIterator[Event]],
        ended: Callable[[JobEnded], None] | None,
    ) -> None:
        error: ImflError | None = None
        cancelled = False
        iterator = events()
        try:
            async for event in iterator:
                self._state = job_states.fold(self._state, name, event)
                self.announce(event)
        except ImflError as problem:
            error = self.told_here(problem)
            log.warning("job %s failed", name, exc_info=True)
        except asyncio.CancelledError:
            cancelled = True
            raise
        except Exception as problem:
            log.exception("job %s failed", name)
            error = unexpected(problem)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with contextlib.suppress(Exception):
                    await asyncio.shield(close())
            self._workers_by_job.pop(name, None)
            self._state = job_states.finish(self._state, name, error)
            self._publish()
            if not self._state.busy and self._publisher is not None:
                self._publisher.pause()
            if self.is_running:
                message = JobEnded(name, error, cancelled)
                if ended is not None:
                    ended(message)
                self.post_message(message)

    async def stop_job(self, name: str) -> None:
        """Cancel a job and wait until it has let go."""
        worker = self._workers_by_job.get(name)
        if worker is None:
            return
        self.mark_job(name, stopping=True)
        worker.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await worker.wait()

    async def stop_all_jobs(self) -> None:
        """Cancel every job, one after the other."""
        for name in list(self._workers_by_job):
            await self.stop_job(name)

    def mark_job(self, name: str, *, paused: bool = False, stopping: bool = False) -> None:
        """Show a running job as paused or stopping."""
        self._state = job_states.mark(self._state, name, paused=paused, stopping=stopping)
        self._publish()

    def _publish(self) -> None:
        if self.jobs is not self._state:
            self.jobs = self._state
