"""A line to type into; what is pasted or loaded into it is shown safely, like all foreign text."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from imfl_tui.text import safe_text


class Field(Input):
    """An input whose value never holds what a terminal would obey, and whose keys keep their order.

    Textual runs a binding (backspace, ctrl+u, enter) only after its key has bubbled up to the app,
    where letters typed after it overtake it on a busy machine; here it runs at once.
    """

    def validate_value(self, value: str) -> str:
        """Make the value safe before it is stored and drawn."""
        return safe_text(value, 10_000)

    async def on_key(self, event: events.Key) -> None:
        """Run the field's own bindings in the order of the keys.

        Not those for scrolling, which a line of text has no use for: its arrows are the screen's.
        """
        found = self._bindings.key_to_bindings.get(event.key)
        if not found or event.is_printable or found[0].action.startswith(("scroll_", "page_")):
            return
        event.stop()
        event.prevent_default()
        await self.run_action(found[0].action)
