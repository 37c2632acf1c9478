"""Labels made elsewhere: records of Prodigy, Label Studio, Argilla and doccano, and our exports.

A file is recognised by its shape, never by its name. What comes out is the same for all of them;
whether an item is known is for the caller to find out, by ``key`` or by `content_hash`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from imfl_engine.data.chunks import Reader
from imfl_engine.data.guess import Columns, guess_columns
from imfl_engine.data.identity import content_hash
from imfl_engine.data.readers import open_reader
from imfl_engine.data.records import BY_PERSON
from imfl_engine.data.values import as_label, as_options, as_text
from imfl_engine.errors import UsageError
from imfl_engine.types import option_letter

LabelTool = Literal["imfl-tui", "prodigy", "labelstudio", "argilla", "doccano"]
Row = Mapping[str, Any]

_LOOK_AT = 50
_OURS = frozenset({"id", "text", "label_text", "source", "review_status"})


@dataclass(frozen=True, slots=True)
class ImportedLabel:
    """One decision about one item. ``label`` is None where it was left open or rejected.

    ``by`` says whether a person answers for it. ``seconds`` is the time it took the person.
    """

    text: str
    label: str | None
    key: str | None = None
    context: str | None = None
    options: tuple[str, ...] = ()
    by: Literal["human", "machine"] = "human"
    annotator: str | None = None
    comment: str | None = None
    seconds: float | None = None
    confidence: float | None = None
    created_at: datetime | None = None

    @property
    def content_hash(self) -> str:
        """Identifies the item by what it says; see `imfl_engine.data.identity.content_hash`."""
        return content_hash(self.text, self.context, self.options)


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
        return _tool(reader.names, list(islice(_rows(reader), _LOOK_AT)))


def read_labels(path: str | Path, encoding: str | None = None) -> Iterator[ImportedLabel]:
    """All decisions in ``path``, in the order in which they stand there, so that the last one wins.

    Raises `UsageError` where the file is no record of labels.
    """
    tool = recognise_labels(path, encoding)
    if tool is None:
        raise UsageError(
            f"'{path}' is no record of labels that is known.",
            "Known are exports of Prodigy, Label Studio, Argilla, doccano and imfl-tui; for "
            "another file name its label column with --label.",
        )
    with closing(open_reader(str(path), encoding)) as reader:
        convert = _CONVERTERS[tool]
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


def _tool(names: Sequence[str], rows: Sequence[Row]) -> LabelTool | None:
    if not rows:
        return None
    columns = set(names)
    if columns >= _OURS:
        return "imfl-tui"
    if "data" in columns and all(isinstance(row.get("data"), dict) for row in rows):
        return "labelstudio" if columns & {"annotations", "predictions", "completions"} else None
    if "status" in columns and _question(names):
        return "argilla"
    if {"text", "answer"} <= columns and all(
        row.get("answer") in ("accept", "reject", "ignore") for row in rows
    ):
        return "prodigy"
    if {"text", "label"} <= columns and all(_is_doccano(row.get("label")) for row in rows):
        return "doccano"
    return None


def _is_doccano(label: Any) -> bool:
    return isinstance(label, list) and all(isinstance(part, str) for part in label)


def _from_ours(row: Row) -> Iterator[ImportedLabel]:
    person = row["source"] in BY_PERSON
    yield ImportedLabel(
        text=as_text(row["text"]),
        label=as_label(row["label_text"]),
        key=as_text(row["id"]) or None,
        context=as_text(row.get("context")) or None,
        options=as_options(row.get("options"))[1],
        by="human" if person else "machine",
        annotator=as_text(row.get("annotator")) or None,
        comment=as_text(row.get("comment")) or None,
        seconds=_float(row.get("seconds")),
        confidence=None if person else _float(row.get("llm_confidence")),
        created_at=_time(row.get("created_at")),
    )


def _from_prodigy(row: Row) -> Iterator[ImportedLabel]:
    meta = row.get("meta") if isinstance(row.get("meta"), dict) else {}
    assert isinstance(meta, dict)
    accepted = row.get("accept")
    label = as_label(accepted) if isinstance(accepted, list) else as_label(row.get("label"))
    # the options are this item's own answers where their names are A, B, … and not their texts
    choices = [o for o in row.get("options") or [] if isinstance(o, dict)]
    own = tuple(as_text(o.get("text")) for o in choices)
    letters = [option_letter(place) for place in range(len(own))]
    is_own = [as_text(o.get("id")) for o in choices] == letters != list(own)
    yield ImportedLabel(
        text=as_text(row.get("text")),
        label=label if row.get("answer") == "accept" else None,
        key=as_text(meta.get("id", row.get("id"))) or None,
        context=as_text(row.get("context")) or None,
        options=own if is_own else (),
        by="machine" if meta.get("source") in ("llm", "model") else "human",
        annotator=as_text(row.get("_annotator_id") or row.get("_session_id")) or None,
        comment=as_text(row.get("comment")) or None,
        seconds=_float(row.get("seconds")),
        created_at=_time(row.get("_timestamp")),
    )


def _from_label_studio(row: Row) -> Iterator[ImportedLabel]:
    data = row["data"]
    given_text = "text" if "text" in data else None
    columns = guess_columns(list(data), [data], Columns(given_text, label="")).columns
    comments = row.get("comments") or []
    notes = [as_text(part.get("text")) for part in comments if isinstance(part, dict)]
    text = as_text(data.get(columns.text or "text"))
    key = as_text(data.get("id", row.get("id"))) or None
    context = as_text(data.get(columns.context)) or None if columns.context else None
    options = as_options(data.get("options"))[1]
    comment = "\n".join(filter(None, notes)) or None
    given = [
        part
        for part in row.get("annotations") or row.get("completions") or []
        if isinstance(part, dict) and not part.get("was_cancelled")
    ]
    for part in given:
        yield ImportedLabel(
            text=text,
            label=_choice(part.get("result")),
            key=key,
            context=context,
            options=options,
            annotator=_person(part.get("completed_by")),
            comment=comment,
            seconds=_float(part.get("lead_time")),
            created_at=_time(part.get("created_at")),
        )
    predictions = [part for part in row.get("predictions") or [] if isinstance(part, dict)]
    if not given:
        first = predictions[0] if predictions else {}
        yield ImportedLabel(
            text=text,
            label=_choice(first.get("result")),
            key=key,
            context=context,
            options=options,
            by="machine" if first else "human",
            annotator=as_text(first.get("model_version")) or None,
            comment=comment,
            confidence=_float(first.get("score")),
        )


def _from_argilla(row: Row) -> Iterator[ImportedLabel]:
    question = _question(list(row)) or "label"
    responses = row.get(f"{question}.responses")
    states = row.get(f"{question}.responses.status") or []
    users = row.get(f"{question}.responses.users") or []
    suggestion = as_label(row.get(f"{question}.suggestion"))
    plain = {name: value for name, value in row.items() if "." not in name and name != "status"}
    given_text = "text" if "text" in plain else None
    columns = guess_columns(list(plain), [plain], Columns(given_text, label="", id="")).columns
    submitted = [
        place
        for place in range(len(responses or []))
        if place >= len(states) or states[place] == "submitted"
    ]
    about: dict[str, Any] = {
        "text": as_text(row.get(columns.text or "text")),
        "key": as_text(row.get("id")) or None,
        "context": as_text(row.get(columns.context)) or None if columns.context else None,
        "options": as_options(row.get("options"))[1],
        "comment": as_text(row.get("comment")) or None,
    }
    for place in submitted:
        user = users[place] if place < len(users) else None
        label = as_label((responses or [])[place])
        yield ImportedLabel(**about, label=label, annotator=as_text(user) or None)
    if not submitted:
        yield ImportedLabel(
            **about,
            label=suggestion,
            by="machine" if suggestion else "human",
            annotator=as_text(row.get(f"{question}.suggestion.agent")) or None,
            confidence=_float(row.get(f"{question}.suggestion.score")),
        )


def _from_doccano(row: Row) -> Iterator[ImportedLabel]:
    comments = row.get("Comments") or row.get("comments") or []
    yield ImportedLabel(
        text=as_text(row.get("text")),
        label=as_label(row.get("label")),
        key=as_text(row.get("id")) or None,
        context=as_text(row.get("context")) or None,
        by="machine" if row.get("source") in ("llm", "model") else "human",
        comment="\n".join(as_text(part) for part in comments) or None,
    )


_CONVERTERS: dict[LabelTool, Callable[[Row], Iterator[ImportedLabel]]] = {
    "imfl-tui": _from_ours,
    "prodigy": _from_prodigy,
    "labelstudio": _from_label_studio,
    "argilla": _from_argilla,
    "doccano": _from_doccano,
}


def _question(names: Sequence[str]) -> str | None:
    """The name of an Argilla question, which its columns begin with; ``label`` comes first."""
    found = [name.removesuffix(".responses") for name in names if name.endswith(".responses")]
    return "label" if "label" in found else next(iter(found), None)


def _choice(result: Any) -> str | None:
    for part in result or []:
        value = part.get("value") if isinstance(part, dict) else None
        if isinstance(value, dict) and value.get("choices"):
            return as_label(value["choices"])
    return None


def _person(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return as_text(value) or None


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float) and value:
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str) and value:
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return None
