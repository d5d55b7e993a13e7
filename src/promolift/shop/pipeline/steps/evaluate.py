"""Step 6: check how good the predictions were, and compare policies at equal spend."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core import allocation, experiments
from promolift.core import effects as effect
from promolift.core.allocation import strategic_rules
from promolift.foundation.errors import PromoError, SupportError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL, CATEGORY_TARGET_SQL
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.pipeline.fairness_audit import audit_fairness
from promolift.shop.pipeline.planning.offer_candidates import candidates, free_candidates
from promolift.shop.pipeline.planning.offer_targets import CandidateInputs
from promolift.shop.pipeline.planning.open_offers import consents, limits_of
from promolift.shop.pipeline.planning.plan_limits import close_small, close_weak
from promolift.shop.pipeline.steps.effect import KEY, campaign_history
from promolift.shop.reports.assumptions import list_assumptions
from promolift.shop.results import effects
from promolift.shop.results.evaluation import uplift_by_depth
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.line_tests import all_draws
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import HeadlineAssumptions
from promolift.shop.results.predictions import AVERAGE, COUPONS, Predictions, Reliability, Scored, UncheckedPredictions
from promolift.shop.results.work_folder.run_context import Job, Moments, map_shards, moments, query_shard
from promolift.shop.results.work_folder.work_tables import ALL_CUSTOMERS, CustomerSubset

BOUGHT = f"""
with {CATEGORY_LEVEL_SQL}
select distinct e.customer_id, {CATEGORY_TARGET_SQL} as target
from events e cross join level left join products p on p.product_id = e.product_id
where e.kind = 'purchase' and e.ts_ms >= $start and e.ts_ms < $stop and {CATEGORY_TARGET_SQL} is not null order by all
"""
MOST_JUDGED = 20_000  # customers whose forecasts are held against what came: of more, so many are drawn by hash
BUYING, REPEATS = gettext_noop("buying a category in the window"), gettext_noop("their most frequent categories")
PAST_RATE = gettext_noop("their past redemption rate")
COMPARED = 10_000  # customers by whom policies are compared: of more, so many are drawn by hash


def run(job: Job) -> None:
    """Every check that the data allow; the reason for each that they do not."""
    missing: dict[str, str] = {}
    found: list[Predictions] = []
    every = {"purchases": purchases, "redemptions": redemptions}
    for done, (name, check) in enumerate(every.items()):
        job.tell("evaluate", 0.2 * done, gettext_lazy("check of {name}", name=name))
        try:
            found.append(check(job))
        except PromoError as reason:
            missing[name] = str(reason)
    Predictions.together(found).keep(job.store)
    job.tell("evaluate", 0.7, gettext_noop("policies at equal spend"))
    job.store.remove("policies")
    job.store.remove("uplift_check")
    try:
        compared = policies(job)
        job.store.save("policies", compared.policies)
        if compared.uplift_check is not None:
            job.store.save("uplift_check", compared.uplift_check)
    except PromoError as reason:
        missing["policies"] = str(reason)
    try:
        compare_groups(job)
    except PromoError as reason:
        missing["fairness"] = str(reason)
        job.store.remove_json(FairnessNote.NAME)
    UncheckedPredictions(reasons=missing).keep(job.store)
    headline_assumptions(job).keep(job.store)


def purchases(job: Job) -> Predictions:
    """How good was the purchase forecast: customers and categories they had bought before the check.

    Of more than `MOST_JUDGED` customers by as many, drawn by hash.
    """
    at, days = moments(job), job.config.plan.window_days
    some = CustomerSubset(share=min(1.0, MOST_JUDGED / max(job.profiled.size, 1)))
    rows = job.profiled.affinities(at.check, among=some).filter(pl.col("buy_prob").is_not_null())
    truth = bought_in(job, at.check, at.check + days * DAY_MS, some)
    key = ["customer_id", "target"]  # in order: sums of fractions are then the same in every run
    rows = rows.join(truth.with_columns(hit=pl.lit(1)), on=key, how="left").sort(key)
    rows = rows.with_columns(pl.col("hit").fill_null(0))
    known = rows.filter(pl.col("bought"))
    if known.height < 100 or known["hit"].sum() < 10:
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "{height} customer-category pairs before the last 11 weeks; 100 with 10 purchases are needed",
                height=known.height,
            ),
        )
    often = known["orders"].to_numpy().astype(np.float64)
    return grade_probability(
        BUYING, known["hit"].to_numpy(), known["buy_prob"].to_numpy(), REPEATS, often, known["customer_id"]
    )


def grade_probability(
    model: str, y: NDArray[np.int64], prob: NDArray[np.float64], rule: str, ranked: NDArray[np.float64],
    customers: pl.Series,
) -> Predictions:  # fmt: skip
    """A probability against what happened (0 or 1), beside a simple rule that can only rank, and one that cannot."""
    people = customers.to_list()
    calibration, alike = experiments.calibration(y, prob, groups=people), np.full(len(y), y.mean())
    same = experiments.log_loss(y, alike).value
    return Predictions(
        scores=(
            Scored.of(
                model, experiments.auc(y, prob, people), rule, experiments.auc(y, ranked, people).value, "higher"
            ),
            Scored.of(
                model,
                experiments.log_loss(y, prob, people),
                gettext_noop("the same probability for all"),
                same,
                "lower",
            ),
            Scored.of(model, calibration.in_the_large, AVERAGE, 1.0, ""),
        ),
        reliability=(Reliability.of(model, calibration.bins),),
    )


def bought_in(job: Job, start_ms: int, stop_ms: int, among: CustomerSubset = ALL_CUSTOMERS) -> pl.DataFrame:
    """customer_id, target of all that was bought in [start, stop)."""
    return pl.concat(map_shards(job, query_shard, job.clean.shards, bind(BOUGHT, start=start_ms, stop=stop_ms), among))


def redemptions(job: Job) -> Predictions:
    """Trained on campaigns over before the check, scored on those begun after it."""
    at, past = moments(job), campaign_history(job)
    features = job.effects.redemption_features
    if features is None:
        raise SupportError(
            "model_missing", gettext_lazy("no redemption model: too few past campaigns with redemptions")
        )
    model = effect.fit_redemption(features, effect.redemption_outcomes(past.exposures, past.redemptions, at.check))
    truth = effect.redemption_outcomes(past.exposures, past.redemptions, at.asof).drop_nulls("redeemed")
    later = features.filter(pl.col("start_ms") >= at.check).join(truth, on=KEY).sort(KEY)
    if later.height < 100 or later["redeemed"].sum() < 10:
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "{height} customers in campaigns of the last 11 weeks that are over; 100 are needed",
                height=later.height,
            ),
        )
    y, prob = later["redeemed"].cast(pl.Int8).to_numpy(), model.predict(later)
    rate = later["earlier_redeemed"].fill_null(0) / (later["earlier_campaigns"].fill_null(0) + 1)
    return grade_probability(COUPONS, y, prob, PAST_RATE, rate.to_numpy(), later["customer_id"])


def headline_assumptions(job: Job) -> HeadlineAssumptions:
    """Return the assumptions of the headline after luck is taken off."""
    plan = Plan.load(job.store)
    if plan.note.drawn:
        return HeadlineAssumptions(assumptions=plan.note.assumptions)
    luck = plan.summary.luck_cents or 0.0
    costs = job.clean.catalogue["cost_cents"].count() > 0
    moved = bool(plan.note.terms.effects and plan.note.tests is None)
    found = list_assumptions(
        plan.chosen, effects.load_response(job.store), job.config.value, costs, luck, moved, drawing_customers(job)
    )
    return HeadlineAssumptions(assumptions=found)


class ComparedPolicies(NamedTuple):
    """Policies at equal spend, and the uplift by depth (depth, customers, lift, checked) of the plan among them by the
    response that chose it and by the other's; None where the response is assumed."""

    policies: pl.DataFrame
    uplift_check: pl.DataFrame | None = None


