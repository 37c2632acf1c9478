"""Published data sets, read from the files their authors publish.

========  ===============================================================================
fpb       Financial PhraseBank, ``Sentences_*.txt``: ``sentence@label``, Latin-1, CRLF
headline  Gold commodity news (Sinha and Khandait), CSV: ``headline`` is its four-way price
          sentiment, ``headline:COLUMN`` one of its six yes/no columns
pubmedqa  PubMedQA, ``ori_pqal.json``; with ``test_ground_truth.json`` named too, or beside it,
          the official 500 test questions are the test set
medqa     MedQA, JSON Lines of ``question``, ``options`` and ``answer_idx``
========  ===============================================================================

The guidelines are ours: the data sets come with papers, not with instructions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imfl_engine.data.chunks import Chunk, ObjectChunk, TextChunk, resize
from imfl_engine.data.delimited import DelimitedReader
from imfl_engine.data.files import check_file, reading
from imfl_engine.data.guess import Columns
from imfl_engine.data.objects import JsonLinesReader
from imfl_engine.data.preset_tasks import FPB, HEADLINE, MEDQA, PUBMEDQA, headline_question
from imfl_engine.data.reading import Part, Source
from imfl_engine.errors import DataError, UsageError
from imfl_engine.settings import Task
from imfl_engine.types import Split

PRESETS = ("fpb", "headline", "pubmedqa", "medqa")

HEADLINE_COLUMNS = (
    "Price Direction Up",
    "Price Direction Constant",
    "Price Direction Down",
    "Asset Comparision",
    "Past Information",
    "Future Information",
)
"""The yes/no columns, spelled as in the published file."""

_SENTIMENT = "Price Sentiment"
_GROUND_TRUTH = "test_ground_truth.json"


@dataclass(frozen=True, slots=True)
class Preset:
    """A data set ready to be imported: what is asked, and the items."""

    name: str
    task: Task
    source: Source


def open_preset(
    name: str,
    paths: Sequence[str | Path] | str | Path,
    *,
    split: Split = "pool",
    test_fraction: float = 0.0,
    seed: int = 0,
    encoding: str | None = None,
) -> Preset:
    """Open the files of the data set ``name``; see `open_source` for the other arguments.

    Raises `UsageError` for a name that is no preset, `DataError` for a file of another shape.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    for path in files:
        check_file(path)
    kind, _, column = name.partition(":")
    make: dict[str, Callable[[], tuple[Task, list[Part], Columns]]] = {
        "fpb": partial(_fpb, files, split, encoding),
        "headline": partial(_headline, files, split, encoding, column),
        "pubmedqa": partial(_pubmedqa, files, split),
        "medqa": partial(_medqa, files, split, encoding),
    }
    if kind not in make or (column and kind != "headline"):
        raise UsageError(
            f"There is no preset called '{name}'.",
            f"The presets are {', '.join(PRESETS)} and headline:COLUMN.",
        )
    task, parts, columns = make[kind]()
    try:
        source = Source(parts, columns, test_fraction=test_fraction, seed=seed)
    except UsageError as error:  # a column is missing, and nobody has named one
        raise DataError(
            f"{error.message.partition(' (--')[0]}, so it is not the {kind} data set.",
            "Give the file as its authors publish it.",
        ) from error
    return Preset(name, task, source)


