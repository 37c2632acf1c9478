"""How much the LLM's labels count beside the person's when a model is fine-tuned.

Labels that say nothing the label model does not know without them leave posteriors that are its own
head's opinion. A probe learns from those (self-training); a fine-tuned model knows more than a head
on frozen vectors and only picks up its mistakes.
"""

from __future__ import annotations

import math

NOTHING = 0.05
"""Labels that resolve less of the doubt than this are left out."""
EVERYTHING = 0.25
"""Labels that resolve as much as this count like human ones, by their posteriors."""


def llm_weight(information: float) -> float:
    """Return the weight of LLM labels, 0 to 1, from `LabelModel.llm_information` (nan: 1).

    The two constants are measured; see the decisions log.
    """
    if math.isnan(information):
        return 1.0
    return 0.0 if information < NOTHING else min(1.0, information / EVERYTHING)
