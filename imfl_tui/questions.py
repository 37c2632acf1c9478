"""The set-up's questions: its steps, and the fields of the draft that each asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imfl_tui.drafts import Draft


@dataclass(frozen=True, slots=True)
class Question:
    """A question: the draft's field, its name, a word of help, and its values if it has few."""

    name: str
    words: str
    help: str = ""
    values: tuple[str, ...] = ()
    is_column: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A page of the set-up."""

    title: str
    words: str
    fields: tuple[Question, ...]


STEPS = (
    Step("data", "Which texts?", (
        Question("data", "file", "csv, tsv, jsonl, json, parquet, txt, or hf:owner/name"),
        Question("test", "test set", "a share to hold out, or a file; empty for none"),
    )),
    Step("columns", "What is in the columns?", (
        Question("text", "text", "what is labelled", is_column=True),
        Question("context", "context", "what is read along with it", is_column=True),
        Question("options", "options", "an item's own answers: multiple choice", is_column=True),
        Question("label", "label", "the right answer, if the file has it", is_column=True),
        Question("identity", "id", "your own identifier", is_column=True),
    )),
    Step("labels", "Which labels?", (
        Question("labels", "labels", "separated by commas; the order gives the keys 1, 2, 3"),
        Question("guidelines", "guidelines", "a text file you and the LLM label by; may be empty"),
    )),
    Step("annotator", "Who labels the rest, and what is trained?", (
        Question("annotator", "annotator", "neighbours needs no key and no network",
              ("neighbours", "openai", "local", "none")),
        Question("model", "model", "for openai and local"),
        Question("base_url", "address", "of an OpenAI-compatible server; empty for OpenAI"),
        Question("price", "price", "$ per million tokens in, out (and cached); empty: looked up"),
        Question("target", "target", "the small model: probe takes seconds, minilm minutes",
              ("minilm", "probe")),
    )),
    Step("budget", "What may it cost?", (
        Question("human", "your labels", "how many you give, in all rounds together"),
        Question("llm", "LLM labels", "how many the annotator gives, in all rounds together"),
        Question("rounds", "rounds", "after each the model is trained and chooses what is next"),
        Question("money", "money, $", "hard stop; empty for no limit"),
        Question("minutes", "your minutes", "hard stop; empty for no limit"),
    )),
    Step("create", "Ready?", ()),
)  # fmt: skip


def without_later_answers(draft: Draft, title: str) -> Draft:
    """The draft as if no step after the one called ``title`` had been answered.

    What is wrong with a later answer must not keep a person from getting there.
    """
    place = [step.title for step in STEPS].index(title)
    later = {question.name for step in STEPS[place + 1 :] for question in step.fields}
    return replace(draft, **{name: getattr(Draft(), name) for name in later})
