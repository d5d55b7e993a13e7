"""Pace a budget over a day: set the price anew before each decision so that the budget lasts until the end.

The forecast says at which price the average customer costs how much, and when customers come. Before each decision
the price is set anew so that what is left of the budget lasts for those still expected (re-solving, Jasin & Kumar
2012, Mathematics of Operations Research 37(2)), corrected by how customers spent so far compared with the forecast.
A state is a value: the same arrivals give the same decisions, so a day can be replayed. H hours, G grid of prices.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.foundation.errors import BudgetError, InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
DOUBT_ARRIVALS = 0.02  # of the arrivals forecast: how much evidence the forecast of their number counts for
ARRIVAL_TRUST = 60.0  # how many times fewer than the clock says the number forecast may leave at the start of the day
DOUBT_SPEND = 0.02  # of the budget: how much evidence the forecast of spend counts for


@dataclass(frozen=True, eq=False)
class DayForecast:
    """Budget, arrivals and their cumulative share at H + 1 equal steps of the day; spend per arrival by price."""

    budget: float
    arrivals: float
    share_H: Floats
    spend_G: Floats
    price_G: Floats

    @staticmethod
    def of(
        curve: pl.DataFrame, customers: int, budget: float, arrivals: float, share_H: Floats | None = None
    ) -> "DayForecast":
        """From a curve (columns cost and price, see `solve_frontier`) over `customers` like those expected.

        `share_H` rises from 0 to 1; left out, arrivals are even. InputError if it does not, BudgetError for no budget.
        """
        share = np.array([0.0, 1.0]) if share_H is None else np.asarray(share_H, np.float64)
        if len(share) < 2 or share[0] != 0 or share[-1] != 1 or (np.diff(share) < 0).any():
            raise InputError("forecast_invalid", gettext_lazy("forecast: share must rise from 0 to 1 over the day"))
        if not budget > 0 or not arrivals > 0 or not customers > 0:
            raise BudgetError(
                "value_invalid",
                gettext_lazy(
                    "forecast: budget {budget}, arrivals {arrivals}, customers {customers} must be above 0",
                    budget=budget,
                    arrivals=arrivals,
                    customers=customers,
                ),
            )
        table = curve.sort("cost")
        return DayForecast(budget, arrivals, share, table["cost"].to_numpy() / customers, table["price"].to_numpy())


@dataclass(frozen=True)
class Pace:
    """Where the day stands: spent, customers seen, and what the forecast expected them to cost at the prices used."""

    spent: float = 0.0
    seen: int = 0
    expected: float = 0.0
    price: float = 0.0

    def after(self, cost: float, seen: int, now: "PacedPrice") -> "Pace":
        """Where the day stands once `seen` customers, decided at the price of `now`, took offers of this cost."""
        return Pace(self.spent + cost, self.seen + seen, self.expected + seen * now.expected, now.price)

    def reprice(self, forecast: DayForecast, moment: float) -> "PacedPrice":
        """The price at `moment`, set so that what is left lasts."""
        if not 0 <= moment <= 1:
            raise InputError("value_invalid", gettext_lazy("pace: moment {moment} is outside 0 to 1", moment=moment))
        grid = np.linspace(0.0, 1.0, len(forecast.share_H))
        gone = float(np.interp(moment, grid, forecast.share_H))
        doubt = DOUBT_ARRIVALS * forecast.arrivals
        pace = (self.seen + doubt) / (forecast.arrivals * gone + doubt)
        by_clock = pace * forecast.arrivals * (1 - gone)
        by_count = max(forecast.arrivals - self.seen, by_clock / (1 + ARRIVAL_TRUST * (1 - gone)))
        # early in the day trust the number forecast, towards its end whichever leaves less unspent
        to_come = max((1 - gone) * by_count + gone * min(by_count, by_clock), 1.0)
        doubt = DOUBT_SPEND * forecast.budget
        response = (self.spent + doubt) / (self.expected + doubt)
        rate = (forecast.budget - self.spent) / to_come / response
        price = float(np.interp(rate, forecast.spend_G, forecast.price_G))
        return PacedPrice(price, min(rate, float(forecast.spend_G[-1])))


class PacedPrice(NamedTuple):
    """The price of a cent, and what the forecast says an arrival costs at it."""

    price: float
    expected: float
