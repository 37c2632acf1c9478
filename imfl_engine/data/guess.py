"""What a file probably is: which column is the text, which task it holds, which labels.

Pure functions of a preview (a few hundred rows), for the set-up screen and for a command line that
names no columns. A guess is shown before it counts; where two columns are equally likely the
guess says so instead of choosing.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from imfl_engine.data.values import as_label, as_options, as_text
from imfl_engine.errors import DataError, UsageError
from imfl_engine.types import TaskKind

Row = Mapping[str, Any]

_TEXT = (
    "text", "sentence", "content", "question", "utterance", "message", "body", "comment", "review",
    "abstract", "headline", "news", "tweet", "post", "document", "article", "passage",
    "description", "complaint", "note", "query", "prompt", "input", "sentence1",
    "premise", "summary", "title", "subject",
)  # fmt: skip
_CONTEXT = (
    "context", "contexts", "passage", "background", "evidence", "article", "document", "abstract",
    "sentence2", "hypothesis",
)  # fmt: skip
_OPTIONS = ("options", "choices", "candidates", "answers", "endings")
_LABEL = (
    "label_text", "label", "labels", "gold", "gold_label", "target", "class", "category", "intent",
    "sentiment", "answer_idx", "final_decision", "answer", "y",
)  # fmt: skip
_ID = ("id", "_id", "uid", "uuid", "guid", "key", "item_id", "pubid", "pmid", "doc_id", "docid")
_QUESTIONS = frozenset({"question", "query"})
_MAX_LABELS = 200
_LABEL_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a source holds what. None means: guess; ``""`` means: there is none."""

    text: str | None = None
    context: str | None = None
    options: str | None = None
    label: str | None = None
    id: str | None = None

    def used(self) -> frozenset[str]:
        """The names of the columns that are something."""
        parts = (self.text, self.context, self.options, self.label, self.id)
        return frozenset(name for name in parts if name)


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """The columns; ``ambiguous`` lists the candidates where the text column is anybody's guess."""

    columns: Columns
    ambiguous: tuple[str, ...] = ()


def guess_columns(names: Sequence[str], rows: Sequence[Row], given: Columns) -> ColumnGuess:
    """Fill in every column that ``given`` leaves open; what is given is never changed."""
    free = [name for name in names if name not in given.used()]
    ambiguous: tuple[str, ...] = ()
    text = given.text
    if text is None:
        text, ambiguous = _guess_text(free, rows)
    free = [name for name in free if name != text]
    options = given.options
    if options is None:
        options = next((name for name in _named(free, _OPTIONS) if _holds_options(name, rows)), "")
    free = [name for name in free if name != options]
    identity = given.id
    if identity is None:
        identity = next((name for name in _named(free, _ID) if _is_unique(name, rows)), "")
    free = [name for name in free if name != identity]
    context = given.context
    if context is None:
        wanted = _CONTEXT if (text or "").casefold() in _QUESTIONS else _CONTEXT[:2]
        context = next(iter(_named(free, wanted)), "")
    free = [name for name in free if name != context]
    label = given.label
    if label is None:
        label = next((name for name in _named(free, _LABEL) if _holds_labels(name, rows)), "")
    return ColumnGuess(Columns(text, context, options, label, identity), ambiguous)


class UnclearText(UsageError):
    """Which column is the text cannot be told; ``candidates`` are those that could be."""

    def __init__(self, message: str, hint: str, candidates: Sequence[str]) -> None:
        super().__init__(message, hint)
        self.candidates = tuple(candidates)


def resolve_columns(
    source: str, names: Sequence[str], rows: Sequence[dict[str, Any]], given: Columns
) -> Columns:
    """The columns ``given`` and, for the rest, the guessed ones; `UsageError` where none fits."""
    check_columns(source, names, given)
    if not rows:
        what = "columns but no rows" if names else "no items in it"
        raise DataError(f"'{source}' has {what}.", "Give a file that holds at least one item.")
    guess = guess_columns(names, rows, given)
    if guess.ambiguous:
        raise UnclearText(
            f"'{source}' has more than one column that could be the text: "
            f"{', '.join(guess.ambiguous)}.",
            f"Name it with --text; the columns are {', '.join(names)}.",
            guess.ambiguous,
        )
    if not guess.columns.text:
        raise UnclearText(
            f"'{source}' has no column that looks like the text.",
            f"Name it with --text; the columns are {', '.join(names)}.",
            names,
        )
    return guess.columns


