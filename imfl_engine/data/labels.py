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
from imfl_engine.data.label_records import CONVERTERS, ImportedLabel, LabelTool, tool_of
from imfl_engine.data.readers import open_reader
from imfl_engine.errors import UsageError

_LOOK_AT = 50


@dataclass(frozen=True, slots=True)
class LabelImportReport:
    """What became of the decisions in a file.

    ``left_open`` carried no label, ``unknown_items`` match no item of the project, and
    ``unknown_labels`` counts the labels that its schema does not have.
    """

    path: Path
    tool: LabelTool
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
        return f"{self.path} ({self.tool}): {', '.join(parts)}."


def recognise_labels(path: str | Path, encoding: str | None = None) -> LabelTool | None:
    """Which tool's records ``path`` holds; None for a plain file of items."""
    with closing(open_reader(str(path), encoding)) as reader:
        return tool_of(reader.names, list(islice(_rows(reader), _LOOK_AT)))


def read_labels(path: str | Path, encoding: str | None = None) -> Iterator[ImportedLabel]:
    """All decisions in ``path``, in the order in which they stand there, so that the last one wins.

    Raises `UsageError` where the file is no record of labels.
    """
    tool = recognise_labels(path, encoding)
    if tool is None:
        raise UsageError(
            f"'{path}' is no record of labels that is known.",
            "Known are exports of Prodigy, Label Studio, Argilla, doccano and imfl-tui.",
        )
    with closing(open_reader(str(path), encoding)) as reader:
        convert = CONVERTERS[tool]
        for row in _rows(reader):
            yield from convert(row)


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
