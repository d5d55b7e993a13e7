"""Compare a plan with the usual rules of thumb at equal spend.

All policies are chosen with `gain_cents` (profit after the discount). A plan graded by the estimate that chose it is
flattered: where there is `gain_check_cents`, from other households or weeks, every policy is valued with that, too.

Legend: R candidate rows (offer `none` left out); a route is their numbers in the order of treatment.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from promolift.foundation.errors import BudgetError, InputError, SupportError
from promolift.foundation.hashing import hash_int, hash_units
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

Route = NDArray[np.int64]
Floats = NDArray[np.float64]
RFM_COLUMNS = ("recency_days", "orders_total", "revenue_total_cents")
EVIDENCE_LEVELS = ("simulated", "assumed", "adjusted", "randomised")
COMPARISON_SCHEMA = {
    "policy": pl.String,
    "valued_by": pl.String,
    "expected_profit_cents": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "plan_lead_cents": pl.Float64,
    "lead_low": pl.Float64,
    "lead_high": pl.Float64,
    "spend_cents": pl.Float64,
    "treated": pl.Float64,
    "customers": pl.Int64,
    "evidence": pl.String,
    "interval": pl.String,
    "note": pl.String,
}


class CompareSettings(Settings):
    """`orders` hash orders are averaged where the order is random; `draws` of the bootstrap."""

    seed: int = 1
    orders: int = Field(default=32, ge=1)
    draws: int = Field(default=400, ge=40)


@dataclass(frozen=True)
class _Policy:
    """Routes of row numbers in the order of treatment; `filled` routes stop when the plan's spend is reached."""

    name: str
    routes: list[Route]
    filled: bool = True
    note: str = ""


@dataclass(frozen=True)
class _Totals:
    profit: float
    spend: float
    treated: float


def compare_policies(
    candidates: pl.DataFrame,
    plan: pl.DataFrame,
    budget_cents: float,
    profiles: pl.DataFrame,
    settings: CompareSettings | None = None,
) -> pl.DataFrame:
    """One row per policy and estimate (`valued_by`: own, check), with the plan's lead over it and 95 % intervals.

    `nobody` gets nothing, and `everybody` the one coupon that then earns most, whatever it costs. Every other baseline
    is filled, customer by customer, to what the plan spends and never above: the last customer is taken in part, so
    that spend is equal to the cent; a baseline that runs out of customers before has a lower `spend_cents` and a note.
    A policy whose columns are missing has null figures and a note.
    Intervals: Bayesian bootstrap over customers (Rubin 1981, Annals of Statistics 9), refilled to the plan's spend in
    each draw.
    Raises BudgetError if the plan costs more than the budget, InputError if it holds rows that are no candidates,
    SupportError if it treats nobody or the check estimate has gaps.
    """
    knobs = settings or CompareSettings()
    rows = _rows(candidates)
    chosen = _plan_rows(rows, plan)
    spend = float(rows["cost_cents"].to_numpy()[chosen].sum())
    if spend > budget_cents * (1 + 1e-9):
        raise BudgetError(
            "budget_exceeded",
            gettext_lazy(
                "plan: it is expected to spend {spend} cents, above the budget of {budget_cents}",
                spend=f"{spend:.0f}",
                budget_cents=f"{budget_cents:.0f}",
            ),
        )
    policies = [_Policy("plan", [chosen], filled=False), *_baselines(rows, spend, profiles, knobs)]
    tables = []
    for valued_by, column in (("check", "gain_check_cents"), ("own", "gain_cents")):
        if column in rows.columns:
            tables.append(_value_all(rows, policies, valued_by, column, knobs))
    return pl.concat(tables)


