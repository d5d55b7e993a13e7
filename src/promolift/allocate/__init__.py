"""Candidates, budget and limits in, at most one offer per customer out, with a certificate of how far from the best.

`plan` and `frontier` work on the candidates table; `solve`, `solve_source` and `trace` on plain arrays or chunks of
them; `choose` decides customers one by one or by the million at given prices.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "AllocatedOffers",
    "Allocation",
    "CheckedRows",
    "Chunk",
    "Limit",
    "Options",
    "Prices",
    "Use",
    "at_budgets",
    "charges",
    "choose",
    "frontier",
    "kept",
    "plan",
    "solve",
    "solve_source",
    "trace",
]

if TYPE_CHECKING:
    from promolift.allocate.core import Allocation, CheckedRows, Chunk, Options, Prices, Use, choose
    from promolift.allocate.exact import trace
    from promolift.allocate.frame import AllocatedOffers, at_budgets, charges, frontier, kept, plan
    from promolift.allocate.settings import Limit
    from promolift.allocate.solver import solve, solve_source
else:
    lazy(__name__)
