"""Annotate: the LLM's labels as they come, what they cost, and the exact prompt of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from imfl_engine.events import Annotated
from imfl_engine.types import Reply, ReplyStatus, StepKind
from imfl_engine.views import CostEstimate, Status
from imfl_tui.jobs import Annotation, Jobs
from imfl_tui.prompts import prompt_parts
from imfl_tui.screens.base import HOME, ImflScreen
from imfl_tui.screens.dialogs import Reader
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import duration, fraction, money, money_range, one_line, pad, plural, thousands
from imfl_tui.widgets.bars import bar, mixed_bar
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.rows import Rows

STATUS_MARKS: dict[ReplyStatus, tuple[str, str, str]] = {
    ReplyStatus.OK: ("✓", "good", ""),
    ReplyStatus.REPAIRED: ("✓", "warn", "second try"),
    ReplyStatus.INVALID: ("✗", "bad", "no label of yours: offered to you"),
    ReplyStatus.REFUSED: ("✗", "bad", "refused: offered to you"),
    ReplyStatus.RATE_LIMITED: ("…", "warn", "rate limit, asked again"),
    ReplyStatus.FAILED: ("…", "warn", "no answer, asked again"),
}


class AnnotateScreen(ImflScreen):
    """The LLM's run, live."""

    CSS_PATH = "annotate.tcss"
    PAGE = "annotate"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "begin", "Start", id="annotate.start", tooltip="Begin or go on"),
        Binding("space", "pause", "Pause", id="annotate.pause", tooltip="Pause, or go on"),
        Binding("c", "stop", "Cancel", id="annotate.cancel", tooltip="Stop; paid replies stay"),
        Binding("p", "prompt", "Prompt", id="annotate.prompt", tooltip="The exact prompt"),
        Binding("j,down", "move(1)", "Down", id="annotate.down", show=False, tooltip="Older"),
        Binding("k,up", "move(-1)", "Up", id="annotate.up", show=False, tooltip="Newer"),
        HOME,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._replies: Sequence[Reply] = ()
        self._texts: dict[int, str] = {}
        self._follow = True

    def body(self) -> ComposeResult:
        """Figures above, replies below."""
        yield Text(title="LLM run", id="figures", classes="panel")
        yield Rows(title="labels as they come, newest first", id="replies")

    def place(self) -> Line | str:
        """Who labels."""
        status = self.imfl.status
        return f"annotate · {one_line(status.annotator, 40)}" if status else "annotate"

    def status_changed(self, status: Status) -> None:
        """The step may be the LLM's now."""
        self._show()

    def jobs_changed(self, jobs: Jobs) -> None:
        """More replies."""
        self._show()

    def on_resize(self) -> None:
        """Draw the bars anew."""
        self._show()

    def _show(self) -> None:
        status = self.imfl.status
        if status is None:
            return
        annotation = self.imfl.jobs.annotation
        panel = self.query_one("#figures", Text)
        width = max((panel.size.width or self.size.width - 4), 30)
        job = self.imfl.jobs.rounds
        paused = bool(job and job.paused)
        if annotation is None:
            price = self.imfl.estimate if self.imfl.costs_money() else None
            panel.show(waiting_lines(status, price, bool(job)))
        else:
            panel.show(figure_lines(annotation, width, paused=paused))
        replies = tuple(reversed(annotation.replies)) if annotation else ()
        rows = self.query_one(Rows)
        if replies is not self._replies:
            added = len(replies) - len(self._replies)
            self._replies = replies
            cursor = 0 if self._follow else rows.cursor + max(added, 0)
            empty = [line(""), line(("No label yet in this session.", "dim"))]
            rows.show(len(replies), self._row, empty=empty, cursor=cursor)
            if replies:
                self.beside("texts", self._fetch_texts, exclusive=False)

    def _row(self, index: int, width: int) -> Line:
        reply = self._replies[index]
        return reply_row(reply, self._texts.get(reply.item_id, ""), width)

    async def _fetch_texts(self) -> None:
        rows = self.query_one(Rows)
        first = max(rows.cursor - 2, 0)
        shown = [reply.item_id for reply in self._replies[first : first + rows.page]]
        missing = [item_id for item_id in shown if item_id not in self._texts]
        if missing:
            found = await self.project.texts(missing)
            self._texts.update({item_id: text[:400] for item_id, text in found.items()})
            rows.redraw()

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        self._follow = event.index == 0
        self.beside("texts", self._fetch_texts, exclusive=False)

    async def action_begin(self) -> None:
        """Begin, or go on after a pause."""
        status, job = self.imfl.status, self.imfl.jobs.rounds
        if job is not None:
            if job.paused:
                self.imfl.pause_rounds(False)
            return
        if status is not None and status.step.kind is StepKind.LABEL:
            left = plural(status.step.total - status.step.done, "item")
            self.notify(f"First your turn: {left} of this round wait for your label.", timeout=4)
        elif status is not None and status.step.kind is StepKind.FINISHED:
            self.notify("The annotation budget is used up.", timeout=4)
        else:
            self.imfl.start_rounds()

    def action_pause(self) -> None:
        """Pause, or go on."""
        job = self.imfl.jobs.rounds
        if job is not None:
            self.imfl.pause_rounds(not job.paused)

    async def action_stop(self) -> None:
        """Stop the run."""
        if self.imfl.jobs.rounds is not None:
            await self.imfl.stop_job("rounds")
            self.notify("Stopped. Every reply so far is kept; Enter goes on.", timeout=4)

    def action_prompt(self) -> None:
        """Show what the LLM was sent for the label under the cursor."""
        rows = self.query_one(Rows)
        if self._replies:
            self.app.push_screen(
                Reader("What the LLM was shown", prompt_parts(self._replies[rows.cursor]))
            )

    def action_move(self, step: int) -> None:
        """Move among the replies."""
        self.query_one(Rows).move(step)


