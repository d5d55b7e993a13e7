"""Valued candidates on one category in; offers of the same percentage on two categories at once out.

A customer gets one offer. Where he answers to discounts on several categories, a coupon on coffee and tea earns what
the two would earn apart: more of the budget goes to those who answer most.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from promolift.offer.menu import MenuItem, offer_id
from promolift.tables import CANDIDATES
from promolift.terms import AND

BEST = 3  # categories of a customer at one percentage that are paired with one another
PART = ("target", "base_cents", "base_se_cents", "buy_prob", "bought", "margin_rate", "send_cost_cents")


def pair_line(item: MenuItem) -> MenuItem:
    """The line for two categories that belongs to a line for one."""
    return item.model_copy(update={"id": item.id.replace("category", "pair", 1)})


def list_pairs(valued: pl.DataFrame, items: Sequence[MenuItem], price: float) -> pl.DataFrame:
    """CANDIDATES of the lines `pair_line(item)`, with `parts` for `effect.add_effects`; effects unknown.

    At a price p of a cent of budget the best pair are the two best by gain - p cost, so each customer's three best of a
    line are paired with one another. Both must be open, and known as well as each other.
    """
    lines = {item.id: pair_line(item).id for item in items if item.scope == "category" and item.benefit.percent}
    same = ["customer_id", "menu_id", "kind", "evidence"]
    best = _best(valued, list(lines), same, price)
    other = best.select(*same, *PART)
    both = best.join(other, on=same, suffix="_2").filter(pl.col("target") < pl.col("target_2"))
    told = both.with_columns(_parts(both), _covers(), *_sums()).with_columns(pl.col("menu_id").replace_strict(lines))
    keys = told.select("menu_id", "target").unique()
    ids = pl.Series("offer_id", [offer_id(*key) for key in keys.iter_rows()], dtype=pl.String)
    return told.drop("offer_id").join(keys.with_columns(ids), on=["menu_id", "target"], maintain_order="left")


def _best(valued: pl.DataFrame, lines: list[str], same: list[str], price: float) -> pl.DataFrame:
    """Each customer's best open categories of a line, in order; in a narrow frame, since there are many rows."""
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    two = pl.col("target").str.contains(AND, literal=True)
    open_ = pl.col("eligible") & pl.col("menu_id").is_in(lines) & ~two & net.is_not_null()
    ranked = valued.with_row_index("row").filter(open_).select("row", *same, "target", net.alias("net"))
    ranked = ranked.sort("net", "target", descending=[True, False])
    top = ranked.group_by(same, maintain_order=True).head(BEST)["row"]
    wanted = dict.fromkeys([*CANDIDATES.schema, *same, *PART])
    return valued.select(*wanted)[top].sort("customer_id", "menu_id", "target")


def _covers() -> pl.Expr:
    return pl.concat_str("target", "target_2", separator=AND).alias("target")


def _parts(both: pl.DataFrame) -> pl.Series:
    """The two, as `effect.add_effects` values them; telling costs once. Laid side by side and cut into lists of two,
    since a list of structs row by row takes ten times as long."""
    n = both.height
    first = both.select(PART)
    second = both.select(
        *(pl.col(f"{name}_2").alias(name) for name in PART[:-1]), (0 * pl.col("send_cost_cents")).alias(PART[-1])
    )
    sides = pl.concat([first, second])[np.arange(2 * n).reshape(2, n).T.ravel()]
    return sides.to_struct("parts").reshape((n, 2)).arr.to_list()


def _sums() -> list[pl.Expr]:
    """What is said of both together."""
    base, base_2 = pl.col("base_cents"), pl.col("base_cents_2")
    margin = (base * pl.col("margin_rate") + base_2 * pl.col("margin_rate_2")) / (base + base_2)
    return [
        (base + base_2).alias("base_cents"),
        (pl.col("base_se_cents") ** 2 + pl.col("base_se_cents_2") ** 2).sqrt().alias("base_se_cents"),
        (1 - (1 - pl.col("buy_prob")) * (1 - pl.col("buy_prob_2"))).alias("buy_prob"),
        (pl.col("bought") & pl.col("bought_2")).alias("bought"),
        margin.fill_nan(None).alias("margin_rate"),
    ]
