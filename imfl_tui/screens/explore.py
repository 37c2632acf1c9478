"""Explore: search and filter all items, open one, relabel it.

Rows come from the database a page at a time, by the id after the last one seen, so that a million
items cost what the visible ones cost.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar, Literal, get_args

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from imfl_engine.types import Origin
from imfl_engine.views import ItemDetail, ItemFilter, ItemRow
from imfl_tui.fetches import Fetches
from imfl_tui.lines.explore import explore_detail, explore_row, filter_line
from imfl_tui.screens.dialogs import Picker
from imfl_tui.screens.labelling import ItemListScreen
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, one_line, plural, safe_text, wrap
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.field import Field
from imfl_tui.widgets.labels import Labels
from imfl_tui.widgets.rows import Rows

PAGE_SIZE = 200
MOST_ROWS = 5_000
"""Rows kept in memory; whoever needs more narrows the search."""
DEBOUNCE = 0.12
Source = Literal["human", "llm", "llm_reviewed", "model", "unlabelled"]


class ExploreScreen(ItemListScreen):
    """All items."""

    CSS_PATH = "explore.tcss"
    PAGE = "explore"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="explore.search", tooltip="Search the texts"),
        Binding(
            "enter,o",
            "open",
            "Open",
            id="explore.open",
            tooltip="The item, and what the LLM was asked",
        ),
        Binding("l", "filter_label", "Label", id="explore.label", tooltip="Only one label"),
        Binding(
            "s", "filter_source", "Source", id="explore.source", tooltip="Only from one source"
        ),
        Binding("r", "filter_round", "Round", id="explore.round", tooltip="Only of one round"),
        Binding(
            "d",
            "filter_disagreement",
            "Disagreement",
            id="explore.disagreement",
            tooltip="Only where label and model differ",
        ),
        Binding(
            "f", "filter_flagged", "Flagged", id="explore.flagged", tooltip="Only flagged items"
        ),
        Binding("c", "clear", "Clear", id="explore.clear", tooltip="Show all items again"),
        Binding(
            "p", "pick", "Relabel", id="explore.pick", tooltip="Relabel by name; its key works too"
        ),
        Binding("n", "note", "Note", id="explore.note", show=False, tooltip="Write a comment"),
        Binding("u,backspace", "undo", "Undo", id="explore.undo", tooltip="Undo your last action"),
        Binding("j,down", "move(1)", "Down", id="explore.down", show=False, tooltip="Next row"),
        Binding("k,up", "move(-1)", "Up", id="explore.up", show=False, tooltip="Row before"),
        Binding("pagedown", "page(1)", "Page down", id="explore.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="explore.page_up", show=False),
        Binding("home", "first", "First", id="explore.first", show=False),
        Binding(
            "escape", "leave", "Home", id="explore.leave", tooltip="Leave the field, then home"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._filter = ItemFilter()
        self._rows: list[ItemRow] = []
        self._complete = False
        self._count: int | None = None
        self._fetches = Fetches()
        self._detail: ItemDetail | None = None

    def body(self) -> ComposeResult:
        """Search, filters, rows, item."""
        yield Field(placeholder="/ search the texts", id="search", select_on_focus=False)
        yield Text(id="filters")
        with Horizontal(id="split"):
            yield Rows(title="items", id="rows")
            yield Text(title="item", id="detail", classes="panel")
        yield Labels(id="labels")

    async def begin(self) -> None:
        """Prepare the keys."""
        self.assign_schema_keys()

    async def resumed(self) -> None:
        """Fetch anew: labels may have changed."""
        self.stopwatch.start()
        await self._load(fresh=True)

    def place(self) -> Line | str:
        """How many items match."""
        if self._count is None:
            return "explore"
        return line(
            f"{plural(self._count, 'item')} ", ("match" if self._filtered else "in the pool", "dim")
        )

    @property
    def _filtered(self) -> bool:
        return self._filter != ItemFilter()

    # ------------------------------------------------------------------ fetching

    def _look(self, changed: ItemFilter) -> None:
        if changed == self._filter:
            return
        self._filter = changed
        self._show_filters()
        self.beside("search", self._search)

    async def _search(self) -> None:
        await asyncio.sleep(DEBOUNCE)
        await self._load(fresh=True, top=True)

    async def _load(self, *, fresh: bool = False, top: bool = False) -> None:
        if self._fetches.running and not fresh:
            return
        wanted = self._filter
        after = 0 if fresh or not self._rows else self._rows[-1].item_id
        limit = PAGE_SIZE
        if fresh and not top:
            limit = max(min(len(self._rows), MOST_ROWS), PAGE_SIZE)
        with self._fetches.one() as number:
            rows = await self.attempt(lambda: self.project.search(wanted, after, limit))
        if rows is None or wanted != self._filter or not self._fetches.is_newest(number):
            return
        self._rows = rows if fresh else [*self._rows, *rows]
        self._complete = len(rows) < limit
        self._show_rows(cursor=0 if top else None)
        if fresh:
            self._show_item()
            self.beside("count", self._recount)

    async def _recount(self) -> None:
        wanted = self._filter
        count = await self.project.count(wanted)
        if wanted == self._filter:
            self._count = count
            self.show_header()
            self._show_filters()

    # ------------------------------------------------------------------ showing

    def _show_rows(self, cursor: int | None = None) -> None:
        size = max((cells(one_line(row.label or "", 14)) for row in self._rows[:300]), default=5)
        self._label_size = min(max(size, 5), 14)
        empty = [line(""), line(("There are no items.", "strong"))]
        if self._filtered:
            empty = [
                line(""),
                line(("No item matches.", "strong")),
                line(Span("c", "key", command="explore.clear"), (" shows all again", "dim")),
            ]
        self.query_one(Rows).show(len(self._rows), self._row, empty=empty, cursor=cursor)

    def _row(self, index: int, width: int) -> Line:
        return explore_row(self._rows[index], width, self._label_size)

    def _show_filters(self) -> None:
        self.query_one("#filters", Text).show([filter_line(self._filter)])

    @property
    def _current(self) -> ItemRow | None:
        cursor = self.query_one(Rows).cursor
        return self._rows[cursor] if cursor < len(self._rows) else None

    @property
    def item_id(self) -> int | None:
        """The id of the item under the cursor."""
        return self._current.item_id if self._current else None

    @on(Rows.Moved)
    async def _moved(self, event: Rows.Moved) -> None:
        near_end = event.index > len(self._rows) - 40
        if near_end and not self._complete and len(self._rows) < MOST_ROWS:
            await self._load()
        self._show_item()

    def _show_item(self) -> None:
        row, panel = self._current, self.query_one("#detail", Text)
        if row is None:
            panel.show([])
            self.query_one(Labels).show(())
            return
        self.stopwatch.watch(row.item_id)
        detail = self._detail
        if detail is None or detail.item.item_id != row.item_id:
            text = safe_text(row.text, newlines=True)
            panel.show(lambda width: [line(part) for part in wrap(text, max(width, 20))])
            self.beside("detail", self._fetch, row.item_id)
            return
        self.use_keys_for(detail.item)
        panel.show(lambda width: explore_detail(detail, max(width, 20)))
        self.query_one(Labels).show(
            self._keys, options=bool(detail.item.options), chosen=detail.label
        )

    async def _fetch(self, item_id: int) -> None:
        await asyncio.sleep(0.03)
        self._detail = await self.project.detail(item_id)
        row = self._current
        if row is not None and row.item_id == item_id:
            self._show_item()

    def on_resize(self) -> None:
        """Wrap the item anew."""
        self._show_filters()
        if self._rows:
            self._show_item()

    # ------------------------------------------------------------------ searching

    def action_search(self) -> None:
        """Type into the search field."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._look(replace(self._filter, text=event.value.strip()))

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.set_focus(None)

    async def action_leave(self) -> None:
        """Leave the search field; outside it, go home."""
        if self.focused is not None:
            self.set_focus(None)
        else:
            await self.imfl.action_go("home")

    def action_filter_label(self) -> None:
        """Only items with one label."""
        labels = list(self.imfl.status.labels) if self.imfl.status else []
        labels = labels or sorted({row.label for row in self._rows if row.label})

        def choose(label: str | None) -> None:
            if label is not None:
                self._look(replace(self._filter, label=label))

        self.app.push_screen(Picker("Show only which label?", labels), choose)

    def action_filter_source(self) -> None:
        """The next source."""
        sources: list[Source | None] = [None, *get_args(Source)]
        following = sources[(sources.index(self._filter.source) + 1) % len(sources)]
        self._look(replace(self._filter, source=following))

    def action_filter_round(self) -> None:
        """The next round."""
        newest = self.imfl.status.step.round if self.imfl.status else 0
        current = self._filter.round
        following = 0 if current is None else current + 1
        self._look(replace(self._filter, round=following if following <= newest else None))

    def action_filter_disagreement(self) -> None:
        """Only where label and model differ."""
        self._look(replace(self._filter, disagreement=not self._filter.disagreement))

    def action_filter_flagged(self) -> None:
        """Only flagged items."""
        self._look(replace(self._filter, flagged=not self._filter.flagged))

    def action_clear(self) -> None:
        """No filter."""
        self.query_one(Input).value = ""
        self._look(ItemFilter())

    # ------------------------------------------------------------------ the item

    @property
    def takes_label(self) -> bool:
        """Whether there is an item, no dialog is open and nobody types into the search field."""
        return self.is_current and self.focused is None and self._current is not None

    async def action_give(self, label: str) -> None:
        """Give the item this label."""
        row = self._current
        if row is None:
            return
        seconds = self.stopwatch.seconds
        if await self.done(
            lambda: self.project.label(row.item_id, label, seconds=seconds, origin=Origin.EXPLORE)
        ):
            # The cursor, and even the rows, may have moved while the label was saved.
            self._rows = [
                replace(each, label=label, source="human") if each.item_id == row.item_id else each
                for each in self._rows
            ]
            self._detail = None
            self._show_rows()
            self._show_item()
            self.imfl.refresh_status_soon()

    async def action_undo(self) -> None:
        """Undo the last action."""
        event = await self.undo()
        if event is None:
            return
        await self.tell_undone(event)
        self._detail = None
        await self._load(fresh=True)
        self.imfl.refresh_status_soon()

    def action_note(self) -> None:
        """Write a comment on the item."""
        row = self._current
        if row is None:
            return

        def saved(note: str) -> None:
            self._detail = None
            self._show_item()

        detail = self._detail
        known = detail is not None and detail.item.item_id == row.item_id
        self.ask_note(row.item_id, detail.comment if detail and known else None, saved)

    def action_first(self) -> None:
        """The first row."""
        self.query_one(Rows).move_to(0)
