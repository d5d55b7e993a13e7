"""Judge a policy from joined decisions: verdict, cumulative gain, weights, calibration and drift, each with its rule.

Legend: N customers in the order of `FirstDecisions`, A actions.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.experiments import drift
from promolift.core.experiments.arm_sums import sum_by_group
from promolift.core.experiments.experiment_design import ALL_CUSTOMERS, HOLDOUT, Analysis, Design, Verdict, analyse
from promolift.core.experiments.lift import Lift, Metric, lift, sequential_boundary
from promolift.core.experiments.off_policy.overlap import measure_support
from promolift.core.experiments.outcome_join import JoinSettings, join_outcomes
from promolift.foundation.errors import SupportError
from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.time.clock import WEEK_MS
from promolift.shop.feedback.decision_outcomes import VALUES, Evidence, FirstDecisions, LearnSettings, add_outcome_value
from promolift.shop.results.learned_policy import CumulativeGain, JudgedPolicy, Quintile, UnansweredQuestion

Floats = NDArray[np.float64]
QUINTILES = 5
ORDERS_METRIC = Metric(name="orders", value="orders", covariates=("value_before",))
DRIFT_COLUMNS = (
    "spend_per_week_cents", "recency_days", "cadence_days", "orders_16w", "basket_mean_cents", "category_count",
    "discount_share", "coupon_share", "price_sensitivity", "top_category_1", "top_channel",
)  # fmt: skip


class ProfilePair(NamedTuple):
    """Profiles as of the decisions, and as of a later moment."""

    then: pl.DataFrame
    now: pl.DataFrame


@dataclass(frozen=True, eq=False)
class JudgedEvidence(JudgedPolicy):
    """What was found out, with the customers' rows it was found in, from which the next release learns."""

    evidence: Evidence


def judge_policy(evidence: Evidence, profiles: ProfilePair | None) -> JudgedEvidence:
    """Judge the policy in force against the holdout; whether customers have changed is known only with `profiles`."""
    arm, share = evidence.release.policy_id, evidence.release.holdout_share
    customers = with_segments(evidence)
    main = analyse_metric(evidence, customers, metric_of(evidence), by_past=True)
    drifts, unseen = find_drifts(evidence, profiles)
    verdict = next(v for v in main.verdicts if v.arm == arm and v.segment == ALL_CUSTOMERS)
    slots, settings, joined = evidence.slots, evidence.settings, evidence.joined
    return JudgedEvidence(
        release=evidence.release,
        measure=evidence.measure,
        why=evidence.why,
        asof_ms=evidence.asof_ms,
        window_days=settings.window_days,
        outcome_counts=joined.outcome_counts,
        decision_counts=joined.decision_counts,
        changed_arm=joined.changed_arm,
        main=main,
        orders=analyse_metric(evidence, customers, ORDERS_METRIC),
        discount=discount_difference(customers, arm, settings.alpha),
        looks=cumulative_gains(evidence, arm),
        weights=measure_support(1 / slots.logged_N, 0.0),
        quintiles=gain_by_quintile(slots, share, settings),
        predicted=float(planned_gain(slots, share).mean()),
        drifts=drifts,
        unseen_drifts=unseen,
        shown=detectable_gain(verdict, settings),
        evidence=evidence,
    )


def metric_of(evidence: Evidence) -> Metric:
    """The outcome by which a policy is judged, with the weeks before taken off the noise."""
    return Metric(name=evidence.measure, value="value", covariates=("value_before",), unit="minor units")


def with_segments(evidence: Evidence) -> pl.DataFrame:
    """Customers with `past`, the segment by what they were worth in the weeks before the decision."""
    before = evidence.customers["value_before"]
    some = before.filter(before > 0)
    middle = float(some.median()) if len(some) else 0.0  # type: ignore[arg-type]
    past = (
        pl.when(pl.col("value_before") <= 0).then(pl.lit(gettext_noop("bought nothing in the weeks before")))
        .when(pl.col("value_before") <= middle).then(pl.lit(gettext_noop("lower half of those who bought")))
        .otherwise(pl.lit(gettext_noop("upper half of those who bought")))
    )  # fmt: skip
    return evidence.customers.with_columns(past=past)


def analyse_metric(evidence: Evidence, customers: pl.DataFrame, metric: Metric, by_past: bool = False) -> Analysis:
    """Analyse one metric as a family of its own: over all customers and, if `by_past`, by the segments of `past`."""
    columns = ["value", "value_before", "orders"]
    segments = sum_by_group(customers, columns, ("arm", "past")) if by_past else None
    return analyse(sum_by_group(customers, columns), [metric], design_of(evidence, customers, metric), segments)


def design_of(evidence: Evidence, customers: pl.DataFrame, metric: Metric) -> Design:
    """What was fixed with the plan: its holdout, everybody it decided on, the measure and the error rate."""
    arms = sorted(set(customers["arm"]) - {HOLDOUT})
    sizes = {arm: float((customers["arm"] == arm).sum()) for arm in arms}
    return Design(
        name=evidence.release.campaign_id,
        arms={arm: size / sum(sizes.values()) for arm, size in sizes.items()},
        holdout_share=evidence.release.holdout_share,
        planned_customers=_eligible(evidence),
        primary=metric.name,
        alpha=evidence.settings.alpha,
    )