def _rows(candidates: pl.DataFrame) -> pl.DataFrame:
    """Checked rows in key order; closed and unjudged pairs are left out."""
    need = ("customer_id", "offer_id", "gain_cents", "cost_cents")
    if missing := [name for name in need if name not in candidates.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "candidates: columns {missing} are missing; it has {columns}",
                missing=missing,
                columns=candidates.columns,
            ),
        )
    open_ = pl.col("eligible").fill_null(False) if "eligible" in candidates.columns else pl.lit(True)
    judged = pl.col("gain_cents").is_not_null() & pl.col("cost_cents").is_not_null()
    offers = candidates.filter(open_ & judged & (pl.col("offer_id") != "none"))
    rows = offers.sort("customer_id", "offer_id")
    if rows.is_empty():
        raise SupportError(
            "candidates_empty", gettext_lazy("candidates: no row offers anything, so there is nothing to compare")
        )
    if rows.select(pl.struct("customer_id", "offer_id").is_duplicated().any()).item():
        raise InputError(
            "rows_duplicate",
            gettext_lazy("candidates: a customer has the same offer twice; key (customer_id, offer_id) must be unique"),
        )
    for name in ("gain_cents", "cost_cents"):
        if not rows.select(pl.col(name).cast(pl.Float64).is_finite().fill_null(False).all()).item():
            raise InputError(
                "value_invalid",
                gettext_lazy(
                    "candidates.{name}: every value must be finite; a gain nobody knows is left missing", name=name
                ),
            )
    if rows.select((pl.col("cost_cents") < 0).any()).item():
        raise InputError("value_invalid", gettext_lazy("candidates.cost_cents: an expected cost is negative"))
    if "gain_check_cents" in rows.columns:
        gaps = rows.select((~pl.col("gain_check_cents").cast(pl.Float64).is_finite()).fill_null(True).sum()).item()
        if gaps:
            what = gettext_lazy(
                "{gaps} of {height} rows have no value; an unknown gain is not zero", gaps=gaps, height=rows.height
            )
            raise SupportError(
                "value_missing",
                gettext_lazy("candidates.gain_check_cents: {what}. Leave these rows out or drop the column", what=what),
            )
    return rows.with_columns(pl.col("gain_cents", "cost_cents").cast(pl.Float64))


def _plan_rows(rows: pl.DataFrame, plan: pl.DataFrame) -> Route:
    taken = plan.filter(pl.col("offer_id") != "none").select("customer_id", "offer_id")
    if taken.is_empty():
        raise SupportError("plan_empty", gettext_lazy("plan: it treats nobody, so there is no spend to compare at"))
    if taken["customer_id"].is_duplicated().any():
        raise InputError("plan_invalid", gettext_lazy("plan: a customer has more than one offer"))
    keyed = rows.select("customer_id", "offer_id").with_row_index("at")
    found = taken.join(keyed, on=["customer_id", "offer_id"], how="left").sort("customer_id")
    if found["at"].null_count():
        first = found.filter(pl.col("at").is_null()).select("customer_id", "offer_id").head(3).rows()
        raise InputError(
            "ids_unmatched",
            gettext_lazy(
                "plan: {null_count} rows are not among the candidates; first {first}",
                null_count=found["at"].null_count(),
                first=first,
            ),
        )
    return found["at"].to_numpy().astype(np.int64)


def _baselines(rows: pl.DataFrame, spend: float, profiles: pl.DataFrame, knobs: CompareSettings) -> Iterable[_Policy]:
    """Nothing for anybody, one coupon for all who can have it, and the usual rules of thumb; one whose columns are
    missing comes without routes and says which."""
    yield _Policy("nobody", [np.empty(0, np.int64)], filled=False)
    anybody = same_coupon(rows, float("inf"))
    note = f"coupon {anybody.name}, beyond the budget if need be"
    yield _Policy("everybody", [anybody.route], filled=False, note=note)
    coupon = same_coupon(rows, spend)
    makers: dict[str, Callable[[], list[Route]]] = {
        "same_coupon": partial(_shuffled, rows, coupon.route, knobs),
        "best_customers_same_coupon": lambda: [best_customers_first(rows, profiles, coupon.route)],
        "best_customers_own_offer": lambda: [best_customers_first(rows, profiles, None)],
        "best_response": lambda: [by_redemption(rows)],
        "random": lambda: random_offers(rows, knobs.seed, knobs.orders),
    }
    for name, make in makers.items():
        note = f"coupon {coupon.name}" if name.endswith("same_coupon") else ""
        if name in ("same_coupon", "random"):
            note = "; ".join(filter(None, (note, f"mean of {knobs.orders} hash orders")))
        try:
            yield _Policy(name, make(), note=note)
        except SupportError as gap:
            yield _Policy(name, [], note=str(gap))


