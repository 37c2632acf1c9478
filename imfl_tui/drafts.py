"""The set-up's answers: what they mean, and keeping them for next time.

Nothing here draws anything. A draft is plain text fields as a person typed them; `plan_settings`
turns it into settings or says what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imfl_engine.addresses import address_problem
from imfl_engine.errors import ANY_PROJECT, DataError, SettingsError, UsageError
from imfl_engine.given_names import check_names
from imfl_engine.settings import Annotator, Settings, parse_settings

if TYPE_CHECKING:
    from imfl_engine.annotate.ports import Learned

NONE = "—"
"""What a choice shows for “no column”."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Every field of the set-up, as typed."""

    data: str = ""
    test: str = "0.2"
    text: str = ""
    context: str = NONE
    options: str = NONE
    label: str = NONE
    identity: str = NONE
    guessed_from: str = ""
    """The data whose columns these are; they are guessed once, then the person's."""
    labels: str = ""
    guidelines: str = ""
    annotator: str = "neighbours"
    model: str = ""
    base_url: str = ""
    price: str = ""
    target: str = "minilm"
    human: str = "200"
    llm: str = "800"
    rounds: str = "5"
    money: str = "5.00"
    minutes: str = ""
    step: str = ""
    """The title of the step that was being answered."""


def draft_path(folder: Path, project: Path) -> Path:
    """Where the draft of a project lies."""
    digest = hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:16]
    return folder / "drafts" / f"{digest}.json"


def load_draft(path: Path) -> Draft | None:
    """The kept answers; None when there are none that can be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict):
        return None
    known = {f.name for f in fields(Draft)}
    return Draft(**{k: v for k, v in values.items() if k in known and isinstance(v, str)})


def save_draft(path: Path, draft: Draft) -> None:
    """Keep the answers; a disk that refuses loses only the convenience.

    An address that is refused is not kept: it may hold a password or a key.
    """
    keys = [os.environ.get(Annotator().key_name, "")]
    if address_problem(draft.base_url or None, keys) is not None:
        draft = replace(draft, base_url="")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(draft)), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return


def forget_draft(path: Path) -> None:
    """The project is made; its draft is not needed any more."""
    path.unlink(missing_ok=True)


def expand(name: str) -> str:
    """A typed path with ``~`` written out; ``hf:`` names stay."""
    name = name.strip()
    return name if name.startswith("hf:") else str(Path(name).expanduser())


def label_names(text: str) -> tuple[str, ...]:
    """The names in a comma-separated field, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def read_guidelines(name: str) -> str:
    """The text of a guidelines file; empty when none is named."""
    if not name.strip():
        return ""
    path = Path(expand(name))
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8.", "Save the guidelines as UTF-8.") from error
    except OSError as error:
        raise UsageError(
            f"The guidelines {path} cannot be read: {error.strerror}.", "Check the path."
        ) from error


FIELDS = {
    "budget.human": "your labels",
    "budget.llm": "LLM labels",
    "budget.rounds": "rounds",
    "budget.money_usd": "money",
    "budget.minutes": "minutes",
    "annotator.spec": "model",
    "annotator.base_url": "address",
    "annotator.price_input": "price",
    "annotator.price_output": "price",
    "annotator.price_cached": "price",
    "task": "labels",
    "task.labels": "labels",
    "training.target": "target",
}
"""What the set-up calls the settings it asks for."""


def plan_settings(draft: Draft) -> Settings:
    """The settings that the answers mean. Raises `SettingsError` with every wrong field."""
    problems: list[str] = []

    def number(name: str, text: str, kind: type[int] | type[float]) -> Any:
        text = text.strip().lstrip("$")
        if not text:
            return None
        try:
            return kind(text.replace(",", ".") if kind is float else text.replace(",", ""))
        except ValueError:
            problems.append(f"{name}: '{text}' is no number")
            return None

    price = [number("price", part, float) for part in draft.price.split()]
    if len(price) not in (0, 2, 3):
        problems.append(
            "price: write two numbers, dollars per million tokens in and out, and a third for cached"
            " ones where they cost less"
        )
    budget = {
        "human": number("your labels", draft.human, int),
        "llm": number("LLM labels", draft.llm, int),
        "rounds": number("rounds", draft.rounds, int),
        "money_usd": number("money", draft.money, float),
        "minutes": number("minutes", draft.minutes, float),
    }
    multiple = draft.options not in (NONE, "")
    spec = draft.annotator
    if spec in ("openai", "local"):
        if not draft.model.strip():
            problems.append(f"model: name the model that {spec} should use")
        spec = f"{spec}:{draft.model.strip() or '?'}"
    for name, given in (("your labels", draft.human), ("LLM labels", draft.llm)):
        if not given.strip():
            problems.append(f"{name}: write how many, 0 for none")
    if not draft.rounds.strip():
        problems.append("rounds: write how many")
    if problems:
        raise SettingsError(f"Some answers cannot be used: {'; '.join(problems)}.", "Correct them.")
    annotator: dict[str, Any] = {"spec": spec, "base_url": draft.base_url.strip() or None}
    annotator |= dict(zip(("price_input", "price_output", "price_cached"), price, strict=False))
    values = {
        "task": {
            "kind": "multiple-choice" if multiple else "classification",
            "labels": [] if multiple else [{"name": n} for n in label_names(draft.labels)],
            "guidelines": read_guidelines(draft.guidelines),
        },
        "budget": {key: value for key, value in budget.items() if value is not None},
        "annotator": annotator,
        "training": {"target": draft.target.strip() or "minilm"},
    }
    try:
        settings = parse_settings(values)
        check_names(settings)
    except SettingsError as error:
        raise error.renamed(FIELDS, error.hint if ANY_PROJECT not in error.hint else "") from error
    return settings


class Tried(NamedTuple):
    """What one short question to an annotator has shown: what to tell, and what to keep."""

    notices: Sequence[str] = ()
    learned: Sequence[Learned] = ()


async def test_annotator(settings: Settings) -> Tried:
    """Ask the endpoint one short question. Raises `AnnotatorError`."""
    from imfl_engine.annotate.build import build_annotator
    from imfl_engine.annotate.memory_store import MemoryReplyStore

    if settings.annotator.kind != "openai":
        return Tried()
    annotator = build_annotator(settings)
    if annotator is None:
        return Tried()
    store = MemoryReplyStore()  # there is no project yet that could pay
    try:
        notices = [notice.text for notice in await annotator.check(store)]
    finally:
        await annotator.close()
    return Tried(notices, await store.all_learned())
