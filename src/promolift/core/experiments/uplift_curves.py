"""Uplift metrics of a trial: Qini curves, and the value of targeting policies.

Legend: N customers, G groups of equal score, A arms (arm 0 is control), K = A - 1 treatments, P points of a curve.
Scores must come from a model that has not seen the outcomes they are judged with. Every `Estimate`
carries the first-order influence of each row (infinitesimal jackknife, Efron 1982), so that the difference of two
figures on the same rows has its paired standard error: `paired_difference`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """One figure, its standard error, 95 % interval and n. `influence_N` sums to 0; its squares sum to se squared."""

    figure: str
    value: float
    se: float
    low: float
    high: float
    n: int
    rule: str
    influence_N: Floats = field(repr=False, compare=False)


@dataclass(frozen=True)
class UpliftCurve:
    """Points of a plot: gain over control, per customer, and its pointwise 95 % interval, at each `x_P`."""

    x: str
    x_P: Floats
    gain_P: Floats
    se_P: Floats

    @property
    def low_P(self) -> Floats:
        return self.gain_P - Z95 * self.se_P

    @property
    def high_P(self) -> Floats:
        return self.gain_P + Z95 * self.se_P


@dataclass(frozen=True)
class _Ranked:
    """Checked rows; `group_N` 0 holds the highest score and equal scores share a group."""

    y_N: Floats
    t_N: Floats
    group_N: Ints

    def sums(self, value_N: Floats) -> Floats:
        """Running totals of a value over the groups, best first."""
        return np.cumsum(np.bincount(self.group_N, weights=value_N))


def qini(outcome_N: ArrayLike, score_N: ArrayLike, treatment_N: ArrayLike) -> Estimate:
    """Qini coefficient of a 0/1 outcome: area over the diagonal / that of the ideal order (Radcliffe 2007).

    Curve: x customers taken, best first, rows of equal score together; y = Y1 - Y0 N1 / N0 with Y responders and N
    customers of the treated (1) and control (0) among them; a ratio without control counts 0. Ideal order: treated
    responders, then all non-responders, then control responders. Equal to scikit-uplift's `qini_auc_score`.
    Raises SupportError if no order could be better than another.
    """
    rows = _rows("qini", outcome_N, score_N, treatment_N)
    _binary("qini", rows.y_N)
    ideal = _Ranked(rows.y_N, rows.t_N, _group(rows.y_N * (2 * rows.t_N - 1)))
    return _ratio("qini", rows, _area(rows), _area(ideal))


def qini_area(outcome_N: ArrayLike, score_N: ArrayLike, treatment_N: ArrayLike) -> Estimate:
    """Area between Qini curve and diagonal for any outcome, in its unit per customer.

    Curve as for `qini`, y divided by all treated and x by all customers: what taking the best first adds, per customer
    and averaged over all depths, to taking the same number at random.
    """
    rows = _rows("qini area", outcome_N, score_N, treatment_N)
    n, treated = len(rows.y_N), rows.t_N.sum()
    return _ratio("qini area", rows, _area(rows), _Area(n * treated, treated + n * rows.t_N))


def qini_curve(outcome_N: ArrayLike, score_N: ArrayLike, treatment_N: ArrayLike, points: int = 101) -> UpliftCurve:
    """Qini curve of any outcome: share of customers taken, and gain per customer of the trial (y over all treated)."""
    rows = _rows("qini curve", outcome_N, score_N, treatment_N)
    y, t = rows.y_N, rows.t_N
    n1, y1, yy1 = rows.sums(t), rows.sums(y * t), rows.sums(y * y * t)
    n0, y0, yy0 = rows.sums(1 - t), rows.sums(y * (1 - t)), rows.sums(y * y * (1 - t))
    r, m0, q = _over(n1, n0), _over(y0, n0), y1 - _over(n1 * y0, n0)
    gain = q / n1[-1]
    # d q / d row: y - m0 for the treated, r (m0 - y) for controls; squares summed, less what the denominator moves
    squares = yy1 - 2 * m0 * y1 + m0**2 * n1 + r**2 * (yy0 - 2 * m0 * y0 + m0**2 * n0)
    variance = (squares - 2 * gain * (y1 - m0 * n1) + gain**2 * n1[-1]) / n1[-1] ** 2
    keep = _spread(len(q), points)
    x, g, s = (n1 + n0)[keep] / len(y), gain[keep], np.sqrt(np.maximum(variance[keep], 0.0))
    return UpliftCurve("share of customers", np.r_[0.0, x], np.r_[0.0, g], np.r_[0.0, s])


def arm_scores(
    outcome_N: ArrayLike, arm_N: ArrayLike, prob_NA: ArrayLike, predicted_NA: ArrayLike | None = None
) -> Floats:
    """score_NA, whose mean over customers is the mean outcome had all been given that arm.

    Without predictions inverse propensity: 1{arm = a} y / p_a (Horvitz & Thompson 1952); with predictions m_a made out
    of fold doubly robust: m_a + 1{arm = a} (y - m_a) / p_a (Robins, Rotnitzky & Zhao 1994), unbiased if either is right
    and never needing m to be right where p is known. NaN where an arm was impossible (p_a = 0): unknown, not zero.
    """
    y, arm = _vector("arm scores", outcome_N), np.asarray(arm_N)
    prob = np.asarray(prob_NA, dtype=np.float64)
    if prob.ndim == 1:
        prob = np.tile(prob, (len(y), 1))
    differ = prob.shape[0] != len(y) or arm.shape != y.shape
    if differ or not np.isin(arm, np.arange(prob.shape[1])).all():
        raise InputError(
            "shapes_differ" if differ else "arm_unknown",
            gettext_lazy(
                "arm scores: {y} outcomes need as many arms, numbered from 0 to {shape}",
                y=len(y),
                shape=prob.shape[1] - 1,
            ),
        )
    if not ((prob >= 0).all() and np.allclose(prob.sum(axis=1), 1.0, atol=1e-6)):
        raise InputError(
            "propensity_invalid", gettext_lazy("arm scores: each row of probabilities must be 0 or more and sum to 1")
        )
    model = np.zeros(prob.shape) if predicted_NA is None else np.asarray(predicted_NA, dtype=np.float64)
    if model.shape != prob.shape or not np.isfinite(model).all():
        raise InputError(
            "shapes_differ" if model.shape != prob.shape else "value_invalid",
            gettext_lazy(
                "arm scores: predictions of shape {shape} must be finite, of shape {prob_shape}",
                shape=model.shape,
                prob_shape=prob.shape,
            ),
        )
    got = arm.astype(np.int64)[:, None] == np.arange(prob.shape[1])
    if (prob[got] == 0).any():
        raise InputError(
            "propensity_zero",
            gettext_lazy("arm scores: {sum} customers had an arm whose probability is 0", sum=(prob[got] == 0).sum()),
        )
    score: Floats = np.where(prob > 0, model + got * (y[:, None] - model) / np.where(prob > 0, prob, 1.0), np.nan)
    return score


def policy_value(score_NA: Floats, policy: ArrayLike, figure: str = "policy value") -> Estimate:
    """Mean outcome under a policy: an arm for each customer or probabilities of arms (N x A), valued by `arm_scores`.

    Raises SupportError if the policy uses an arm where the trial could not give it.
    """
    n, arms = score_NA.shape
    prob = np.asarray(policy)
    if prob.ndim == 1:
        if prob.shape != (n,) or not np.isin(prob, np.arange(arms)).all():
            raise InputError(
                "shapes_differ" if prob.shape != (n,) else "arm_unknown",
                gettext_lazy(
                    "{figure}: a policy is one arm from 0 to {arms} for each of {n} customers",
                    figure=figure,
                    arms=arms - 1,
                    n=n,
                ),
            )
        prob = prob[:, None] == np.arange(arms)
    if prob.shape != score_NA.shape or not np.allclose(prob.sum(axis=1), 1.0, atol=1e-6) or (prob < 0).any():
        raise InputError(
            "shapes_differ" if prob.shape != score_NA.shape else "probabilities_invalid",
            gettext_lazy(
                "{figure}: probabilities of shape {shape} must sum to 1 over the {arms} arms",
                figure=figure,
                shape=prob.shape,
                arms=arms,
            ),
        )
    unknown = int((np.isnan(score_NA) & (prob > 0)).any(axis=1).sum())
    if unknown:
        raise SupportError(
            "no_overlap",
            gettext_lazy(
                "{figure}: {unknown} of {n} customers get an arm they could not get in the trial",
                figure=figure,
                unknown=unknown,
                n=n,
            ),
        )
    part_N = (np.where(prob > 0, score_NA, 0.0) * prob).sum(axis=1)
    return make_estimate(figure, float(part_N.mean()), (part_N - part_N.mean()) / n, "influence function")


def paired_difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b on the same rows in the same order, with the paired standard error."""
    if a.n != b.n:
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "difference: {figure} has {n} rows and {b_figure} {b_n}; they must be the same rows",
                figure=a.figure,
                n=a.n,
                b_figure=b.figure,
                b_n=b.n,
            ),
        )
    # the factor for small n stands in both already
    part_N = (a.influence_N - b.influence_N) / np.sqrt(a.n / (a.n - 1))
    return make_estimate(f"{a.figure} - {b.figure}", a.value - b.value, part_N, "paired influence")