class _Rows:
    """A small published file, read whole; ``load`` delivers its rows."""

    def __init__(self, names: list[str], load: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self.names = names
        self.share = 0.0
        self._load = load

    def chunks(self) -> Iterator[ObjectChunk]:
        """See `Reader`."""
        yield from resize(self._load())
        self.share = 1.0

    def close(self) -> None:
        """See `Reader`."""


def _fpb(files: list[Path], split: Split, encoding: str | None) -> tuple[Task, list[Part], Columns]:
    def load(path: Path) -> Iterator[dict[str, Any]]:
        with reading(path):
            data = path.read_bytes()
            text = data.decode(encoding) if encoding else _latin_or_utf8(data)
        agreement = path.stem.removeprefix("Sentences_")
        labels = FPB.label_names
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n")):
            line = line.rstrip("\r")
            if not line.strip():
                continue
            sentence, found, label = line.rpartition("@")
            if not found or label.strip() not in labels:
                raise DataError(
                    f"'{path}', line {number + 1}, does not end in @positive, @neutral or "
                    "@negative.",
                    "Give one of the files Sentences_*.txt of the Financial PhraseBank.",
                )
            yield {
                "id": f"fpb-{number}",
                "text": sentence.strip(),
                "label": label.strip(),
                "agreement": agreement,
            }

    names = ["id", "text", "label", "agreement"]
    parts = [_part(path, split, partial(_Rows, names, partial(load, path))) for path in files]
    return FPB, parts, Columns("text", "", "", "label", "id")


def _latin_or_utf8(data: bytes) -> str:
    """Decode the published Latin-1, or the UTF-8 that somebody has converted it to."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


class _YesNoReader(DelimitedReader):
    """The headline CSV with one of its columns of 0 and 1 as ``no`` and ``yes``."""

    def __init__(self, path: Path, column: str, encoding: str | None) -> None:
        super().__init__(path, tabs=False, encoding=encoding)
        self._column = column
        self._row = 0

    def chunks(self) -> Iterator[Chunk]:
        """See `Reader`."""
        for chunk in super().chunks():
            columns = {name: chunk.texts(name) for name in self.names}
            columns[self._column] = [self._answer(value) for value in columns[self._column]]
            yield TextChunk(columns, len(chunk))

    def _answer(self, value: str) -> str:
        self._row += 1
        answer = {"1": "yes", "0": "no", "1.0": "yes", "0.0": "no", "": ""}.get(value.strip())
        if answer is None:
            raise DataError(
                f"'{self._path}', row {self._row}, has '{value}' under '{self._column}'.",
                "The column holds 0 and 1 in the published file.",
            )
        return answer


def _headline(
    files: list[Path], split: Split, encoding: str | None, column: str
) -> tuple[Task, list[Part], Columns]:
    if not column or column.casefold() == _SENTIMENT.casefold():
        parts = [
            _part(path, split, partial(DelimitedReader, path, tabs=False, encoding=encoding))
            for path in files
        ]
        return HEADLINE, parts, Columns("News", "", "", _SENTIMENT, "")
    spelled = {name.casefold(): name for name in HEADLINE_COLUMNS}
    spelled["asset comparison"] = "Asset Comparision"
    known = spelled.get(column.strip().casefold())
    if known is None:
        raise UsageError(
            f"The headline data set has no column '{column}'.",
            f"Its columns are {_SENTIMENT}, {', '.join(HEADLINE_COLUMNS)}.",
        )
    parts = [_part(path, split, partial(_YesNoReader, path, known, encoding)) for path in files]
    return headline_question(known), parts, Columns("News", "", "", known, "")


def _pubmedqa(files: list[Path], split: Split) -> tuple[Task, list[Part], Columns]:
    truth: set[str] = set()
    articles: dict[Path, dict[str, dict[str, Any]]] = {}
    for path in files:
        content = _load_object(path)
        if content and all(isinstance(value, str) for value in content.values()):
            truth |= set(content)
        else:
            articles[path] = content
    beside = {path.parent / _GROUND_TRUTH for path in articles}
    for path in sorted(beside - set(files)):
        if split == "pool" and path.is_file():
            truth |= set(_load_object(path))
    if not articles:
        raise UsageError("No questions of PubMedQA were given.", "Name ori_pqal.json too.")

    def load(path: Path, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
        for pmid, article in articles[path].items():
            if not wanted(pmid):
                continue
            if not isinstance(article, dict) or not isinstance(article.get("QUESTION"), str):
                raise DataError(
                    f"'{path}' has no QUESTION under '{pmid}'.", "Give ori_pqal.json as published."
                )
            rest = {name: value for name, value in article.items() if name not in _PUBMED}
            yield {
                "id": f"pqal-{pmid}",
                "question": article["QUESTION"],
                "context": "\n".join(map(str, article.get("CONTEXTS") or [])),
                "label": article.get("final_decision"),
                **rest,
            }

    names = ["id", "question", "context", "label"]
    parts = []
    for path, content in articles.items():
        for part_split, wanted in (
            (split, lambda pmid: pmid not in truth),
            ("test", lambda pmid: pmid in truth),
        ):
            if any(map(wanted, content)):
                rows = partial(_Rows, names, partial(load, path, wanted))
                parts.append(_part(path, part_split, rows))
    return PUBMEDQA, parts, Columns("question", "context", "", "label", "id")


_PUBMED = frozenset({"QUESTION", "CONTEXTS", "final_decision"})


def _load_object(path: Path) -> dict[str, Any]:
    with reading(path):
        try:
            content = json.loads(path.read_bytes())
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise DataError(f"'{path}' is not JSON: {error}.", "Download it again.") from error
    if not isinstance(content, dict) or not content:
        raise DataError(
            f"'{path}' holds no object of questions.", "Give ori_pqal.json as published."
        )
    return content


def _medqa(
    files: list[Path], split: Split, encoding: str | None
) -> tuple[Task, list[Part], Columns]:
    parts = [_part(path, split, partial(JsonLinesReader, path, encoding)) for path in files]
    return MEDQA, parts, Columns("question", "", "options", "answer_idx", "")


def _part(path: Path, split: str, open_it: Callable[[], Any]) -> Part:
    return Part(str(path), open_it, "test" if split == "test" else "pool")
