"""What every screen has: a header with the running jobs, the keys in the footer, a way home."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker

from imfl_engine.errors import ImflError
from imfl_engine.types import LabelEvent
from imfl_engine.views import Status
from imfl_tui.jobs import Jobs, describe
from imfl_tui.lines.label import undone
from imfl_tui.problems import unexpected
from imfl_tui.widgets.header import Header, Place
from imfl_tui.widgets.keybar import KeyBar

if TYPE_CHECKING:
    from imfl_engine.project import Project
    from imfl_tui.app import ImflApp

T = TypeVar("T")
log = logging.getLogger(__name__)

HOME = Binding("escape", "app.go('home')", "Home", id="app.home", tooltip="Back to the overview")


class ImflScreen(Screen[None]):
    """A screen of the app. A subclass yields its body and says what to do with new values.

    Only the screen that is shown repaints; another one catches up when it is shown again.
    """

    PAGE: ClassVar[str] = "home"
    """Name of the help page, ``help/<name>.md``."""
    A_CLICK_LEAVES_FIELDS: ClassVar[bool] = True
    """Whether a click beside a field gives the keys back to the screen."""
    BINDINGS: ClassVar[list[BindingType]] = []
    AUTO_FOCUS = ""
    _visit = -1
    _actions: dict[str, str] | None = None

    @property
    def imfl(self) -> ImflApp:
        """The app, with its own type."""
        return cast("ImflApp", self.app)

    @property
    def project(self) -> Project:
        """The open project."""
        return self.imfl.project

    def compose(self) -> ComposeResult:
        """Header, body, keys."""
        yield Header()
        yield from self.body()
        yield KeyBar()

    def body(self) -> ComposeResult:
        """What is between header and keys."""
        raise NotImplementedError

    async def on_mount(self) -> None:
        """Follow the app's snapshots."""
        self.watch(self.imfl, "jobs", self._jobs_now, init=False)
        self.watch(self.imfl, "status", self._status_now, init=False)
        self.watch(self.imfl, "estimate", self._estimate_now, init=False)
        await self.begin()

    async def begin(self) -> None:
        """Prepare the widgets, once."""

    async def resumed(self) -> None:
        """Fetch what may have changed while another screen was shown."""

    async def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        self.show_header()
        self.query_one(KeyBar).follow(self)
        self.jobs_changed(self.imfl.jobs)
        if self.imfl.status is not None:
            self.status_changed(self.imfl.status)
        if self._visit != self.imfl.visits:  # else only a dialog has closed
            self._visit = self.imfl.visits
            await self.resumed()

    async def on_key(self, event: events.Key) -> None:
        """Do what a key means here, in the order the keys were pressed.

        Textual runs a binding only after its key has bubbled up to the app; a label key pressed
        right after ``u`` would overtake it.
        """
        if not self.is_current:  # a dialog came up while the key was on its way
            event.stop()
            event.prevent_default()
            return
        if self.focused is not None:
            return
        if self._actions is None:
            self._actions = {
                key: active.binding.action
                for key, active in self.active_bindings.items()
                if active.node is self  # whether it is enabled is asked when it is run
            }
        action = self._actions.get(event.key)
        if action is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(action)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Leave a field at a click beside it."""
        if self.A_CLICK_LEAVES_FIELDS and self.focused is not None:
            clicked, _ = self.get_widget_at(*event.screen_offset)
            if clicked is not self.focused:
                self.set_focus(None)

    async def undo(self) -> LabelEvent | None:
        """Take back the person's last action; None when there is none left, which is said."""
        event = await self.attempt(self.project.undo)
        if event is None:
            self.notify(undone(None), timeout=2)
        return event

    async def tell_undone(self, event: LabelEvent) -> None:
        """Say what was taken back, where the screen does not show it."""
        texts = await self.attempt(lambda: self.project.texts([event.item_id])) or {}
        self.notify(undone(event, texts.get(event.item_id, "")), markup=False, timeout=4)

    def _jobs_now(self, jobs: Jobs) -> None:
        if self.is_shown:
            self.show_jobs(jobs)
            self.jobs_changed(jobs)

    def _status_now(self, status: Status | None) -> None:
        if self.is_shown and status is not None:
            self.show_header()
            self.status_changed(status)

    def _estimate_now(self) -> None:
        self._status_now(self.imfl.status)

    @property
    def is_shown(self) -> bool:
        """Whether the screen is on display, perhaps below a dialog."""
        return self.is_mounted and self in self.app.screen_stack

    def show_header(self) -> None:
        """Write the header anew."""
        header = self.query_one(Header)
        header.show(project=self.imfl.path.name, place=self.place())
        self.show_jobs(self.imfl.jobs)

    def show_jobs(self, jobs: Jobs) -> None:
        """Write the running jobs into the header."""
        texts = tuple(describe(jobs, name) for name in jobs.running)
        short = tuple(describe(jobs, name, short=True) for name in jobs.running)
        self.query_one(Header).show(jobs=texts, short_jobs=short)

    def place(self) -> Place:
        """Where we are, for the header."""
        return self.PAGE

    def jobs_changed(self, jobs: Jobs) -> None:
        """The running jobs look different now; comes at most four times a second."""

    def status_changed(self, status: Status) -> None:
        """The project has other figures now."""

    def beside(
        self,
        group: str,
        work: Callable[..., Awaitable[None]],
        *args: object,
        exclusive: bool = True,
    ) -> None:
        """Await ``work(*args)`` beside the keyboard; a newer one of its group takes its place."""

        async def guarded() -> None:
            await self.done(lambda: work(*args))

        _: Worker[None] = self.run_worker(
            guarded, group=group, exclusive=exclusive, exit_on_error=False
        )

    async def attempt(self, act: Callable[[], Awaitable[T]]) -> T | None:
        """Await ``act``; None when it failed, which the person is shown."""
        try:
            return await act()
        except ImflError as error:
            self.imfl.show_problem(error)
        except Exception as error:
            log.exception("%s failed", act)
            self.imfl.show_problem(unexpected(error))
        return None

    async def done(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Await ``act``; True when it went well, False when the person was shown an error."""

        async def true() -> bool:
            await act()
            return True

        return await self.attempt(true) is not None
