"""What screens share on which a key gives a label: whose keys count, and asking for label or note."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from textual import events, on

from imfl_engine.types import Item, option_letter
from imfl_engine.views import ItemDetail
from imfl_tui.keymap import LabelKey, assign_label_keys, option_keys
from imfl_tui.lines.item import item_parts
from imfl_tui.prompts import asked_parts
from imfl_tui.screens.base import ImflScreen
from imfl_tui.screens.dialogs import Ask, Picker, Reader
from imfl_tui.stopwatch import Stopwatch
from imfl_tui.widgets.rows import Rows


class LabellingScreen(ImflScreen):
    """A screen on which a label's key labels the item in view.

    The keys are those of the task's labels, or of the item's own options where it has some.
    """

    def __init__(self) -> None:
        super().__init__()
        self._schema: tuple[LabelKey, ...] = ()
        self._keys: tuple[LabelKey, ...] = ()
        self._by_key: dict[str, str] = {}
        self.stopwatch = Stopwatch()

    @property
    def takes_label(self) -> bool:
        """Whether a label's key means the label now."""
        raise NotImplementedError

    async def action_give(self, label: str) -> None:
        """Give ``label`` to the item in view."""
        raise NotImplementedError

    async def on_key(self, event: events.Key) -> None:
        """A label's key labels; everything else is a binding."""
        label = self._by_key.get(event.character or event.key)
        if label is not None and self.takes_label:
            event.stop()
            event.prevent_default()
            await self.action_give(label)

    # ------------------------------------------------------------------ keys

    def assign_schema_keys(self) -> None:
        """Give the task's labels their keys: the same on every screen, or none.

        A key that the settings name and that is a command here means the command.
        """
        specs = [(one.name, one.key, one.description) for one in self.project.settings.task.labels]
        label, review = self.imfl.letters_of("label"), self.imfl.letters_of("review")
        here = self.imfl.letters_of(self.PAGE)
        self._schema = tuple(
            replace(key, key="") if key.key in here else key
            for key in assign_label_keys(specs, label, avoided=review)
        )
        self.use_keys(self._schema)

    def use_keys_for(self, item: Item) -> None:
        """Use the keys of the item's options, else those of the task's labels."""
        if item.options:
            letters = [option_letter(n) for n in range(len(item.options))]
            self.use_keys(option_keys(item.options, letters))
        elif self._keys is not self._schema:
            self.use_keys(self._schema)

    def use_keys(self, keys: tuple[LabelKey, ...]) -> None:
        """Let these keys give labels."""
        self._keys = keys
        self._by_key = {key.key: key.label for key in keys if key.key}

    # ------------------------------------------------------------------ asking

    def ask_label(self, question: str, weights: dict[str, int] | None = None) -> None:
        """Let the person find a label by its letters, and give it; ``weights`` as in `Picker`."""

        async def give(label: str | None) -> None:
            if label is not None:
                await self.action_give(label)

        names = [key.label for key in self._keys]
        words = {key.label: key.description for key in self._keys}
        self.app.push_screen(Picker(question, names, words=words, weights=weights), give)

    def ask_note(self, item_id: int, note: str | None, saved: Callable[[str], None]) -> None:
        """Let the person write the item's note; ``saved`` is called with it once it is stored."""

        async def save(text: str | None) -> None:
            if text is not None and await self.done(lambda: self.project.note(item_id, text)):
                saved(text)

        self.app.push_screen(Ask("Note on this item", note or ""), save)


class ItemListScreen(LabellingScreen):
    """A labelling screen with a list of items; the one under the cursor is in view."""

    @property
    def item_id(self) -> int | None:
        """The id of the item under the cursor; None where the list is empty."""
        raise NotImplementedError

    async def fetch_detail(self) -> ItemDetail | None:
        """All that is known about the item under the cursor."""
        item_id = self.item_id
        if item_id is None:
            return None
        return await self.attempt(lambda: self.project.detail(item_id))

    @on(Rows.Clicked)
    async def _clicked(self, event: Rows.Clicked) -> None:
        """A second click opens the item."""
        if event.again:
            await self.action_open()

    def action_pick(self) -> None:
        """Correct the label by name."""
        self.ask_label("Which label is right?")

    async def action_open(self) -> None:
        """Show the item in full, with what the LLM was asked about it and what it cost."""
        detail = await self.fetch_detail()
        if detail is not None:
            parts = [*item_parts(detail), *asked_parts(detail)]
            self.app.push_screen(Reader(f"Item {detail.item.key}", parts))

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.query_one(Rows).move(step)

    def action_page(self, step: int) -> None:
        """Move by a page."""
        rows = self.query_one(Rows)
        rows.move(step * rows.page)
