"""The data-set card says what is known and nothing else."""

from __future__ import annotations

from imfl_engine.data.card import COLUMN_NOTES, CardFacts, LabelShare, dataset_card
from imfl_engine.data.schema import EXPORT_SCHEMA
from imfl_engine.types import Interval


def card(facts: CardFacts) -> str:
    features = "  - name: text\n    dtype: string"
    return dataset_card(
        facts, features=features, splits={"train": (1_000, 5_000), "test": (200, 9)}
    )


FULL = CardFacts(
    name="Clinic inbox",
    labels=(
        LabelShare("urgent", "see today", human=60, llm=140),
        LabelShare("routine", human=140, llm=660),
    ),
    guidelines="Read it.\n```\nnot a fence\n```",
    human=200,
    llm=700,
    llm_reviewed=100,
    llm_name="gpt-x",
    llm_accuracy=Interval(0.85, 0.78, 0.9, 120),
    expected_errors=105.4,
    target="minilm",
    model_accuracy=Interval(0.8, 0.77, 0.83, 500),
    strategy="eeq",
    rounds=5,
    seed=0,
    cost_usd=1.234,
    minutes=74.6,
    sources=("inbox.csv",),
    version="0.1",
)


def test_a_full_card_states_every_fact() -> None:
    text = card(FULL)
    for said in (
        "# Clinic inbox",
        "1,000 in the split `train`, 200 in the split `test`",
        "| 0 | urgent | see today | 200 | 20.0% | 60 | 140 |",
        "| the LLM alone | 700 |",
        "85.0% (95 % interval 78.0% to 90.0%), measured on 120 items",
        "about 105 are expected to be wrong",
        "right in 80.0% (95 % interval 77.0% to 83.0%) of 500 items of the test set",
        "US$ 1.23",
        "75 minutes",
        "gpt-x",
        "inbox.csv",
        "Not stated yet",
        "````\nRead it.",
    ):
        assert said in text, said
    assert "load_dataset" in text


def test_an_empty_card_claims_nothing() -> None:
    text = card(CardFacts())
    for unsaid in ("None", "nan", "interval", "US$", "minutes", "was not measured", "## Labels"):
        assert unsaid not in text


def test_names_cannot_break_the_card() -> None:
    hostile = "a | b\n# c <b>[x](y)`\x1b[2J\u2028"
    facts = CardFacts(name=hostile, labels=(LabelShare(hostile, hostile, 1),), licence='x"\ny: z')
    text = card(facts)
    header, body = text.split("\n---\n", 1)
    assert 'license: "x\\"\\ny: z"' in header
    assert "\n# c" not in body
    assert "\x1b" not in body
    assert body.count("\n| 0 |") == 1


def test_every_column_of_the_export_is_explained() -> None:
    assert list(COLUMN_NOTES) == EXPORT_SCHEMA.names
