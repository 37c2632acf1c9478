"""Whether the LLM's labels say anything that the person's do not.

Labels by chance, and labels that only repeat what similar human labels say, resolve no doubt about
the items they were given to. A probe learns from the label model's posteriors all the same
(self-training); a fine-tune takes longer with them and is no better, and who pays should know.
"""

from __future__ import annotations

NOTHING = 0.05
"""Labels that resolve less of the doubt than this are left out of a fine-tune; see the decisions log."""


def say_nothing(information: float) -> bool:
    """Whether labels of so much `LabelModel.information` are left out; nan, nothing known, is not."""
    return information < NOTHING
