"""Fewer changes of style for the terminal leave the same picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style

from imfl_tui.widgets.canvas import joined

segments = st.lists(
    st.builds(
        Segment,
        st.text(st.sampled_from("ab  字"), min_size=1, max_size=4),
        st.sampled_from(
            [None, Style(color="red"), Style(bold=True), Style(bgcolor="blue"), Style(reverse=True)]
        ),
    ),
    max_size=8,
)


def seen(line: list[Segment]) -> list[tuple[str, Style | None]]:
    """Every character with what can be seen of its style."""
    return [
        (char, None if char == " " and not background(style) else style)
        for text, style, _ in line
        for char in text
    ]


def background(style: Style | None) -> bool:
    """Whether a blank in this style looks different."""
    return bool(style and (style.bgcolor or style.reverse))


@given(segments)
def test_nothing_that_can_be_seen_changes(line: list[Segment]) -> None:
    assert seen(joined(line)) == seen(line)


@given(segments)
def test_there_are_never_more_changes_of_style(line: list[Segment]) -> None:
    assert len(joined(line)) <= len(line)


def test_blanks_between_words_cost_no_change_of_style() -> None:
    words = [Segment("a", Style(bold=True)), Segment("  "), Segment("b", Style(color="red"))]
    assert len(joined(words)) == 2