def check_columns(source: str, names: Sequence[str], columns: Columns) -> None:
    """Raise `UsageError` for a column that ``source`` does not have, with the nearest that it has."""
    for part in fields(columns):
        wanted = getattr(columns, part.name)
        if wanted and wanted not in names:
            folded = {name.casefold(): name for name in names}
            near = difflib.get_close_matches(wanted.casefold(), list(folded), n=1)
            raise UsageError(
                f"'{source}' has no column '{wanted}' (--{part.name}).",
                (f"Did you mean '{folded[near[0]]}'? " if near else "")
                + f"The columns are {', '.join(names)}.",
            )


def guess_kind(columns: Columns) -> TaskKind:
    """Multiple choice where items bring their own options, else classification."""
    return "multiple-choice" if columns.options else "classification"


def guess_labels(values: Mapping[str, int] | Iterable[str | None]) -> tuple[str, ...]:
    """The label schema that the values of a label column suggest, in a steady order.

    Numbers are sorted as numbers, everything else by frequency, ties by name. Empty where the
    values cannot be a schema: fewer than two, or more than 200, or nearly all different.
    """
    counts = Counter(values) if isinstance(values, Mapping) else Counter(map(as_label, values))
    counts.pop(None, None)
    labels = [str(label) for label in counts]
    total = counts.total()
    if not 2 <= len(labels) <= _MAX_LABELS or (total > 20 and len(labels) > total / 2):
        return ()
    if all(_number(label) is not None for label in labels):
        return tuple(sorted(labels, key=lambda label: (_number(label), label)))
    return tuple(sorted(labels, key=lambda label: (-counts[label], label)))


def _guess_text(names: Sequence[str], rows: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    for name in _named(names, _TEXT):
        if name.casefold() == "text" or _holds_text(name, rows):
            return name, ()
    lengths = {
        name: _mean_length(name, rows)
        for name in names
        if _holds_text(name, rows) and name.casefold() not in _ID
    }
    if not lengths:
        return "", ()
    ranked = sorted(lengths, key=lambda name: -lengths[name])
    close = tuple(name for name in ranked if lengths[name] * 2 >= lengths[ranked[0]])
    return (ranked[0], ()) if len(close) == 1 else ("", close)


def _named(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The ``names`` that are among ``wanted`` but for case, in the order of ``wanted``."""
    folded = {name.casefold().strip(): name for name in reversed(names)}
    return [folded[name] for name in wanted if name in folded]


def _present(name: str, rows: Sequence[Row]) -> list[Any]:
    return [row[name] for row in rows if row.get(name) not in (None, "", [], {})]


def _holds_text(name: str, rows: Sequence[Row]) -> bool:
    values = _present(name, rows)
    texts = [value for value in values if isinstance(value, str) and _number(value) is None]
    return bool(texts) and len(texts) * 2 >= len(values)


def _mean_length(name: str, rows: Sequence[Row]) -> float:
    values = _present(name, rows)
    return sum(len(as_text(value)) for value in values) / len(values)


def _holds_options(name: str, rows: Sequence[Row]) -> bool:
    values = _present(name, rows)
    return bool(values) and all(len(as_options(value)[1]) >= 2 for value in values)


def _holds_labels(name: str, rows: Sequence[Row]) -> bool:
    values = _present(name, rows)
    return bool(values) and all(len(as_label(value) or "") <= _LABEL_LENGTH for value in values)


def _is_unique(name: str, rows: Sequence[Row]) -> bool:
    values = [as_text(row.get(name)) for row in rows]
    return all(values) and len(set(values)) == len(values)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
