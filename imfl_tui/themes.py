"""Our two themes, and the colour names every other theme gets.

A colour never says anything alone: whoever sees none still has the glyph or the word beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="imfl-dark",
    primary="#7aa2c9",
    secondary="#8fb996",
    accent="#d8b26a",
    warning="#e0a458",
    error="#e07a72",
    success="#8fbf7f",
    foreground="#d5d8dc",
    background="#14171b",
    surface="#1a1e23",
    panel="#232830",
    dark=True,
    variables={
        "imfl-human": "#e0b15e",
        "imfl-llm": "#6fa3d6",
        "imfl-model": "#b29be0",
        "imfl-rule": "#3d4651",
        "imfl-dim": "#8b949e",
        "imfl-cursor": "#2b3542",
        "imfl-key": "#e8c884",
    },
)

LIGHT = Theme(
    name="imfl-light",
    primary="#1f5f99",
    secondary="#3b7a4b",
    accent="#7d5300",
    warning="#8a5100",
    error="#b3261e",
    success="#256b2f",
    foreground="#1f2328",
    background="#faf9f6",
    surface="#f2f0ea",
    panel="#e8e5dc",
    dark=False,
    variables={
        "imfl-human": "#835500",
        "imfl-llm": "#1f64a8",
        "imfl-model": "#6b4fb3",
        "imfl-rule": "#c9c4b8",
        "imfl-dim": "#5b6067",
        "imfl-cursor": "#e3ddcd",
        "imfl-key": "#8a4b00",
    },
)


def theme_variables(theme: Theme) -> dict[str, str]:
    """Defaults of our colour names for a theme that does not define them."""
    if theme.ansi:
        return {
            "imfl-human": "ansi_yellow",
            "imfl-llm": "ansi_blue" if not theme.dark else "ansi_cyan",
            "imfl-model": "ansi_magenta",
            "imfl-rule": "ansi_default",
            "imfl-dim": "ansi_default",
            "imfl-cursor": "ansi_default",
            "imfl-key": "ansi_yellow" if theme.dark else "ansi_red",
        }
    foreground = Color.parse(theme.foreground or ("#e0e0e0" if theme.dark else "#1f2328"))
    return {
        "imfl-human": theme.accent or theme.primary,
        "imfl-llm": theme.primary,
        "imfl-model": theme.secondary or theme.primary,
        "imfl-rule": foreground.with_alpha(0.25).hex,
        "imfl-dim": foreground.with_alpha(0.6).hex,
        "imfl-cursor": Color.parse(theme.primary).with_alpha(0.3).hex,
        "imfl-key": theme.accent or theme.primary,
    }


def span_styles(variables: Mapping[str, str], *, ansi: bool, no_color: bool) -> dict[str, Style]:
    """What each style of `imfl_tui.spans.STYLES` looks like, from a theme's variables.

    One table for the whole app: asking the style sheet for every widget would cost more than
    drawing them.
    """
    background = Color.parse(variables["background"])

    def colour(name: str) -> Style:
        found = Color.parse(variables[name])
        if found.ansi is None and found.a < 1:
            found = background.blend(found.with_alpha(1.0), found.a)
        return Style(color=found.rich_color)

    if ansi or no_color:
        cursor = Style(reverse=True, bold=True)
        dim, rule = Style(dim=ansi), Style(dim=ansi)
    else:
        shade = Color.parse(variables["imfl-cursor"])
        shade = background.blend(shade.with_alpha(1.0), shade.a) if shade.a < 1 else shade
        cursor = Style(bgcolor=shade.rich_color, bold=True)
        dim, rule = colour("imfl-dim"), colour("imfl-rule")
    bold = Style(bold=True)
    return {
        "dim": dim,
        "strong": bold,
        "key": colour("imfl-key") + bold,
        "human": colour("imfl-human"),
        "llm": colour("imfl-llm"),
        "model": colour("imfl-model"),
        "good": colour("success"),
        "warn": colour("warning") + bold,
        "bad": colour("error") + bold,
        "accent": colour("accent"),
        "cursor": cursor,
        "rule": rule,
    }
