"""Choose which of several campaigns decides for a customer, and give the rule that settled it.

The campaign is chosen before anything is drawn, by what its best open offer is worth: its holdout and its exploration
then fall on those whom it decides for, so that its propensities are the same as if it were alone.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import polars as pl

ArbitrationReason = Literal["only one", "priority", "value", "name", "nothing pays"]


class Bid(NamedTuple):
    """The best open offer of a campaign, `none` where nothing pays at its price, then worth 0.

    `worth_cents` is its gain less charge and less price x cost: money of the shop, so that campaigns compare.
    """

    campaign_id: str
    priority: int
    offer_id: str
    worth_cents: float


class ArbitrationResult(NamedTuple):
    """The place of the campaign that decides, and the rule that settled it."""

    at: int
    why: ArbitrationReason


def arbitrate(bids: Sequence[Bid]) -> ArbitrationResult:
    """The campaign that decides among at least one: one with an offer that pays goes first, then the higher priority,
    then the greater worth, then the first id.
    """
    order = sorted(range(len(bids)), key=lambda at: _rank(bids[at]))
    best, *rest = (bids[at] for at in order)
    return ArbitrationResult(order[0], _why(best, rest[0] if rest else None))


def arbitrate_batch(bids: pl.DataFrame) -> pl.DataFrame:
    """Arbitrate for many customers at once, as `arbitrate` does: customer_id, won_by and why.

    `bids`: customer_id and the columns of `Bid`, each customer's campaigns differing.
    """
    bid = pl.struct(Bid._fields)
    ranked = bids.with_columns(pays=pl.col("worth_cents") > 0).sort(
        "customer_id", "pays", "priority", "worth_cents", "campaign_id",
        descending=[False, True, True, True, False],
    )  # fmt: skip
    first_two = ranked.group_by("customer_id", maintain_order=True).agg(bid.head(2).alias("bids"))
    best, next_ = (pl.col("bids").list.get(k, null_on_oob=True).struct for k in (0, 1))
    pays = best.field("worth_cents") > 0
    alone = next_.field("campaign_id").is_null() | (pays & (next_.field("worth_cents") <= 0))
    why = (
        pl.when(~pays).then(pl.lit("nothing pays")).when(alone).then(pl.lit("only one"))
        .when(best.field("priority") != next_.field("priority")).then(pl.lit("priority"))
        .when(best.field("worth_cents") != next_.field("worth_cents")).then(pl.lit("value"))
        .otherwise(pl.lit("name"))
    )  # fmt: skip
    return first_two.select("customer_id", best.field("campaign_id").alias("won_by"), why.alias("why"))


def _rank(bid: Bid) -> list[bool | float | str]:
    return [bid.worth_cents <= 0, -bid.priority, -bid.worth_cents, bid.campaign_id]


def _why(best: Bid, other: Bid | None) -> ArbitrationReason:
    if best.worth_cents <= 0:
        return "nothing pays"
    if other is None or other.worth_cents <= 0:
        return "only one"
    if best.priority != other.priority:
        return "priority"
    return "value" if best.worth_cents != other.worth_cents else "name"
