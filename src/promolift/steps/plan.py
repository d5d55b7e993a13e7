"""Step 4: profiles and models in; candidates, the plan and a decision record for every customer kept."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate, deliver, effect, offer
from promolift.allocate.risk import Risk, cautious
from promolift.errors import SupportError
from promolift.message import is_couponable, is_sensitive
from promolift.privacy import may_send
from promolift.sql import DAY_MS
from promolift.steps.job import Job, Moments, moments
from promolift.steps.propose import with_proposals
from promolift.steps.targets import list_people, list_resting, list_targets
from promolift.tables import CUSTOMERS

LEVELS = ("assumed", "adjusted", "randomised")
LIMIT = "one category: "
CURVE_POINTS = 9
FRONTIER = {
    "budget_cents": pl.Float64, "gain_cents": pl.Float64, "cost_cents": pl.Float64, "price": pl.Float64,
    "treated": pl.Int64, "bound_cents": pl.Float64,
}  # fmt: skip


def run(job: Job) -> None:
    """Candidates, their effects, the choice within the budget, and the records of every decision."""
    at = moments(job)
    response = effect.DiscountResponse.from_dict(job.store.load_json("response"))
    job.tell("plan", 0.1, "candidate offers")
    listed = candidates(job, at)
    job.tell("plan", 0.4, f"effect of {listed.height:,} candidates")
    valued = effect.add_effects(listed, response, coupon_odds(job), job.config.value)
    floor = evidence_floor(job, valued)
    job.store.save("candidates", with_risk(close_weak(valued, floor), job.config.plan.risk))
    job.tell("plan", 0.7, "choice within the budget")
    decide(job, at, floor)


def candidates(job: Job, at: Moments) -> pl.DataFrame:
    """Every customer's candidate offers, those proposed beyond the menu included; effects still unknown."""
    targets = list_targets(job, at.asof)
    rules = job.config.rules
    rules = rules.model_copy(update={"excluded": tuple(sorted({*rules.excluded, *private(job, targets)}))})
    resting = list_resting(job, at.asof)
    listed = offer.list_candidates(list_people(job, at.asof), targets, job.config.menu, rules, resting)
    return with_proposals(job, at, listed, rules, job.config.offer)


def private(job: Job, targets: pl.DataFrame) -> list[str]:
    """Targets that a message must not name by itself or on which offers are unlawful, by own or category name."""
    catalogue = job.store.frame("products").select(pl.col("product_id").alias("target"), "name", "category")
    known = targets.select("target", "kind").unique().join(catalogue, on="target", how="left").sort("target", "kind")
    return [
        target
        for target, kind, name, category in known.iter_rows()
        if is_sensitive(name or target, kind)
        or not is_couponable(name or target, kind)
        or (kind == "product" and category and (is_sensitive(category) or not is_couponable(category)))
    ]


def coupon_odds(job: Job) -> pl.DataFrame | None:
    """customer_id, target, redeem_prob from the redemption model; None where there is none."""
    return job.store.frame("redemption_odds") if job.store.has("redemption_odds") else None


def free_candidates(job: Job) -> pl.DataFrame:
    """Open candidates of those who may be written to and are not held out: what the budget is spent on."""
    free = job.store.frame("decisions").filter(pl.col("holdout").eq(False))["customer_id"]
    rows = job.store.frame("candidates").filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
    return rows.filter(pl.col("customer_id").is_in(free.implode())).sort("customer_id", "offer_id")


def evidence_floor(job: Job, valued: pl.DataFrame) -> str:
    """The weakest evidence an offer may have to be planned; auto: the strongest that any open offer reaches."""
    asked = job.config.plan.weakest_evidence
    if asked != "auto":
        return asked
    found = set(valued.filter(pl.col("eligible"))["evidence"].drop_nulls().unique())
    return next((level for level in reversed(LEVELS) if level in found), LEVELS[0])


def close_weak(valued: pl.DataFrame, floor: str) -> pl.DataFrame:
    """Close candidates whose effect is known less well than `floor`; their expected effects stay to be looked at."""
    weaker = list(LEVELS[: LEVELS.index(floor)])
    weak = pl.col("evidence").is_in(weaker).fill_null(False) & pl.col("eligible")
    why = pl.format("its effect is only {}: test it before planning with it", pl.col("evidence"))
    return valued.with_columns(
        pl.when(weak).then(why).otherwise(pl.col("why_not")).alias("why_not"),
        (pl.col("eligible") & ~weak).alias("eligible"),
    )


