"""Files of labels made elsewhere: recognised by their shape, never by their name, and read.

What comes out is the same for every tool; whether an item is known is for the caller to find out,
by ``key`` or by ``content_hash``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from imfl_engine.data.chunks import Reader
from imfl_engine.data.guess import Columns
from imfl_engine.data.label_records import CONVERTERS, ImportedLabel, LabelTool, tool_of
from imfl_engine.data.readers import open_reader
from imfl_engine.data.reading import open_source
from imfl_engine.errors import UsageError

_LOOK_AT = 50


@dataclass(frozen=True, slots=True)
class LabelImportReport:
    """What became of the decisions in a file.

    ``left_open`` carried no label, ``unknown_items`` match no item of the project, and
    ``unknown_labels`` counts the labels that its schema does not have.
    """

    path: Path
    tool: LabelTool | None
    """None for a plain file with a column of labels."""
    imported: int = 0
    by_machine: int = 0
    left_open: int = 0
    unknown_items: int = 0
    unknown_labels: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.imported:,} label{'s' * (self.imported != 1)} imported"]
        for count, what in (
            (self.by_machine, "by a machine and left out"),
            (self.left_open, "without a decision"),
            (self.unknown_items, "for items that are not in the project"),
            (sum(self.unknown_labels.values()), "with a label that is not in the schema"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return f"{self.path} ({self.tool or 'a label column'}): {', '.join(parts)}."


def recognise_labels(path: str | Path, encoding: str | None = None) -> LabelTool | None:
    """Which tool's records ``path`` holds; None for a plain file of items."""
    with closing(open_reader(str(path), encoding)) as reader:
        return tool_of(reader.names, list(islice(_rows(reader), _LOOK_AT)))


def read_labels(
    path: str | Path, encoding: str | None = None, columns: Columns | None = None
) -> Iterator[ImportedLabel]:
    """All decisions in ``path``, in the order in which they stand there, so that the last one wins.

    A file of no known tool has the ``columns`` given, or guessed, and a person's labels in one of
    them. Raises `UsageError` where it has no such column.
    """
    tool = recognise_labels(path, encoding)
    if tool is None:
        yield from _read_plain(path, encoding, columns)
        return
    with closing(open_reader(str(path), encoding)) as reader:
        convert = CONVERTERS[tool]
        for row in _rows(reader):
            yield from convert(row)


def _read_plain(
    path: str | Path, encoding: str | None, columns: Columns | None
) -> Iterator[ImportedLabel]:
    source = open_source(path, columns, encoding=encoding)
    if not source.columns.label:
        raise UsageError(
            f"'{path}' has no column of labels, and is no export of a tool that is known.",
            f"Name the column with --label; the columns are {', '.join(source.column_names)}.",
        )
    for batch in source.batches():
        for item in batch:
            yield ImportedLabel(item.text, item.label, item.key, item.context, item.options)


def _rows(reader: Reader) -> Iterator[dict[str, Any]]:
    names = list(reader.names)
    for chunk in reader.chunks():
        rows = getattr(chunk, "rows", None)  # objects keep keys that the first rows did not have
        if rows is not None:
            yield from rows
            continue
        columns = zip(*(chunk.values(name) for name in names), strict=True)
        for values in columns:
            yield dict(zip(names, values, strict=True))
