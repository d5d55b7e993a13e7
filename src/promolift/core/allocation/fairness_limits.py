"""Derive limits that keep each group's share of offers within a band around its share of customers.

A band around a group's share of the customers is linear in who gets what (offers of the group - share * all offers), so
these are limits as any other: with their price, within the plan's certificate. See Bertsimas, Farias, Trichakis 2011,
Operations Research 59(1), on the price of fairness.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from promolift.core.allocation.settings import FairnessSettings, Limit, Measure

MEASURES: dict[str, Measure] = {"offers": "count_share", "value": "cost_share"}
GROUPS_COLUMN = "groups"  # of candidates: `column=value` of each column compared
LOYAL_GROUP = "loyalty=loyal"
OFFER_SHARE_PREFIX = "fair share of offers: "  # begin the names of the limits
VALUE_SHARE_PREFIX = "fair share of value: "


class FairnessLimit(NamedTuple):
    """A limit on a group (`sex=F`), and the group's share of the customers who can be offered something."""

    limit: Limit
    group: str
    population_share: float


def make_fairness_limits(people: pl.DataFrame, settings: FairnessSettings) -> tuple[FairnessLimit, ...]:
    """The limits on `people`, who can be offered something: customer_id and `groups`, `column=value` of each column.

    Of two groups only the smaller is limited: its band is the narrower, and keeps the other's. No limit on groups of
    fewer than `least_customers`, none where all are in one group, one where two groups are the same customers.
    """
    mine = people.select("customer_id", pl.col(GROUPS_COLUMN).alias("group")).explode("group").drop_nulls()
    sizes = mine.sort("customer_id").group_by("group").agg(pl.len(), pl.col("customer_id").hash().sum().alias("who"))
    counted = sizes.filter(pl.col("len") >= settings.least_customers).sort("group")
    shares = {group: size / people.height for group, size in counted.select("group", "len").iter_rows()}
    twice = set(
        counted.filter(~pl.col("who").is_first_distinct() & ~pl.col("group").str.starts_with("loyalty="))["group"]
    )
    found = []
    for kind in settings.of:
        if settings.band is not None:
            for group in (each for each in groups_to_limit(shares) if each not in twice):
                a, band = shares[group], settings.band
                found.append(
                    _limit(
                        kind, group, a, at_least=(1 - band) * a, at_most=min((1 + band) * a, 1.0),
                        slack=1.0 if kind == "offers" else 0.0,
                    )
                )  # fmt: skip
        if settings.loyal_never_worse and 0 < shares.get(LOYAL_GROUP, 0.0) < 1:
            found.append(_limit(kind, LOYAL_GROUP, shares[LOYAL_GROUP], at_least=shares[LOYAL_GROUP]))
    return tuple(found)


def groups_to_limit(shares: dict[str, float]) -> Iterator[str]:
    """The groups of each column that need a limit of their own."""
    of: dict[str, list[str]] = {}
    for group in shares:
        of.setdefault(group.partition("=")[0], []).append(group)
    for column, groups in of.items():
        whole = sum(shares[group] for group in groups) > 1 - 1e-9
        if column == LOYAL_GROUP.partition("=")[0] or (whole and len(groups) == 1):
            continue
        yield from [min(groups, key=lambda group: (shares[group], group))] if whole and len(groups) == 2 else groups


def _limit(kind: str, group: str, share: float, **bounds: float) -> FairnessLimit:
    start = OFFER_SHARE_PREFIX if kind == "offers" else VALUE_SHARE_PREFIX
    name = f"{start}{'loyal not worse than new' if group == LOYAL_GROUP else group}"
    limit = {"name": name, "measure": MEASURES[kind], "where": {GROUPS_COLUMN: (group,)}, **bounds}
    return FairnessLimit(Limit.parse(limit, "fairness"), group, share)


def same_for_all_offers(limits: Iterable[Limit]) -> bool:
    """Whether limits ask the same of all offers of one customer, so that dominated ones are never needed."""
    return all(limit.measure == "count_share" and set(limit.where) == {GROUPS_COLUMN} for limit in limits)
