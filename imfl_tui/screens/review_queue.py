"""The queue of Review: its pages as they are fetched, the row under the cursor, and how it is shown."""

from __future__ import annotations

from textual import on

from imfl_engine.views import ItemDetail, ReviewPage, ReviewRow, Status
from imfl_tui.fetches import Fetches
from imfl_tui.lines.review import detail_lines, review_row, totals_line
from imfl_tui.screens.labelling import ItemListScreen
from imfl_tui.spans import Line, line
from imfl_tui.text import safe_text, thousands, wrap
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.header import Place
from imfl_tui.widgets.labels import Labels
from imfl_tui.widgets.rows import Rows

PAGE_SIZE = 100


class QueueScreen(ItemListScreen):
    """A screen with the LLM's labels, most likely wrong first; a subclass decides about them."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[ReviewRow] = []
        self._page: ReviewPage | None = None
        self._details: dict[int, ItemDetail] = {}
        self._fetches = Fetches()
        self._known: tuple[int, int] | None = None

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

    async def _load_anew(self) -> None:
        await self.load(fresh=True)

    async def load(self, *, fresh: bool = False) -> None:
        """Fetch the next page; with ``fresh`` all that is shown, anew."""
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
        self.show_queue(cursor)
        self.show_item()

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

    def show_queue(self, cursor: int | None = None) -> None:
        """Show the rows as they are now, with the cursor where it was or at ``cursor``."""
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
            await self.load()
        self.show_item()
        if self._page:
            self.query_one(Rows).set_title(
                "risk · LLM · text", f"{event.index + 1} of {thousands(self._page.total)}"
            )

    # ------------------------------------------------------------------ the item

    def show_item(self) -> None:
        """Show the row under the cursor, with all that is known about it once that is fetched."""
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
            self.show_item()
        following = self.query_one(Rows).cursor + 1
        if following < len(self._rows):
            next_id = self._rows[following].item_id
            if next_id not in self._details:
                self._details[next_id] = await self.project.detail(next_id)

    def on_resize(self) -> None:
        """Wrap the item anew."""
        if self._rows:
            self.show_item()
