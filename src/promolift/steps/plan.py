"""Step 4: profiles and models in; candidates, the plan and a decision record for every customer kept."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate, deliver, effect, offer
from promolift.allocate.risk import Risk, cautious
from promolift.message import is_couponable, is_sensitive
from promolift.privacy import may_send
from promolift.steps.approved import approved, explored, taken_over
from promolift.steps.grounds import budget_cents, close_weak, coupon_odds, evidence_floor
from promolift.steps.job import Job, Moments, moments
from promolift.steps.lot import drawn
from promolift.steps.propose import with_proposals
from promolift.steps.targets import list_people, list_resting, list_targets
from promolift.steps.why import moneyless, why
from promolift.tables import CUSTOMERS
from promolift.terms import covered

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
    known = approved(job.store, job.config.plan.campaign)
    valued = deliver.recalibrated(valued, known.recalibration if known else None)
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


def free_candidates(job: Job) -> pl.DataFrame:
    """Open candidates of those who may be written to and are not held out: what the budget is spent on."""
    free = job.store.frame("decisions").filter(pl.col("holdout").eq(False))["customer_id"]
    rows = job.store.frame("candidates").filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
    return rows.filter(pl.col("customer_id").is_in(free.implode())).sort("customer_id", "offer_id")


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
    known = approved(store, plan.campaign)
    release = taken_over(release, known)
    barred = consent.filter(~pl.col("may_send"))["customer_id"]
    held = [c for c in valued["customer_id"].unique() if deliver.in_holdout(c, release)]
    kept = pl.col("customer_id").is_in([*barred, *held])
    free = valued.filter(pl.col("eligible") & (pl.col("offer_id") != "none") & ~kept)
    found = allocate.plan(free, budget, all_limits(job, free, budget), seed=plan.seed)
    if plan.trial and not moneyless(job):  # offers of unknown cost keep no budget
        release, decisions = drawn(valued, free, consent, release, at.asof, budget)
    else:
        release = release.model_copy(update={"price": found.allocation.price})
        decisions = settle(charged(valued, found), consent, release, at.asof, found.chosen)
    chosen = valued.join(decisions.select("customer_id", "offer_id", "decision_id"), on=["customer_id", "offer_id"])
    chosen = chosen.filter(pl.col("offer_id") != "none").sort("customer_id")
    draws = total_draws(job, chosen, release.recalibration)
    store.save("plan", chosen)
    store.save("decisions", decisions)
    store.save("frontier", curve(job, free))
    facts: dict[str, Any] = {
        "held_out": int(decisions.filter(pl.col("holdout"))["customer_id"].len()),
        "barred": barred.len(),
        "customers": decisions.height,
        "limits": [use.name for use in found.allocation.binding],
        "worth": worth(found.allocation, plan.category_share),
        "release": release.model_dump(mode="json"),
    }
    said = why(job, valued, free, chosen, decisions.height - facts["barred"] - facts["held_out"])
    facts |= {"why": said} if said else {}
    store.save_json("allocation", summary(found, chosen, budget, floor, draws) | facts | explored(known))


def curve(job: Job, free: pl.DataFrame) -> pl.DataFrame:
    """The budget curve under the same limit per category: solved point by point where there is one."""
    if free.is_empty():
        return pl.DataFrame(schema=FRONTIER)
    whole, share = allocate.frontier(free), job.config.plan.category_share
    top = whole["cost_cents"].to_numpy().max()
    if (share >= 1 and not job.config.plan.limits) or top <= 0:
        return whole.select(list(FRONTIER))
    rows = [(0.0, 0.0, 0.0, 0.0, 0, 0.0)]
    steps = np.linspace(0, 1, CURVE_POINTS)[1:] ** 2  # closer together where the curve bends most
    for budget in (top * steps).round().astype(int).tolist():
        found = allocate.plan(free, budget, all_limits(job, free, budget), seed=job.config.plan.seed).allocation
        rows.append((float(budget), found.gain, found.cost, worth(found, share), found.treated, found.bound))
    return pl.DataFrame(rows, schema=FRONTIER, orient="row")


def worth(found: allocate.Allocation, share: float) -> float:
    """What one more cent of budget adds: its price, and what the limits per category, `share` of it, let in then."""
    return found.price + share * sum(price for name, price in found.multipliers.items() if name.startswith(LIMIT))


def all_limits(job: Job, free: pl.DataFrame, budget: int) -> list[allocate.Limit]:
    """The limit per category and those that promolift.toml states."""
    stated = [allocate.Limit.read(text) for text in job.config.plan.limits]
    return [*category_limits(free, budget, job.config.plan.category_share), *stated]


def category_limits(free: pl.DataFrame, budget: int, share: float) -> list[allocate.Limit]:
    """At most `share` of the budget for the offers on one category; none where that is all of it.

    An offer on two categories counts in full for each.
    """
    if share >= 1:
        return []
    targets = free.filter(pl.col("scope") == "category")["target"].unique().sort()
    holds: dict[str, list[str]] = {}
    for target in targets:
        for one in covered(target):
            holds.setdefault(one, []).append(target)
    return [
        allocate.Limit(name=f"{LIMIT}{one}", measure="cost", at_most=share * budget, where={"target": tuple(names)})
        for one, names in sorted(holds.items())
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


def total_draws(job: Job, chosen: pl.DataFrame, learned: deliver.Recalibration | None) -> NDArray[np.float64] | None:
    """Possible totals of the plan's gain, None for an empty one; what was learned moves them, their spread stays."""
    if chosen.is_empty():
        return None
    draws = effect.total_draws(chosen, effect.DiscountResponse.from_dict(job.store.load_json("response")))
    gain = "naive_gain_cents" if "naive_gain_cents" in chosen.columns else "gain_cents"
    return draws if learned is None else draws - draws.mean() + float(chosen[gain].sum())


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
