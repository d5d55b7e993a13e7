"""Open candidates, terms and a budget in; the terms of a trial, or of a plan with a share drawn at random, out.

For a shop whose log cannot tell what an offer adds, a trial plans no offer because of what is assumed of it.
"""

from typing import NamedTuple

import polars as pl

from promolift.deliver.batch import Board, Drawn, records
from promolift.deliver.decide import ReleaseTerms

STEP = 0.95  # what is spent and drawn shrinks by this factor until what was drawn keeps the budget


class Spending(NamedTuple):
    """A budget of which a share of customers draws: what is left for the plan itself, and that share."""

    budget_cents: float
    explore: float


class DrawnTrial(NamedTuple):
    """A trial's terms and what was drawn by them."""

    terms: ReleaseTerms
    drawn: Drawn


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


def drawn(
    rows: pl.DataFrame, free: pl.DataFrame, consent: pl.DataFrame, terms: ReleaseTerms, asof_ms: int, budget_cents: int
) -> DrawnTrial:
    """`free` are the open candidates of those who may get an offer. With one probability for all of them a customer
    draws evenly from their open offers and none; nobody else gets one.

    It is the largest at which the expected cost of the draws, and that of the offers drawn, keep the budget; it stands
    in the terms (`explore`) and in every record, so that what was drawn can be judged afterwards.
    """
    even = even_cost(free)
    pays = free.filter((pl.col("gain_cents") > 0) & (pl.col("cost_cents") > 0))
    best = pays.select((pl.col("gain_cents") / pl.col("cost_cents")).max()).item()
    share = min(1.0, budget_cents / even) if even > 0 else 1.0
    terms = terms.model_copy(update={"policy_id": "trial", "price": 2 * (best or 0.0)})
    board = Board.of(rows, consent)
    while True:
        terms = terms.model_copy(update={"explore": share if share > 1e-6 else 0.0})
        found = records(board, terms, asof_ms)
        if cost(free, found.decisions) <= budget_cents or not terms.explore:
            return DrawnTrial(terms, found)
        share *= STEP


def cost(free: pl.DataFrame, decisions: pl.DataFrame) -> float:
    """Expected cost of what was decided, in minor units."""
    key = ["customer_id", "offer_id"]
    return float(free.join(decisions.select(key), on=key, how="semi")["cost_cents"].sum())
