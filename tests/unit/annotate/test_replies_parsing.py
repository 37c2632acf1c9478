"""Answers are read strictly: a label or nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imfl_engine.annotate.replies import is_refusal, label_log_probabilities, parse_label

LABELS = ("positive", "negative", "price_up", "price_up_now")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("positive", "positive"),
        (" Positive.\n", "positive"),
        ('"negative"', "negative"),
        ("**negative**", "negative"),
        ("Label: negative", "negative"),
        ("The answer is positive", "positive"),
        ("price up", "price_up"),
        ("Price-Up", "price_up"),
        ('{"label": "price_up_now"}', "price_up_now"),
        ('```json\n{"label": "positive"}\n```', "positive"),
        ("<think>positive? no.</think>negative", "negative"),
        ("positive or negative", None),
        ("not positive", None),
        ("I think it is positive", None),
        ("positive\nnegative", None),
        ('{"label": "positive", "label": "negative"}', None),
        ('{"label": "positive", "why": "x"}', None),
        ('{"label": ["positive"]}', None),
        ('{"label": "pos', None),
        ('["positive"]', None),
        ("{" * 5000, None),
        ("", None),
        ("posi", None),
        ("HACKED", None),
    ],
)
def test_an_answer_is_a_label_or_nothing(text: str, label: str | None) -> None:
    assert parse_label(text, LABELS) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(C)", "C"),
        ("B. green", "B"),
        ("green", "B"),
        ("B) red", None),
        ("A or B", None),
        ("E", None),
        ("Answer: A", "A"),
        ('{"label": "A"}', "A"),
    ],
)
def test_an_option_is_its_letter_or_its_text(text: str, label: str | None) -> None:
    assert parse_label(text, ("A", "B", "C"), ("red", "green", "blue")) == label


def test_labels_that_differ_in_form_alone_must_be_spelled_exactly() -> None:
    labels = ("A-B", "a b")
    assert parse_label("A-B", labels) == "A-B"
    assert parse_label("a b", labels) == "a b"
    assert parse_label("A b", labels) is None


@given(st.text(max_size=80))
def test_whatever_is_said_only_labels_come_out(text: str) -> None:
    assert parse_label(text, LABELS) in (*LABELS, None)
    assert parse_label(text, ("A", "B"), ("x", "y")) in ("A", "B", None)


def test_a_polite_no_is_a_refusal() -> None:
    assert is_refusal("I'm sorry, but I can't help with that.")
    assert is_refusal("I cannot label this.")
    assert not is_refusal("positive")


def token(text: str, p: float, **others: float) -> dict[str, object]:
    top = [{"token": text, "logprob": math.log(p)}]
    top += [{"token": other, "logprob": math.log(q)} for other, q in others.items()]
    return {"token": text, "logprob": math.log(p), "top_logprobs": top}


def test_alternatives_of_the_first_token_share_the_probability() -> None:
    tokens = [token('{"label": "', 1.0), token("pos", 0.6, neg=0.3, x=0.1), token('itive"}', 1.0)]
    found = label_log_probabilities(tokens, "positive", ("positive", "negative", "neutral"))
    assert found is not None
    shares = {label: math.exp(value) for label, value in found.items()}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["positive"] == pytest.approx(0.6, abs=0.01)
    assert shares["negative"] == pytest.approx(0.3, abs=0.01)
    assert shares["neutral"] == pytest.approx(0.1, abs=0.01)


def test_a_later_token_decides_between_labels_that_begin_alike() -> None:
    tokens = [token("price", 0.9, news=0.1), token(" up", 0.7, **{" down": 0.3})]
    found = label_log_probabilities(tokens, "price up", ("price up", "price down", "news"))
    assert found is not None
    shares = {label: math.exp(value) for label, value in found.items()}
    assert shares == pytest.approx({"price up": 0.63, "price down": 0.27, "news": 0.1}, abs=0.01)


def test_the_token_after_a_label_decides_when_it_is_the_beginning_of_another() -> None:
    tokens = [token('"', 1.0), token("news", 1.0), token('"', 0.8, **{"_us": 0.2})]
    found = label_log_probabilities(tokens, "news", ("news", "news_us"))
    assert found is not None
    assert math.exp(found["news"]) == pytest.approx(0.8, abs=0.01)
    assert math.exp(found["news_us"]) == pytest.approx(0.2, abs=0.01)


def test_tokens_without_the_label_or_with_nonsense_give_nothing() -> None:
    assert label_log_probabilities([token("maybe", 1.0)], "positive", LABELS) is None
    broken = [{"token": "positive", "logprob": "high"}]
    assert label_log_probabilities(broken, "positive", LABELS) is None
    assert label_log_probabilities([], "positive", LABELS) is None
