"""Review: the LLM's labels, most likely wrong first; keep or correct each with one key."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from imfl_engine.types import Origin
from imfl_engine.views import ItemDetail, ReviewPage, ReviewRow, Status
from imfl_tui.fetches import Fetches
from imfl_tui.lines.review import Decision, detail_lines, recount, review_row, totals_line
from imfl_tui.prompts import demonstration_parts, prompt_parts
from imfl_tui.screens.base import HOME
from imfl_tui.screens.dialogs import Ask, Reader
from imfl_tui.screens.labelling import ItemListScreen
from imfl_tui.spans import Line, line
from imfl_tui.text import fraction, one_line, plural, safe_text, thousands, wrap
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.header import Place
from imfl_tui.widgets.labels import Labels
from imfl_tui.widgets.rows import Rows

PAGE_SIZE = 100


class ReviewScreen(ItemListScreen):
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

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[ReviewRow] = []
        self._page: ReviewPage | None = None
        self._details: dict[int, ItemDetail] = {}
        self._fetches = Fetches()
        self._known: tuple[int, int] | None = None

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
        await self._load(fresh=True)

    def status_changed(self, status: Status) -> None:
        """After a training, or with more labels of the LLM, the queue has another order."""
        known = (len(status.curve), status.trust.labels)
        if self._known not in (None, known):
            self.beside("queue", self._load_anew)
        self._known = known

    def place(self) -> Place:
        """How many are wrong, how many were found."""
        page = self._page
        if page is None or not page.total:
            return "review"
        return lambda room: totals_line(page, room)

    # ------------------------------------------------------------------ the queue

    async def _load_anew(self) -> None:
        await self._load(fresh=True)

    async def _load(self, *, fresh: bool = False) -> None:
        if self._fetches.running and not fresh:
            return
        offset, limit = len(self._rows), PAGE_SIZE
        if fresh:
            offset, limit = 0, max(len(self._rows), PAGE_SIZE)
        with self._fetches.one() as number:
            page = await self.attempt(lambda: self.project.review(offset=offset, limit=limit))
        if page is None or not self._fetches.is_newest(number):
            return
        self._page = page
        here = self._row.item_id if fresh and self._row else None
        if fresh:
            self._rows, self._details = list(page.rows), {}
        else:
            known = {row.item_id for row in self._rows}
            self._rows.extend(row for row in page.rows if row.item_id not in known)
        cursor = None
        if fresh:
            ids = [row.item_id for row in self._rows]
            cursor = ids.index(here) if here in ids else self._first_unreviewed()
        self._show_queue(cursor)
        self._show_item()

    def _first_unreviewed(self) -> int:
        return next((n for n, r in enumerate(self._rows) if r.status == "unreviewed"), 0)

    @property
    def _row(self) -> ReviewRow | None:
        cursor = self.query_one(Rows).cursor
        return self._rows[cursor] if cursor < len(self._rows) else None

    @property
    def item_id(self) -> int | None:
        """The id of the item under the cursor."""
        return self._row.item_id if self._row else None

    def _show_queue(self, cursor: int | None = None) -> None:
        empty = [
            line(""),
            line(("Nothing to review yet.", "strong")),
            line(("The LLM's labels appear here as soon as it has given some,", "dim")),
            line(("most likely wrong first.", "dim")),
        ]
        rows = self.query_one(Rows)
        rows.show(len(self._rows), self._line, empty=empty, cursor=cursor)
        if self._page and self._page.total:
            rows.set_title(
                "risk · LLM · text", f"{rows.cursor + 1} of {thousands(self._page.total)}"
            )
        self.show_header()

    def _line(self, index: int, width: int) -> Line:
        return review_row(self._rows[index], width)

    @on(Rows.Moved)
    async def _moved(self, event: Rows.Moved) -> None:
        if event.index > len(self._rows) - 20 and self._page and len(self._rows) < self._page.total:
            await self._load()
        self._show_item()
        if self._page:
            self.query_one(Rows).set_title(
                "risk · LLM · text", f"{event.index + 1} of {thousands(self._page.total)}"
            )

    # ------------------------------------------------------------------ the item

    def _show_item(self) -> None:
        row = self._row
        panel = self.query_one("#detail", Text)
        if row is None:
            panel.show([])
            self.query_one(Labels).show(())
            return
        self.stopwatch.watch(row.item_id)
        detail = self._details.get(row.item_id)
        if detail is None:
            text = safe_text(row.text, newlines=True)
            panel.show(lambda width: [line(part) for part in wrap(text, max(width, 20))])
            self.beside("detail", self._fetch_detail, row.item_id)
        else:
            panel.show(lambda width: detail_lines(detail, row, max(width, 20)))
            self.use_keys_for(detail.item)
        options = bool(detail and detail.item.options)
        self.query_one(Labels).show(
            self._keys if options or self._schema else (), options=options, chosen=row.llm_label
        )

    async def _fetch_detail(self, item_id: int) -> None:
        self._details[item_id] = await self.project.detail(item_id)
        if self._row is not None and self._row.item_id == item_id:
            self._show_item()
        following = self.query_one(Rows).cursor + 1
        if following < len(self._rows):
            next_id = self._rows[following].item_id
            if next_id not in self._details:
                self._details[next_id] = await self.project.detail(next_id)

    def on_resize(self) -> None:
        """Wrap the item anew."""
        if self._rows:
            self._show_item()

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
            self._decided("corrected")

    async def action_keep(self) -> None:
        """Keep the LLM's label."""
        row = self._row
        seconds = self.stopwatch.seconds
        if row is not None and await self.done(
            lambda: self.project.accept(row.item_id, seconds=seconds)
        ):
            self._decided("accepted")

    async def action_reject(self) -> None:
        """Neither this label nor another."""
        row = self._row
        seconds = self.stopwatch.seconds
        if row is not None and await self.done(
            lambda: self.project.reject(row.item_id, seconds=seconds)
        ):
            self._decided("corrected")

    def _decided(self, status: Decision) -> None:
        rows = self.query_one(Rows)
        index = rows.cursor
        before = self._rows[index]
        self._rows[index] = replace(before, status=status)
        self._details.pop(before.item_id, None)
        if self._page is not None and before.status == "unreviewed":
            self._page = recount(self._page, self._rows, before, status)
        self._show_queue()
        if not rows.move(1):
            self._show_item()

    async def action_keep_below(self) -> None:
        """Keep everything below a risk, after a look at how many that is."""
        if not self._rows:
            return
        undo = self.imfl.key_of("review.undo")
        counts = [
            f"{fraction(risk)}: {thousands(await self.project.count_below(risk))}"
            for risk in (0.05, 0.1, 0.2, 0.3)
        ]

        async def keep(text: str | None) -> None:
            if text is None:
                return
            try:
                risk = float(text.strip().replace(",", ".").removesuffix("%"))
            except ValueError:
                self.notify(
                    f"“{one_line(text, 20)}” is no risk; write for example .10.", markup=False
                )
                return
            risk = risk / 100 if risk > 1 else risk
            kept = await self.attempt(lambda: self.project.accept_below(risk))
            if kept is not None:
                words = (
                    f"Kept {plural(kept, 'label')} below {fraction(risk)}. {undo} takes it back."
                )
                self.notify(words, markup=False)
                await self._load(fresh=True)

        self.app.push_screen(
            Ask(
                "Keep all labels below which risk?",
                ".10",
                [
                    f"Labels below a risk of {' · '.join(counts)}.",
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
        await self._load(fresh=True)
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
            self._show_item()

    def action_note(self) -> None:
        """Write a comment on the item."""
        row = self._row
        if row is None:
            return
        detail = self._details.get(row.item_id)

        def saved(note: str) -> None:
            self._details.pop(row.item_id, None)
            self._show_item()

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
