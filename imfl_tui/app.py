"""The app: one project, its figures, its screens, and the rounds that run beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.screen import Screen
from textual.worker import Worker

from imfl_engine.errors import ImflError
from imfl_engine.events import Event, Notice, StepFinished
from imfl_engine.types import Step, StepKind
from imfl_engine.views import CostEstimate, Status
from imfl_tui import jobs as job_states
from imfl_tui.commands import palette_commands, run_command
from imfl_tui.job_runner import PUBLISH_EVERY, JobRunner
from imfl_tui.jobs import DONE_WORDS
from imfl_tui.messages import JobEnded
from imfl_tui.preloading import preload
from imfl_tui.screens import registry
from imfl_tui.text import safe_text

if TYPE_CHECKING:
    from imfl_engine.project import Project

log = logging.getLogger(__name__)


class ImflApp(JobRunner):
    """Label, watch, review: the terminal application for one project file."""

    TITLE = "imfl-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"),
        (100, "-normal"),
        (140, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-short"),
        (29, "-tall"),
        (42, "-high"),
    ]
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = registry.modes()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", tooltip="All commands"),
        Binding("question_mark,f1", "help", "Help", id="app.help", tooltip="Help for this screen"),
        Binding(
            "q", "quit", "Quit", show=False, id="app.quit", tooltip="Leave; asks if a job runs"
        ),
        Binding("ctrl+q", "quit", "Quit", show=False, system=True, priority=True),
    ]

    status: var[Status | None] = var(None, init=False)
    estimate: var[CostEstimate | None] = var(None, init=False)

    def __init__(
        self,
        path: Path,
        project: Project | None = None,
        *,
        opening: Callable[[], Project] | None = None,
        preferences_file: Path | None = None,
        start_jobs: bool = True,
    ) -> None:
        """Show ``project``, or the set-up for a new one at ``path`` when there is none.

        ``opening`` opens the project in a thread once the first frame is on the screen; if it
        cannot, the app ends and `failure` says why. ``start_jobs`` False leaves the rounds to the
        person's key, as tests of screens want it.
        """
        super().__init__(preferences_file)
        self.path = path
        self._project = project
        self._opening = opening
        self.failure: Exception | None = None
        """Why the project could not be opened."""
        self._opened = asyncio.Event()
        self._start_jobs = start_jobs
        self._owns_project = False
        self.visits = 0
        """Changes of screen so far; tells a screen that is shown again from a closed dialog."""
        self._status_lock = asyncio.Lock()
        self._status_wanted = 0
        self._status_served = 0

    # ------------------------------------------------------------------ start and end

    @property
    def project(self) -> Project:
        """The open project."""
        assert self._project is not None, "the set-up has not made a project yet"
        return self._project

    @property
    def has_project(self) -> bool:
        """Whether a project is open; False during the set-up."""
        return self._project is not None

    @property
    def project_file(self) -> Path | None:
        """The file of the open project."""
        return self._project.path if self._project is not None else None

    async def on_mount(self) -> None:
        """Show the first screen at once; figures and jobs follow."""
        self.theme = self.preferences.theme
        await self.switch_mode("home" if self._project or self._opening else "setup")
        if self._opening is not None:
            self.call_after_refresh(self._open, self._opening)
        elif self._project is not None:
            self.call_after_refresh(self._begin)

    async def _open(self, opening: Callable[[], Project]) -> None:
        try:
            project = await asyncio.to_thread(opening)
        except Exception as error:
            self.failure = error
            self.exit(return_code=1)
            return
        self._project, self._owns_project = project, True
        self._opened.set()
        await self._begin()

    async def open_created(self, project: Project) -> None:
        """Go on with a project the set-up has made; the app closes it when it ends."""
        self._project, self._owns_project = project, True
        await self.action_go("home")
        await self._begin()

    async def _begin(self) -> None:
        for problem in self.problems:
            self.notify_problem(problem, "Your settings file")
        await self.refresh_status()
        if self._start_jobs:
            _: Worker[None] = self.run_worker(
                partial(asyncio.to_thread, preload), group="preload", exit_on_error=False
            )
        if self._start_jobs and self.status and self.is_free_to_go_on(self.status):
            self.start_rounds()

    async def on_unmount(self) -> None:
        """Release a project that was opened or made here; another one belongs to who opened it."""
        if self._owns_project and self._project is not None:
            await self._project.close()

    async def action_quit(self) -> None:
        """Leave; asks only when a running job would be cut short, which embedding ahead is not."""
        from imfl_tui.screens.dialogs import Confirm

        missed = [name for name in self._state.running if name != "prefetch"]
        if not missed:
            await self._leave()
            return
        self.push_screen(
            Confirm(
                "Quit while jobs run?",
                job_states.quitting_words(self._state, missed),
                yes="stop and quit",
                no="stay",
            ),
            self._leave_if,
        )

    async def _leave_if(self, sure: bool | None) -> None:
        if sure:
            await self._leave()

    async def _leave(self) -> None:
        await self.stop_all_jobs()
        self.exit(0)

    # ------------------------------------------------------------------ status

    async def refresh_status(self) -> None:
        """Fetch the project's status; returns when a status at least as new as the call is there.

        Calls that come while one is being fetched share the next one.
        """
        self._status_wanted += 1
        mine = self._status_wanted
        async with self._status_lock:
            if self._status_served >= mine:
                return
            served = self._status_wanted
            with self.reporting():
                self.status = await self.project.status()
            try:
                self.estimate = await self.project.estimate()
            except ImflError as error:
                log.info("no estimate: %s", error)
                self.estimate = None
            self._status_served = served

    def refresh_status_soon(self) -> None:
        """Fetch the status beside everything else."""
        if self._project is not None:
            _: Worker[None] = self.run_worker(
                self.refresh_status, group="status", exit_on_error=False
            )

    # ------------------------------------------------------------------ jobs

    def is_free_to_go_on(self, status: Status) -> bool:
        """Whether the next step needs no person and spends no money that was not agreed to."""
        if status.step.kind in (StepKind.LABEL, StepKind.FINISHED):
            return False
        return not self._asks_before(status.step.kind)

    def _asks_before(self, kind: StepKind) -> bool:
        """Whether a step is only done at the person's word."""
        return kind is StepKind.ANNOTATE and self.costs_money()

    def costs_money(self) -> bool:
        """Whether the next LLM run has a price."""
        if self.project.settings.annotator.kind in ("neighbours", "none", "local", "simulated"):
            return False
        estimate = self.estimate
        if estimate is None or not estimate.price_known or not estimate.calls:
            return True  # not known to be free
        return bool(estimate.money_high) or estimate.stops_at_money_limit

    def start_rounds(self) -> bool:
        """Do every step that needs no person; False when that is going on already.

        Started at a paid step, that step is agreed to; before another one it stops and asks.
        """
        step = self.status.step if self.status is not None else None
        agreed = step.round if step is not None and step.kind is StepKind.ANNOTATE else None
        return self.start_job("rounds", partial(self._rounds, agreed))

    async def _rounds(self, agreed: int | None) -> AsyncIterator[Event]:
        """The rounds; they need the compute process now, so what is embedded ahead gives way.

        It is stopped only once it has shown progress: a process cut off while it loads its
        libraries has to load them again.
        """
        while (job := self._state.running.get("prefetch")) is not None and job.progress is None:
            await asyncio.sleep(PUBLISH_EVERY)
        await self.stop_job("prefetch")

        def may(step: Step) -> bool:
            return step.round == agreed or not self._asks_before(step.kind)

        async with contextlib.aclosing(self.project.advance(may=may)) as events:
            async for event in events:
                yield event

    def start_prefetch(self) -> bool:
        """Embed the next sub-sample while the person labels."""
        if "rounds" in self._state.running:
            return False
        return self.start_job("prefetch", lambda: self.project.prefetch())

    def pause_rounds(self, on: bool) -> None:
        """Hold the LLM run: requests under way still end, no new ones are made."""
        if not self._state.in_step(StepKind.ANNOTATE):
            self.notify("Only the LLM's run can be paused; Cancel stops the rest.", timeout=4)
            return
        with self.reporting():
            self.project.pause(on)
        self.mark_job("rounds", paused=on)

    def announce(self, event: Event) -> None:
        """Say in a corner what a person may be waiting for; the focus stays where it is."""
        if isinstance(event, StepFinished):
            words = DONE_WORDS.get(event.step.kind)
            if words and self.current_mode != "home":
                number = max(event.step.round, 1)  # as Home counts: round 0 is the start of 1
                self.notify(safe_text(f"{words} (round {number})."), markup=False, timeout=4)
            self.refresh_status_soon()
        elif isinstance(event, Notice):
            self.notify(
                safe_text(f"{event.text} {event.hint}".strip(), 500, newlines=True),
                severity="information" if event.level == "info" else event.level,
                markup=False,
            )

    async def on_job_ended(self, message: JobEnded) -> None:
        """Refresh the figures; show what went wrong."""
        if message.error is not None:
            self.notify_problem(message.error)
        await self.refresh_status()

    # ------------------------------------------------------------------ screens, help, palette

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every command of this screen and of the app, with its key and its id."""
        yield from palette_commands(self, screen)

    def action_help(self) -> None:
        """Show the help of the screen."""
        from imfl_tui.screens.help import Help

        if not isinstance(self.screen, Help):
            self.push_screen(Help(self.screen))

    async def action_command(self, name: str) -> None:
        """Run a command by its id: what a click on its key does."""
        await run_command(self, name)

    async def action_go(self, mode: str) -> None:
        """Go to a screen; a key that comes before the file is open waits for it."""
        if self._opening is not None:
            await self._opened.wait()
        if self.has_project or mode == "setup":
            self.visits += 1
            await self.switch_mode(mode)
