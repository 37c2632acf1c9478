"""A line to type into; what is pasted or loaded into it is shown safely, like all foreign text."""

from __future__ import annotations

from textual.widgets import Input

from imfl_tui.text import safe_text


class Field(Input):
    """An input whose value never holds what a terminal would obey."""

    def validate_value(self, value: str) -> str:
        """Make the value safe before it is stored and drawn."""
        return safe_text(value, 10_000)