def policies(job: Job) -> ComparedPolicies:
    """Policies at equal spend, cross-fitted.

    Every customer is decided on by the response of one half of the customers and valued by the other's, so that no
    policy is graded by the estimate that chose it; by the only estimate there is where it is assumed: then the plan is
    the one that was kept, unless it was drawn. What a plan draws beside its predicted offers has no part in it.
    """
    store = job.store
    halves = effects.load_half_responses(store)
    share = min(1.0, COMPARED / max(job.profiled.size, 1))
    free, kept = free_candidates(job, some := CustomerSubset(share=share)), Plan.load(store)
    drawn, tests = drawing_customers(job), kept.note.tests
    free = free.filter(~pl.col("customer_id").is_in(drawn) | (pl.col("draw_share").fill_null(0.0) == 0))
    spent = kept.note.cost_cents - tests.cost_cents if tests else kept.note.budget_cents  # draws have the rest
    budget, profiles = share * spent, job.profiled.profiles(moments(job).asof, some)
    if not (halves or kept.note.terms.explore):
        mine = ~pl.col("customer_id").is_in(drawn)
        plan = kept.chosen.filter(mine).join(profiles.select("customer_id"), on="customer_id", how="semi")
        budget = max(budget, float(plan["cost_cents"].sum()))  # those drawn may be dearer than the others
        return ComparedPolicies(scale_to_all(experiments.compare_policies(free, plan, budget, profiles), share))
    rows = cross_fit(job, free, halves) if halves else free
    fair = kept.note.fairness.limits if kept.note.fairness else ()
    limits = limits_of(job, fair=fair).at(rows, budget)
    plan = allocation.plan(rows, budget, limits, seed=job.config.plan.seed).chosen
    compared, check = scale_to_all(experiments.compare_policies(rows, plan, budget, profiles), share), None
    if halves:
        alone = plan.filter(pl.col("parts").is_null()) if "parts" in plan.columns else plan
        judged = uplift_by_depth(alone, "response_check").select("depth", checked="lift")
        check = uplift_by_depth(alone).join(judged, on="depth")
    return ComparedPolicies(compared, check)