def _shuffled(rows: pl.DataFrame, route: Route, knobs: CompareSettings) -> list[Route]:
    """The same rows in `orders` hash orders of their customers."""
    names = rows["customer_id"].gather(route).to_list()
    return [route[np.argsort(hash_units((knobs.seed, "order", s), names), kind="stable")] for s in range(knobs.orders)]


def _value_all(
    rows: pl.DataFrame, policies: list[_Policy], valued_by: str, column: str, knobs: CompareSettings
) -> pl.DataFrame:
    """The table for one estimate: point values, and intervals from `draws` reweighted markets."""
    gain_R, cost_R = rows[column].cast(pl.Float64).to_numpy(), rows["cost_cents"].to_numpy()
    ones = np.ones(rows.height)
    plan = policies[0].routes[0]
    spend = float(cost_R[plan].sum())
    points = [
        [spend_along_route(r, gain_R, cost_R, ones, spend if p.filled else None) for r in p.routes] for p in policies
    ]
    drawn = np.full((knobs.draws, len(policies)), np.nan)
    weights = _weights(rows, knobs.seed)
    for b, weight_R in zip(range(knobs.draws), weights or (), strict=False):
        goal = float((cost_R * weight_R)[plan].sum())
        for j, policy in enumerate(policies):
            if policy.routes:
                # One order per draw, as its deviation from its own point value: the orders' own noise cancels out.
                s = b % len(policy.routes)
                total = spend_along_route(policy.routes[s], gain_R, cost_R, weight_R, goal if policy.filled else None)
                drawn[b, j] = total.profit - points[j][s].profit
    source = "none: one customer" if weights is None else "customers"
    profit = [float(np.mean([t.profit for t in point])) if point else None for point in points]
    table = [
        {
            "policy": policy.name,
            "valued_by": valued_by,
            "expected_profit_cents": profit[j],
            **_interval(profit[j], drawn[:, j]),
            **_lead(profit[0], profit[j] if j else None, drawn[:, 0] - drawn[:, j]),
            **_sizes(policy, points[j], spend),
            "customers": rows["customer_id"].n_unique(),
            "evidence": _evidence(rows, [*policy.routes, plan]),
            "interval": source if policy.routes else None,
        }
        for j, policy in enumerate(policies)
    ]
    return pl.DataFrame(table, schema=COMPARISON_SCHEMA)


def spend_along_route(route: Route, gain_R: Floats, cost_R: Floats, weight_R: Floats, spend: float | None) -> _Totals:
    """Treat the route's rows in order until `spend` is reached, the last one in part; all if `spend` is None."""
    cost = cost_R[route] * weight_R[route]
    share = np.ones(route.size)
    if spend is not None:
        left = spend - (np.cumsum(cost) - cost)
        # A free row takes no spend: it is treated as long as the money before it was within the limit.
        share = np.where(cost > 0, np.clip(left / np.where(cost > 0, cost, 1.0), 0.0, 1.0), left >= 0)
    profit = float(np.sum(gain_R[route] * weight_R[route] * share))
    return _Totals(profit, float(np.sum(cost * share)), float(share.sum()))


def _weights(rows: pl.DataFrame, seed: int) -> Iterator[Floats] | None:
    """Draws of the weight of each row: exponential per customer, of mean 1 over customers."""
    names, at = np.unique(rows["customer_id"].to_numpy().astype(str), return_inverse=True)
    if names.size < 2:
        return None
    draw = np.random.default_rng(hash_int(seed, "weight"))
    drawn = (draw.standard_exponential(names.size) for _ in count())
    return ((weight / weight.mean())[at] for weight in drawn)


def _interval(point: float | None, deviation: Floats, prefix: str = "") -> dict[str, float | None]:
    low, high = f"{prefix}low", f"{prefix}high"
    if point is None or np.isnan(deviation).any():
        return {low: None, high: None}
    ends = np.quantile(deviation, (0.025, 0.975))
    return {low: point + float(ends[0]), high: point + float(ends[1])}


def _lead(plan: float | None, other: float | None, deviation: Floats) -> dict[str, float | None]:
    """How much more the plan earns; the draws are paired, so what the two share cancels."""
    lead = None if plan is None or other is None else plan - other
    return {"plan_lead_cents": lead, **_interval(lead, deviation, "lead_")}


