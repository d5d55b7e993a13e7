"""Share an audience among arms: what is believed of each arm, and the probability with which a customer draws it.

An arm is a menu line in one audience. Outcomes are compared with those of the same audience who drew nothing, weighted
by propensity, customers as clusters, and shrunk towards a normal prior: every arm brings a message, and a discount
brings its benefit beside it. An arm's share is its probability of being the best, squared and normalised; nothing keeps
`NONE_SHARE`. An arm that hardly pays rests and comes back small; nothing stops for good.

Legend: R rows (a customer in one window), K arms of one audience, S draws from the posterior.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FIRST_DISCOUNT, FIRST_REMINDER = 0.5, 0.25  # shares in the first window; the rest draws nothing
FIRST_ALONE = 0.5  # of a reminder that has no discount beside it
NONE_SHARE = 0.1  # that draws nothing, at least
SMALL_SHARE = 0.1  # of an arm that comes back from its rest, and of a discount to the active
NEW_CUSTOMERS, NEW_SHARE = 250, 0.4  # an arm that begins later is drawn by so many, and by no larger share
REST_BELOW = 0.05  # probability of paying below which an arm rests
REST_WINDOWS = 2
REMINDER_SD = 0.09  # of the prior of a message, as a share of a customer's monthly margin
DISCOUNT_MEAN, DISCOUNT_SD = -0.5, 1.5  # of the prior of a benefit, in its own cost
PRIOR_SCALES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # the prior may be as many times wider: heavy tails
SCALE_PENALTY = 2.0  # times the squared logarithm of how many times, of the logarithm of its probability
COST_SD = 0.35  # s.d. of what an arm is expected to cost before any draw, as a share of it
BENEFITS_ALIKE = 0.7  # correlation of what two benefits bring, in the prior
LEAST = 8  # customers on either side of a comparison below which it says nothing
LEAST_VARIANCE = 0.5  # of a comparison, as a share of that of its audience: a handful who are alike look certain
POSTERIOR_DRAWS = 4096
# customers who refuse further messages, per message: 0.2 to 0.4 % in retail (LINK Mobility, "Benchmark for email
# marketing unsubscribe rate"), 0.20 to 0.30 % (Opensend, "22 email unsubscribe rate statistics"), read December 2026
REFUSAL_RATE = 0.002
REFUSAL_MESSAGES = 500  # messages that this weighs as much as: one refusal


class ArmPrior(NamedTuple):
    """What is believed of the arms before any draw, per customer in cents: means and covariance."""

    mean_K: Floats
    cov_KK: Floats


class ArmOutcomes(NamedTuple):
    """Rows of one audience: the arm drawn (-1 for nothing), its and nothing's propensities, whose row it is, the
    outcome, and what offers cost, in cents."""

    arm_R: Ints
    prob_RK: Floats
    none_R: Floats
    who_R: Ints
    value_R: Floats
    cost_R: Floats


class RefusalRates(NamedTuple):
    """By arm: how many more customers refuse further messages than of those who drew nothing, as believed after the
    draws, and its standard deviation."""

    rate_K: Floats
    sd_K: Floats


class ArmBeliefs(NamedTuple):
    """What is believed after the draws, per customer in cents: means and covariance.

    `n_K` drew each arm and `n_none_K` nothing where they could have drawn it. `drawn_K`, `drawn_se_K` and `cost_K`
    (with `cost_se_K`) are by the draws alone; NaN where fewer than `LEAST` drew on either side.
    """

    mean_K: Floats
    cov_KK: Floats
    n_K: Ints
    n_none_K: Ints
    drawn_K: Floats
    drawn_se_K: Floats
    cost_K: Floats
    cost_se_K: Floats

    @property
    def sd_K(self) -> Floats:
        """Standard deviations."""
        found: Floats = np.sqrt(np.maximum(np.diag(self.cov_KK), 0.0))
        return found

    @property
    def pays_K(self) -> Floats:
        """The probability that an arm adds more than nothing."""
        found: Floats = scipy.stats.norm.cdf(self.mean_K / np.maximum(self.sd_K, 1e-9))
        return found

    def less(self, refusals: "RefusalRates", worth_cents: float) -> "ArmBeliefs":
        """The same after what refusals lose, at so many cents each."""
        return self._replace(
            mean_K=self.mean_K - worth_cents * refusals.rate_K,
            cov_KK=self.cov_KK + worth_cents**2 * np.diag(refusals.sd_K**2),
            drawn_K=self.drawn_K - worth_cents * refusals.rate_K,
            drawn_se_K=np.hypot(self.drawn_se_K, worth_cents * refusals.sd_K),
        )


def arm_prior(cost_K: Floats, monthly_margin_cents: float) -> ArmPrior:
    """Of arms that are expected to cost so much per customer (0 for a reminder), where a customer of the audience has
    this margin in a month."""
    message = max(REMINDER_SD * monthly_margin_cents, 1e-3)
    benefit_K = DISCOUNT_SD * cost_K
    alike = BENEFITS_ALIKE + (1 - BENEFITS_ALIKE) * np.eye(cost_K.size)
    tie = 1e-6 * message**2 * np.eye(cost_K.size)  # two reminders are hardly two arms
    return ArmPrior(DISCOUNT_MEAN * cost_K, message**2 + alike * np.outer(benefit_K, benefit_K) + tie)


def refusal_rates(seen: ArmOutcomes, refused_R: Floats) -> RefusalRates:
    """How many more customers of each arm refuse further messages than of those who drew nothing, as a share.

    A rate is moved from `REFUSAL_RATE` towards the draws' own as a gamma distribution is that weighs as much as
    `REFUSAL_MESSAGES`; what customers do who drew nothing is noise. Its spread grows with it.
    """
    size = seen.prob_RK.shape[1]
    rate_K, sd_K = np.full(size, REFUSAL_RATE), np.full(size, REFUSAL_RATE)
    for k in range(size):
        found = _compared(seen, k)
        if min(found.n, found.n_none) < LEAST:
            continue
        none = float(found.b_R @ refused_R)
        drawn = float(found.a_R @ refused_R) - none
        size_a, size_b = 1 / float((found.a_R**2).sum()), 1 / float((found.b_R**2).sum())
        usual = none * size_b / (size_b + REFUSAL_MESSAGES)
        noise = (usual + REFUSAL_RATE) / size_a + usual / size_b
        weight = REFUSAL_RATE**2 / (REFUSAL_RATE**2 + noise)
        rate_K[k] += weight * (drawn - REFUSAL_RATE)
        sd_K[k] = REFUSAL_RATE * (max(rate_K[k] / REFUSAL_RATE, 1.0 - weight) * (1 - weight)) ** 0.5
    return RefusalRates(rate_K, sd_K)


def refuser_share(share_R: Floats, refused_R: Floats) -> float:
    """What a customer who refuses is worth beside the mean one; before any refusal as much."""
    before = REFUSAL_RATE * REFUSAL_MESSAGES
    return float((before + share_R @ refused_R) / (before + refused_R.sum()))


def option_value(mean_K: Floats, cov_KK: Floats) -> float:
    """What one more send is worth, of the arm that is best or of nothing: what a customer takes away who refuses."""
    return float(np.maximum(_posterior_draws(mean_K, cov_KK).max(axis=1, initial=0.0), 0.0).mean())


def update_beliefs(prior: ArmPrior, seen: ArmOutcomes) -> ArmBeliefs:
    """The prior after what was drawn."""
    size = prior.mean_K.size
    people, who_R = np.unique(seen.who_R, return_inverse=True)
    influence, floor = np.zeros((people.size, size)), np.zeros(size)
    n_K, n_none_K = np.zeros(size, np.int64), np.zeros(size, np.int64)
    drawn_K, cost_K, cost_se_K = (np.full(size, np.nan) for _ in range(3))
    for k in range(size):
        a_R, b_R, n_K[k], n_none_K[k] = _compared(seen, k)
        if min(n_K[k], n_none_K[k]) < LEAST:
            continue
        mine_R, others_R = a_R > 0, b_R > 0
        mean_a, mean_b = float(a_R @ seen.value_R), float(b_R @ seen.value_R)
        rest_R = seen.value_R - np.where(mine_R, mean_a, mean_b)
        drawn_K[k] = mean_a - mean_b
        np.add.at(influence[:, k], who_R, (a_R - b_R) * rest_R)
        squares = float((a_R**2).sum() + (b_R**2).sum())
        floor[k] = max(LEAST_VARIANCE * float(np.var(rest_R[mine_R | others_R])) * squares, 1e-9)
        cost_K[k] = max(float((a_R - b_R) @ seen.cost_R), 0.0)
        cost_se_K[k] = float(np.std(seen.cost_R[mine_R | others_R])) * squares**0.5
    at = np.flatnonzero(~np.isnan(drawn_K))
    noise = influence[:, at].T @ influence[:, at]
    lift = np.sqrt(np.maximum(floor[at] / np.maximum(np.diag(noise), 1e-12), 1.0))
    noise = noise * np.outer(lift, lift)
    drawn_se_K = np.full(size, np.nan)
    drawn_se_K[at] = np.sqrt(np.diag(noise))
    mean_K, cov_KK = _posterior(prior, at, drawn_K[at], noise) if at.size else prior
    return ArmBeliefs(mean_K, cov_KK, n_K, n_none_K, drawn_K, drawn_se_K, cost_K, cost_se_K)


class _Compared(NamedTuple):
    """Weights of those who drew an arm and of those who drew nothing in its place, each with the sum 1 if there are
    any, and how many there are."""

    a_R: Floats
    b_R: Floats
    n: int
    n_none: int


def _compared(seen: ArmOutcomes, k: int) -> _Compared:
    may_R = (seen.prob_RK[:, k] > 0) & (seen.none_R > 0)
    mine_R, others_R = may_R & (seen.arm_R == k), may_R & (seen.arm_R < 0)
    both_R = np.where(may_R, seen.prob_RK[:, k] + seen.none_R, 1.0)
    # weights of overlap (Li, Morgan, Zaslavsky 2018): a window with a small control says little
    a_R = np.where(mine_R, seen.none_R / both_R, 0.0)
    b_R = np.where(others_R, seen.prob_RK[:, k] / both_R, 0.0)
    a_R, b_R = a_R / (a_R.sum() or 1.0), b_R / (b_R.sum() or 1.0)
    return _Compared(a_R, b_R, int(mine_R.sum()), int(others_R.sum()))


def _posterior(prior: ArmPrior, at: Ints, drawn: Floats, noise: Floats) -> ArmPrior:
    """Means and covariance given the estimates of the arms `at`, averaged over the widths of the prior.

    A width that is chosen instead would count as known, and intervals would be too short.
    """
    gap = drawn - prior.mean_K[at]
    means, covs, logs = [], [], []
    for scale in PRIOR_SCALES:
        cov_KK = scale**2 * prior.cov_KK
        seen = cov_KK[np.ix_(at, at)] + noise
        lever = cov_KK[:, at] @ np.linalg.inv(seen)
        means.append(prior.mean_K + lever @ gap)
        covs.append(cov_KK - lever @ cov_KK[at])
        fit = scipy.stats.multivariate_normal.logpdf(gap, cov=seen, allow_singular=True)
        logs.append(float(fit) - SCALE_PENALTY * np.log(scale) ** 2)
    weight = scipy.special.softmax(logs)
    mean_K = weight @ np.array(means)
    between = np.array(means) - mean_K
    cov_KK = np.tensordot(weight, np.array(covs), 1) + between.T @ (weight[:, None] * between)
    return ArmPrior(mean_K, (cov_KK + cov_KK.T) / 2)


def best_probabilities(mean_K: Floats, cov_KK: Floats) -> Floats:
    """The probability that each arm, and last nothing, is the best."""
    size = mean_K.size
    if not size:
        return np.ones(1)
    value_SK = _posterior_draws(mean_K, cov_KK)
    best_S = np.argmax(np.column_stack([value_SK, np.zeros(POSTERIOR_DRAWS)]), axis=1)
    found: Floats = np.bincount(best_S, minlength=size + 1) / POSTERIOR_DRAWS
    return found


def _posterior_draws(mean_K: Floats, cov_KK: Floats) -> Floats:
    size = mean_K.size
    unit_SK = scipy.stats.norm.ppf(scipy.stats.qmc.Sobol(size, rng=0).random(POSTERIOR_DRAWS))
    root_KK = np.linalg.cholesky(cov_KK + (1e-9 * float(np.trace(cov_KK)) + 1e-12) * np.eye(size))
    found: Floats = mean_K + unit_SK @ root_KK.T
    return found


def arm_shares(mean_K: Floats, cov_KK: Floats, fixed_K: Floats) -> Floats:
    """Share of each arm of an audience; what is left draws nothing.

    `fixed_K` is NaN for the arms that share by what is believed of them, and the share of all others: 0 of those that
    rest, a small one of those that come back or begin.
    """
    share_K = np.nan_to_num(fixed_K, nan=0.0)
    running = np.flatnonzero(np.isnan(fixed_K))
    prob = best_probabilities(mean_K[running], cov_KK[np.ix_(running, running)]) ** 2
    share_K[running] = max(1.0 - share_K.sum(), 0.0) * prob[:-1] / prob.sum()
    found: Floats = share_K * min(1.0, (1.0 - NONE_SHARE) / max(float(share_K.sum()), 1e-12))
    return found


def fixed_shares(pays_K: Floats, n_K: Ints, idle_K: Ints) -> Floats:
    """The shares of arms that rest or come back, NaN for all others.

    `idle_K` is for how many of the last windows an arm was drawn by nobody. An arm that hardly pays rests for
    `REST_WINDOWS` and then comes back.
    """
    poor_K = (n_K > 0) & (pays_K < REST_BELOW)
    found: Floats = np.where(poor_K, np.where(idle_K >= REST_WINDOWS, SMALL_SHARE, 0.0), np.nan)
    return found


def first_shares(discount_K: Flags) -> Floats:
    """The shares of the first window."""
    if not discount_K.any():
        return np.where(np.arange(discount_K.size) == 0, FIRST_ALONE, 0.0)
    found: Floats = np.where(
        discount_K, FIRST_DISCOUNT / discount_K.sum(), FIRST_REMINDER / max((~discount_K).sum(), 1)
    )
    return found
