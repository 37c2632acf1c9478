"""What the presets ask: labels with their meanings, and guidelines in our words."""

from __future__ import annotations

from imfl_engine.settings import LabelSpec, Task

FPB = Task(
    labels=(
        LabelSpec(name="positive", description="good news for the share price", key="p"),
        LabelSpec(name="neutral", description="no bearing on the share price", key="n"),
        LabelSpec(name="negative", description="bad news for the share price", key="g"),
    ),
    guidelines=(
        "Read the sentence as an investor who owns the share would.\n\n"
        "- positive: it makes a rising price likely — growing sales or profit, a won contract, a "
        "raised forecast.\n"
        "- negative: it makes a falling price likely — a loss, shrinking sales, lay-offs, a "
        "lowered forecast.\n"
        "- neutral: it says nothing about the company's prospects — a description, a plan without "
        "figures, an appointment.\n\n"
        "Judge what the sentence says, not what you know about the company. A loss that became "
        "smaller is positive; a profit that fell is negative."
    ),
)

HEADLINE = Task(
    labels=(
        LabelSpec(name="positive", description="gold went up or is expected to"),
        LabelSpec(name="negative", description="gold went down or is expected to"),
        LabelSpec(name="neutral", description="gold stayed where it was"),
        LabelSpec(name="none", description="nothing about the direction of its price"),
    ),
    guidelines=(
        "What does the headline say about the price of gold?\n\n"
        "- positive: it rose, or is said to rise.\n"
        "- negative: it fell, or is said to fall.\n"
        "- neutral: it held steady, or moved both ways without a result.\n"
        "- none: the headline is not about where the price goes."
    ),
)

_HEADLINE_QUESTIONS = {
    "Price Direction Up": "Does the headline say that the price of gold goes up?",
    "Price Direction Constant": "Does the headline say that the price of gold stays the same?",
    "Price Direction Down": "Does the headline say that the price of gold goes down?",
    "Asset Comparision": "Does the headline compare gold with another asset?",
    "Past Information": "Does the headline report something about gold that has happened?",
    "Future Information": "Does the headline say something about gold's future?",
}


def headline_question(column: str) -> Task:
    """The yes/no task of one column of the headline data set."""
    question = _HEADLINE_QUESTIONS[column]
    return Task(
        labels=(LabelSpec(name="yes", key="y"), LabelSpec(name="no", key="n")),
        guidelines=f"{question}\n\nAnswer from the words of the headline alone.",
    )


PUBMEDQA = Task(
    labels=(
        LabelSpec(name="yes", description="the abstract answers the question with yes", key="y"),
        LabelSpec(name="no", description="the abstract answers the question with no", key="n"),
        LabelSpec(name="maybe", description="the evidence is mixed or too weak", key="m"),
    ),
    guidelines=(
        "Answer the research question from the abstract below it, which lacks its conclusion.\n\n"
        "- yes: the results support it.\n"
        "- no: the results speak against it, or show no effect where one was asked for.\n"
        "- maybe: the results point both ways, hold for a part of the cases only, or the study is "
        "too small to say.\n\n"
        "Judge the results reported here, not what you know from elsewhere."
    ),
)

MEDQA = Task(
    kind="multiple-choice",
    guidelines=(
        "A question as in a medical licensing examination. Choose the one best answer: the most "
        "likely diagnosis, the next best step, the mechanism asked for. Exactly one is right."
    ),
)
