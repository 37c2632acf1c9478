"""The app: one project, its screens, the jobs that run beside them, and what went wrong.

Jobs belong to the app and survive every change of screen. Each is one worker that folds the
engine's events into a snapshot (`imfl_tui.jobs`); the snapshot is published at most ten times a
second, so that a key never waits behind a flood of progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker

from imfl_engine.errors import ImflError
from imfl_engine.events import Event, Notice, StepFinished
from imfl_engine.types import StepKind
from imfl_engine.views import CostEstimate, Status
from imfl_tui import jobs as job_states
from imfl_tui.commands import palette_commands
from imfl_tui.jobs import DONE_WORDS, Jobs
from imfl_tui.keymap import check_keymap, key_name
from imfl_tui.messages import JobEnded
from imfl_tui.preferences import Preferences, load_preferences, preferences_path, save_preferences
from imfl_tui.problems import unexpected
from imfl_tui.screens import registry
from imfl_tui.text import safe_text
from imfl_tui.themes import DARK, LIGHT, span_styles, theme_variables

if TYPE_CHECKING:
    from imfl_engine.project import Project

log = logging.getLogger(__name__)

PRELOADED = (
    *(entry.module for entry in registry.SCREENS if entry.mode != "setup"),
    "imfl_engine.browse",
    "imfl_engine.loop.runner",
    "imfl_engine.compute.client",
)

PUBLISH_EVERY = 0.1
"""Seconds between two snapshots of the running jobs."""


class ImflApp(App[int]):
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

    status: reactive[Status | None] = reactive(None, init=False)
    estimate: reactive[CostEstimate | None] = reactive(None, init=False)
    jobs: reactive[Jobs] = reactive(Jobs(), init=False)

    def __init__(
        self,
        path: Path,
        project: Project | None = None,
        *,
        preferences_file: Path | None = None,
        start_jobs: bool = True,
    ) -> None:
        """Show ``project``, or the set-up for a new one at ``path`` when there is none.

        ``start_jobs`` False leaves the rounds to the person's key, as tests of screens want it.
        """
        super().__init__()
        self.path = path
        self._project = project
        self._preferences_file = preferences_file or preferences_path()
        self._start_jobs = start_jobs
        self._owns_project = False
        self.visits = 0
        """Changes of screen so far; tells a screen that is shown again from a closed dialog."""
        self._state = Jobs()
        self._workers_by_job: dict[str, Worker[None]] = {}
        self._publisher: Timer | None = None
        self._status_lock = asyncio.Lock()
        self._status_wanted = 0
        self._status_served = 0
        self._clashes_told: set[str] = set()
        self._styles_of = ""
        self._span_styles: dict[str, Style] = {}
        self.preferences = Preferences()
        self.problems: list[ImflError] = []
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self._load_preferences()

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
    def preferences_folder(self) -> Path:
        """Where the person's settings and drafts lie."""
        return self._preferences_file.parent

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colour names, for every theme."""
        return theme_variables(self.current_theme)

    @property
    def span_styles(self) -> dict[str, Style]:
        """How spans are drawn in the present theme."""
        if self._styles_of != self.theme:
            self._styles_of = self.theme
            self._span_styles = span_styles(
                self.get_css_variables(), ansi=self.native_ansi_color, no_color=self.no_color
            )
        return self._span_styles

    async def on_mount(self) -> None:
        """Show the first screen at once; figures and jobs follow."""
        self.theme = self.preferences.theme
        await self.switch_mode("home" if self._project else "setup")
        if self._project is not None:
            self.call_after_refresh(self._begin)

    async def open_created(self, project: Project) -> None:
        """Go on with a project the set-up has made; the app closes it when it ends."""
        self._project, self._owns_project = project, True
        await self.action_go("home")
        await self._begin()

    async def _begin(self) -> None:
        for problem in self.problems:
            self.notify_problem(problem)
        await self.refresh_status()
        if self._start_jobs:
            _: Worker[None] = self.run_worker(
                partial(asyncio.to_thread, preload), group="preload", exit_on_error=False
            )
        if self._start_jobs and self.status and self.is_free_to_go_on(self.status):
            self.start_rounds()

    async def on_unmount(self) -> None:
        """Release a project that the set-up made; another one belongs to who opened it."""
        if self._owns_project and self._project is not None:
            await self._project.close()

    async def action_quit(self) -> None:
        """Leave; asks only when a running job would be cut short."""
        from imfl_tui.screens.dialogs import Confirm

        if not self._state.busy:
            await self._leave()
            return
        running = [job_states.describe(self._state, name) for name in self._state.running]
        self.push_screen(
            Confirm(
                "Quit while jobs run?",
                [
                    f"Stops: {', '.join(running)}.",
                    "Every label and every paid reply is on disk already; "
                    "the next start goes on from there.",
                ],
                yes="stop and quit",
                no="stay",
            ),
            self._leave_if,
        )

    async def _leave_if(self, sure: bool | None) -> None:
        if sure:
            await self._leave()

    async def _leave(self) -> None:
        for name in list(self._workers_by_job):
            await self.stop_job(name)
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
        kind = status.step.kind
        if kind in (StepKind.LABEL, StepKind.FINISHED):
            return False
        return kind is not StepKind.ANNOTATE or not self.costs_money()

    def costs_money(self) -> bool:
        """Whether the next LLM run has a price."""
        if self.project.settings.annotator.kind in ("neighbours", "none", "local", "simulated"):
            return False
        estimate = self.estimate
        return estimate is None or not estimate.price_known or bool(estimate.money_high)

    def start_rounds(self) -> bool:
        """Do every step that needs no person; False when that is going on already."""
        return self.start_job("rounds", self._rounds)

    async def _rounds(self) -> AsyncIterator[Event]:
        """The rounds; they need the compute process now, so what is embedded ahead gives way.

        It is stopped only once it has shown progress: a process cut off while it loads its
        libraries has to load them again.
        """
        while (job := self._state.running.get("prefetch")) is not None and job.progress is None:
            await asyncio.sleep(PUBLISH_EVERY)
        await self.stop_job("prefetch")
        async with contextlib.aclosing(self.project.advance()) as events:
            async for event in events:
                yield event

    def start_prefetch(self) -> bool:
        """Embed the next sub-sample while the person labels."""
        if "rounds" in self._state.running:
            return False
        return self.start_job("prefetch", lambda: self.project.prefetch())

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
                self._announce(event)
        except ImflError as problem:
            error = problem
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
            self._state = job_states.finish(self._state, name)
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
        self._state = job_states.mark(self._state, name, stopping=True)
        self._publish()
        worker.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await worker.wait()

    def pause_rounds(self, on: bool) -> None:
        """Hold the LLM run: requests under way still end, no new ones are made."""
        if not self._state.in_step(StepKind.ANNOTATE):
            self.notify("Only the LLM's run can be paused; c cancels the rest.", timeout=4)
            return
        with self.reporting():
            self.project.pause(on)
        self._state = job_states.mark(self._state, "rounds", paused=on)
        self._publish()

    def _publish(self) -> None:
        if self.jobs is not self._state:
            self.jobs = self._state

    def _announce(self, event: Event) -> None:
        """Say in a corner what a person may be waiting for; the focus stays where it is."""
        if isinstance(event, StepFinished):
            words = DONE_WORDS.get(event.step.kind)
            if words and self.current_mode != "home":
                self.notify(
                    safe_text(f"{words} (round {event.step.round})."), markup=False, timeout=4
                )
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

    # ------------------------------------------------------------------ problems

    @contextlib.contextmanager
    def reporting(self) -> Any:
        """Show an `ImflError` raised inside to the person instead of ending the app."""
        try:
            yield
        except ImflError as error:
            self.show_problem(error)

    def show_problem(self, error: ImflError) -> None:
        """Show an error in a window: it is the answer to what the person just did."""
        from imfl_tui.screens.dialogs import Problem

        log.warning("%s", error, exc_info=error)
        self.push_screen(Problem(error))

    def notify_problem(self, error: ImflError) -> None:
        """Show an error in a corner: a job failed while the person did something else."""
        log.warning("%s", error, exc_info=error)
        text = safe_text(f"{error.message}\n{error.hint}".strip(), 800, newlines=True)
        self.notify(text, title="Stopped", severity="error", markup=False, timeout=20)

    def _fatal_error(self) -> None:
        """End after an error nobody foresaw; its traceback belongs into the log, not on a screen."""
        log.critical("the app stopped", exc_info=self._exception)
        self._close_messages_no_wait()

    # ------------------------------------------------------------------ keys, help, palette

    def _load_preferences(self) -> None:
        try:
            self.preferences = load_preferences(self._preferences_file)
        except ImflError as error:
            self.problems.append(error)
            return
        if self.preferences.theme not in self.available_themes:
            self.problems.append(
                ImflError(
                    f"There is no theme called '{self.preferences.theme}' "
                    f"(settings file {self._preferences_file}).",
                    "The palette's Theme command lists them.",
                )
            )
            self.preferences = Preferences(keys=self.preferences.keys, other=self.preferences.other)
        if self.preferences.keys:
            groups = [("app", self.BINDINGS), *registry.bindings()]
            keys, problems = check_keymap(self.preferences.keys, groups)
            self.set_keymap(keys)
            if problems:
                self.problems.append(
                    ImflError(
                        f"Some keys of {self._preferences_file} cannot be used: "
                        + " ".join(problems),
                        "The usual keys work instead.",
                    )
                )

    def watch_theme(self, theme: str) -> None:
        """Remember the theme a person chose in the palette."""
        if self.is_running and theme != self.preferences.theme and not self._exit:
            changed = Preferences(
                theme, self.preferences.show_opinions, self.preferences.keys, self.preferences.other
            )
            self.preferences = changed
            with self.reporting():
                save_preferences(self._preferences_file, changed)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say once that two commands want one key; `check_keymap` refuses these beforehand."""
        for binding in clashed_bindings:
            if binding.id and binding.id not in self._clashes_told:
                self._clashes_told.add(binding.id)
                self.notify(
                    f"“{key_name(binding.key)}” is taken twice: {binding.id} lost it.",
                    severity="warning",
                    markup=False,
                )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every command of this screen and of the app, with its key and its id."""
        yield from palette_commands(self, screen)

    def action_help(self) -> None:
        """Show the help of the screen."""
        from imfl_tui.screens.help import Help

        if not isinstance(self.screen, Help):
            self.push_screen(Help(self.screen))

    async def action_go(self, mode: str) -> None:
        """Go to a screen."""
        if self.has_project or mode == "setup":
            self.visits += 1
            await self.switch_mode(mode)

    def action_toggle_dark(self) -> None:
        """Change between the dark and the light theme."""
        self.theme = "imfl-light" if self.current_theme.dark else "imfl-dark"


def preload() -> None:
    """Import what the screens will need, in a thread: done when first used, it holds up a key."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            import_module(name)
