"""The items that Explore found: fetched as they are needed, counted, and the one under the cursor.

Rows come from the database a page at a time, by the id after the last one seen, so that a million
items cost what the visible ones cost.
"""

from __future__ import annotations

import asyncio

from textual import on

from imfl_engine.views import ItemDetail, ItemFilter, ItemRow
from imfl_tui.fetches import Fetches
from imfl_tui.lines.explore import explore_detail, explore_row, filter_line
from imfl_tui.screens.labelling import ItemListScreen
from imfl_tui.spans import Line, Span, line
from imfl_tui.text import cells, one_line, safe_text, wrap
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.labels import Labels
from imfl_tui.widgets.rows import Rows

PAGE_SIZE = 200
MOST_ROWS = 5_000
"""Rows kept in memory; whoever needs more narrows the search."""
DEBOUNCE = 0.12


class FoundItemsScreen(ItemListScreen):
    """A screen with the items that a filter lets through; a subclass filters and changes them."""

    def __init__(self) -> None:
        super().__init__()
        self._filter = ItemFilter()
        self._rows: list[ItemRow] = []
        self._complete = False
        self._count: int | None = None
        self._fetches = Fetches()
        self._detail: ItemDetail | None = None

    @property
    def _filtered(self) -> bool:
        return self._filter != ItemFilter()

    def look(self, changed: ItemFilter) -> None:
        """Show the items that another filter lets through."""
        if changed == self._filter:
            return
        self._filter = changed
        self._show_filters()
        self.beside("search", self._search)

    async def _search(self) -> None:
        await asyncio.sleep(DEBOUNCE)
        await self.load(fresh=True, top=True)

    async def load(self, *, fresh: bool = False, top: bool = False) -> None:
        """Fetch the next page; with ``fresh`` all that is shown, anew, with ``top`` only the first."""
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
        self.show_rows(cursor=0 if top else None)
        if fresh:
            self.show_item()
            self.beside("count", self._recount)

    async def _recount(self) -> None:
        wanted = self._filter
        count = await self.project.count(wanted)
        if wanted == self._filter:
            self._count = count
            self.show_header()
            self._show_filters()

    # ------------------------------------------------------------------ showing

    def show_rows(self, cursor: int | None = None) -> None:
        """Show the rows as they are now, with the cursor where it was or at ``cursor``."""
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
    def current(self) -> ItemRow | None:
        """The row under the cursor."""
        cursor = self.query_one(Rows).cursor
        return self._rows[cursor] if cursor < len(self._rows) else None

    @property
    def item_id(self) -> int | None:
        """The id of the item under the cursor."""
        return self.current.item_id if self.current else None

    @on(Rows.Moved)
    async def _moved(self, event: Rows.Moved) -> None:
        near_end = event.index > len(self._rows) - 40
        if near_end and not self._complete and len(self._rows) < MOST_ROWS:
            await self.load()
        self.show_item()

    def show_item(self) -> None:
        """Show the item under the cursor, with all that is known about it once that is fetched."""
        row, panel = self.current, self.query_one("#detail", Text)
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
        row = self.current
        if row is not None and row.item_id == item_id:
            self.show_item()

    def on_resize(self) -> None:
        """Wrap the item anew."""
        self._show_filters()
        if self._rows:
            self.show_item()
