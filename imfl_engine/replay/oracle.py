"""Stand-ins for the two labellers: gold labels for the person, gold labels with noise for the LLM.

A simulated LLM shows what a method does with noise of a known kind; it says nothing about a real
LLM, so every row it made is marked ``simulated``. The noise on an item depends on its key, on
what was asked of the simulation and on the seed: all arms of a seed meet the same mistakes, and a
confusion matrix makes the same ones wherever its file lies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from imfl_engine.annotate.free import FreeAnnotator
from imfl_engine.errors import UsageError
from imfl_engine.events import Notice, Progress
from imfl_engine.types import AnnotationRequest, Item, Reply, ReplyStatus, option_letter
from imfl_engine.views import CostEstimate

_CONFUSION = TypeAdapter(dict[str, dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]]])


@dataclass(frozen=True, slots=True)
class Noise:
    """How a simulated LLM errs.

    The gold label is kept with probability ``accuracy``, else another one is drawn evenly;
    ``always`` maps a truth to the label that is always said for it; ``confusion`` gives for a truth
    the probability of each label and overrides both.
    """

    accuracy: float = 1.0
    always: Mapping[str, str] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def say(self, truth: str, labels: Sequence[str], draw: float, other: float) -> str:
        """Return the label said for ``truth``; ``draw`` and ``other`` are uniform in [0, 1)."""
        if truth in self.confusion:
            row = self.confusion[truth]
            reached = 0.0
            scale = sum(row.values())
            for label, share in sorted(row.items()):
                reached += share / scale
                if draw < reached:
                    return label
        if truth in self.always:
            return self.always[truth]
        wrong = [label for label in labels if label != truth]
        if draw < self.accuracy or not wrong:
            return truth
        return wrong[int(other * len(wrong))]


def parse_noise(spec: str) -> Noise:
    """Parse what follows ``simulated:``.

    A share (``0.75``), ``chance``, a share with labels that are always mistaken
    (``0.9,neutral=positive``), or the path of a JSON file ``{truth: {label: share}}``, where a truth
    that is not named is always answered rightly. Raises `UsageError` for anything else.
    """
    first, *rest = spec.split(",")
    if first.endswith(".json"):
        try:
            rows = _CONFUSION.validate_json(Path(first).read_bytes())
            if not all(sum(row.values()) > 0 for row in rows.values()):
                raise ValueError("a row without a share")
            return Noise(confusion=rows)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"The confusion matrix '{first}' cannot be read.",
                'Give a JSON file like {"yes": {"yes": 0.8, "no": 0.2}, …}.',
            ) from error
    try:
        accuracy = -1.0 if first == "chance" else float(first)
    except ValueError:
        accuracy = 2.0
    pairs = [part.partition("=") for part in rest]
    known = first == "chance" or 0.0 <= accuracy <= 1.0
    if not known or not all(between for _, between, _ in pairs):
        raise UsageError(
            f"'simulated:{spec}' is no simulated annotator.",
            "Write simulated:0.75, simulated:chance, simulated:0.9,neutral=positive or a JSON file.",
        )
    return Noise(accuracy, {truth.strip(): said.strip() for truth, _, said in pairs})


def _check_names(noise: Noise, labels: Sequence[str]) -> None:
    """Raise `UsageError` for noise that speaks of other labels; options have none to check."""
    named = {*noise.always, *noise.always.values(), *noise.confusion}
    named |= {label for row in noise.confusion.values() for label in row}
    unknown = sorted(named - set(labels)) if labels else []
    if unknown:
        raise UsageError(
            f"The simulated annotator speaks of '{unknown[0]}', which is no label of this task.",
            f"The labels are: {', '.join(labels[:10])}{', …' if len(labels) > 10 else ''}.",
        )


class SimulatedAnnotator(FreeAnnotator):
    """An annotator that knows the gold labels and errs on purpose."""

    def __init__(self, noise: Noise, labels: Sequence[str], *, spec: str, seed: int) -> None:
        """Raise `UsageError` where ``noise`` names a label that is not among ``labels``."""
        super().__init__()
        _check_names(noise, labels)
        self._noise = noise
        self._labels = tuple(labels)
        self._spec = spec
        said = json.dumps(noise.confusion, sort_keys=True) if noise.confusion else spec
        self._stream = f"{said}\x1f{seed}"

    @property
    def name(self) -> str:
        """The spec, which begins with ``simulated``."""
        return self._spec

    @property
    def shots(self) -> int | None:
        """No demonstration is read."""
        return 0

    def estimate(
        self, requests: Sequence[AnnotationRequest], *, calls: int | None = None
    ) -> CostEstimate:
        """Everything is free."""
        count = len(requests) if calls is None else calls
        return CostEstimate(count, 0, 0, 0, 0, 0.0, 0.0, 0.0, True, "a simulated LLM costs nothing")

    async def _answer(
        self, requests: Sequence[AnnotationRequest]
    ) -> AsyncGenerator[Reply | Notice | Progress, None]:
        for request in requests:
            yield self._reply(request)

    def _reply(self, request: AnnotationRequest) -> Reply:
        item = request.item
        digest = hashlib.sha256(f"{self._stream}\x1f{item.key}".encode()).digest()
        label = self._label(item, digest)
        return Reply(
            item_id=item.item_id,
            round=request.round,
            purpose=request.purpose,
            status=ReplyStatus.INVALID if label is None else ReplyStatus.OK,
            label=label,
            annotator=self._spec,
            prompt_hash=digest.hex(),
            raw=label,
            error="the item has no gold label" if label is None else None,
        )

    def _label(self, item: Item, digest: bytes) -> str | None:
        if item.gold is None:
            return None
        labels = self._labels
        if item.options:
            labels = tuple(option_letter(place) for place in range(len(item.options)))
        draw = int.from_bytes(digest[:7], "big") / 2**56
        other = int.from_bytes(digest[8:15], "big") / 2**56
        if self._noise.accuracy < 0:  # chance: every label as likely
            return labels[int(other * len(labels))]
        return self._noise.say(item.gold, labels, draw, other)
