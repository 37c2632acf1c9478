"""Prices and what a request costs. An unknown price is asked for, never taken to be zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imfl_engine.annotate.tokens import TokenRange
from imfl_engine.errors import PriceUnknown

PER_MILLION = 1e-6
BATCH_SHARE = 0.5
"""What a batch costs of the normal price, where the price table does not say."""
_SAMPLE = 1000
"""Tokens the table is asked about: small, so that prices by prompt length give their first tier."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token. ``source`` says in words where the price comes from.

    ``context_tokens`` is the model's context window where the table knows it.
    """

    input: float
    cached: float
    output: float
    source: str
    context_tokens: int | None = None

    def cost(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """US dollars; ``cached_tokens`` are part of ``input_tokens``."""
        cached = min(cached_tokens, input_tokens)
        return (
            (input_tokens - cached) * self.input
            + cached * self.cached
            + output_tokens * self.output
        )

    def at_most(self, prompt: TokenRange, output_tokens: int) -> float:
        """US dollars that a request can cost at the very most; this is what is reserved."""
        return prompt.high * max(self.input, self.cached) + output_tokens * self.output


def find_price(
    model: str,
    *,
    base_url: str | None,
    price_input: float | None = None,
    price_output: float | None = None,
    price_cached: float | None = None,
    batch: bool = False,
) -> Price | None:
    """The price of ``model``, or None when nobody has said it.

    ``price_input`` and ``price_output`` (US dollars per million tokens) win, with ``price_cached``
    for the input that was cached (no reduction where it is None); with one of them given, a missing
    one of the first two counts as unknown. Otherwise genai-prices is asked about the model *at this
    endpoint*: the same model name at another server may cost anything.
    """
    share = BATCH_SHARE if batch else 1.0
    if (price_input, price_output, price_cached) != (None, None, None):
        if price_input is None or price_output is None:
            return None
        cached = price_input if price_cached is None else price_cached
        told = "" if price_cached is None else f" (${price_cached:g} cached)"
        return Price(
            price_input * PER_MILLION * share,
            cached * PER_MILLION * share,
            price_output * PER_MILLION * share,
            f"${price_input:g} in{told}, ${price_output:g} out per million tokens, as given"
            + (" (batch: half)" if batch else ""),
        )
    return _from_table(model, base_url, batch)


def unknown_price(model: str, base_url: str | None) -> PriceUnknown:
    """The error for a model without a price, with the way out."""
    where = f" at {base_url}" if base_url else ""
    return PriceUnknown(
        f"The price of the model '{model}'{where} is not known.",
        "Give it in US dollars per million tokens: `--price IN OUT` for a new project, `imfl-tui "
        "config` with annotator.price_input and annotator.price_output for this one (0 and 0 for a "
        "server that charges nothing).",
    )


def _from_table(model: str, base_url: str | None, batch: bool) -> Price | None:
    # Imported here: the table takes most of a second to load and only endpoints need it.
    from genai_prices import Usage, __version__, calc_price

    where: dict[str, Any] = (
        {"provider_api_url": base_url} if base_url else {"provider_id": "openai"}
    )

    def per_token(input_tokens: int, cached: int, output: int, **context: Any) -> tuple[float, Any]:
        usage = Usage(
            input_tokens=input_tokens or None,
            cache_read_tokens=cached or None,
            output_tokens=output or None,
        )
        found = calc_price(usage, model, **where, **context)
        return float(found.total_price) / _SAMPLE, found

    def prices(**context: Any) -> tuple[float, float, float, Any]:
        plain, found = per_token(_SAMPLE, 0, 0, **context)
        cached, _ = per_token(_SAMPLE, _SAMPLE, 0, **context)
        output, _ = per_token(0, 0, _SAMPLE, **context)
        return plain, cached, output, found

    try:
        plain, cached, output, found = prices()
    except (LookupError, ValueError):
        return None
    if batch:
        try:
            reduced = prices(price_context={"processing": "batch"})
        except (LookupError, ValueError, TypeError):  # TypeError: an older genai-prices
            reduced = (plain, cached, output, found)
        if reduced[0] < plain:
            plain, cached, output = reduced[:3]
        else:
            plain, cached, output = (BATCH_SHARE * p for p in (plain, cached, output))
    window = getattr(found.model, "context_window", None)
    return Price(
        plain,
        min(cached, plain),
        output,
        f"${plain / PER_MILLION:g} in, ${output / PER_MILLION:g} out per million tokens"
        f"{' (batch)' if batch else ''}, genai-prices {__version__}",
        window if isinstance(window, int) and window > 0 else None,
    )
