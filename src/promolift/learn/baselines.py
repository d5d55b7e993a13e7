"""Checked candidate rows in; routes out: row numbers in the order in which a rule of thumb would treat customers.

Rows come sorted by (customer_id, offer_id) with Float64 `gain_cents`, `cost_cents` and without the offer `none`.
A route has at most one row per customer. A rule whose columns are missing raises SupportError.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.errors import SupportError
from promolift.hashing import hash_units

Route = NDArray[np.int64]


def same_coupon(rows: pl.DataFrame, spend: float, same_by: str) -> tuple[Route, str]:
    """The single coupon that earns most in hindsight at this spend (by the choosing estimate), and its name.

    For a `menu_id` that holds several offers, each customer's best one counts. In a random order a coupon earns its
    total gain times the share of its total cost that the spend pays; ties go to the first name.
    """
    if same_by not in rows.columns:
        raise SupportError(f"needs the column {same_by!r} of candidates")
    best = (
        rows.with_row_index("at")
        .sort(["customer_id", "gain_cents", "offer_id"], descending=[False, True, False])
        .group_by("customer_id", same_by, maintain_order=True)
        .first()
    )
    total = best.group_by(same_by).agg(pl.col("gain_cents").sum(), pl.col("cost_cents").sum())
    paid = pl.when(pl.col("cost_cents") > spend).then(spend / pl.col("cost_cents")).otherwise(1.0)
    ranked = total.with_columns(earns=pl.col("gain_cents") * paid).sort(["earns", same_by], descending=[True, False])
    name = str(ranked[same_by][0])
    return best.filter(pl.col(same_by) == name).sort("customer_id")["at"].to_numpy().astype(np.int64), name


def best_first(rows: pl.DataFrame, profiles: pl.DataFrame, rfm: tuple[str, str, str], same: Route | None) -> Route:
    """Best customers first, each with the `same` coupon's row or, if None, with the own offer of highest gain.

    An own offer is given only where its gain is above 0. Customers without a profile come last.
    """
    score = rfm_score(profiles, rfm)
    offered = rows.with_row_index("at")
    own = _top(offered, "gain_cents").filter(pl.col("gain_cents") > 0)
    given = own if same is None else offered[same.tolist()]
    ordered = given.join(score, on="customer_id", how="left").sort(
        ["rfm_score", "rfm_money", "customer_id"], descending=[True, True, False], nulls_last=True
    )
    return ordered["at"].to_numpy().astype(np.int64)


def rfm_score(profiles: pl.DataFrame, rfm: tuple[str, str, str]) -> pl.DataFrame:
    """3 to 15 per customer: fifths of recency (recent is 5), frequency and money added, as shops do it by hand.

    A missing value counts as the lowest fifth. `rfm_money` breaks ties.
    """
    if missing := [name for name in ("customer_id", *rfm) if name not in profiles.columns]:
        raise SupportError(f"needs the columns {missing} of profiles")
    known = profiles.select("customer_id", *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in rfm))
    fifths = [
        (pl.col(name).rank("average", descending=name == rfm[0]) * 5 / pl.col(name).count()).ceil().fill_null(1)
        for name in rfm
    ]
    return known.select("customer_id", rfm_money=rfm[2], rfm_score=pl.sum_horizontal(fifths))


def by_response(rows: pl.DataFrame, response: str) -> Route:
    """Each customer's offer with the highest redemption probability, the surest customers first."""
    if response not in rows.columns or rows[response].null_count():
        raise SupportError(f"needs the column {response!r} of candidates, without gaps")
    top = _top(rows.with_row_index("at"), response)
    ordered = top.sort([response, "customer_id"], descending=[True, False])
    return ordered["at"].to_numpy().astype(np.int64)


def random_offers(rows: pl.DataFrame, seed: int, orders: int) -> list[Route]:
    """`orders` times: every customer one offer by hash, customers in hash order."""
    names = rows["customer_id"].unique(maintain_order=True).to_list()
    size = rows.group_by("customer_id", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    first = np.cumsum(size) - size
    routes = []
    for s in range(orders):
        pick = first + np.floor(hash_units((seed, "offer", s), names) * size).astype(np.int64)
        routes.append(pick[np.argsort(hash_units((seed, "order", s), names), kind="stable")])
    return routes


def _top(offered: pl.DataFrame, by: str) -> pl.DataFrame:
    """One row per customer: the highest `by`, ties to the first offer_id."""
    ranked = offered.sort(["customer_id", by, "offer_id"], descending=[False, True, False])
    return ranked.group_by("customer_id", maintain_order=True).first()