def with_risk(valued: pl.DataFrame, risk: Risk) -> pl.DataFrame:
    """Gains of the open candidates by the risk rule, the naive ones beside them."""
    if risk.rule == "none":
        return valued
    open_ = pl.col("eligible") & (pl.col("offer_id") != "none")
    parts = [cautious(valued.filter(open_), risk), valued.filter(~open_)]
    return pl.concat(parts, how="diagonal").sort("customer_id", "offer_id")


def decide(job: Job, at: Moments, floor: str) -> None:
    """Allocate among those who may be written to and are not held out; record a decision for everybody."""
    store, plan = job.store, job.config.plan
    valued = store.frame("candidates")
    consent, budget = consents(job, valued["customer_id"]), budget_cents(job, at)
    release = deliver.Release(
        campaign_id=plan.campaign, policy_id="plan", policy_version="1", price=0.0, seed=plan.seed,
        holdout_share=plan.holdout_share,
    )  # fmt: skip
    barred = consent.filter(~pl.col("may_send"))["customer_id"]
    held = [c for c in valued["customer_id"].unique() if deliver.in_holdout(c, release)]
    kept = pl.col("customer_id").is_in([*barred, *held])
    free = valued.filter(pl.col("eligible") & (pl.col("offer_id") != "none") & ~kept)
    found = allocate.plan(free, budget, all_limits(job, free, budget), seed=plan.seed)
    release = release.model_copy(update={"price": found.allocation.price})
    decisions = settle(charged(valued, found), consent, release, at.asof, found.chosen)
    chosen = valued.join(decisions.select("customer_id", "offer_id", "decision_id"), on=["customer_id", "offer_id"])
    chosen = chosen.filter(pl.col("offer_id") != "none").sort("customer_id")
    response = effect.DiscountResponse.from_dict(store.load_json("response"))
    draws = effect.total_draws(chosen, response) if chosen.height else None
    store.save("plan", chosen)
    store.save("decisions", decisions)
    store.save("frontier", curve(job, free))
    facts = {
        "held_out": int(decisions.filter(pl.col("holdout"))["customer_id"].len()),
        "barred": barred.len(),
        "customers": decisions.height,
        "limits": [use.name for use in found.allocation.binding],
        "release": release.model_dump(),
    }
    store.save_json("allocation", summary(found, chosen, budget, floor, draws) | facts)


def curve(job: Job, free: pl.DataFrame) -> pl.DataFrame:
    """The budget curve under the same limit per category: solved point by point where there is one."""
    if free.is_empty():
        return pl.DataFrame(schema=FRONTIER)
    whole, share = allocate.frontier(free), job.config.plan.category_share
    top = whole["cost_cents"].to_numpy().max()
    if (share >= 1 and not job.config.plan.limits) or top <= 0:
        return whole.select(list(FRONTIER))
    rows = [(0.0, 0.0, 0.0, 0.0, 0, 0.0)]
    for budget in np.linspace(0, top, CURVE_POINTS)[1:].round().astype(int).tolist():
        found = allocate.plan(free, budget, all_limits(job, free, budget), seed=job.config.plan.seed).allocation
        rows.append((float(budget), found.gain, found.cost, found.price, found.treated, found.bound))
    return pl.DataFrame(rows, schema=FRONTIER, orient="row")


def all_limits(job: Job, free: pl.DataFrame, budget: int) -> list[allocate.Limit]:
    """The limit per category and those that promolift.toml states."""
    stated = [allocate.Limit.read(text) for text in job.config.plan.limits]
    return [*category_limits(free, budget, job.config.plan.category_share), *stated]


def category_limits(free: pl.DataFrame, budget: int, share: float) -> list[allocate.Limit]:
    """At most `share` of the budget for the offers on one category; none where that is all of it."""
    if share >= 1:
        return []
    targets = free.filter(pl.col("scope") == "category")["target"].unique().sort()
    return [
        allocate.Limit(name=f"{LIMIT}{target}", measure="cost", at_most=share * budget, where={"target": (target,)})
        for target in targets
    ]


def charged(valued: pl.DataFrame, found: allocate.Plan) -> pl.DataFrame:
    """Candidates with `charge_cents`: what the category limits ask for a row beyond the price of the budget."""
    prices = {name.removeprefix(LIMIT): price for name, price in found.allocation.multipliers.items() if price > 0}
    rate = pl.col("target").replace_strict(prices, default=0.0, return_dtype=pl.Float64) if prices else pl.lit(0.0)
    return valued.with_columns((rate.fill_null(0.0) * pl.col("cost_cents")).alias("charge_cents"))


