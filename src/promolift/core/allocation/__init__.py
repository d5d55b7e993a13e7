"""Choose at most one offer per customer within a budget and limits, with a certificate of optimality.

`plan` and `frontier` work on the candidates table, `solve` and `solve_frontier` on plain arrays. `choose` decides for
one customer or for many at a given price.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "AllocatedOffers",
    "Allocation",
    "FairnessLimit",
    "Limit",
    "LimitUsage",
    "ShopLimits",
    "Solution",
    "choose",
    "costs_at_prices",
    "find_violations",
    "frontier",
    "limit_charges",
    "limit_usage",
    "make_fairness_limits",
    "plan",
    "plan_at_budgets",
    "plan_at_price",
    "satisfies_limits",
    "solve",
    "solve_frontier",
]

if TYPE_CHECKING:
    from promolift.core.allocation.algorithms.arrays import LimitUsage
    from promolift.core.allocation.algorithms.choice import Allocation, choose
    from promolift.core.allocation.algorithms.exact_knapsack import solve_frontier
    from promolift.core.allocation.candidate_table import find_violations, limit_charges, limit_usage, satisfies_limits
    from promolift.core.allocation.fairness_limits import FairnessLimit, make_fairness_limits
    from promolift.core.allocation.settings import Limit
    from promolift.core.allocation.solver import (
        AllocatedOffers,
        ShopLimits,
        Solution,
        costs_at_prices,
        frontier,
        plan,
        plan_at_budgets,
        plan_at_price,
        solve,
    )
else:
    make_lazy(__name__)
