"""The shop's printable offers and what the effect model says of each in; the few new lines worth printing and each
customer's best offers of them out.

All is judged at one price p of a cent of budget, the one at which the menu alone is planned: there an offer is worth
its gain - p cost, and an allocation gives a customer the offer that is worth most to him.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from promolift.offer.menu import MenuItem
from promolift.offer.proposals import PROPOSALS, lines
from promolift.offer.settings import OfferProposalSettings


def grid_lines(settings: OfferProposalSettings, menu: Sequence[MenuItem], scopes: Sequence[str]) -> list[MenuItem]:
    """A menu line for every printable percentage on every scope in `scopes`."""
    terms = [
        {"customer_id": "", "scope": scope, "target": None, "because": None, "benefit": "percent_off",
         "percent": percent, "amount_cents": 0, "min_spend_cents": 0, "valid_days": settings.valid_days,
         "channel": None, "hour": None}
        for scope in scopes
        for percent in settings.print.percents
    ]  # fmt: skip
    return lines(pl.DataFrame(terms, schema=PROPOSALS.schema), menu)


def keep_best(valued: pl.DataFrame, price: float, per_line: int) -> pl.DataFrame:
    """Of valued CANDIDATES the open ones of each customer and line with the largest gain - price x cost.

    One would do if nothing but the budget were short; where a limit closes the best category, the next ones are there.
    """
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    rows = valued.filter(pl.col("eligible") & (pl.col("offer_id") != "none") & net.is_not_null())
    order = pl.struct(-net, "offer_id").rank("ordinal").over("customer_id", "menu_id")
    return rows.filter(order <= per_line).sort("customer_id", "offer_id")


def best_lines(menu: pl.DataFrame, proposed: pl.DataFrame, price: float, most: int, least_share: float) -> list[str]:
    """At most `most` lines of valued `proposed`, one after the other the one that adds most to what is there already.

    At a price p of a cent of budget a customer's offers are worth the largest gain - p cost, or nothing; a line must
    add at least `least_share` of what the menu's are worth to everybody together. Greedy: within 1 - 1/e of the best
    choice of so many lines, as each adds the less the more there are (Nemhauser, Wolsey & Fisher 1978).
    """
    net = pl.col("gain_cents") - price * pl.col("cost_cents")
    sides = [
        rows.filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
        .with_columns(net.alias("net"))
        .filter(pl.col("net") > 0)
        for rows in (menu, proposed)
    ]
    had = sides[0].group_by("customer_id").agg(pl.col("net").max().alias("had"))
    best = sides[1].group_by("customer_id", "menu_id").agg(pl.col("net").max())
    wide = best.sort("menu_id", "customer_id").pivot("menu_id", index="customer_id", values="net")
    wide = wide.join(had, on="customer_id", how="left").fill_null(0.0)
    names = [name for name in wide.columns if name not in ("customer_id", "had")]
    worth_NL, had_N = wide.select(names).to_numpy(), wide["had"].to_numpy()
    least, chosen = least_share * float(had["had"].sum()), list[str]()
    for _ in range(min(most, len(names))):
        more_L = np.maximum(worth_NL - had_N[:, None], 0.0).sum(axis=0)
        at = int(more_L.argmax())
        if more_L[at] <= least:
            break
        chosen.append(names[at])
        had_N = np.maximum(had_N, worth_NL[:, at])
    return chosen
