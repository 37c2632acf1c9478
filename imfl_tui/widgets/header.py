"""The first line of every screen: the project, where we are, and what is running."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imfl_tui.spans import Line, Span, fill, fit, line, width_of
from imfl_tui.text import one_line
from imfl_tui.widgets.canvas import Canvas

Place = Line | str | Callable[[int], Line]
"""Where we are: words, or what makes them for the room there is."""

NARROW = 100
"""Below this width everything is said in fewer words."""


def header_line(project: str, place: Place, jobs: Sequence[str], width: int) -> Line:
    """One line of ``width`` cells; a running job is never pushed out by words on the left.

    ``place`` begins with what matters most, so that a narrow terminal loses the rest of it.
    """
    right: list[Span] = []
    for text in jobs:
        if right:
            right.append(Span(" · ", "dim"))
        right.extend([Span(one_line(text, 40), "accent"), Span(" ▸", "accent")])
    if right:
        right.append(Span(" "))
    room = max(width - width_of(right) - 2, 0)
    name = Span(one_line(project, 28 if width >= NARROW else 18), "strong")
    if callable(place):
        place = place(room - width_of([name]) - 3)
    words = line(place) if isinstance(place, str) else place
    left = fit([Span(" "), name, Span("  "), *words], room)
    space = max(width - width_of(left) - width_of(right), 0)
    return fill([*left, Span(" " * space), *right], width)


class Header(Canvas):
    """The header of a screen."""

    def __init__(self) -> None:
        super().__init__(id="header")
        self._project = ""
        self._place: Place = ()
        self._jobs: tuple[str, ...] = ()
        self._short_jobs: tuple[str, ...] = ()

    def show(
        self,
        *,
        project: str | None = None,
        place: Place | None = None,
        jobs: tuple[str, ...] | None = None,
        short_jobs: tuple[str, ...] = (),
    ) -> None:
        """Change what is given and keep the rest; ``short_jobs`` are for a narrow screen."""
        before = (self._project, self._place, self._jobs)
        if project is not None:
            self._project = project
        if place is not None:
            self._place = place
        if jobs is not None:
            self._jobs, self._short_jobs = jobs, short_jobs or jobs
        if before != (self._project, self._place, self._jobs):
            self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The line."""
        jobs = self._short_jobs if width < NARROW else self._jobs
        return [header_line(self._project, self._place, jobs, width)]
