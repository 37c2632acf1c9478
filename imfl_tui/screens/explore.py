"""Explore: search and filter all items, open one, relabel it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, get_args

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from imfl_engine.types import Origin
from imfl_engine.views import ItemFilter
from imfl_tui.screens.dialogs import Picker
from imfl_tui.screens.found_items import FoundItemsScreen
from imfl_tui.spans import Line, line
from imfl_tui.text import plural
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.field import Field
from imfl_tui.widgets.labels import Labels
from imfl_tui.widgets.rows import Rows

Source = Literal["human", "llm", "llm_reviewed", "model", "unlabelled"]


class ExploreScreen(FoundItemsScreen):
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
        await self.load(fresh=True)

    def place(self) -> Line | str:
        """How many items match."""
        if self._count is None:
            return "explore"
        return line(
            f"{plural(self._count, 'item')} ", ("match" if self._filtered else "in the pool", "dim")
        )

    # ------------------------------------------------------------------ searching

    def action_search(self) -> None:
        """Type into the search field."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.look(replace(self._filter, text=event.value.strip()))

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
                self.look(replace(self._filter, label=label))

        self.app.push_screen(Picker("Show only which label?", labels), choose)

    def action_filter_source(self) -> None:
        """The next source."""
        sources: list[Source | None] = [None, *get_args(Source)]
        following = sources[(sources.index(self._filter.source) + 1) % len(sources)]
        self.look(replace(self._filter, source=following))

    def action_filter_round(self) -> None:
        """The next round."""
        newest = self.imfl.status.step.round if self.imfl.status else 0
        current = self._filter.round
        following = 0 if current is None else current + 1
        self.look(replace(self._filter, round=following if following <= newest else None))

    def action_filter_disagreement(self) -> None:
        """Only where label and model differ."""
        self.look(replace(self._filter, disagreement=not self._filter.disagreement))

    def action_filter_flagged(self) -> None:
        """Only flagged items."""
        self.look(replace(self._filter, flagged=not self._filter.flagged))

    def action_clear(self) -> None:
        """No filter."""
        self.query_one(Input).value = ""
        self.look(ItemFilter())

    # ------------------------------------------------------------------ the item

    @property
    def takes_label(self) -> bool:
        """Whether there is an item, no dialog is open and nobody types into the search field."""
        return self.is_current and self.focused is None and self.current is not None

    async def action_give(self, label: str) -> None:
        """Give the item this label."""
        row = self.current
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
            self.show_rows()
            self.show_item()
            self.imfl.refresh_status_soon()

    async def action_undo(self) -> None:
        """Undo the last action."""
        event = await self.undo()
        if event is None:
            return
        await self.tell_undone(event)
        self._detail = None
        await self.load(fresh=True)
        self.imfl.refresh_status_soon()

    def action_note(self) -> None:
        """Write a comment on the item."""
        row = self.current
        if row is None:
            return

        def saved(note: str) -> None:
            self._detail = None
            self.show_item()

        detail = self._detail
        known = detail is not None and detail.item.item_id == row.item_id
        self.ask_note(row.item_id, detail.comment if detail and known else None, saved)

    def action_first(self) -> None:
        """The first row."""
        self.query_one(Rows).move_to(0)
