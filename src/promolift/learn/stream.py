"""Batches of decisions in; sums that add, and from them what a policy would have earned, out.

Legend: N decisions of a batch, A actions, U units (customers) of a batch, Z = 6 sums kept: the count, the reward r,
the weight w, w r, the direct method d, and w times the reward model's error e.

Every estimate here is a smooth function of totals, so its standard error follows from the totals' products (the delta
method): 36 numbers stand for any number of rows. Batches may come from different days, files or machines, and may be
forgotten once added. A customer's rows must lie in one batch to count as one unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.errors import InputError
from promolift.learn.off_policy import Estimate, Log, OffPolicySettings, OffPolicyValue
from promolift.learn.reward import RewardModel, fit_rewards, predict_rewards
from promolift.learn.support import count_weights, require, support_of

Floats = NDArray[np.float64]
ONE, R, W, WR, D, WE = range(6)


@dataclass(frozen=True)
class Sums:
    """What is kept of the decisions seen: totals, products, and what the support check needs."""

    total_Z: Floats
    product_ZZ: Floats
    square: tuple[float, float]  # of w and of w r, by row
    largest: float
    weights: NDArray[np.int64]
    taken_A: NDArray[np.int64]
    wanted_A: Floats
    closed: float | None  # the policy's mass on what the log could not do; None where only logged chances are known

    def __add__(self, other: Self) -> "Sums":
        """The sums of both sets of decisions."""
        closed = None if self.closed is None or other.closed is None else self.closed + other.closed
        return Sums(
            self.total_Z + other.total_Z,
            self.product_ZZ + other.product_ZZ,
            (self.square[0] + other.square[0], self.square[1] + other.square[1]),
            max(self.largest, other.largest),
            self.weights + other.weights,
            self.taken_A + other.taken_A,
            self.wanted_A + other.wanted_A,
            closed,
        )


def sums_of(log: Log, policy_NA: Floats, reward_NA: Floats) -> Sums:
    """The sums of one batch. `reward_NA` must come from a model that has not seen these rows' rewards."""
    rows, actions = np.arange(len(log.action_N)), policy_NA.shape[1]
    weight_N = policy_NA[rows, log.action_N] / log.prob_N
    paid_N = weight_N * log.reward_N
    miss_N = weight_N * (log.reward_N - reward_NA[rows, log.action_N])
    direct_N = np.einsum("na,na->n", policy_NA, reward_NA)
    rows_NZ = np.column_stack([np.ones(len(rows)), log.reward_N, weight_N, paid_N, direct_N, miss_N])
    if log.unit_N is not None:
        rows_NZ = np.column_stack([np.bincount(log.unit_N, weights=column) for column in rows_NZ.T])
    closed = None if log.logging_NA is None else float(policy_NA[log.logging_NA <= 0].sum())
    return Sums(
        rows_NZ.sum(axis=0),
        rows_NZ.T @ rows_NZ,
        (float((weight_N**2).sum()), float((paid_N**2).sum())),
        float(weight_N.max()),
        count_weights(weight_N),
        np.bincount(log.action_N, minlength=actions),
        policy_NA.sum(axis=0),
        closed,
    )


def value_of_sums(sums: Sums, settings: OffPolicySettings = OffPolicySettings()) -> OffPolicyValue:  # noqa: B008
    """What the policy would have earned per decision; the least uncertain unbiased estimate is the value.

    Raises SupportError as `off_policy_value` does. `score_U` is empty: the rows are gone.
    """
    rows, total_Z = int(sums.total_Z[ONE]), sums.total_Z
    never = float(sums.wanted_A[sums.taken_A == 0].sum())
    unseen = (never if sums.closed is None else sums.closed) / rows
    support = support_of(rows, (total_Z[W], sums.square[0]), sums.largest, sums.weights, unseen)
    require(support, settings.most_unseen, settings.least_effective)
    z = float(scipy.stats.norm.ppf(0.5 + settings.level / 2))
    estimates = tuple(_estimate(name, *found, sums, z) for name, found in _estimates(total_Z).items())
    best = min(estimates, key=lambda estimate: estimate.se)
    gain_Z = _estimates(total_Z)[best.name][1] - _mean(total_Z, R)[1]
    gain, half = best.value - total_Z[R] / total_Z[ONE], z * _se(gain_Z, sums)
    return OffPolicyValue(
        value=best.value,
        low=best.low,
        high=best.high,
        level=settings.level,
        chosen=best.name,
        interval_of=best.name,
        logged=float(total_Z[R] / total_Z[ONE]),
        gain_low=gain - half,
        gain_high=gain + half,
        estimates=estimates,
        support=support,
        rewarded=float(total_Z[WR] ** 2 / sums.square[1]) if sums.square[1] else 0.0,
        reward_model="learnt from the first batch",
        score_U=np.zeros(0),
    )


def stream_value(
    batches: Iterable[tuple[Log, Floats]],
    settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
) -> OffPolicyValue:
    """Value one policy on any number of batches of (log, its chances), one of which is in memory at a time.

    The reward model is learnt from the first batch, which is itself valued out of fold; its quality affects how wide
    the interval is, not whether it is right.
    """
    sums: Sums | None = None
    model: RewardModel | None = None
    for log, policy_NA in batches:
        if sums is None or model is None:
            weight_N = policy_NA[np.arange(len(policy_NA)), log.action_N] / log.prob_N
            data = (log.action_N, log.reward_N, weight_N, log.context_NF)
            fits = predict_rewards(*data, policy_NA.shape[1], settings.reward)
            model = fit_rewards(fits.best, log.action_N, log.reward_N, log.context_NF, policy_NA.shape[1])
            sums = sums_of(log, policy_NA, fits.best.reward_NA)
        else:
            sums = sums + sums_of(log, policy_NA, model.predict(log.context_NF))
    if sums is None:
        raise InputError("log: no decisions; give at least one batch")
    return value_of_sums(sums, settings)


def _estimates(total_Z: Floats) -> dict[str, tuple[float, Floats]]:
    """Each estimate and its slope in the totals; slopes times a unit's sums are that unit's influence."""
    ips, paid = _mean(total_Z, WR)
    direct, lean = _mean(total_Z, D)
    miss, repair = _mean(total_Z, WE)
    ratio, share = _share(total_Z, WR)
    rest, fix = _share(total_Z, WE)
    return {
        "ips": (ips, paid),
        "snips": (ratio, share),
        "dr": (direct + miss, lean + repair),
        "sndr": (direct + rest, lean + fix),
    }


def _mean(total_Z: Floats, of: int) -> tuple[float, Floats]:
    return _over(total_Z, of, ONE)


def _share(total_Z: Floats, of: int) -> tuple[float, Floats]:
    return _over(total_Z, of, W)


def _over(total_Z: Floats, of: int, by: int) -> tuple[float, Floats]:
    value, slope_Z = float(total_Z[of] / total_Z[by]), np.zeros(len(total_Z))
    slope_Z[of], slope_Z[by] = 1.0 / total_Z[by], -value / total_Z[by]
    return value, slope_Z


def _se(slope_Z: Floats, sums: Sums) -> float:
    return float(np.sqrt(max(float(slope_Z @ sums.product_ZZ @ slope_Z), 0.0)))


def _estimate(name: str, value: float, slope_Z: Floats, sums: Sums, z: float) -> Estimate:
    se = _se(slope_Z, sums)
    return Estimate(name, value, se, value - z * se, value + z * se, se)
