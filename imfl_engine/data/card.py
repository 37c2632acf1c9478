"""The card of an exported data set: a README that says what it is and how far to trust it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imfl_engine.types import Interval, TaskKind

COLUMN_NOTES: Mapping[str, str] = {
    "id": "key of the item in the source file",
    "text": "what was labelled",
    "context": "what has to be read with the text, if anything",
    "options": "answers to choose from (multiple choice only)",
    "label": "number of the label, from 0, in the order below",
    "label_text": "the label; for multiple choice the letter of the option",
    "source": "who gave the label: human, llm, llm_reviewed (a person looked at it), model",
    "split": "pool or test",
    "round": "round of the loop in which the item was labelled",
    "annotator": "name of the person, the LLM or the model",
    "human_label": "the person's label",
    "llm_label": "the LLM's label",
    "llm_confidence": "how sure the LLM was, 0 to 1",
    "p_wrong": "estimated probability that the LLM's label is wrong",
    "model_label": "the trained model's prediction",
    "model_confidence": "how sure the model was, 0 to 1",
    "review_status": "unreviewed, accepted or corrected",
    "control": "true for the random slice on which the LLM's accuracy was measured",
    "flag": "true where the person marked the item",
    "comment": "the person's note",
    "seconds": "time the label took",
    "llm_model": "the LLM that was asked",
    "prompt_hash": "identifies the exact prompt",
    "demonstration_ids": "items shown to the LLM as examples",
    "input_tokens": "tokens sent",
    "output_tokens": "tokens received",
    "cost_usd": "price of the request in US dollars",
    "created_at": "when the label was given",
    "meta": "the other columns of the source file, as JSON text",
}


@dataclass(frozen=True, slots=True)
class LabelShare:
    """A label, what it means, and how many items carry it, by who gave it."""

    name: str
    description: str = ""
    human: int = 0
    llm: int = 0
    model: int = 0

    @property
    def total(self) -> int:
        """Items that carry the label."""
        return self.human + self.llm + self.model


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says. What is None or empty is left out of it."""

    name: str = "Annotated texts"
    kind: TaskKind = "classification"
    labels: Sequence[LabelShare] = ()
    guidelines: str = ""
    human: int = 0
    llm: int = 0
    llm_reviewed: int = 0
    model: int = 0
    llm_name: str = ""
    llm_accuracy: Interval | None = None
    expected_errors: float | None = None
    target: str = ""
    model_accuracy: Interval | None = None
    model_scope: str = "test"
    strategy: str = ""
    rounds: int = 0
    seed: int | None = None
    cost_usd: float | None = None
    minutes: float | None = None
    sources: Sequence[str] = ()
    language: str = ""
    licence: str = ""
    version: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def dataset_card(
    facts: CardFacts,
    *,
    features: str,
    splits: Mapping[str, tuple[int, int]],
    columns: Iterable[str] = COLUMN_NOTES,
) -> str:
    """The card as Markdown under a YAML header.

    ``features`` is the YAML of ``dataset_info.features``, indented by two; ``splits`` maps the
    splits to their numbers of rows and bytes.
    """
    parts = [
        _header(facts, features, splits),
        f"# {_inline(facts.name)}",
        _what(facts, splits),
        _labels(facts),
        _trust(facts),
        _made(facts),
        _columns(columns),
        _guidelines(facts),
        _use(),
        _licence(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(facts: CardFacts, features: str, splits: Mapping[str, tuple[int, int]]) -> str:
    category = "multiple-choice" if facts.kind == "multiple-choice" else "text-classification"
    lines = ["---"]
    if facts.licence:
        lines.append(f"license: {json.dumps(facts.licence)}")
    if facts.language:
        lines += ["language:", f"- {json.dumps(facts.language)}"]
    lines += ["task_categories:", f"- {category}", "tags:", "- imfl-tui", "dataset_info:"]
    lines += ["  features:", features.rstrip("\n"), "  splits:"]
    for split, (rows, size) in splits.items():
        lines += [f"  - name: {split}", f"    num_bytes: {size}", f"    num_examples: {rows}"]
    lines.append(f"  dataset_size: {sum(size for _, size in splits.values())}")
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: data/{split}-*"]
    return "\n".join([*lines, "---"])


def _what(facts: CardFacts, splits: Mapping[str, tuple[int, int]]) -> str:
    rows = ", ".join(f"{count:,} in the split `{name}`" for name, (count, _) in splits.items())
    task = (
        "a question with answers to choose from"
        if facts.kind == "multiple-choice"
        else f"a text with one of {len(facts.labels)} labels"
        if facts.labels
        else "a text with a label"
    )
    return (
        f"Each row is {task}: {rows}. A person labelled some of the items, a large language model "
        "the rest, and each row says who."
    )


def _labels(facts: CardFacts) -> str:
    if not facts.labels:
        return ""
    total = sum(label.total for label in facts.labels) or 1
    rows = [
        (
            str(number),
            _inline(label.name),
            _inline(label.description),
            f"{label.total:,}",
            f"{label.total / total:.1%}",
            f"{label.human:,}",
            f"{label.llm:,}",
        )
        for number, label in enumerate(facts.labels)
    ]
    header = ("", "label", "meaning", "items", "share", "by a person", "by the LLM")
    return "## Labels\n\n" + _table(header, rows)


def _trust(facts: CardFacts) -> str:
    rows = [
        ("a person", facts.human),
        ("the LLM, looked at by a person", facts.llm_reviewed),
        ("the LLM alone", facts.llm),
        ("the trained model", facts.model),
    ]
    text = "## Who labelled what, and how well\n\n" + _table(
        ("labelled by", "items"), [(who, f"{count:,}") for who, count in rows if count]
    )
    notes = []
    if facts.llm_accuracy:
        notes.append(
            f"- The LLM's labels are right in {_interval(facts.llm_accuracy)}, measured on "
            f"{facts.llm_accuracy.n:,} items chosen at random that a person labelled too."
        )
    elif facts.llm:
        notes.append("- How often the LLM is right was not measured.")
    if facts.expected_errors is not None:
        notes.append(
            f"- Among the LLM's labels that nobody looked at, about {facts.expected_errors:.0f} "
            "are expected to be wrong; `p_wrong` says which are likely."
        )
    if facts.model_accuracy:
        notes.append(
            f"- A model trained on this set ({_inline(facts.target) or 'small encoder'}) is right "
            f"in {_interval(facts.model_accuracy)} of {facts.model_accuracy.n:,} items of the "
            f"{_inline(facts.model_scope)} set."
        )
    return text + ("\n\n" + "\n".join(notes) if notes else "")


def _made(facts: CardFacts) -> str:
    rows: list[tuple[str, str]] = []
    if facts.sources:
        rows.append(("source", ", ".join(map(_inline, facts.sources))))
    if facts.llm_name:
        rows.append(("LLM", _inline(facts.llm_name)))
    if facts.rounds:
        rows.append(("rounds", str(facts.rounds)))
    if facts.strategy:
        rows.append(("items chosen by", _inline(facts.strategy)))
    if facts.seed is not None:
        rows.append(("seed", str(facts.seed)))
    if facts.cost_usd is not None:
        rows.append(("cost of the LLM", f"US$ {facts.cost_usd:,.2f}"))
    if facts.minutes is not None:
        rows.append(("time of the person", f"{facts.minutes:,.0f} minutes"))
    if facts.version:
        rows.append(("made with", f"imfl-tui {_inline(facts.version)}"))
    rows += [(_inline(name), _inline(value)) for name, value in facts.extra.items()]
    text = (
        "## How it was made\n\n"
        "By interactive multi-fidelity learning ([arXiv 2310.20153]"
        "(https://arxiv.org/abs/2310.20153)): in every round the person labels the items that the "
        "current model is least sure of, the LLM labels a diverse set with the person's nearest "
        "labels as examples, and the model is trained again."
    )
    return text + ("\n\n" + _table(("", ""), rows) if rows else "")


def _columns(columns: Iterable[str]) -> str:
    rows = [(f"`{name}`", COLUMN_NOTES.get(name, "")) for name in columns]
    return "## Columns\n\n" + _table(("column", "what it holds"), rows)


def _guidelines(facts: CardFacts) -> str:
    text = facts.guidelines.strip()
    if not text:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"## Guidelines given to the annotators\n\n{fence}\n{text}\n{fence}"


def _use() -> str:
    return (
        "## Use\n\n```python\nfrom datasets import load_dataset\n\n"
        'data = load_dataset("path/to/this/folder")\n```\n\n'
        "For the labels that a person gave or looked at, keep the rows whose `source` is `human` "
        "or `llm_reviewed`."
    )


def _licence(facts: CardFacts) -> str:
    if facts.licence:
        return f"## Licence\n\n{_inline(facts.licence)}"
    return (
        "## Licence\n\nNot stated yet. The texts keep the terms of their source, and the terms of "
        "the LLM may limit what its labels can be used for. Write the licence here and in the "
        "header (`license:`) before publishing."
    )


def _interval(value: Interval) -> str:
    return f"{value.value:.1%} (95 % interval {value.low:.1%} to {value.high:.1%})"


def _inline(text: str) -> str:
    """``text`` as one line of Markdown that means nothing but itself."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", flat)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
