"""Our two themes: every word can be read on every ground it may stand on."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from imfl_tui.spans import STYLES
from imfl_tui.themes import DARK, LIGHT, span_styles

READABLE = 4.5
"""Contrast that the Web Content Accessibility Guidelines (level AA) ask for of text."""


def luminance(colour: Color) -> float:
    """Relative luminance as the guidelines define it."""
    parts = [part / 255 for part in colour.rgb]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    """Between 1 (none) and 21 (black on white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_every_style_that_words_are_written_in_can_be_read_on_every_ground(theme: Theme):
    variables = {**theme.to_color_system().generate(), **theme.variables}
    styles = span_styles(variables, ansi=False, no_color=False)
    assert set(styles) == set(STYLES)
    words = {
        name: Color.from_rich_color(style.color)
        for name, style in styles.items()
        if style.color is not None and name != "rule"
    }
    words[""] = Color.parse(theme.foreground)
    poor = [
        (name, ground, round(contrast(colour, Color.parse(variables[ground])), 2))
        for name, colour in words.items()
        for ground in ("background", "surface", "panel")
        if contrast(colour, Color.parse(variables[ground])) < READABLE
    ]
    assert not poor
    cursor = Color.parse(variables["imfl-cursor"])
    assert contrast(Color.parse(theme.foreground), cursor) >= READABLE