def settle(
    valued: pl.DataFrame, consent: pl.DataFrame, release: deliver.Release, asof_ms: int, planned: pl.DataFrame
) -> pl.DataFrame:
    """Decision records of the plan: by the prices alone, as a live request would get them, wherever they tell the same.

    At the edge of the budget or of a limit prices tie, and the plan fills up what is left. For these few customers the
    record says so: their other offers are closed, and the planned one is charged less than it is worth.
    """
    key = ["customer_id", "offer_id"]
    first = deliver.decide(valued, consent, release, asof_ms).filter(pl.col("offer_id") != "none").select(key)
    wanted = planned.select(key)
    odd = pl.concat([first.join(wanted, on=key, how="anti"), wanted.join(first, on=key, how="anti")])["customer_id"]
    rows = valued.join(wanted.with_columns(planned=pl.lit(True)), on=key, how="left").sort(key)
    edge, mine = pl.col("customer_id").is_in(odd.implode()), pl.col("planned").fill_null(False)
    closed = edge & ~mine & pl.col("eligible") & (pl.col("offer_id") != "none")
    worth = pl.col("gain_cents") - release.price * pl.col("cost_cents")
    enough = worth - pl.max_horizontal(pl.lit(1e-6), 1e-9 * pl.col("gain_cents").abs())
    settled = rows.with_columns(
        pl.when(closed)
        .then(pl.lit("settled when the budget was filled up"))
        .otherwise(pl.col("why_not"))
        .alias("why_not"),
        (pl.col("eligible") & ~closed).alias("eligible"),
        pl.when(edge & mine).then(enough).otherwise(pl.col("charge_cents")).alias("charge_cents"),
    ).drop("planned")
    decisions = deliver.decide(settled, consent, release, asof_ms)
    assert decisions.filter(pl.col("offer_id") != "none").select(key).sort(key).equals(wanted.sort(key))
    return decisions


def summary(
    found: allocate.Plan, chosen: pl.DataFrame, budget: int, floor: str, draws: NDArray[np.float64] | None
) -> dict[str, Any]:
    """The plan in numbers. `gap` is how far the recorded decisions are from the best possible plan, at most.

    The bound is on gains as planned with; under a risk rule they are more cautious than what is expected.
    """
    planned, cost, bound = float(chosen["gain_cents"].sum()), float(chosen["cost_cents"].sum()), found.allocation.bound
    careful = "shrunken_gain_cents" in chosen.columns
    gain = float(chosen["shrunken_gain_cents"].sum()) if careful else planned
    naive = float(chosen["naive_gain_cents"].sum()) if careful else planned
    spread = None if draws is None else draws - naive + gain
    low, high = (None, None) if spread is None else np.quantile(spread, [0.025, 0.975]).tolist()
    return {
        "budget_cents": budget,
        "gain_cents": gain,
        "gain_low_cents": low,
        "gain_high_cents": high,
        "cost_cents": cost,
        "added_cents": float(chosen["added_cents"].sum()),
        "subsidy_cents": float(chosen["subsidy_cents"].sum()),
        "treated": chosen.height,
        "price": found.allocation.price,
        "bound_cents": bound,
        "planned_cents": planned,
        "gap": max(0.0, (bound - planned) / bound) if bound > 0 else 0.0,
        "evidence": floor,
        "explain": found.allocation.explain(),
    }


def consents(job: Job, customer_ids: pl.Series) -> pl.DataFrame:
    """customer_id, may_send, reason for everybody with a candidate."""
    told = job.store.frame("customers") if job.store.has("customers") else CUSTOMERS.empty()
    return may_send(customer_ids, told, job.config.consent)


def budget_cents(job: Job, at: Moments) -> int:
    """The stated budget, or the stated share of the last window's revenue."""
    plan = job.config.plan
    if plan.budget_cents is not None:
        return plan.budget_cents
    since = at.asof - plan.window_days * DAY_MS
    sold = (
        job.store.events()
        .filter(f"ts_ms >= {since} and ts_ms < {at.asof}")
        .aggregate("sum(revenue_cents)::bigint as s")
    )
    revenue = sold.fetchall()[0][0] or 0
    if revenue <= 0:
        raise SupportError(
            "no revenue in the last window to take a budget from; set plan.budget_cents in promolift.toml"
        )
    return round(revenue * plan.budget_share)