def _eligible(evidence: Evidence) -> int:
    """Customers drawn so far, their windows over or not: the planned size."""
    return int(evidence.decisions.filter(pl.col("holdout").is_not_null())["customer_id"].n_unique())


def discount_difference(customers: pl.DataFrame, arm: str, alpha: float) -> IntervalEstimate | None:
    """Coupon discounts per customer beyond the holdout's, with the interval at the planned end; None where none vary.

    No verdict: a holdout without coupons is not a rate of 0 that could have been another one.
    """
    sums = sum_by_group(customers, ["coupon_cents"])
    try:
        found = lift(sums[(HOLDOUT,)], sums[(arm,)], Metric(name="discounts", value="coupon_cents"))
    except SupportError:
        return None
    reach = sequential_boundary(1.0, alpha) * found.se
    return IntervalEstimate(found.lift, found.lift - reach, found.lift + reach)


def cumulative_gains(evidence: Evidence, arm: str) -> tuple[CumulativeGain, ...]:
    """Return the gain over the holdout by days since the decision, with always-valid intervals."""
    settings = evidence.settings
    windows = evidence.joined.windows.filter(pl.col("arm").is_in([arm, HOLDOUT]))
    before = windows.select("customer_id", "value_before").unique("customer_id")
    starts = evidence.decisions.filter(pl.col("holdout").is_not_null()).join(
        windows.select("customer_id", pl.col("start_ms").alias("ts_ms")), on=["customer_id", "ts_ms"], how="semi"
    )
    sales = evidence.outcomes.filter(pl.col("kind").is_in(["purchase", "refund"]))
    done = evidence.customers.height / _eligible(evidence)
    found = []
    for part in range(1, settings.looks + 1):
        days = settings.window_days * part / settings.looks
        joined = join_outcomes(starts, sales, JoinSettings(window_days=days, values=VALUES), evidence.asof_ms)
        value = (
            add_outcome_value(joined.windows, evidence.measure)
            .group_by("customer_id", "arm")
            .agg(pl.col("value").sum())
        )
        rows = value.join(before, on="customer_id")
        each = compare_arm(rows, arm, metric_of(evidence))
        if each is None:
            continue
        reach = sequential_boundary(done * part / settings.looks, settings.alpha) * each.se
        ends = (each.lift, each.lift - reach, each.lift + reach)
        found.append(CumulativeGain(days, *(each.units * end for end in ends)))
    return tuple(found)


def compare_arm(rows: pl.DataFrame, arm: str, metric: Metric) -> Lift | None:
    """Return the lift of an arm over the holdout; None if they cannot be compared."""
    sums = sum_by_group(rows, ["value", "value_before"])
    if (HOLDOUT,) not in sums or (arm,) not in sums:
        return None
    try:
        return lift(sums[(HOLDOUT,)], sums[(arm,)], metric)
    except SupportError:
        return None


def planned_gain(slots: FirstDecisions, holdout_share: float) -> Floats:
    """The predicted gain of the policy for each customer, before the draw that held some of them out."""
    gain: Floats = (slots.prob_NA[:, :-1] * np.nan_to_num(slots.gain_NK)).sum(axis=1) / (1 - holdout_share)
    return gain


def slot_lift(slots: FirstDecisions, mask_N: NDArray[np.bool_], least: int) -> Lift | None:
    """Realised gain over the holdout among the customers of a mask; None with too few of either."""
    arm = np.where(slots.held_N, HOLDOUT, "offered")[mask_N]
    if min((arm == HOLDOUT).sum(), (arm != HOLDOUT).sum()) < least:
        return None
    rows = pl.DataFrame({"arm": arm, "value": slots.reward_N[mask_N], "value_before": slots.before_N[mask_N]})
    return compare_arm(rows, "offered", Metric(name="value", value="value", covariates=("value_before",)))


