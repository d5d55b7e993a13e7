"""Step 6: models and plan in; how good the predictions were, and policies compared at equal spend, kept."""

import polars as pl

from promolift import allocate, effect, learn
from promolift.errors import PromoError
from promolift.results import effects
from promolift.results.assumed import assumptions
from promolift.results.job import Job, moments
from promolift.results.plan import HeadlineAssumptions, Plan
from promolift.results.predictions import Predictions
from promolift.results.shop import Unchecked
from promolift.results.tables import Among
from promolift.steps import checks, redeem
from promolift.steps.plan import free_candidates, limits_of

COMPARED = 10_000  # customers by whom policies are compared: of more, so many are drawn by hash


def run(job: Job) -> None:
    """Every check that the data allow; the reason for each that they do not."""
    missing: dict[str, str] = {}
    found: list[Predictions] = []
    every = {"purchases": checks.purchases, "redemptions": redeem.check}
    for done, (name, check) in enumerate(every.items()):
        job.tell("evaluate", 0.2 * done, f"check of {name}")
        try:
            found.append(check(job))
        except PromoError as reason:
            missing[name] = str(reason)
    Predictions.together(found).keep(job.store)
    job.tell("evaluate", 0.7, "policies at equal spend")
    try:
        job.store.save("policies", policies(job))
    except PromoError as reason:
        missing["policies"] = str(reason)
        job.store.remove("policies")
    Unchecked(reasons=missing).keep(job.store)
    believed(job).keep(job.store)


def believed(job: Job) -> HeadlineAssumptions:
    """What must be believed for the headline, once luck is taken off it."""
    plan = Plan.load(job.store)
    luck = plan.headline.luck_cents or 0.0
    costs = job.clean.catalogue["cost_cents"].count() > 0
    found = assumptions(plan.chosen, effects.response(job.store), job.config.value, costs, luck)
    return HeadlineAssumptions(assumptions=found)


def policies(job: Job) -> pl.DataFrame:
    """Policies at equal spend, cross-fitted.

    Every customer is decided on by the response of one half of the customers and valued by the other's, so that no
    policy is graded by the estimate that chose it; by the only estimate there is where it is assumed: then the plan is
    the one that was kept, unless it was drawn.
    """
    store = job.store
    halves = effects.halves(store)
    share = min(1.0, COMPARED / max(job.profiled.size, 1))
    free, kept = free_candidates(job, some := Among(share=share)), Plan.load(store)
    budget, profiles = share * kept.note.budget_cents, job.profiled.profiles(moments(job).asof, some)
    if not (halves or kept.note.terms.explore):
        plan = kept.chosen.join(profiles.select("customer_id"), on="customer_id", how="semi")
        budget = max(budget, float(plan["cost_cents"].sum()))  # those drawn may be dearer than the others
        return of_all(learn.compare(free, plan, budget, profiles), share)
    rows = cross_fitted(job, free, halves) if halves else free
    limits = limits_of(job).at(rows, budget)
    plan = allocate.plan(rows, budget, limits, seed=job.config.plan.seed).chosen
    return of_all(learn.compare(rows, plan, budget, profiles), share)


def of_all(compared: pl.DataFrame, share: float) -> pl.DataFrame:
    """Totals of a share of the customers as those of all; `customers` stays how many were compared."""
    totals = (
        "expected_profit_cents",
        "low",
        "high",
        "plan_lead_cents",
        "lead_low",
        "lead_high",
        "spend_cents",
        "treated",
    )
    return compared if share == 1 else compared.with_columns(pl.col(totals) / share)


def cross_fitted(job: Job, free: pl.DataFrame, halves: list[effect.DiscountResponse]) -> pl.DataFrame:
    """Candidates with gain_cents by the half that does not hold the customer, gain_check_cents by the one that does."""
    names = ["gain_cents", "cost_cents", "gain_se_cents", "added_cents", "subsidy_cents", "redeem_prob", "evidence"]
    made = ["response_now", "response_net", "response_se", "reach", "coupon_prob"]
    bare = free.drop(*[n for n in [*names, *made] if n in free.columns])
    odds = job.effects.redemption_odds(free["customer_id"])
    one, two = (
        effect.add_effects(bare, half, odds, job.config.value).sort("customer_id", "offer_id") for half in halves
    )
    first = pl.Series(effect.in_first_half(one["customer_id"], job.config.discount), dtype=pl.Boolean)
    pick = [pl.when(first).then(two[n]).otherwise(one[n]).alias(n) for n in names]
    check = pl.when(first).then(one["gain_cents"]).otherwise(two["gain_cents"])
    return one.drop(names).with_columns(*pick, check.alias("gain_check_cents"))
