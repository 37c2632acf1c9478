"""What requests to an endpoint will cost, in tokens and money, before they are sent."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.annotate.asking import Asker
from imfl_engine.annotate.money import Price
from imfl_engine.annotate.prompts import answer, build_prompt
from imfl_engine.annotate.tokens import count_tokens
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest
from imfl_engine.views import CostEstimate

REPAIR_SHARE = 0.1
"""Share of answers that the high end of an estimate expects to repair."""


def estimate_cost(
    task: Task,
    requests: Sequence[AnnotationRequest],
    asker: Asker,
    price: Price | None,
    *,
    repair_price: Price | None,
    calls: int | None,
    thinks: bool,
) -> CostEstimate:
    """Count the tokens of ``requests`` and scale them to ``calls``; no price, no money.

    A model that ``thinks`` may use all the output tokens it is allowed. Repairs have a price of
    their own, because those of a batch are asked for outside it.
    """
    calls = len(requests) if calls is None else calls
    scale = calls / len(requests) if requests else 0.0
    low = high = output_low = output_high = cached = 0.0
    calibration = asker.calibration
    for request in requests:
        prompt = build_prompt(
            task,
            request,
            style=asker.style,
            room=asker.room,
            factor=calibration.factor,
        )
        body = asker.body(prompt.messages, prompt.labels)
        count = asker.count(body)
        if calibration.observed:
            guess = count.likely * calibration.factor
            low, high = low + 0.95 * guess, high + 1.1 * guess
            cached += calibration.cached_share * guess
        else:
            # At best the server has what all prompts begin with in its cache.
            cached += count_tokens(prompt.messages[0]["content"]).low
            low, high = low + count.low, high + min(1.5 * count.likely, count.high)
        lengths = [count_tokens(answer(name, prompt.style)) for name in prompt.labels]
        shortest = min((length.low for length in lengths), default=1)
        longest = max((length.high for length in lengths), default=1)
        output_low += max(1, shortest)
        output_high += asker.output_tokens if thinks else longest + 4
    repairs = [round(REPAIR_SHARE * x * scale) for x in (high, output_high)]
    tokens = [round(x * scale) for x in (low, high, output_low, output_high)]
    money_high = None
    if price is not None and repair_price is not None:
        repaired = repair_price.cost(repairs[0], 0, repairs[1])
        money_high = price.cost(tokens[1], 0, tokens[3]) + repaired
    return CostEstimate(
        calls=calls,
        input_tokens_low=tokens[0],
        input_tokens_high=tokens[1] + repairs[0],
        output_tokens_low=tokens[2],
        output_tokens_high=tokens[3] + repairs[1],
        money_low=price.cost(tokens[0], round(cached * scale), tokens[2]) if price else None,
        money_high=money_high,
        minutes_of_person=0.0,
        price_known=price is not None,
        price_source=price.source
        if price
        else "unknown: set annotator.price_input and annotator.price_output",
    )
