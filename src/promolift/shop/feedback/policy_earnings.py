"""Report what a judged policy earned: by month, by driver, and beside other policies that could have run.

Legend: N customers in the order of `FirstDecisions`, A actions, the last is no offer.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.allocation.algorithms.choice import choose
from promolift.core.allocation.solver import solve
from promolift.core.experiments.experiment_design import ALL_CUSTOMERS, HOLDOUT
from promolift.core.experiments.lift import sequential_boundary
from promolift.core.experiments.off_policy.estimators import EstimatorParts, dr
from promolift.core.experiments.off_policy.overlap import measure_support, require_support, unseen_mass
from promolift.foundation.errors import SupportError
from promolift.foundation.evidence import Z95, IntervalEstimate
from promolift.shop.feedback.decision_outcomes import Evidence, FirstDecisions
from promolift.shop.feedback.policy_verdict import JudgedEvidence, compare_arm, metric_of
from promolift.shop.results.learned_policy import EarningsDrivers, PeriodEarnings, PolicyValue

Floats = NDArray[np.float64]
MIN_EFFECTIVE_SIZE = 100.0  # logged decisions, counted by their weights, that must bear on a policy


def earnings_by_period(evidence: Evidence, arm: str, every: str, zone: str) -> Iterator[PeriodEarnings]:
    """What windows that began in each period added over the holdout, alone and together with all before; `every` is
    1mo or 1w. A period in which nothing can be compared has no amount. The sums so far may be read at any of them.
    """
    begun = pl.from_epoch("start_ms", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    windows = evidence.joined.windows.filter(pl.col("arm").is_in([arm, HOLDOUT]))
    windows = windows.with_columns(period=begun.dt.truncate(every).dt.epoch("ms"))
    planned = evidence.decisions.filter(pl.col("holdout").is_not_null())["customer_id"].n_unique()
    for period in windows["period"].unique().sort():
        own, past = (windows.filter(rule) for rule in (pl.col("period") == period, pl.col("period") <= period))
        done = past["customer_id"].n_unique() / planned
        alone, so_far = total_gain(evidence, arm, own, 1.0), total_gain(evidence, arm, past, done)
        sizes = own.group_by("arm").agg(pl.col("customer_id").n_unique())
        n = dict(sizes.iter_rows())
        yield PeriodEarnings(int(period), n.get(arm, 0), n.get(HOLDOUT, 0), alone, so_far)


def total_gain(evidence: Evidence, arm: str, windows: pl.DataFrame, progress: float) -> IntervalEstimate | None:
    """Return the gain of all customers of the arm over the holdout in these windows; None if unknown."""
    rows = windows.group_by("customer_id", "arm").agg(pl.col("value").sum(), pl.col("value_before").first())
    sizes = dict(rows.group_by("arm").len().iter_rows())
    if min(sizes.get(arm, 0), sizes.get(HOLDOUT, 0)) < evidence.settings.least:
        return None
    found = compare_arm(rows, arm, metric_of(evidence))
    if found is None:
        return None
    reach = sequential_boundary(progress, evidence.settings.alpha) * found.se
    return IntervalEstimate(*(found.units * end for end in (found.lift, found.lift - reach, found.lift + reach)))


def earnings_drivers(judged: JudgedEvidence) -> EarningsDrivers:
    """Return the gain as customers x share given an offer x share that used a coupon x gain per use."""
    slots, customers = judged.evidence.slots, judged.evidence.customers
    got = pl.DataFrame({"customer_id": slots.customer_id, "given": slots.action_N < slots.prob_NA.shape[1] - 1})
    mine = customers.filter(pl.col("arm") == judged.arm).join(got, on="customer_id", how="inner").filter("given")
    used = int((mine["coupon_cents"].fill_null(0) > 0).sum())
    return EarningsDrivers(judged.verdict.n_arm, mine.height, used, judged.verdict.total)


class CandidatePolicy(NamedTuple):
    """A policy that never ran: its name, and the probability of every action N x A."""

    name: str
    prob_NA: Floats


def candidate_policies(judged: JudgedEvidence) -> Iterator[CandidatePolicy]:
    """Yield the probabilities N x A of each policy to compare, without holdout; the policy in force first."""
    slots, share = judged.evidence.slots, judged.evidence.release.holdout_share
    now = slots.prob_NA.copy()
    now[:, -1] -= share
    yield CandidatePolicy("in force", now / (1 - share))
    yield CandidatePolicy(
        "half the money", policy_within_budget(slots, half_budget(slots, share), judged.evidence.release.explore)
    )
    closed = slots.offer_NK < 0
    for name, worst_NK in (("cheapest for all", slots.cost_NK), ("largest gain for all", -slots.gain_NK)):
        prob = np.zeros_like(slots.prob_NA)
        best = np.where(closed, np.inf, worst_NK).argmin(axis=1)
        prob[np.arange(len(slots)), np.where(closed.all(axis=1), prob.shape[1] - 1, best)] = 1.0
        yield CandidatePolicy(name, prob)
    open_NA = slots.prob_NA > 0
    yield CandidatePolicy("at random", open_NA / open_NA.sum(axis=1, keepdims=True))


def value_policy(judged: JudgedEvidence, asked: CandidatePolicy) -> PolicyValue:
    """Estimate a policy's value, doubly robust, from the logged propensities; `why` says what the log cannot tell."""
    slots, prob = judged.evidence.slots, asked.prob_NA
    weight = prob[np.arange(len(slots)), slots.action_N] / slots.logged_N
    support = measure_support(weight, unseen_mass(slots.action_N, prob, slots.prob_NA))
    try:
        require_support(support, 0.0, MIN_EFFECTIVE_SIZE)
    except SupportError as error:
        return PolicyValue(asked.name, None, support.effective, str(error))
    none = np.zeros_like(prob)
    none[:, -1] = 1.0
    more = doubly_robust(slots, prob) - doubly_robust(slots, none)
    value, reach = float(more.mean()), Z95 * float(more.std(ddof=1)) / len(more) ** 0.5
    return PolicyValue(asked.name, IntervalEstimate(value, value - reach, value + reach), support.effective, "")


