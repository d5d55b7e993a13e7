"""Stored results of the evaluate step: quality of predictions, policies at equal spend, sources of the gain."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, get_args

import polars as pl

from promolift.core import effects
from promolift.foundation.evidence import Level
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.histograms import rows_as
from promolift.shop.results.plan import estimate_luck
from promolift.shop.results.plan_note import Luck
from promolift.shop.results.predictions import Predictions, UncheckedPredictions

EQUAL_SPEND = 0.05  # policies whose spend differs by more than this part are not called equal
LEAST_CHECKED = 30  # customers whose uplift at a depth says what luck takes there
LEVELS: tuple[Level, ...] = get_args(Level)  # the strongest first
_OURS = pl.col("policy") == "plan"


class Lead(Settings):
    """The plan against the best of `others` other policies, all valued by the same estimate.

    `lead_cents` is what the plan earns more, its interval (95 %) from paired draws. `apart`: whether the intervals of
    the two do not overlap, None where one has none. `evidence` is the weaker of the two.
    """

    rival: str
    others: int
    plan_cents: float
    lead_cents: float
    low_cents: float | None
    high_cents: float | None
    equal_spend: bool
    apart: bool | None
    evidence: Level | None

    @property
    def shown(self) -> bool:
        """Whether the plan is better beyond chance: by the interval of the difference, else by the two intervals."""
        return self.lead_cents > 0 and (bool(self.apart) if self.low_cents is None else self.low_cents > 0)


@dataclass(frozen=True)
class Evaluation:
    """How good the `predictions` are, `policies` at equal spend (None where none could be compared), and why a check is
    missing. Tables are read when they are asked for."""

    store: Store
    unchecked: dict[str, str]

    @classmethod
    def load(cls, store: Store) -> Self:
        return cls(store, UncheckedPredictions.load(store).reasons)

    @cached_property
    def predictions(self) -> Predictions:
        """How good the predictions are; empty where nothing could be checked."""
        return Predictions.load(self.store)

    @cached_property
    def policies(self) -> pl.DataFrame | None:
        """`experiments.compare_policies`: each policy by each estimate; None where there is nothing to compare."""
        return self.store.frame("policies") if self.store.has("policies") else None

    @cached_property
    def uplift_check(self) -> pl.DataFrame | None:
        """What cross-fitting leaves of the uplift by depth; None where no response was fitted."""
        return self.store.frame("uplift_check") if self.store.has("uplift_check") else None

    @cached_property
    def judged(self) -> pl.DataFrame | None:
        """Policies valued by the estimate that did not choose them where there is one, the best first."""
        rows = self.policies
        if rows is None:
            return None
        judge = "check" if "check" in rows["valued_by"] else "own"
        known = rows.filter((pl.col("valued_by") == judge) & pl.col("expected_profit_cents").is_not_null())
        return known.sort("expected_profit_cents", "policy", descending=[True, False])

    @cached_property
    def lead(self) -> Lead | None:
        """The plan against the best other policy that spends no more; None where there is no such pair."""
        rows = self.judged
        ours, others = ([], []) if rows is None else (rows.filter(_OURS).to_dicts(), rows.filter(~_OURS).to_dicts())
        most = (1 + EQUAL_SPEND) * ours[0]["spend_cents"] if ours else 0.0
        others = [each for each in others if each["spend_cents"] <= most]
        return _lead(ours[0], others[0], len(others)) if ours and others else None

    @cached_property
    def luck(self) -> Luck | None:
        return None if self.policies is None else estimate_luck(self.policies)


class DepthUplift(Settings):
    """How much more the plan's customers with an offer of `depth` are expected to buy in its days, as shares.

    `lift` is what the chosen candidates hold, `checked` the same less what luck adds: customers and depths chosen by
    one half of the customers and valued by the other. None where no response was fitted.
    """

    depth: float
    customers: int
    lift: float
    checked: float | None = None


def uplift_by_depth(rows: pl.DataFrame, response: str = "response_now") -> pl.DataFrame:
    """depth, customers, lift of chosen percentages off, weighted by what customers with the offer buy without it."""
    if response not in rows.columns:
        return pl.DataFrame(schema={"depth": pl.Float64, "customers": pl.Int64, "lift": pl.Float64})
    base = pl.col("base_cents") * pl.col("reach")
    lift = (base * ((pl.col(response) * pl.col("depth")).exp() - 1)).sum() / base.sum()
    known = effects.explode_parts(rows).filter((base > 0) & pl.col(response).is_not_null(), benefit="percent_off")
    return (
        known.group_by("depth")
        .agg(pl.col("customer_id").n_unique().cast(pl.Int64).alias("customers"), lift.alias("lift"))
        .sort("depth")
    )


def depth_uplift(chosen: pl.DataFrame, check: pl.DataFrame | None) -> tuple[DepthUplift, ...]:
    """From the plan's `chosen`, and what cross-fitting leaves of the lift of those it chose: depth, customers, lift,
    checked. A depth that it hardly chose loses what all lose."""
    mine = uplift_by_depth(chosen).with_columns(checked=pl.lit(None, pl.Float64))
    if check is not None and check.height:
        left = (
            check.select(pl.col("checked", "lift").dot("customers")).select(pl.col("checked") / pl.col("lift")).item()
        )
        known = check.filter(pl.col("customers") >= LEAST_CHECKED).select(
            "depth", left=pl.col("checked") / pl.col("lift")
        )
        share = pl.col("left").fill_null(left).fill_nan(1.0).clip(0.0, 1.0)
        mine = mine.join(known, on="depth", how="left").with_columns(checked=pl.col("lift") * share).drop("left")
    return rows_as(DepthUplift, mine.sort("depth"))


def weakest(levels: Iterable[str]) -> Level | None:
    """The weakest of the levels; None if there is none, or one that is not known."""
    found = {*levels}
    return next((level for level in reversed(LEVELS) if level in found), None) if found <= {*LEVELS} else None


def _lead(us: dict[str, Any], rival: dict[str, Any], others: int) -> Lead:
    ends = (us["low"], us["high"], rival["low"], rival["high"])
    spend = max(us["spend_cents"], rival["spend_cents"])
    return Lead(
        rival=rival["policy"],
        others=others,
        plan_cents=us["expected_profit_cents"],
        lead_cents=us["expected_profit_cents"] - rival["expected_profit_cents"],
        low_cents=rival["lead_low"],
        high_cents=rival["lead_high"],
        equal_spend=abs(us["spend_cents"] - rival["spend_cents"]) <= EQUAL_SPEND * max(spend, 1.0),
        apart=None if None in ends else bool(us["low"] > rival["high"] or us["high"] < rival["low"]),
        evidence=weakest((us["evidence"], rival["evidence"])),
    )


class Worth(Settings):
    """How the promised gain of a plan comes about, in minor units.

    `anyway_cents` is what those with an offer are expected to buy in the window of what it is on, at full price and
    without it; `more_cents` what they buy beyond that, without what is only bought earlier; both None where not every
    offer is a percentage off, as orders beyond a threshold are not split so. `margin_cents` is the margin of what is
    bought more; `discount_cents` and `send_cents` what the discounts and telling cost the shop. `small`: offers whose
    gain is below `small_below_cents`.
    """

    offers: int
    anyway_cents: float | None
    more_cents: float | None
    margin_cents: float
    discount_cents: float
    send_cents: float
    gain_cents: float
    small: int
    small_below_cents: float

    @classmethod
    def of(cls, chosen: pl.DataFrame, small_below_cents: float) -> Self | None:
        """From the plan's `chosen`; None for an empty plan."""
        if chosen.is_empty():
            return None
        rows, anyway, more = effects.explode_parts(chosen), None, None
        if (rows["benefit"] == "percent_off").all() and "response_net" in rows.columns:
            base = pl.col("base_cents") * pl.col("reach")
            grown = base * ((pl.col("response_net") * pl.col("depth")).exp() - 1)
            anyway, more = (float(x) for x in rows.select(base.sum(), more=grown.sum()).row(0))
        totals = {name: float(chosen[f"{name}_cents"].sum()) for name in ("added", "subsidy", "cost", "gain")}
        return cls(
            offers=chosen.height, anyway_cents=anyway, more_cents=more, margin_cents=totals["added"],
            discount_cents=totals["subsidy"], send_cents=totals["cost"] - totals["subsidy"], gain_cents=totals["gain"],
            small=chosen.filter(pl.col("gain_cents") < small_below_cents).height, small_below_cents=small_below_cents,
        )  # fmt: skip
