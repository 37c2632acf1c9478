"""Label: one key labels the item, saves it, and shows the next one."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from imfl_engine.errors import ImflError
from imfl_engine.views import QueueItem
from imfl_tui.keymap import LabelKey
from imfl_tui.lines.item import guideline_parts, item_parts
from imfl_tui.lines.label import last_line, why_shown
from imfl_tui.screens.answering import AnsweringScreen
from imfl_tui.screens.base import HOME
from imfl_tui.screens.dialogs import Reader
from imfl_tui.widgets.aids import Aids
from imfl_tui.widgets.canvas import Text
from imfl_tui.widgets.item import ItemFace, ItemPane
from imfl_tui.widgets.labels import Labels

ON_AN_ITEM = frozenset(
    [
        "skip",
        "reject",
        "flag",
        "note",
        "pick",
        "opinions",
        "open",
        "fold",
        "forward",
        "scroll",
        "panel",
    ]
)
"""Actions that need an item in view."""


class LabelScreen(AnsweringScreen):
    """The screen a person spends the afternoon on."""

    CSS_PATH = "label.tcss"
    PAGE = "label"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "skip", "Skip", id="label.skip", tooltip="Decide later: to the end"),
        Binding(
            "u,backspace", "undo", "Undo", id="label.undo", tooltip="Undo, as often as you like"
        ),
        Binding("f", "flag", "Flag", id="label.flag", tooltip="Mark to find it again"),
        Binding("n", "note", "Note", id="label.note", tooltip="Write a comment"),
        Binding("slash", "pick", "Pick", id="label.pick", tooltip="Find a label by its letters"),
        Binding("o", "opinions", "Opinions", id="label.opinions", tooltip="What model and LLM say"),
        Binding(
            "d", "open", "Open", id="label.open", tooltip="Item, options and guidelines in full"
        ),
        Binding("g", "panel('guidelines')", "Guidelines", id="label.guidelines"),
        Binding("s", "panel('similar')", "Similar", id="label.similar"),
        Binding("z", "fold", "Unfold", id="label.fold", show=False, tooltip="Fold a long context"),
        Binding("x", "reject", "None fits", id="label.reject", show=False, tooltip="No label fits"),
        Binding(
            "a,enter",
            "suggested",
            "Accept",
            id="label.accept",
            show=False,
            tooltip="Give the label that model or LLM suggests, once it is shown",
        ),
        Binding("left", "back", "Back", id="label.back", show=False, tooltip="The item before"),
        Binding(
            "right",
            "forward",
            "Forward",
            id="label.forward",
            show=False,
            tooltip="The next item, without an answer",
        ),
        Binding("down", "scroll(1)", "Down", id="label.down", show=False, tooltip="Scroll down"),
        Binding("up", "scroll(-1)", "Up", id="label.up", show=False, tooltip="Scroll up"),
        Binding("pagedown", "scroll(10)", "Page down", id="label.page_down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", id="label.page_up", show=False),
        HOME,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._folded = True

    # ------------------------------------------------------------------ layout

    def body(self) -> ComposeResult:
        """Item, labels, and what helps to decide."""
        yield ItemPane(id="item")
        yield Labels(id="labels")
        yield Aids(id="aids", classes="row")
        yield Text(id="last")

    async def begin(self) -> None:
        """Prepare the keys; the items come with the first resume."""
        self._opinions = self.imfl.preferences.show_opinions
        self.query_one(Aids).name_keys(
            self.imfl.key_of("label.guidelines"),
            self.imfl.key_of("label.similar"),
            self.imfl.key_of("label.open"),
        )
        self.assign_schema_keys()
        self._show_guidelines()

    async def resumed(self) -> None:
        """Take the batch up where it is."""
        self._set_progress()
        if self._batch.answers:
            self._set_progress_from_engine()
        await self._reload()
        self.call_after_refresh(self._fetch_similar_if_shown)
        self.imfl.start_prefetch()

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is done to an item can be done while one is shown; the footer names it only then."""
        return None if action in ON_AN_ITEM and self._batch.current is None else True

    @property
    def takes_label(self) -> bool:
        """Whether an item waits and no dialog is open."""
        return self.is_current and self._batch.current is not None

    def use_keys(self, keys: tuple[LabelKey, ...]) -> None:
        """Let these keys give labels; ``m`` gives a label called maybe where it is free."""
        super().use_keys(keys)
        if "m" not in self._by_key and any(key.label.lower() == "maybe" for key in keys):
            self._by_key["m"] = next(key.label for key in keys if key.label.lower() == "maybe")

    # ------------------------------------------------------------------ looking

    def action_opinions(self) -> None:
        """Show or hide what model and LLM say about this item."""
        self._opinions = not self._opinions
        self.show_item(rewind=False)

    async def action_open(self) -> None:
        """Show the item in full, and by what it is labelled."""
        item = self._batch.current
        if item is None:
            return
        detail = await self.attempt(lambda: self.project.detail(item.item.item_id))
        if detail is not None:
            parts = [*item_parts(detail), *guideline_parts(self.project.settings.task)]
            self.app.push_screen(Reader(f"Item {detail.item.key}", parts))

    def action_fold(self) -> None:
        """Fold or unfold a long context."""
        self._folded = not self._folded
        self.show_item()
        self._show_last()

    def action_panel(self, name: str) -> None:
        """Show or hide a panel below the labels."""
        self.query_one(Aids).toggle(name)
        self._show_guidelines()  # they may have all the width now, or half of it
        if name == "similar":
            self._fetch_similar_if_shown()

    def action_scroll(self, lines: int) -> None:
        """Scroll the item."""
        if self.query_one(ItemPane).scroll_lines(lines):
            self._show_last()

    def action_back(self) -> None:
        """The item before; answering it again replaces its label."""
        if self._batch.back():
            self.show_current()

    def action_forward(self) -> None:
        """The next item."""
        if self._batch.current is not None:
            self._batch.advance()
            self._go_on()

    # ------------------------------------------------------------------ showing

    def show_current(self) -> None:
        """Show the item whose turn it is, without what was unfolded or revealed for another."""
        self.stopwatch.start()
        self._opinions = self.imfl.preferences.show_opinions
        self._folded = True
        self.show_header()
        self.show_item()
        self._show_last()
        self._fetch_similar_if_shown()

    def show_item(self, *, rewind: bool = True) -> None:
        """Item, labels and their keys; what stands in an item's place where there is none."""
        item = self._batch.current
        pane = self.query_one(ItemPane)
        if item is None:
            if not self._fetching:
                self._show_end()
            return
        self._has_ended(False)
        chosen = self._batch.given(item.item.item_id)
        self.use_keys_for(item.item)
        self.query_one(Labels).show(self._keys, options=bool(item.item.options), chosen=chosen)
        pane.show(
            ItemFace(
                item.item.text,
                item.item.context,
                why_shown(item, revealed=self._opinions),
                self._folded,
                item.model,
                item.llm,
                self._opinions,
                item.flagged,
                item.comment,
            ),
            rewind=rewind,
        )

    def _show_last(self) -> None:
        width = self.size.width
        more = self.query_one(ItemPane).hidden_below if self._batch.current else 0
        last = last_line(self._batch.answers, self._earlier, more, width)
        self.query_one("#last", Text).show([last])

    def on_resize(self) -> None:
        """Wrap the panels anew."""
        self._show_guidelines()
        if self._batch.current is not None or self._ended:
            self._show_last()
            self._fetch_similar_if_shown()

    def _show_guidelines(self) -> None:
        self.query_one(Aids).show_guidelines(self.project.settings.task, self.imfl.path.name)

    def _fetch_similar_if_shown(self) -> None:
        item = self._batch.current
        if item is None:
            self.query_one(Aids).forget_similar()
        elif self.query_one(Aids).shows_similar:
            self.beside("similar", self._show_similar, item)

    async def _show_similar(self, item: QueueItem) -> None:
        await asyncio.sleep(0.12)
        try:
            found = await self.project.similar(item.item.item_id, k=5)
        except ImflError:
            found = []
        current = self._batch.current
        if current is not None and current.item.item_id == item.item.item_id:
            self.query_one(Aids).show_similar(found)
