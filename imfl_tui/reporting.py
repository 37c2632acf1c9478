"""Telling a person what went wrong: in a window, in a corner, or in the log file alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from textual.app import App

from imfl_engine.errors import ImflError
from imfl_tui.problems import about_project
from imfl_tui.text import safe_text

log = logging.getLogger(__name__)


class ReportingApp(App[int]):
    """An app in which an error is something to read, not its end."""

    @property
    def project_file(self) -> Path | None:
        """The file of the open project; None while there is none."""
        return None

    def told_here(self, error: ImflError) -> ImflError:
        """The same ``error``, with commands in its hint about the open project."""
        path = self.project_file
        return error if path is None else about_project(error, path)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Show an `ImflError` raised inside to the person instead of ending the app."""
        try:
            yield
        except ImflError as error:
            self.show_problem(error)

    def show_problem(self, error: ImflError) -> None:
        """Show an error in a window: it is the answer to what the person just did."""
        from imfl_tui.screens.dialogs import Problem

        log.warning("%s", error, exc_info=error)
        self.push_screen(Problem(self.told_here(error)))

    def notify_problem(self, error: ImflError, title: str = "Stopped") -> None:
        """Show an error in a corner: a job failed while the person did something else."""
        log.warning("%s", error, exc_info=error)
        text = safe_text(f"✗ {title}: {error.message} {error.hint}".strip(), 800)
        self.notify(text, severity="error", markup=False, timeout=10)

    def on_notify(self) -> None:
        """Where there is little room the newest notice takes the place of the one before."""
        if self.screen_stack and self.screen.has_class("-short"):
            self.clear_notifications()

    def clear_notifications(self) -> None:
        """Take all notices off the screen, with their frames.

        Textual leaves the frames: each would push the next notice a line further over the screen.
        """
        super().clear_notifications()
        for screen in self.screen_stack:
            screen.query("ToastHolder").remove()

    def _fatal_error(self) -> None:
        """End after an error nobody foresaw; its traceback belongs into the log, not on a screen."""
        log.critical("the app stopped", exc_info=self._exception)
        self._close_messages_no_wait()
