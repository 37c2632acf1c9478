"""Where the money and the minutes are, and what comes next costs."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_USD = 1e-9
"""US dollars; below it is what sums of floats leave behind."""


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """Spent against the limits; money in US dollars, time in minutes of the person.

    ``money_lost`` is the part of ``money_reserved`` that may have been billed without an answer.
    """

    human_done: int
    human_limit: int
    llm_done: int
    llm_limit: int
    money_spent: float
    money_reserved: float
    """Open or possibly billed: all that counts against the limit besides what is spent."""
    money_limit: float | None
    minutes_spent: float
    minutes_limit: float | None
    money_lost: float = 0.0

    @property
    def money_under_way(self) -> float:
        """What requests under way may cost; what sums of floats leave behind is nothing."""
        under_way = self.money_reserved - self.money_lost
        return under_way if under_way >= LEAST_USD else 0.0

    @property
    def money_left(self) -> float | None:
        """What may still be spent; None without a limit."""
        if self.money_limit is None:
            return None
        return max(0.0, self.money_limit - self.money_spent - self.money_reserved)

    @property
    def minutes_left(self) -> float | None:
        """What the person may still take; None without a limit."""
        if self.minutes_limit is None:
            return None
        return max(0.0, self.minutes_limit - self.minutes_spent)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The price of a coming run; the interval is low to high, never a single false number.

    Money and minutes are no more than the limits leave.
    """

    calls: int
    input_tokens_low: int
    input_tokens_high: int
    output_tokens_low: int
    output_tokens_high: int
    money_low: float | None
    money_high: float | None
    minutes_of_person: float
    price_known: bool
    price_source: str
    round: int | None = None
    """The round whose labels the LLM is asked for; None where it is asked for none."""
    stops_at_money_limit: bool = False
    """Whether the calls may cost more than the limit leaves: they end there."""
    stops_at_time_limit: bool = False
    """Whether the labels would take the person longer than the limit leaves."""
    money_limit_reached: bool = False
    """Whether the LLM is asked for nothing because the money is spent."""
