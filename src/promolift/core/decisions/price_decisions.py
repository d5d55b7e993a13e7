"""Record the decisions of a plan by prices alone, as live requests are decided.

And what a plan of which a share is drawn at random may spend.
"""

from typing import NamedTuple

import polars as pl

from promolift.core.decisions.batch_decisions import DecisionBatch, OptionTable, decide_batch
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.foundation.i18n.catalogue import gettext_noop

KEY = ["customer_id", "offer_id"]
BUDGET_FILLED_REASON = gettext_noop("settled when the budget was filled up")


class PriceDecisions(NamedTuple):
    """The candidates that the decisions are made on, and every customer's record."""

    rows: pl.DataFrame
    drawn: DecisionBatch


def decide_by_price(
    rows: pl.DataFrame, planned: pl.DataFrame, consent: pl.DataFrame, held: pl.Series, terms: ReleaseTerms, asof_ms: int
) -> PriceDecisions:
    """Decision records of `planned` (customer_id, offer_id): by the prices alone wherever they tell the same.

    At the edge of the budget or of a limit prices tie, and the plan fills up what is left. For these few customers the
    candidates say so: their other offers are closed, and the planned one is charged less than it is worth. `held` are
    the customers who get nothing whatever pays.
    """
    board = OptionTable.of(rows, consent)
    first = board.best_offers(terms).filter(~pl.col("customer_id").is_in(held.implode()))
    odd = pl.concat([first.join(planned, on=KEY, how="anti"), planned.join(first, on=KEY, how="anti")])["customer_id"]
    if odd.len():
        rows = _at_the_edge(rows, odd, planned, terms.price)
        del board  # as large as the next one
        board = OptionTable.of(rows, consent)
    made = decide_batch(board, terms, asof_ms)
    if not terms.explore:
        offers = made.decisions.filter(pl.col("offer_id") != "none").select(KEY).sort(KEY)
        assert offers.equals(planned.sort(KEY))
    return PriceDecisions(rows, made)


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
        pl.when(closed)
        .then(pl.coalesce("why_not", pl.lit(BUDGET_FILLED_REASON)))
        .otherwise("why_not")
        .alias("why_not"),
        pl.when(mine).then(pl.min_horizontal("charge_cents", enough)).otherwise("charge_cents").alias("charge_cents"),
    )
    return rows.with_columns(rows[name].clone().scatter(at, edge[name]) for name in edge.columns)


SHRINK_FACTOR = 0.95  # what is spent and drawn shrinks by this factor until what was drawn keeps the budget


class BudgetSplit(NamedTuple):
    """A budget of which a share of customers draws: what is left for the plan itself, and that share."""

    budget_cents: float
    explore: float


def uniform_draw_cost(free: pl.DataFrame) -> float:
    """Return the cost, in minor units, if every customer draws evenly from their open offers and none."""
    known = free.drop_nulls(["gain_cents", "cost_cents"])  # what is unknown is closed
    mine = known.group_by("customer_id").agg(pl.col("cost_cents").sum() / (pl.len() + 1))
    return float(mine["cost_cents"].sum())


def split_budget(budget_cents: float, explore: float, even_cents: float) -> BudgetSplit:
    """Split a budget between the plan and the random draws, which take half of it at most."""
    if not explore:
        return BudgetSplit(budget_cents, 0.0)
    explore = min(explore, budget_cents / (2 * even_cents)) if even_cents > 0 else explore
    return BudgetSplit((budget_cents - explore * even_cents) / (1 - explore) if explore < 1 else 0.0, explore)
