"""Candidates, budget and limits in, at most one offer per customer out, with a certificate of how far from the best.

`plan` and `frontier` work on the candidates table; `solve` and `trace` on plain arrays; `choose` decides customers one
by one or by the million at a given price.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "AllocatedOffers",
    "Allocation",
    "FairLimit",
    "Limit",
    "ShopLimits",
    "SolvedRows",
    "Use",
    "at_budgets",
    "at_price",
    "breaks",
    "charges",
    "choose",
    "cost_at",
    "fair_limits",
    "frontier",
    "kept",
    "plan",
    "solve",
    "trace",
    "used",
]

if TYPE_CHECKING:
    from promolift.core.allocation.algorithms.arrays import Use
    from promolift.core.allocation.algorithms.choice import Allocation, choose
    from promolift.core.allocation.algorithms.exact_knapsack import trace
    from promolift.core.allocation.candidate_table import breaks, charges, kept, used
    from promolift.core.allocation.fairness_limits import FairLimit, fair_limits
    from promolift.core.allocation.settings import Limit
    from promolift.core.allocation.solver import (
        AllocatedOffers,
        ShopLimits,
        SolvedRows,
        at_budgets,
        at_price,
        cost_at,
        frontier,
        plan,
        solve,
    )
else:
    lazy(__name__)
