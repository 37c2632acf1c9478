"""Export: what the file will hold."""

from __future__ import annotations

from imfl_engine.views import Status
from imfl_tui.spans import Line, line
from imfl_tui.text import pad, safe_text, thousands, wrap

MOST_PROBLEM_LINES = 4


def problem_lines(mark: str, style: str, message: str, hint: str, width: int) -> list[Line]:
    """Why nothing is written, and below it what helps, wrapped to stay readable."""
    room = max(width - 4, 10)
    rows = [(row, style) for row in wrap(safe_text(message, 400), room)]
    rows += [(row, "dim") for row in wrap(safe_text(hint, 300), room) if hint]
    return [
        line((f" {mark}" if number == 0 else "   ", style), row)
        for number, row in enumerate(rows[:MOST_PROBLEM_LINES])
    ]


def content_lines(status: Status, width: int) -> list[Line]:
    """What the file will hold, by source."""
    human = sum(count.human for count in status.label_counts)
    llm = sum(count.llm for count in status.label_counts)
    kept = status.trust.kept
    rows: list[tuple[str, str, str]] = [
        ("by you", thousands(human), "human"),
        ("by the LLM", thousands(llm), "llm"),
    ]
    lines: list[Line] = [
        line((pad(name, 22), "dim"), (f"{figure:>8}", style)) for name, figure, style in rows
    ]
    if kept:
        lines.append(line((pad("  of these reviewed", 22), "dim"), f"{thousands(kept):>8}"))
    lines.append(line((pad("rows in all", 22), "dim"), (f"{thousands(human + llm):>8}", "strong")))
    if status.trust.expected_errors:
        wrong = (
            f"about {status.trust.expected_errors:.0f} of the LLM's labels that nobody looked at are "
            "likely wrong; "
        )
        lines.append(line(""))
        lines.extend(
            line((row, "dim"))
            for row in wrap(wrong + "the column p_wrong says which.", max(width, 10))
        )
    lines.append(line(""))
    words = (
        "Each row says who labelled it (source), how sure (p_wrong, llm_confidence), in which round, "
        "what it cost, and keeps the columns of your file under meta."
    )
    lines.extend(line((row, "dim")) for row in wrap(words, max(width, 10)))
    return lines