def drawing_customers(job: Job) -> list[str]:
    """Who may draw an offer beside those that a plan gives by predicted gains."""
    draws, note = all_draws(job.store), Plan.load(job.store).note
    if draws is None or note.tests is None:
        return []
    mine = draws.filter(~pl.col("aimed"), campaign_id=note.terms.campaign_id, ts_ms=note.terms.draw_ms)
    return mine.filter(pl.col("arms").list.len() > 0)["customer_id"].to_list()


def scale_to_all(compared: pl.DataFrame, share: float) -> pl.DataFrame:
    """Scale totals of a share of the customers to all; `customers` stays the number compared."""
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


def cross_fit(job: Job, free: pl.DataFrame, halves: list[effect.DiscountResponse]) -> pl.DataFrame:
    """Value candidates by both halves: gain_cents and response_now by the half without the customer, gain_check_cents
    and response_check by the other."""
    names = ["gain_cents", "cost_cents", "gain_se_cents", "added_cents", "subsidy_cents", "redeem_prob", "evidence"]
    made = ["response_net", "response_se", "coupon_prob", "response_now", "reach"]
    bare = free.drop(*[n for n in [*names, *made] if n in free.columns])
    odds = job.effects.redemption_odds(free["customer_id"])
    one, two = (
        effect.add_effects(bare, half, odds, job.config.value).sort("customer_id", "offer_id") for half in halves
    )
    first = pl.Series(effect.in_first_half(one["customer_id"], job.config.discount), dtype=pl.Boolean)
    names += [name for name in ("response_now", "reach") if name in one.columns]
    pick = [pl.when(first).then(two[n]).otherwise(one[n]).alias(n) for n in names]
    checks = {"gain_cents": "gain_check_cents", "response_now": "response_check"}
    check = [pl.when(first).then(one[n]).otherwise(two[n]).alias(name) for n, name in checks.items()]
    return one.drop(names).with_columns(*pick, *check)


def compare_groups(job: Job) -> FairnessNote:
    """What groups of customers are given and paid, and whether who they are decides it."""
    return audit_fairness(job, decide_again)


def decide_again(job: Job, at: Moments, plan: Plan, some: CustomerSubset) -> pl.DataFrame:
    """customer_id and the offer of the menu that pays most at the plan's price and charges, none where none does or
    nothing may be sent.
    """
    rows = close_weak(candidates(CandidateInputs(job, at), some).rows, plan.note.evidence)
    rows = strategic_rules.apply_strategic_rules(
        close_small(rows, job.config.rules.least_gain_cents), job.config.strategic
    )
    charges = plan.charges(rows["customer_id"])
    rows = rows.join(charges, on=["customer_id", "offer_id"], how="left")
    worth = pl.col("gain_cents") - pl.col("charge_cents").fill_null(0.0)
    worth -= plan.note.terms.price * pl.col("cost_cents")
    barred = consents(job, rows["customer_id"].unique()).filter(~pl.col("may_send"))["customer_id"]
    open_ = pl.col("eligible") & (pl.col("offer_id") != "none") & ~pl.col("customer_id").is_in(barred.implode())
    best = (
        rows.filter(open_).with_columns(worth=worth).filter(pl.col("worth") > 0)
        .sort(["customer_id", "worth", "offer_id"], descending=[False, True, False])
        .unique("customer_id", keep="first")
    )  # fmt: skip
    return (
        rows.select("customer_id")
        .unique()
        .join(best.select("customer_id", "offer_id"), on="customer_id", how="left")
        .with_columns(pl.col("offer_id").fill_null("none"))
    )
