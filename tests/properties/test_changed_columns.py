"""Repainting only the cells that changed leaves the same picture as repainting the line."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

from imfl_tui.spans import Span, changed_columns, fit, width_of

WIDTH = 12
spans = st.lists(
    st.builds(
        Span,
        st.text(st.sampled_from("ab …é漢字👍e\u0301\u200b"), max_size=6),
        st.sampled_from(["", "dim", "key"]),
    ),
    max_size=5,
).map(lambda line: fit(line, WIDTH))


def picture(line: list[Span]) -> Strip:
    """The line as a strip of the full width, its style written into the text."""
    strip = Strip([Segment(span.text, None, None) for span in line])
    return strip.adjust_cell_length(WIDTH)


def terminal(text: str) -> list[str]:
    """What a terminal shows of ``text``, cell by cell; the second cell of a wide letter is empty."""
    shown: list[str] = []
    for char in text:
        width = cell_len(char)
        if width:
            shown += [char] + [""] * (width - 1)
        elif shown:
            owner = max(place for place, cell in enumerate(shown) if cell)
            shown[owner] += char
    return shown


def styles(line: list[Span]) -> list[str]:
    """The style of every cell."""
    found = [span.style for span in line for _ in range(width_of([span]))]
    return found + [""] * (WIDTH - len(found))


@given(spans, spans)
@example([Span("a字字")], [Span("aa"), Span("a\u0301字")])
@example([Span("be\u0301c")], [Span("bo\u0301c")])
@example([], [Span("a"), Span("\u0301")])
@example([Span("bec")], [Span("be\u0301c")])
def test_repainting_the_range_leaves_the_line_as_it_is_after(before, after) -> None:
    first, end = changed_columns(before, after)
    assert 0 <= first <= end <= WIDTH + 1
    end = min(end, WIDTH)
    shown, wanted = terminal(picture(before).text), terminal(picture(after).text)
    shown[first:end] = terminal(picture(after).crop(first, end).text)
    assert shown == wanted
    for start, stop in ((0, first), (end, WIDTH)):
        assert styles(before)[start:stop] == styles(after)[start:stop]


@given(spans)
def test_the_same_line_needs_no_repaint(line) -> None:
    assert changed_columns(line, list(line)) == (0, 0)


def test_a_counter_repaints_its_digit_alone() -> None:
    before = [Span("round 3 "), Span("7", "strong"), Span(" of 40")]
    after = [Span("round 3 "), Span("8", "strong"), Span(" of 40")]
    assert changed_columns(before, after) == (8, 9)
