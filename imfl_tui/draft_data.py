"""The data that a draft names: opened, its columns guessed, counted, and priced by its first items."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imfl_engine.errors import UsageError
from imfl_engine.settings import Settings
from imfl_engine.types import Item
from imfl_engine.views import CostEstimate
from imfl_tui.drafts import NONE, Draft, expand

if TYPE_CHECKING:
    from imfl_engine.data.reading import Source

PRICED_ITEMS = 50


def open_data(draft: Draft, *, guess: bool = False) -> list[Source]:
    """The pool and, where a test file is named, the test set. Reads a preview of each.

    With ``guess`` the columns are found anew; where that of the text cannot be told, the first that
    could be it is taken, for the person to see and change. Raises `UsageError` and `DataError`.
    """
    from imfl_engine.data.guess import Columns, UnclearText
    from imfl_engine.data.reading import open_source

    if not draft.data.strip():
        raise UsageError(
            "No file is named.", "Write the path of a csv, jsonl, parquet or txt file."
        )
    share, test_file = parse_test(draft.test)
    columns = Columns() if guess else columns_of(draft)
    name = expand(draft.data)
    try:
        pool = open_source(name, columns, test_fraction=share)
    except UnclearText as unclear:
        if not guess:
            raise
        pool = open_source(name, Columns(text=unclear.candidates[0]), test_fraction=share)
    if test_file is None:
        return [pool]
    found = replace(pool.columns, id=None, context=pool.columns.context or None)
    return [pool, open_source(expand(test_file), found, split="test")]


def parse_test(text: str) -> tuple[float, str | None]:
    """The share of items to hold out, or a test file; both empty when there is no test set."""
    text = text.strip()
    if not text or text == "0":
        return 0.0, None
    try:
        share = float(text.replace(",", "."))
    except ValueError:
        return 0.0, text
    if not 0 < share < 1:
        raise UsageError(f"{text} is no share of the items.", "Write for example 0.2, or a file.")
    return share, None


def columns_of(draft: Draft) -> Any:
    """The chosen columns; ``""`` where there is none."""
    from imfl_engine.data.guess import Columns

    def chosen(value: str) -> str:
        return "" if value in (NONE, "") else value

    return Columns(
        draft.text or None,
        chosen(draft.context),
        chosen(draft.options),
        chosen(draft.label),
        chosen(draft.identity),
    )


def with_columns(draft: Draft, source: Source) -> Draft:
    """The draft with the columns the source settled on."""
    found = source.columns
    return replace(
        draft,
        text=found.text or "",
        context=found.context or NONE,
        options=found.options or NONE,
        label=found.label or NONE,
        identity=found.id or NONE,
        guessed_from=draft.data,
    )


def suggested_labels(counts: Counter[str]) -> str:
    """The label names found in the data, as the field shows them."""
    from imfl_engine.data.guess import guess_labels

    return ", ".join(guess_labels(counts))


def sample_items(source: Source) -> list[Item]:
    """The first items of the data, to count real tokens."""
    from imfl_engine.data.values import as_options, as_text

    columns = source.columns
    found = []
    for number, row in enumerate(source.preview(PRICED_ITEMS), start=1):
        options = as_options(row[columns.options])[1] if columns.options else ()
        text = as_text(row.get(columns.text or "")) or ""
        context = as_text(row.get(columns.context)) or None if columns.context else None
        found.append(Item(number, str(number), text, context, tuple(options)))
    return found


def pool_size(draft: Draft, source: Source, *, most: int) -> int:
    """How many items there will be to label, counted no further than to ``most``."""
    share, _ = parse_test(draft.test)
    if draft.label == NONE:  # only items that have a label are held out
        share = 0.0
    return int(source.count(most=math.ceil(most / (1 - share))) * (1 - share))


async def plan_price(
    settings: Settings, source: Source, *, pool: int | None = None
) -> CostEstimate:
    """What the whole plan will cost: all LLM labels and the calibration, from low to high.

    ``pool`` is the number of items to label, which is counted where it is not given.
    """

    def measure() -> CostEstimate:
        from imfl_engine.planning import estimate_new

        most = settings.budget.human + settings.budget.llm
        size = source.count(most=most) if pool is None else pool
        return estimate_new(settings, sample_items(source), pool=size)

    return await asyncio.to_thread(measure)
