"""Attacks on privacy: membership inference from losses, and attribute inference from released data.

Membership inference measures how well an attacker recognises the customers whom a model was trained on. Attribute
inference measures how well attributes of a customer can be guessed from what is released about them. Both come with
confidence intervals. Each member must have been drawn by an independent fair coin.

Legend: S models, M customers, F numbers of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.experiments.group_gaps import ALPHA, alternate_halves, joint_probability
from promolift.core.experiments.prediction_metrics import Score, auc
from promolift.foundation.errors import SupportError
from promolift.foundation.evidence import Z95, Interval
from promolift.foundation.i18n.lazy_message import gettext_lazy

Real = NDArray[np.float64]
Bools = NDArray[np.bool_]
FALSE_POSITIVE_RATE, LOW_FALSE_POSITIVE_RATE = (
    0.01,
    0.001,
)  # rates of false positives at which the advantage is read; the second with so
LOW_RATE_MIN_CUSTOMERS = 40_000  # customers or more, of whom a half is no member and half of these set the threshold
GUESSED_SHARE = 0.1  # of the customers, at each end of the scores, are guessed
MIN_CUSTOMERS = 40  # customers below which nothing is said
AUC_MARGIN = 1e-6  # nearest to 0 and 1 that an AUC is taken for


@dataclass(frozen=True)
class MembershipResult:
    """What an attack found. `advantage` is true less false positives at a threshold for `false_rate` of the latter,
    with its 95 % interval; a private model has at least `epsilon_low` with 95 % confidence.
    """

    auc: Score
    advantage: float
    low: float
    high: float
    epsilon_low: float
    false_rate: float = FALSE_POSITIVE_RATE

    @property
    def holds_chance(self) -> bool:
        """Whether both intervals hold what guessing gives."""
        return self.auc.low <= 0.5 and self.low <= 0


def score_membership(score_M: Real, member_M: Bools, delta: float = 0.0, alpha: float = ALPHA) -> MembershipResult:
    """How well scores, larger for members, tell who is one; intervals are too narrow with probability `alpha`.

    The threshold comes from half of the others, and is judged on the other half and the members, by exact intervals
    (Clopper and Pearson 1934) that hold together. For epsilon the largest and the smallest scores are guessed: of a
    private model the right guesses are no more than coins that fall right with e^epsilon / (1 + e^epsilon) would give
    (Steinke, Nasr and Jagielski 2023); for delta, 2 M delta is taken off the error rate.
    """
    if min(member_M.sum(), (~member_M).sum()) < MIN_CUSTOMERS // 2:
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "attack: {score_m} customers; at least {min_customers} are needed, half of them members",
                score_m=len(score_M),
                min_customers=MIN_CUSTOMERS,
            ),
        )
    others = np.flatnonzero(~member_M)
    first, second = others[::2], others[1::2]
    rate = LOW_FALSE_POSITIVE_RATE if len(score_M) >= LOW_RATE_MIN_CUSTOMERS else FALSE_POSITIVE_RATE
    threshold = np.quantile(score_M[first], 1 - rate, method="higher")
    hit, false = score_M[member_M] > threshold, score_M[second] > threshold
    true_rate, false_rate = (clopper_pearson(int(x.sum()), len(x), alpha / 2) for x in (hit, false))
    guesses = max(round(GUESSED_SHARE * len(score_M)), MIN_CUSTOMERS // 4)
    order = np.argsort(score_M, kind="stable")
    right = int(member_M[order[-guesses:]].sum() + (~member_M[order[:guesses]]).sum())
    share = clopper_pearson(right, 2 * guesses, max(2 * (0.05 - 2 * len(score_M) * delta), 1e-9)).low
    return MembershipResult(
        auc=widen_interval(auc(member_M, score_M), alpha),
        advantage=float(hit.mean() - false.mean()),
        low=true_rate.low - false_rate.high,
        high=true_rate.high - false_rate.low,
        epsilon_low=max(float(np.log(share / (1 - share))), 0.0) if 0 < share < 1 else 0.0,
        false_rate=rate,
    )


def clopper_pearson(hits: int, n: int, alpha: float = 0.05) -> Interval:
    """The interval of a proportion that is too narrow with probability `alpha` at most (Clopper and Pearson 1934)."""
    low = scipy.special.betaincinv(hits, n - hits + 1, alpha / 2) if hits else 0.0
    high = scipy.special.betaincinv(hits + 1, n - hits, 1 - alpha / 2) if hits < n else 1.0
    return Interval(float(low), float(high))


def likelihood_ratios(loss_SM: Real, in_SM: Bools, of: int) -> Real:
    """How much likelier a customer's loss under model `of` is if they were learned from: normal losses with the means
    that the other models show with and without them, one spread for all (Carlini and others 2022).
    """
    others = np.arange(len(loss_SM)) != of
    logs, seen = np.log(np.maximum(loss_SM, 1e-9)), in_SM[others]
    with np.errstate(invalid="ignore"):  # nobody learned from them, or everybody did
        with_M, without_M = ((logs[others] * each).sum(axis=0) / each.sum(axis=0) for each in (seen, ~seen))
    rest = logs[others] - np.where(seen, with_M, without_M)
    spread = float(np.nanstd(rest)) or 1.0
    mine = logs[of]
    score_M = ((mine - without_M) ** 2 - (mine - with_M) ** 2) / (2 * spread**2)
    return np.asarray(np.nan_to_num(score_M, nan=0.0))


def nearest_similarity(made_CF: Real, customer_MF: Real) -> Real:
    """How near the nearest made-up customer is to each customer, larger for nearer; each number over its spread."""
    spread_F = np.maximum(customer_MF.std(axis=0), 1e-9)
    return -np.asarray(scipy.spatial.cKDTree(made_CF / spread_F).query(customer_MF / spread_F)[0])


class AttributeInference(NamedTuple):
    """How well an attribute of customers is guessed from what leaves of them: `attribute` is what is asked (`sex = F`,
    `visits > 3`). By the population alone the AUC is 0.5 and the advantage 0; the intervals hold for all that was asked
    at once.
    """

    attribute: str
    share: float
    membership: MembershipResult

    @property
    def beats_chance(self) -> bool:
        """Whether it is guessed better than by the population, beyond chance."""
        return self.membership.auc.low > 0.5


def infer_attributes(secret: pl.DataFrame, leaves: pl.DataFrame, columns: Sequence[str]) -> list[AttributeInference]:
    """Attribute inference: every column of `secret`, in halves at the median or as its commonest value against all
    others, from `leaves` (a row of the same customer each), by boosted trees that know the attribute of every other
    customer; judged on the rest, who must be in an order that says nothing. The best guessed first. A column of one
    value, or of few customers with another, is not asked.
    """
    asked: list[tuple[str, Bools]] = []
    for name in columns:
        known = secret[name]
        if known.dtype.is_numeric():
            middle = float(known.cast(pl.Float64).fill_nan(None).median() or 0.0)  # type: ignore[arg-type]
            what, is_N = f"{name} > {middle:.4g}", (known.cast(pl.Float64) > middle).fill_null(False).to_numpy()
        else:
            values = known.cast(pl.String).fill_null("not given")
            most = str(values.value_counts().sort("count", values.name, descending=[True, False])[values.name][0])
            what, is_N = f"{name} = {most}", (values == most).to_numpy()
        if min(is_N.sum(), (~is_N).sum()) >= 2 * MIN_CUSTOMERS:
            asked.append((what, is_N))
    alpha = 1 - (1 - ALPHA) ** (1 / max(len(asked), 1))
    found, judged_N = [], alternate_halves(secret.height)  # both halves together vary more than the interval knows
    for what, is_N in asked:
        score_N = joint_probability(leaves, leaves.columns, is_N)
        found.append(
            AttributeInference(
                what, float(is_N.mean()), score_membership(score_N[judged_N], is_N[judged_N], alpha=alpha)
            )
        )
    return sorted(found, key=lambda each: -each.membership.auc.low)


def widen_interval(score: Score, alpha: float) -> Score:
    """The same with an interval that is too narrow with probability `alpha`, on the logit scale as it was made."""
    ends = np.clip([score.value, score.low, score.high], AUC_MARGIN, 1 - AUC_MARGIN)
    value, low, high = scipy.special.logit(ends)
    reach = float(scipy.special.ndtri(1 - alpha / 2)) / Z95
    low, high = scipy.special.expit([value + reach * (low - value), value + reach * (high - value)])
    return Score(score.figure, score.value, float(low), float(high), score.n, score.rule)
