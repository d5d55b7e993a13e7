"""Candidates with their charges and what was planned in; records by the prices alone, as live requests get, out.

And what a plan of which a share is drawn at random may spend.
"""

from typing import NamedTuple

import polars as pl

from promolift.core.decisions.batch_decisions import Board, Drawn, records
from promolift.core.decisions.decision_rule import ReleaseTerms

KEY = ["customer_id", "offer_id"]
SETTLED = "settled when the budget was filled up"


class Settled(NamedTuple):
    """The candidates as they are decided on, and everybody's record."""

    rows: pl.DataFrame
    drawn: Drawn


def settled(
    rows: pl.DataFrame, planned: pl.DataFrame, consent: pl.DataFrame, held: pl.Series, terms: ReleaseTerms, asof_ms: int
) -> Settled:
    """Decision records of `planned` (customer_id, offer_id): by the prices alone wherever they tell the same.

    At the edge of the budget or of a limit prices tie, and the plan fills up what is left. For these few customers the
    candidates say so: their other offers are closed, and the planned one is charged less than it is worth. `held` are
    the customers who get nothing whatever pays.
    """
    board = Board.of(rows, consent)
    first = board.offers(board.best(terms.price)).filter(~pl.col("customer_id").is_in(held.implode()))
    odd = pl.concat([first.join(planned, on=KEY, how="anti"), planned.join(first, on=KEY, how="anti")])["customer_id"]
    if odd.len():
        rows = _at_the_edge(rows, odd, planned, terms.price)
        del board  # as large as the next one
        board = Board.of(rows, consent)
    made = records(board, terms, asof_ms)
    if not terms.explore:
        offers = made.decisions.filter(pl.col("offer_id") != "none").select(KEY).sort(KEY)
        assert offers.equals(planned.sort(KEY))
    return Settled(rows, made)


def _at_the_edge(rows: pl.DataFrame, odd: pl.Series, wanted: pl.DataFrame, price: float) -> pl.DataFrame:
    """The rows of a few customers so that the price gives each what was planned; of all others nothing is touched."""
    at = rows["customer_id"].is_in(odd.implode()).arg_true()
    planned = wanted.with_columns(planned=pl.lit(True))
    edge = rows[at].join(planned, on=KEY, how="left", maintain_order="left")
    mine = pl.col("planned").fill_null(False)
    closed = ~mine & pl.col("eligible") & (pl.col("offer_id") != "none")
    worth = pl.col("gain_cents") - price * pl.col("cost_cents")
    enough = worth - pl.max_horizontal(pl.lit(1e-6), 1e-9 * pl.col("gain_cents").abs())
    edge = edge.select(
        pl.when(closed).then(pl.coalesce("why_not", pl.lit(SETTLED))).otherwise("why_not").alias("why_not"),
        pl.when(mine).then(pl.min_horizontal("charge_cents", enough)).otherwise("charge_cents").alias("charge_cents"),
    )
    return rows.with_columns(rows[name].clone().scatter(at, edge[name]) for name in edge.columns)


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
