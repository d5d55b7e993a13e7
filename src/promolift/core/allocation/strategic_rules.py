"""Apply a shop's strategic rules to candidates: close offers, prefer offers, or require a least share.

A rule changes what is chosen and no number that is expected: gain and cost of every candidate stay as they are, so that
what a rule costs is the difference between the plans with and without it.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import polars as pl

from promolift.core.allocation.settings import Limit, Risk, StrategicRule
from promolift.core.customers.reason_text import RULE_EXCLUDES, RULE_PINS

NONE = "none"


class BestReturn(NamedTuple):
    """The most that one open candidate earns, and the most that a cent of cost earns on any."""

    gain: float
    per_cent: float

    @classmethod
    def of(cls, *parts: pl.DataFrame) -> Self:
        open_ = [rows.filter("eligible") for rows in parts]
        paid = pl.col("gain_cents").filter(pl.col("cost_cents") > 0) / pl.col("cost_cents").filter(
            pl.col("cost_cents") > 0
        )
        return cls(
            max(0.0, *(float(rows.select(pl.col("gain_cents").max()).item() or 0.0) for rows in open_)),
            max(0.0, *(float(rows.select(paid.max()).item() or 0.0) for rows in open_)),
        )


def is_covered(rule: StrategicRule) -> pl.Expr:
    """Whether a candidate is one that the rule is about."""
    mine = pl.col("menu_id").is_in(list(rule.menu)) if rule.menu else pl.col("offer_id") != NONE
    if rule.segments:
        wanted = pl.lit(list(rule.segments), pl.List(pl.String))
        mine &= (pl.col("segments").list.set_intersection(wanted).list.len() > 0).fill_null(False)
    return mine


def apply_strategic_rules(
    rows: pl.DataFrame, rules: Sequence[StrategicRule], most: BestReturn | None = None
) -> pl.DataFrame:
    """CANDIDATES with their effects and the rules applied: `exclude` closes what it covers; of a customer with a pinned
    offer `pin` closes all others; `boost_cents` is what the choice adds to a gain.

    A pinned offer is preferred to every other use of the budget, also where it loses: `most` says how good that can be,
    where these are not everybody's. `rows` as they are without rules.
    """
    if not rules:
        return rows
    boost = pl.lit(0.0)
    for rule in rules:
        mine = is_covered(rule) & (pl.col("offer_id") != NONE)
        known = pl.col("gain_cents").is_not_null() & pl.col("cost_cents").is_not_null()
        if rule.rule == "exclude":
            rows = _closed(rows, mine, RULE_EXCLUDES.format(rule=repr(rule.name)))
        elif rule.rule == "pin":
            pinned = mine & pl.col("eligible") & known
            others = pinned.any().over("customer_id") & ~pinned & (pl.col("offer_id") != NONE)
            rows = _closed(rows, others, RULE_PINS.format(rule=repr(rule.name)))
            # a budget of so much more earns at most its best return, and one whole offer that it makes room for
            best = most or BestReturn.of(rows)
            elsewhere = pl.col("cost_cents") * best.per_cent + best.gain
            first = elsewhere - pl.min_horizontal(pl.col("gain_cents"), 0.0) + 1.0
            boost += pl.when(pinned).then(first).otherwise(0.0)
        elif rule.rule == "boost":
            boost += pl.when(mine & known).then(rule.boost_cents).otherwise(0.0)
    return rows.with_columns(boost.alias("boost_cents"))


def share_floors(rules: Sequence[StrategicRule]) -> list[Limit]:
    """The limits that rules of a least share become."""
    return [
        Limit(
            name=rule.name,
            measure="count_share",
            at_least=rule.share,
            where={name: values for name, values in (("menu_id", rule.menu), ("segments", rule.segments)) if values},
        )
        for rule in rules
        if rule.rule == "at_least"
    ]


def _closed(rows: pl.DataFrame, which: pl.Expr, why: str) -> pl.DataFrame:
    closed = which & pl.col("eligible")
    return rows.with_columns(
        pl.when(closed).then(pl.lit(why)).otherwise(pl.col("why_not")).alias("why_not"),
        (pl.col("eligible") & ~closed).alias("eligible"),
    )


def add_caution(valued: pl.DataFrame, risk: Risk) -> pl.DataFrame:
    """Candidates with what caution takes off the gains of open ones before the choice."""
    open_ = pl.col("eligible") & (pl.col("offer_id") != "none") & pl.lit(risk.rule == "lower")
    caution = pl.when(open_).then(risk.z * pl.col("gain_se_cents")).otherwise(0.0)
    return valued.with_columns(caution.alias("caution_cents"))


def with_cautious_gains(rows: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the gains that the choice is made by."""
    return rows.with_columns(pl.col("gain_cents") - pl.col("caution_cents").fill_null(0.0))


def rule_boosts(rows: pl.DataFrame) -> pl.Series:
    """What strategic rules add to each gain."""
    if "boost_cents" not in rows.columns:
        return pl.Series("boost_cents", [0.0]).new_from_index(0, rows.height)
    return rows["boost_cents"].fill_null(0.0)


def with_decision_gains(rows: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the gains that the choice is made by: careful ones, and what strategic rules add."""
    rows = with_cautious_gains(rows)
    return rows.with_columns(pl.col("gain_cents") + rule_boosts(rows)) if "boost_cents" in rows.columns else rows


def drop_dominated_offers(free: pl.DataFrame) -> pl.DataFrame:
    """Offers that gain more than every one of the same customer that costs no more: no other is ever the best. Of each
    customer one stays in any case, so that they are counted.
    """
    rows = with_cautious_gains(free).select(
        "customer_id", "offer_id", "gain_cents", "cost_cents", at=pl.int_range(pl.len())
    )
    rows = rows.sort(
        "customer_id", "cost_cents", "gain_cents", "offer_id", descending=[False, False, True, False], nulls_last=True
    )
    gain, first = pl.col("gain_cents"), pl.col("customer_id").is_first_distinct()
    before = gain.shift().cum_max().over("customer_id")
    return free[rows.filter(first | (gain > before).fill_null(False))["at"].sort()]
