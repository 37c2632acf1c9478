"""What helps to decide, below the labels: the guidelines, and similar items labelled before."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import Horizontal

from imfl_engine.settings import Task
from imfl_engine.views import SimilarItem
from imfl_tui.lines.markdown import markdown_lines
from imfl_tui.spans import Line, line
from imfl_tui.text import closeness, one_line, pasteable, safe_text, wrap
from imfl_tui.widgets.canvas import Text

TEXT_LENGTH = 240
MOST_ROWS = 3
"""A similar item is a reminder, not something to read."""


class Aids(Horizontal):
    """Two panels side by side; each can be hidden, and the row with them."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._guidelines = Text(id="guidelines", classes="panel")
        self._similar = Text(id="similar", classes="panel")
        super().__init__(self._guidelines, self._similar, id=id, classes=classes)

    @property
    def shows_similar(self) -> bool:
        """Whether similar items can be seen."""
        return bool(self._similar.display and self.display)

    def name_keys(self, guidelines: str, similar: str, opens: str) -> None:
        """Write the keys that show, hide and open the panels into their titles."""
        self._guidelines.set_title(f"{guidelines} guidelines · {opens} in full")
        self._similar.set_title(f"{similar} similar, labelled by you")

    def toggle(self, name: str) -> None:
        """Show or hide a panel; where the whole row was hidden, show that panel alone."""
        similar = name == "similar"
        panel = self._similar if similar else self._guidelines
        other = self._guidelines if similar else self._similar
        shown = bool(panel.display and self.display)
        if not self.display:
            other.display = False
        panel.display = not shown
        self.display = panel.display or other.display

    def show_guidelines(self, task: Task, file: str) -> None:
        """Wrap the guidelines to the screen, or to half of it beside the similar items.

        ``file`` is the project's, named where there are none yet.
        """
        columns = 2 if self._similar.display else 1
        width = max(self.app.size.width // columns - 6, 24)
        self._guidelines.show(guideline_lines(task, width, file))

    def show_similar(self, found: Sequence[SimilarItem]) -> None:
        """Show similar items."""
        panel = self._similar
        panel.show(lambda width: similar_lines(found, width, panel.content_size.height))

    def forget_similar(self) -> None:
        """Show none: there is no item that others could be like."""
        self._similar.show([])


def guideline_lines(task: Task, width: int, file: str) -> list[Line]:
    """The guidelines, then what each label means; or how to write some for the project in ``file``."""
    rows: list[Line] = []
    for spec in task.labels:
        if spec.description:
            text = f"{spec.name}: {spec.description}"
            rows.extend(line(row) for row in wrap(safe_text(text, 2_000), width))
    guidelines = safe_text(task.guidelines, newlines=True).strip()
    if guidelines:
        rows = [*markdown_lines(guidelines, width), *rows]
    name = safe_text(pasteable(file), 60)
    words = f"No guidelines written. imfl-tui config {name} task.guidelines TEXT"
    return rows or [line((row, "dim")) for row in wrap(words, width)]


def similar_lines(found: Sequence[SimilarItem], width: int, height: int = 0) -> list[Line]:
    """Items like this one that the person has labelled, on as many rows each as ``height`` allows."""
    if not found:
        words = "None yet: items like it that you label appear here."
        return [line((row, "dim")) for row in wrap(words, width)]
    size = min(max(len(one_line(item.label, 16)) for item in found), 16)
    rows = min(max(height // len(found), 1), MOST_ROWS)
    indent = 4 + size + 2
    lines: list[Line] = []
    for item in found:
        first, *more = _rows(one_line(item.text, TEXT_LENGTH), width - indent, rows)
        lines.append(
            line(
                (f"{closeness(item.similarity):3} ", "dim"),
                (one_line(item.label, size).ljust(size), "human"),
                "  ",
                first,
            )
        )
        lines.extend(line(" " * indent, row) for row in more)
    return lines


def _rows(text: str, width: int, rows: int) -> list[str]:
    """``text`` on at most ``rows`` lines, what is left at the end of the last one to be cut there."""
    if rows == 1:
        return [text]
    wrapped = wrap(text, width)
    kept = wrapped[: rows - 1]
    rest = " ".join(wrapped[rows - 1 :])
    return [*kept, rest] if rest else kept