def _sizes(policy: _Policy, point: list[_Totals], spend: float) -> dict[str, float | str | None]:
    if not point:
        return {"spend_cents": None, "treated": None, "note": policy.note}
    spent = float(np.mean([t.spend for t in point]))
    short = "" if not policy.filled or spent >= spend * (1 - 1e-9) else "ran out of customers before the plan's spend"
    return {
        "spend_cents": spent,
        "treated": float(np.mean([t.treated for t in point])),
        "note": "; ".join(filter(None, (policy.note, short))),
    }


def _evidence(rows: pl.DataFrame, routes: list[Route]) -> str:
    """The weakest level among the rows the policy or the plan may use; `assumed` where the candidates say nothing."""
    if "evidence" not in rows.columns:
        return "assumed"
    found = set(rows["evidence"].fill_null("assumed").gather(np.unique(np.concatenate(routes))).to_list())
    if unknown := sorted(found - set(EVIDENCE_LEVELS)):
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "candidates.evidence: unknown levels {unknown}; known are {evidence_levels}",
                unknown=unknown,
                evidence_levels=", ".join(EVIDENCE_LEVELS),
            ),
        )
    return EVIDENCE_LEVELS[min(EVIDENCE_LEVELS.index(level) for level in found)]


class SameCoupon(NamedTuple):
    """A coupon that all get who can have it: their rows, and its name."""

    route: Route
    name: str


def same_coupon(rows: pl.DataFrame, spend: float) -> SameCoupon:
    """The single coupon that earns most in hindsight at this spend (by the choosing estimate).

    In a random order a coupon earns its total gain times the share of its total cost that the spend pays; ties go to
    the first name.
    """
    total = rows.group_by("offer_id").agg(pl.col("gain_cents").sum(), pl.col("cost_cents").sum())
    paid = pl.when(pl.col("cost_cents") > spend).then(spend / pl.col("cost_cents")).otherwise(1.0)
    ranked = total.with_columns(earns=pl.col("gain_cents") * paid).sort(["earns", "offer_id"], descending=[True, False])
    name = str(ranked["offer_id"][0])
    return SameCoupon(np.flatnonzero(rows["offer_id"] == name), name)


def best_customers_first(rows: pl.DataFrame, profiles: pl.DataFrame, same: Route | None) -> Route:
    """Best customers first, each with the `same` coupon's row or, if None, with the own offer of highest gain.

    An own offer is given only where its gain is above 0. Customers without a profile come last.
    """
    score = rfm_score(profiles)
    offered = rows.with_row_index("at")
    own = _top(offered, "gain_cents").filter(pl.col("gain_cents") > 0)
    given = own if same is None else offered[same.tolist()]
    ordered = given.join(score, on="customer_id", how="left").sort(
        ["rfm_score", "rfm_money", "customer_id"], descending=[True, True, False], nulls_last=True
    )
    return ordered["at"].to_numpy().astype(np.int64)


def rfm_score(profiles: pl.DataFrame) -> pl.DataFrame:
    """3 to 15 per customer: quintiles of recency (recent is 5), frequency and money added, as shops do it by hand.

    A missing value counts as the lowest quintile. `rfm_money` breaks ties.
    """
    if missing := [name for name in ("customer_id", *RFM_COLUMNS) if name not in profiles.columns]:
        raise SupportError("column_missing", gettext_lazy("needs the columns {missing} of profiles", missing=missing))
    known = profiles.select("customer_id", *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in RFM_COLUMNS))
    quintiles = [
        (pl.col(name).rank("average", descending=name == "recency_days") * 5 / pl.col(name).count()).ceil().fill_null(1)
        for name in RFM_COLUMNS
    ]
    return known.select("customer_id", rfm_money="revenue_total_cents", rfm_score=pl.sum_horizontal(quintiles))


def by_redemption(rows: pl.DataFrame) -> Route:
    """Each customer's offer with the highest redemption probability, the surest customers first."""
    if "redeem_prob" not in rows.columns or rows["redeem_prob"].null_count():
        raise SupportError("column_missing", gettext_lazy("needs the column 'redeem_prob' of candidates, without gaps"))
    top = _top(rows.with_row_index("at"), "redeem_prob")
    ordered = top.sort(["redeem_prob", "customer_id"], descending=[True, False])
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