def _rows(figure: str, outcome_N: ArrayLike, score_N: ArrayLike, treatment_N: ArrayLike) -> _Ranked:
    y, score, t = (_vector(figure, values) for values in (outcome_N, score_N, treatment_N))
    if not y.shape == score.shape == t.shape:
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "{figure}: {size} outcomes, {score_size} scores and {t_size} treatments differ in length",
                figure=figure,
                size=y.size,
                score_size=score.size,
                t_size=t.size,
            ),
        )
    if not np.isin(t, (0.0, 1.0)).all():
        raise InputError(
            "treatment_not_binary",
            gettext_lazy(
                "{figure}: treatments must be 0 (control) or 1; judge several arms one by one or by budget",
                figure=figure,
            ),
        )
    if min(t.sum(), (1 - t).sum()) < 2:
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "{figure}: {sum} treated and {sum_2} controls; 2 of each are needed",
                figure=figure,
                sum=f"{t.sum():.0f}",
                sum_2=f"{(1 - t).sum():.0f}",
            ),
        )
    return _Ranked(y, t, _group(score))


def _vector(figure: str, values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(
            "shapes_differ" if found.ndim != 1 else "value_missing",
            gettext_lazy(
                "{figure}: needs one finite number per customer; leave missing rows out and say how many", figure=figure
            ),
        )
    return found


def _binary(figure: str, y_N: Floats) -> None:
    if not np.isin(y_N, (0.0, 1.0)).all():
        raise InputError(
            "outcome_not_binary",
            gettext_lazy(
                "{figure}: the ideal order is only known for 0/1 outcomes; use {figure}_area for others", figure=figure
            ),
        )


def _group(score_N: Floats) -> Ints:
    return np.unique(-score_N, return_inverse=True)[1].astype(np.int64)


def _over(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


class _Area(NamedTuple):
    """Area between curve and diagonal, and how it moves with the weight of each row."""

    value: float
    slope_N: Floats


def _area(rows: _Ranked) -> _Area:
    """Of the Qini curve.

    The curve and the diagonal back to the origin close a polygon; with v = x = 0 put before and behind, its area is
    sum (v_g + v_g-1)(x_g - x_g-1) / 2 less the triangle, and the slopes are differences of neighbours.
    """
    t, y = rows.t_N, rows.y_N
    n1, y1, n0, y0 = (rows.sums(each) for each in (t, y * t, 1 - t, y * (1 - t)))
    m0, r = _over(y0, n0), _over(n1, n0)
    v, x = y1 - m0 * n1, n1 + n0
    slopes = np.stack([-m0, np.ones_like(n1), m0 * r, -r])  # of the curve in n1, y1, n0, y0
    ends_v, ends_x = np.r_[0.0, v, 0.0], np.r_[0.0, x, 0.0]
    area = float(np.sum((v + ends_v[:-2]) * (x - ends_x[:-2])) / 2 - x[-1] * v[-1] / 2)
    by_v, by_x = (ends_x[2:] - ends_x[:-2]) / 2, (ends_v[:-2] - ends_v[2:]) / 2
    by_sum = by_v * slopes + np.stack([by_x, np.zeros_like(x), by_x, np.zeros_like(x)])
    a1, b1, a0, b0 = np.cumsum(by_sum[:, ::-1], axis=1)[:, ::-1][:, rows.group_N]  # a row moves all later sums
    return _Area(area, t * (a1 + y * b1) + (1 - t) * (a0 + y * b0))


def _ratio(figure: str, rows: _Ranked, top: _Area, bottom: _Area) -> Estimate:
    if abs(bottom.value) <= 1e-12 * len(rows.y_N) ** 2:
        raise SupportError(
            "no_variation",
            gettext_lazy(
                "{figure}: with these outcomes no order is better than another, so there is no figure", figure=figure
            ),
        )
    value = top.value / bottom.value
    part_N = (top.slope_N - value * bottom.slope_N) / bottom.value
    return make_estimate(figure, value, part_N, "infinitesimal jackknife")


def make_estimate(figure: str, value: float, influence_N: Floats, rule: str) -> Estimate:
    """An Estimate from each row's first-order part, scaled by sqrt(n / (n - 1)) against small n; normal interval."""
    n = len(influence_N)
    if n < 2:
        raise SupportError(
            "too_few_customers", gettext_lazy("{figure}: {n} customers; at least 2 are needed", figure=figure, n=n)
        )
    influence = influence_N * np.sqrt(n / (n - 1))
    se = float(np.sqrt(np.sum(influence**2)))
    return Estimate(figure, float(value), se, float(value - Z95 * se), float(value + Z95 * se), n, rule, influence)


def _spread(size: int, points: int) -> Ints:
    """At most `points` places, evenly spread, the last always among them."""
    return np.unique(np.linspace(0, size - 1, min(size, points)).round().astype(np.int64))