def waiting_lines(status: Status, price: CostEstimate | None, running: bool) -> list[Line]:
    """What is coming, while no reply has."""
    step = status.step
    if step.kind is StepKind.ANNOTATE and not running:
        left = plural(max(step.total - step.done, 0), "item")
        cost = f" for about {money_range(price.money_low, price.money_high)}" if price else ""
        words = f"{left} by {one_line(status.annotator, 40)}{cost}"
        return [line(("enter", "key"), (" starts: ", "dim"), words)]
    if step.kind is StepKind.LABEL:
        words = "The LLM labels its share as soon as you have labelled yours: it learns from your labels."
        return [line((words, "dim"))]
    if step.kind is StepKind.FINISHED:
        return [line(("Everything is annotated.", "dim"))]
    return [line(("The LLM's turn comes later in this round.", "dim"))]


def figure_lines(annotation: Annotation, width: int, *, paused: bool = False) -> list[Line]:
    """Labels, money against the hard stop, and how the requests fare."""
    last: Annotated = annotation.last
    name, figures = 9, 18
    room = max(width - name - figures - 2, 6)
    done = f"{thousands(last.done)} / {thousands(last.total)}"
    state = "paused" if paused else "running" if annotation.running else "ended"
    lines: list[Line] = [
        line(
            (pad("labels", name), "dim"),
            (pad(done, figures, "right"), "strong"),
            "  ",
            *bar(last.done / max(last.total, 1), room, "llm"),
        ),
        _money_line(last, name, figures, room),
    ]
    facts = [
        (state, "accent" if state == "running" else "warn" if paused else "dim"),
        (f"{last.in_flight} in flight", ""),
        (f"{last.per_minute:.0f} a minute", ""),
        (plural(last.retries, "retry", "retries"), "warn" if last.retries else ""),
        (f"{last.invalid} invalid", "bad" if last.invalid else ""),
    ]
    if annotation.running:
        facts.append((f"{duration(last.eta_seconds)} left", ""))
    spans: list[Span] = []
    for text, style in facts:
        if spans:
            spans.append(Span(" · ", "dim"))
        spans.append(Span(text, style))
    return [*lines, spans]


def _money_line(last: Annotated, name: int, figures: int, room: int) -> Line:
    if last.limit_usd is None:
        words = money(last.spent_usd) if last.spent_usd else "free"
        return line(
            (pad("money", name), "dim"),
            (pad(words, figures, "right"), "strong"),
            ("  no limit", "dim"),
        )
    spent = f"{money(last.spent_usd)} / {money(last.limit_usd)}"
    limit = max(last.limit_usd, 1e-9)
    parts = [(last.spent_usd / limit, "█", "llm"), (last.reserved_usd / limit, "▒", "warn")]
    reserved = f"{money(last.reserved_usd)} reserved ▒"
    tail = f"  {reserved}" if room > len(reserved) + 14 else ""
    return line(
        (pad("money", name), "dim"),
        (pad(spent, figures, "right"), "strong"),
        "  ",
        *mixed_bar(parts, room - len(tail)),
        (tail, "dim"),
    )


def reply_row(reply: Reply, text: str, width: int) -> Line:
    """One reply: its mark, label, confidence, examples, cost, text."""
    mark, style, words = STATUS_MARKS[reply.status]
    label = pad(one_line(reply.label or reply.status.value, 14), 15)
    sure = fraction(reply.confidence) if reply.confidence is not None else "—"
    shots = f"{len(reply.demonstration_ids)} ex" if reply.demonstration_ids else "    "
    cost = money(reply.cost_usd) if reply.cost_usd else ""
    head = [
        Span(f"{mark} ", style),
        Span(label, "llm" if reply.label else style),
        Span(f"{sure:>4}  ", "dim"),
        Span(f"{shots}  ", "dim"),
    ]
    if width >= 76 and cost:
        head.append(Span(f"{cost:>7}  ", "dim"))
    note = f"{words}: {reply.error}" if reply.error and words else words
    body = f"{note} · {text}" if note and text else note or text
    room = width - sum(len(span.text) for span in head)
    return [*head, Span(one_line(body, max(room, 4)))]