def half_budget(slots: FirstDecisions, holdout_share: float) -> float:
    """Return half of the expected cost of the logged policy without a holdout."""
    cost = (slots.prob_NA[:, :-1] * np.nan_to_num(slots.cost_NK)).sum()
    return float(cost) / (1 - holdout_share) / 2


def policy_within_budget(slots: FirstDecisions, budget: float, share: float) -> Floats:
    """Probabilities N x A of the plan that so much money pays by the logged gains, as deliver/ decides: the largest
    gain - charge - price x cost above 0, and with the explored share an even draw, which takes half of it at most."""
    open_NK, cost = ~np.isnan(slots.gain_NK), np.nan_to_num(slots.cost_NK)
    actions = open_NK.sum(axis=1) + 1
    even = float((np.where(open_NK, cost, 0.0).sum(axis=1) / actions).sum())
    floor = min(share, budget / (2 * even)) if even > 0 else share
    net = slots.gain_NK - np.nan_to_num(slots.charge_NK)
    rest = max(budget - floor * even, 0.0) / (1 - floor) if floor < 1 else 0.0
    # who is tied at the price takes the cheaper offer: so a bit more than it
    slot = choose(net, np.where(open_NK, cost, np.nan), solve(net, cost, rest).price * (1 + 1e-9))
    rows, none = np.arange(len(slots)), open_NK.shape[1]
    prob: Floats = np.hstack([open_NK, np.ones((len(slots), 1), bool)]) * (floor / actions)[:, None]
    prob[rows, np.where(slot >= 0, slot, none)] += 1 - floor
    return prob


def doubly_robust(slots: FirstDecisions, policy_NA: Floats) -> Floats:
    """What each customer is worth under a policy, from what was logged."""
    rows, model = np.arange(len(slots)), reward_model(slots)
    given_N = policy_NA[rows, slots.action_N] / slots.logged_N
    fit_N, direct_N = model[rows, slots.action_N], (policy_NA * model).sum(axis=1)
    return dr(EstimatorParts(slots.reward_N, given_N, fit_N, direct_N))


def reward_model(slots: FirstDecisions) -> Floats:
    """Predict the reward of each action: the level from the weeks before, the gain from the logged prediction."""
    held = slots.held_N
    before = slots.before_N - slots.before_N[held].mean()
    square = float((before[held] ** 2).sum())
    slope = float((before[held] * slots.reward_N[held]).sum()) / square if square > 0 else 0.0
    base = slots.reward_N[held].mean() + slope * before
    model: Floats = base[:, None] + np.hstack([np.nan_to_num(slots.gain_NK), np.zeros((len(slots), 1))])
    return model


def earned_numbers(judged: JudgedEvidence, zone: str) -> dict[str, object]:
    """All of it as learn.json has it, with segments and drift line by line."""
    evidence, arm = judged.evidence, judged.arm
    segments = [v for v in judged.main.verdicts if v.arm == arm and v.segment != ALL_CUSTOMERS]
    return {
        "months": [asdict(each) for each in earnings_by_period(evidence, arm, "1mo", zone)],
        "weeks": [asdict(each) for each in earnings_by_period(evidence, arm, "1w", zone)],
        "drivers": asdict(earnings_drivers(judged)),
        "lab": [asdict(value_policy(judged, asked)) for asked in candidate_policies(judged)],
        "segments": [
            {"segment": v.segment, "n": v.n_arm, "held": v.n_control, "gain": v.lift.lift if v.lift else None,
             "low": v.low, "high": v.high, "p": v.p_adjusted, "answer": v.answer, "why": v.why}
            for v in segments
        ],
        "drifts": [vars(each) for each in judged.drifts],
        "not_looked_at": [each._asdict() for each in judged.unseen_drifts],
    }  # fmt: skip
