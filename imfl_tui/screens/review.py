"""Review: the LLM's labels, most likely wrong first; keep or correct each with one key."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from imfl_engine.types import Origin
from imfl_engine.views import ReviewRow
from imfl_tui.lines.review import Decision, below_words, recount, risk_in
from imfl_tui.prompts import demonstration_parts, prompt_parts
from imfl_tui.screens.base import HOME
from imfl_tui.screens.dialogs import Ask, Reader
from imfl_tui.screens.review_queue import QueueScreen
from imfl_tui.text import fraction, one_line, plural
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.labels import Labels
from imfl_tui.widgets.rows import Rows

RISKS = (0.05, 0.1, 0.2, 0.3)
"""For which the question what to keep unseen says how many labels that is."""


class ReviewScreen(QueueScreen):
    """The review queue and the item under its cursor."""

    CSS_PATH = "review.tcss"
    PAGE = "review"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a,enter", "keep", "Keep", id="review.keep", tooltip="The LLM is right"),
        Binding(
            "A",
            "keep_below",
            "Keep all below…",
            id="review.bulk",
            tooltip="Keep every label below a risk",
        ),
        Binding(
            "x", "reject", "None fits", id="review.reject", tooltip="No label fits: leave it out"
        ),
        Binding("j,down", "move(1)", "Down", id="review.down", show=False, tooltip="Next row"),
        Binding("k,up", "move(-1)", "Up", id="review.up", show=False, tooltip="Row before"),
        Binding("u,backspace", "undo", "Undo", id="review.undo", tooltip="Undo your last action"),
        Binding("space", "move(1)", "Later", id="review.later", tooltip="Leave it for later"),
        Binding("pagedown", "page(1)", "Page down", id="review.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="review.page_up", show=False),
        Binding("p", "prompt", "Prompt", id="review.prompt", tooltip="What the LLM was shown"),
        Binding("d", "open", "Open", id="review.open", tooltip="The item in full"),
        Binding("slash", "pick", "Pick", id="review.pick", tooltip="Find a label by its letters"),
        Binding("f", "flag", "Flag", id="review.flag", show=False, tooltip="Mark to find it again"),
        Binding("n", "note", "Note", id="review.note", show=False, tooltip="Write a comment"),
        HOME,
    ]

    def body(self) -> ComposeResult:
        """Queue left, item right, labels below."""
        with Horizontal(id="split"):
            yield Rows(title="risk · LLM · text", id="queue")
            yield Text(title="item", id="detail", classes="panel")
        yield Labels(id="labels")

    async def begin(self) -> None:
        """Prepare the keys."""
        self.assign_schema_keys()

    async def resumed(self) -> None:
        """Fetch the queue anew: there may be new labels, or better risks."""
        self.stopwatch.start()
        await self.load(fresh=True)

    # ------------------------------------------------------------------ deciding

    @property
    def takes_label(self) -> bool:
        """Whether there is an item and no dialog is open."""
        return self.is_current and self._row is not None

    async def action_give(self, label: str) -> None:
        """Correct the label; giving the LLM's own label keeps it."""
        row = self._row
        if row is None:
            return
        if label == row.llm_label:
            await self.action_keep()
            return
        seconds = self.stopwatch.seconds
        if await self.done(
            lambda: self.project.label(row.item_id, label, seconds=seconds, origin=Origin.REVIEW)
        ):
            self._decided(row, "corrected")

    async def action_keep(self) -> None:
        """Keep the LLM's label."""
        row = self._row
        seconds = self.stopwatch.seconds
        if row is not None and await self.done(
            lambda: self.project.accept(row.item_id, seconds=seconds)
        ):
            self._decided(row, "accepted")

    async def action_reject(self) -> None:
        """Neither this label nor another."""
        row = self._row
        seconds = self.stopwatch.seconds
        if row is not None and await self.done(
            lambda: self.project.reject(row.item_id, seconds=seconds)
        ):
            self._decided(row, "corrected")

    def _decided(self, row: ReviewRow, status: Decision) -> None:
        # The cursor, and even the rows, may have moved while the decision was saved.
        ids = [each.item_id for each in self._rows]
        if row.item_id not in ids:
            return
        index = ids.index(row.item_id)
        before = self._rows[index]
        self._rows[index] = replace(before, status=status)
        self._details.pop(before.item_id, None)
        if self._page is not None and before.status == "unreviewed":
            self._page = recount(self._page, self._rows, before, status)
        self.show_queue()
        rows = self.query_one(Rows)
        if rows.cursor != index or not rows.move(1):
            self.show_item()

    async def action_keep_below(self) -> None:
        """Keep everything below a risk, after a look at how many that is."""
        if not self._rows:
            return
        undo = self.imfl.key_of("review.undo")
        below = await self.project.labels_below(RISKS)

        async def keep(text: str | None) -> None:
            if text is None:
                return
            risk = risk_in(text)
            if risk is None:
                self.notify(
                    f"“{one_line(text, 20)}” is no risk; write for example .10.", markup=False
                )
                return
            kept = await self.attempt(lambda: self.project.accept_below(risk))
            if kept == 0:  # there is nothing an undo would take back
                self.notify(f"No label has a risk below {fraction(risk)}.", markup=False)
            elif kept is not None:
                words = (
                    f"Kept {plural(kept, 'label')} below {fraction(risk)}. {undo} takes it back."
                )
                self.notify(words, markup=False)
                await self.load(fresh=True)

        self.app.push_screen(
            Ask(
                "Keep all labels below which risk?",
                ".10",
                [
                    *below_words(below),
                    f"Below it no label is looked at. One key ({undo}) takes it back.",
                ],
                does="keep them",
                proposed=True,
            ),
            keep,
        )

    async def action_undo(self) -> None:
        """Undo the last action."""
        event = await self.undo()
        if event is None:
            return
        await self.load(fresh=True)
        ids = [row.item_id for row in self._rows]
        if event.item_id in ids:
            self.query_one(Rows).move_to(ids.index(event.item_id))
        await self.tell_undone(event)

    async def action_flag(self) -> None:
        """Mark the item, or take the mark away."""
        row = self._row
        if row is None:
            return
        detail = self._details.get(row.item_id)
        on_now = not (detail.flagged if detail else False)
        if await self.done(lambda: self.project.flag(row.item_id, on_now)):
            self._details.pop(row.item_id, None)
            self.show_item()

    def action_note(self) -> None:
        """Write a comment on the item."""
        row = self._row
        if row is None:
            return
        detail = self._details.get(row.item_id)

        def saved(note: str) -> None:
            self._details.pop(row.item_id, None)
            self.show_item()

        self.ask_note(row.item_id, detail.comment if detail else None, saved)

    async def action_prompt(self) -> None:
        """Show exactly what the LLM was sent and what it answered."""
        detail = await self.fetch_detail()
        if detail is not None:
            self.app.push_screen(
                Reader(
                    "What the LLM was shown", [*prompt_parts(detail), *demonstration_parts(detail)]
                )
            )
