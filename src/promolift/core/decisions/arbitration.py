"""Choose which of several campaigns decides for a customer, and give the rule that settled it.

The campaign is chosen before anything is drawn, by what its best open offer is worth: its holdout and its exploration
then fall on those whom it decides for, so that its propensities are the same as if it were alone.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
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
    """`arbitrate` for each customer of a table: customer_id, won_by and why.

    `bids`: customer_id and the columns of `Bid`, each customer's campaigns differing.
    """
    rows, found = bids.select("customer_id", *Bid._fields).sort("customer_id").iter_rows(), []
    for who, mine in groupby(rows, itemgetter(0)):
        theirs = [Bid(*bid) for _, *bid in mine]
        won = arbitrate(theirs)
        found.append((who, theirs[won.at].campaign_id, won.why))
    return pl.DataFrame(found, dict.fromkeys(("customer_id", "won_by", "why"), pl.String), orient="row")


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
