"""The price of a coming run in words."""

from __future__ import annotations

from imfl_engine.views import CostEstimate
from imfl_tui.text import money_range


def price_words(estimate: CostEstimate) -> str:
    """An interval in US dollars; that it ends at the limit, or that the limit is reached already."""
    if estimate.money_limit_reached:
        return "the money limit is reached"
    words = money_range(estimate.money_low, estimate.money_high)
    return f"{words}, stops at the limit" if estimate.stops_at_money_limit else words
