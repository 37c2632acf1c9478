"""Budget gauges: labels, minutes and money against their limits, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence

from imfl_engine.views import BudgetUse, CostEstimate
from imfl_tui.lines.price import price_words
from imfl_tui.spans import Line, line
from imfl_tui.text import money, roughly, thousands
from imfl_tui.widgets.bars import gauge
from imfl_tui.widgets.canvas import Canvas


def budget_lines(budget: BudgetUse, estimate: CostEstimate | None, width: int) -> list[Line]:
    """Five lines: your labels, your time, LLM labels, money, and the price of what comes next."""
    minutes = f"{budget.minutes_spent:.0f}"
    spent = money(budget.money_spent)
    if budget.money_limit is not None:
        spent += f" / {money(budget.money_limit)}"
    rows: list[tuple[str, str, float | None, str]] = [
        (
            "your labels",
            f"{thousands(budget.human_done)} / {thousands(budget.human_limit)}",
            _share(budget.human_done, budget.human_limit),
            "human",
        ),
        (
            "your time",
            f"{minutes} / {budget.minutes_limit:.0f} min"
            if budget.minutes_limit is not None
            else f"{minutes} min",
            _share(budget.minutes_spent, budget.minutes_limit),
            "human",
        ),
        (
            "LLM labels",
            f"{thousands(budget.llm_done)} / {thousands(budget.llm_limit)}",
            _share(budget.llm_done, budget.llm_limit),
            "llm",
        ),
        ("money", spent, _share(budget.money_spent, budget.money_limit), "llm"),
    ]
    columns = (11, max(len(figures) for _, figures, _, _ in rows))
    lines: list[Line] = [
        gauge(name, figures, share, width, style=style, columns=columns)
        for name, figures, share, style in rows
    ]
    return [*lines, next_cost(estimate)]


def next_cost(estimate: CostEstimate | None) -> Line:
    """The price of the next round, as an interval that ends at the limit."""
    if estimate is None:
        return line(("", "dim"))
    if estimate.money_limit_reached:
        return line(("! money limit reached", "warn"), (": raise budget.money_usd", "dim"))
    minutes = roughly(estimate.minutes_of_person * 60)
    if not estimate.calls and not estimate.minutes_of_person:
        return line(("nothing more is planned", "dim"))
    if not estimate.calls:
        return line(("next round: ", "dim"), minutes, (" of you, no LLM calls", "dim"))
    if not estimate.price_known:
        return line(
            ("next round: ", "dim"), ("price unknown", "warn"), (f", {minutes} of you", "dim")
        )
    over = estimate.stops_at_money_limit
    price = price_words(estimate) if estimate.money_high or over else "free"
    return line(
        ("next round ", "dim"),
        (f"! {price}" if over else price, "warn" if over else ""),
        (", ", "dim"),
        minutes,
        (" of you", "dim"),
    )


def _share(done: float, limit: float | None) -> float | None:
    if limit is None:
        return None
    return done / limit if limit else 0.0


class Budget(Canvas):
    """The budget gauges on Home."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(title="Budget", id=id, classes="panel")
        self._budget: BudgetUse | None = None
        self._estimate: CostEstimate | None = None

    def show(self, budget: BudgetUse, estimate: CostEstimate | None) -> None:
        """Show what is spent and what comes next."""
        self._budget, self._estimate = budget, estimate
        self.redraw()

    def build(self, width: int, height: int) -> Sequence[Line]:
        """The gauges."""
        if self._budget is None:
            return ()
        return budget_lines(self._budget, self._estimate, width)
