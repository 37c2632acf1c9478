"""How much the LLM's labels count beside the person's when a model is fine-tuned.

Labels that say nothing the label model does not know without them leave posteriors that are its own
head's opinion. A probe learns from those (self-training); a fine-tuned model knows more than a head
on frozen vectors and only picks up its mistakes. One LLM may give labels of both kinds: who calls
every neutral text positive says nothing by *positive* and much by *negative*.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOTHING = 0.2
"""Labels that resolve less of the doubt than this are left out."""
EVERYTHING = 0.25
"""Labels that resolve as much as this count like human ones, by their posteriors."""

Floats = NDArray[np.float64]


def answer_weights(information: Floats) -> Floats:
    """Return the weight of each label the LLM may give, (C,), 0 to 1, from `LabelModel.answer_information`.

    Where nothing is known (nan) a label counts like a human one. The two constants are measured; see
    the decisions log.
    """
    known = np.nan_to_num(information, nan=EVERYTHING)
    return np.where(known < NOTHING, 0.0, np.minimum(1.0, known / EVERYTHING))