def gain_by_quintile(slots: FirstDecisions, holdout_share: float, settings: LearnSettings) -> tuple[Quintile, ...]:
    """Compare predicted and realised gain by quintile of the prediction, each against its own holdout."""
    predicted = planned_gain(slots, holdout_share)
    got = predicted > 0
    if got.sum() < QUINTILES:
        return ()
    edges = np.quantile(predicted[got], np.arange(1, QUINTILES) / QUINTILES)
    place = np.searchsorted(edges, predicted, side="right")
    found = []
    for k in range(QUINTILES):
        mine = got & (place == k)
        each = slot_lift(slots, mine, settings.least // 2)
        if each is None:
            continue
        reach = float(scipy.stats.t.ppf(1 - settings.alpha / 2, each.freedom)) * each.se
        found.append(
            Quintile(float(predicted[mine].mean()), each.lift, each.lift - reach, each.lift + reach, int(mine.sum()))
        )
    return tuple(found)


class _Drifts(NamedTuple):
    """Findings on inputs, predictions and effects; and what could not be looked at."""

    found: tuple[drift.Drift, ...]
    gaps: tuple[UnansweredQuestion, ...]


def find_drifts(evidence: Evidence, profiles: ProfilePair | None) -> _Drifts:
    """Test whether profiles, predictions and effects have changed since the decisions."""
    found: list[drift.Drift] = []
    gaps: list[UnansweredQuestion] = []
    if profiles is None:
        why = "profiles of then and now are not both in the work folder"
        gaps.append(UnansweredQuestion("whether the customers have changed", why))
    else:
        names = [name for name in DRIFT_COLUMNS if name in profiles.then.columns and profiles.then[name].n_unique() > 1]
        found += drift.input_drift(profiles.then.select(names), profiles.now.select(names))
    parts = _cohorts(evidence.slots, evidence.settings)
    if len(parts) < 2:
        why = "all decisions with a complete window fell into one week; two weeks of decisions are needed"
        return _Drifts(tuple(found), (*gaps, UnansweredQuestion("whether predictions or effects have changed", why)))
    observed, share = pseudo_gain(evidence.slots), evidence.release.holdout_share
    predicted = planned_gain(evidence.slots, share)
    first, last = (drift.PredictionPeriod(predicted[part], observed[part]) for part in (parts[0], parts[-1]))
    found.append(drift.prediction_drift(first, last))
    lifts = [each for part in parts if (each := slot_lift(evidence.slots, part, evidence.settings.least))]
    found.append(drift.effect_drift([each.lift for each in lifts], [each.se for each in lifts]))
    return _Drifts(tuple(found), tuple(gaps))


def _cohorts(slots: FirstDecisions, settings: LearnSettings) -> list[NDArray[np.bool_]]:
    """Customers by the week of their decision, weeks with too few in an arm left out."""
    week = (slots.start_N - slots.start_N.min()) // WEEK_MS
    parts: Sequence[NDArray[np.bool_]] = [week == each for each in np.unique(week)]
    return [p for p in parts if min((p & slots.held_N).sum(), (p & ~slots.held_N).sum()) >= settings.least]


def pseudo_gain(slots: FirstDecisions) -> Floats:
    """A number per customer whose mean is the gain over the holdout: the outcome divided by the probability of its arm.

    What the weeks before predict is taken off first (Robins, Rotnitzky 1995), which changes the noise and not the mean.
    """
    before = slots.before_N - slots.before_N.mean()
    square = float((before**2).sum())
    slope = float((before * slots.reward_N).sum()) / square if square > 0 else 0.0
    rest = slots.reward_N - slots.reward_N.mean() - slope * before
    share = slots.held_N.mean()
    gain: Floats = np.where(slots.held_N, -rest / share, rest / (1 - share))
    return gain


def detectable_gain(verdict: Verdict, settings: LearnSettings) -> float | None:
    """Return the smallest gain per customer that the finished test shows with 80 % power, from the noise alone."""
    if verdict.lift is None:
        return None
    need = sequential_boundary(1.0, settings.alpha) + float(scipy.stats.norm.ppf(0.8))
    return float(need * verdict.lift.se)


def numbers_of(judged: JudgedPolicy) -> dict[str, object]:
    """The findings as JSON: what learn.json says of them."""
    verdict = judged.verdict
    return {
        "campaign": judged.release.campaign_id,
        "policy": judged.arm,
        "policy_version": judged.release.policy_version,
        "measure": judged.measure,
        "measured_by": judged.why,
        "window_days": judged.window_days,
        "until_ms": judged.asof_ms,
        "answer": verdict.answer,
        "why": verdict.why,
        "rule": verdict.rule,
        "evidence": verdict.evidence,
        "customers": {"policy": verdict.n_arm, "holdout": verdict.n_control},
        "gain_per_customer": verdict.lift.lift if verdict.lift else None,
        "low": verdict.low,
        "high": verdict.high,
        "gain_total": verdict.total,
        "total_low": verdict.total_low,
        "total_high": verdict.total_high,
        "discount_per_customer": astuple(judged.discount) if judged.discount else None,
        "predicted_per_customer": judged.predicted,
        "detectable_per_customer": judged.shown,
        "sample_ratio": {"ok": judged.main.ratio.ok, "rule": judged.main.ratio.rule},
        "verdicts": [str(v) for v in (*judged.main.verdicts, *judged.orders.verdicts)],
        "joined": {"decisions": judged.decision_counts, "outcomes": judged.outcome_counts,
                   "changed_arm": judged.changed_arm},
        "by_day": [vars(look) for look in judged.looks],
        "calibration": [vars(each) for each in judged.quintiles],
        "weights": {"effective": judged.weights.effective, "largest": judged.weights.largest,
                    "rows": judged.weights.rows, "explored": judged.release.explore},
        "drift": [str(each) for each in judged.drifts],
    }  # fmt: skip
