"""One record of labels as Prodigy, Label Studio, Argilla, doccano and our own export write it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from imfl_engine.data.guess import Columns, guess_columns
from imfl_engine.data.identity import content_hash
from imfl_engine.data.records import BY_PERSON
from imfl_engine.data.values import as_label, as_options, as_text
from imfl_engine.types import option_letter

LabelTool = Literal["imfl-tui", "prodigy", "labelstudio", "argilla", "doccano"]
Row = Mapping[str, Any]

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


def tool_of(names: Sequence[str], rows: Sequence[Row]) -> LabelTool | None:
    """Which tool writes records with the columns ``names`` and these first ``rows``, if any."""
    if not rows:
        return None
    columns = set(names)
    if columns >= _OURS:
        return "imfl-tui"
    if "data" in columns and _mostly(isinstance(row.get("data"), dict) for row in rows):
        return "labelstudio" if columns & {"annotations", "predictions", "completions"} else None
    if "status" in columns and _question(names):
        return "argilla"
    if {"text", "answer"} <= columns and _mostly(
        row.get("answer") in ("accept", "reject", "ignore") for row in rows
    ):
        return "prodigy"
    if {"text", "label"} <= columns and _mostly(_is_doccano(row.get("label")) for row in rows):
        return "doccano"
    return None


def _mostly(answers: Iterable[bool]) -> bool:
    """Whether more than half are true: a damaged record does not make a file another tool's."""
    given = list(answers)
    return 2 * sum(given) > len(given)


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
    data = row.get("data")
    if not isinstance(data, dict):
        data = {}
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
    answers = row.get(f"{question}.responses")
    responses = answers if isinstance(answers, list) else []
    states = row.get(f"{question}.responses.status") or []
    users = row.get(f"{question}.responses.users") or []
    suggestion = as_label(row.get(f"{question}.suggestion"))
    plain = {name: value for name, value in row.items() if "." not in name and name != "status"}
    given_text = "text" if "text" in plain else None
    columns = guess_columns(list(plain), [plain], Columns(given_text, label="", id="")).columns
    submitted = [
        place
        for place in range(len(responses))
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
        label = as_label(responses[place])
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


CONVERTERS: dict[LabelTool, Callable[[Row], Iterator[ImportedLabel]]] = {
    "imfl-tui": _from_ours,
    "prodigy": _from_prodigy,
    "labelstudio": _from_label_studio,
    "argilla": _from_argilla,
    "doccano": _from_doccano,
}
"""What one record of a tool says, as decisions."""


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
