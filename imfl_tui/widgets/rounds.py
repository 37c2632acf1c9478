"""The round gauge: a cell a round, what was bought from whom, what is planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imfl_engine.views import RoundProgress
from imfl_tui.spans import Line, Span, beside, fill, line
from imfl_tui.widgets.bars import mixed_bar
from imfl_tui.widgets.canvas import Canvas

MARKS = {"done": ("✓", "good"), "now": ("▸", "accent"), "planned": (" ", "dim")}
SHORT = ("◑", "warn")
"""The mark of a round that ended with fewer labels than planned; the next one makes up for them."""
NARROWEST = 12


def folded(rounds: Sequence[RoundProgress]) -> list[RoundProgress]:
    """Rounds as a person counts them: round 0, the first random batch, is part of round 1."""
    start = next((cell for cell in rounds if cell.round == 0), None)
    rest = [cell for cell in rounds if cell.round != 0]
    if start is None:
        return rest
    if not rest:  # the pool is used up by the first batch
        return [replace(start, round=1)]
    first = rest[0]
    state = "now" if start.state == "now" else first.state
    rest[0] = replace(
        first,
        human_planned=first.human_planned + start.human_planned,
        human_done=first.human_done + start.human_done,
        llm_planned=first.llm_planned + start.llm_planned,
        llm_done=first.llm_done + start.llm_done,
        state=state,
    )
    return rest


def rounds_lines(rounds: Sequence[RoundProgress], width: int) -> list[Line]:
    """Two lines: the segments of each round, and their figures below.

    Where not all rounds fit, those around the present one are shown and the rest are counted.
    """
    cells = folded(rounds)
    if not cells or width < NARROWEST:
        return [line(("…", "dim"))]
    gap = 2
    fits = max((width + gap) // (NARROWEST + gap), 1)
    now = next((n for n, cell in enumerate(cells) if cell.state == "now"), len(cells) - 1)
    if len(cells) > fits:
        fits = max((width - 12 + gap) // (NARROWEST + gap), 1)
    first = min(max(now - fits // 2, 0), max(len(cells) - fits, 0))
    shown = cells[first : first + fits]
    before, after = first, len(cells) - first - len(shown)
    room = width - (6 if before else 0) - (6 if after else 0)
    size, spare = divmod(room + gap, len(shown))
    sizes = [size - gap + (1 if n < spare else 0) for n in range(len(shown))]
    blocks = [(_cell(cell, size), size) for cell, size in zip(shown, sizes, strict=True)]
    if before:
        blocks.insert(0, ([line((f"‹ {before}", "dim"))], 4))
    if after:
        blocks.append(([line((f"{after} ›", "dim"))], 4))
    return list(beside(blocks, gap))


def _cell(cell: RoundProgress, width: int) -> list[Line]:
    short = ended_short(cell)
    mark, style = SHORT if short else MARKS[cell.state]
    head = f"{cell.round} "
    room = width - len(head) - 2
    planned = max(cell.human_planned + cell.llm_planned, 1)
    human = min(max(round(room * cell.human_planned / planned), 1), max(room - 1, 1))
    if not cell.llm_planned:
        human = room
    if not cell.human_planned:
        human = 0
    bars = [
        *mixed_bar([(_share(cell.human_done, cell.human_planned), "█", "human")], human),
        *mixed_bar([(_share(cell.llm_done, cell.llm_planned), "▒", "llm")], room - human),
    ]
    top = line((head, "strong" if cell.state != "planned" else "dim"), (f"{mark} ", style), *bars)
    if cell.state == "now" or short:
        you, llm = f"{cell.human_done}/{cell.human_planned}", f"{cell.llm_done}/{cell.llm_planned}"
    elif cell.state == "done":
        you, llm = f"{cell.human_done}", f"{cell.llm_done}"
    else:
        you, llm = f"{cell.human_planned}", f"{cell.llm_planned}"
    wide = len(you) + len(llm) + 11 <= room
    if len(you) + len(llm) + 1 > width:  # rather what was bought alone than half a number
        you, llm = you.partition("/")[0], llm.partition("/")[0]
    indent = min(len(head) + 2, max(width - len(you) - len(llm) - 1, 0))
    words = line(
        " " * indent,
        (you, "human" if cell.state != "planned" else "dim"),
        (" you · " if wide else " · " if len(you) + len(llm) + 3 <= room else "·", "dim"),
        (llm, "llm" if cell.state != "planned" else "dim"),
        (" LLM" if wide else "", "dim"),
    )
    return [top, fill(words, width)]


def ended_short(cell: RoundProgress) -> bool:
    """Whether a round ended with fewer labels than planned: money, replies without a label, skips."""
    missing = cell.human_done < cell.human_planned or cell.llm_done < cell.llm_planned
    return cell.state == "done" and missing


def _share(done: int, planned: int) -> float:
    return done / planned if planned else 0.0


class Rounds(Canvas):
    """The round gauge on Home."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(title="Rounds", id=id, classes="panel")
        self._rounds: Sequence[RoundProgress] = ()

    def show(self, rounds: Sequence[RoundProgress]) -> None:
        """Show these rounds."""
        self._rounds = rounds
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The gauge and, where there is room, what its glyphs mean."""
        lines = rounds_lines(self._rounds, width)
        if height > 2:
            legend = [
                Span("█", "human"),
                Span(" labelled by you   ", "dim"),
                Span("▒", "llm"),
                Span(" by the LLM   ", "dim"),
                Span("·", "dim"),
                Span(" planned", "dim"),
            ]
            if any(map(ended_short, folded(self._rounds))):
                legend.extend([Span(f"   {SHORT[0]}", SHORT[1]), Span(" ended short", "dim")])
            lines = [*lines, legend]
        return lines
