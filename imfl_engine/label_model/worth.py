"""Whether the LLM's labels say anything that the person's do not.

Labels by chance, and labels that only repeat what similar human labels say, resolve no doubt about
the items they were given to. Where labels resolve little, what looks like information may be mistakes
that follow the texts: a fine-tune learns these, and a confusion matrix cannot tell them. Nor do such labels
teach the label model's own heads. A probe learns from its posteriors all the same (self-training).
"""

from __future__ import annotations

NOTHING = 0.2
"""Labels that resolve less of the doubt than this teach neither a fine-tune nor the label model's heads; see
the decisions log."""


def say_nothing(information: float) -> bool:
    """Whether labels of so much `LabelModel.information` are left out; nan, nothing known, is not."""
    return information < NOTHING


def say_something(information: float | None) -> bool:
    """Whether the labels are known to say something; ``None`` or nan, nothing known, is not."""
    return information is not None and information >= NOTHING
