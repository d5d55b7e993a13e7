"""Open candidates and a budget in; what a plan with a share drawn at random may spend, and what decisions cost, out."""

from typing import NamedTuple

import polars as pl

STEP = 0.95  # what is spent and drawn shrinks by this factor until what was drawn keeps the budget


class Spending(NamedTuple):
    """A budget of which a share of customers draws: what is left for the plan itself, and that share."""

    budget_cents: float
    explore: float


def even_cost(free: pl.DataFrame) -> float:
    """What it costs if everybody draws evenly from their open offers and none, in minor units."""
    known = free.drop_nulls(["gain_cents", "cost_cents"])  # what is unknown is closed
    mine = known.group_by("customer_id").agg(pl.col("cost_cents").sum() / (pl.len() + 1))
    return float(mine["cost_cents"].sum())


def spending(budget_cents: float, explore: float, even_cents: float) -> Spending:
    """How a budget is split between the plan and the draws, which take half of it at most."""
    if not explore:
        return Spending(budget_cents, 0.0)
    explore = min(explore, budget_cents / (2 * even_cents)) if even_cents > 0 else explore
    return Spending((budget_cents - explore * even_cents) / (1 - explore) if explore < 1 else 0.0, explore)


def cost(free: pl.DataFrame, decisions: pl.DataFrame) -> float:
    """Expected cost of what was decided, in minor units."""
    key = ["customer_id", "offer_id"]
    return float(free.join(decisions.select(key), on=key, how="semi")["cost_cents"].sum())
