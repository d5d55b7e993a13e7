"""Candidates, budget and limits in, at most one offer per customer out, with a certificate of how far from the best.

`plan` and `frontier` work on the candidates table; `solve` and `trace` on plain arrays; `choose` decides customers one
by one or by the million at a given price.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "AllocatedOffers", "Allocation", "FairLimit", "Limit", "ShopLimits", "SolvedRows", "Use", "at_budgets", "at_price",
    "breaks", "charges", "choose", "cost_at", "fair_limits", "frontier", "kept", "plan", "solve", "trace", "used",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.allocate.arrays import Use
    from promolift.allocate.core import Allocation, choose
    from promolift.allocate.exact import trace
    from promolift.allocate.fairness import FairLimit, fair_limits
    from promolift.allocate.offers import breaks, charges, kept, used
    from promolift.allocate.settings import Limit
    from promolift.allocate.solver import (
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
