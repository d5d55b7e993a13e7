"""Estimate each arm's effect by group from draws.

Every row is a customer in one campaign window, drawn with known propensities. An arm is compared with those of the same
group who drew none, weighted by propensity (by overlap: Li, Morgan, Zaslavsky 2018); rows of one customer are one
cluster, and comparisons that share customers are correlated. All effects together are then drawn towards what was
believed before (a normal prior in which arms and groups share a part, its scale by marginal likelihood: empirical
Bayes, Efron, Morris 1973). Windows are pooled as far as they tell the same: each may be the first of other effects
(`find_change_points`; change points: Barry, Hartigan 1993), and what was drawn before counts as much as that is
unlikely.

Legend: R rows, K arms, G groups, I cells (arm and group), J comparisons: cells over the horizon, then over the window,
then in visits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
MEASURED = 20  # customers on either side from which an effect counts as randomised
LEAST = 8  # customers on either side of a comparison below which it says nothing
SHARED, SAME_ARM, SAME_GROUP, OWN = 0.35, 0.25, 0.25, 0.15  # parts of the prior's variance: of a discount
CONTACT, CONTACT_GROUP, CONTACT_OWN = 0.8, 0.17, 0.03  # and of being written to, whatever the letter offers
PRIOR_VISITS = 0.15  # assumed before any draw: an offer raises the odds of coming in its window by so much (log)
PRIOR_VISITS_SD = 0.15  # s.d. of that: that it does nothing, or harm, is not far from what is assumed
FADE_HALF_LIFE_DAYS = 10.0  # days in which what a letter does by itself halves
LASTS, LASTS_DISCOUNT = 0.85, 0.5  # correlation of horizon, window and visits in the prior: of letters, of discounts
PRIOR_COST_SD = 0.35  # s.d. of what is expected that an arm costs before any draw, as a share of it
PRIOR_CHANGE = 1 / 12  # of windows, the share that is the first of other effects, before any draw
MIN_CHANGE_PROB = 0.001  # probability of a change below which it is left out
AGES = (1, 2, 3, 4, 6, 9, 13, 18, 24)  # windows since a change: later ones are told apart more finely
SCALES = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
POWER_Z = float(scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8))
PATIENCE_WINDOWS = 2  # windows of tests after which only what is likely to pay is tested further
State = Literal["give", "test", "closed"]


@dataclass(frozen=True, eq=False)
class Draws:
    """`arm_R` is -1 for none; `prob_RK` the propensity of each arm, `none_R` that of none, 0 where it was not possible.

    `group_R` is the group's number, `who_R` the customer's. `value_R` and `window_R` are margin over the horizon and
    the window, offers' cost taken off, less what was expected; `cost_R` what offers cost; `visits_R` days with a
    purchase in the window, and `soon_R` the same, sooner ones counted more (`visit_weight`); `when_R` the window's
    number, 0 the oldest.
    """

    arm_R: Ints
    group_R: Ints
    who_R: Ints
    prob_RK: Floats
    none_R: Floats
    value_R: Floats
    window_R: Floats
    cost_R: Floats
    visits_R: Floats
    soon_R: Floats
    when_R: Ints


def visit_weight(days: int) -> Floats:
    """What a visit counts by its day in a window of so many: what a letter does fades, so that who comes soon says most
    of it. An effect that halves every FADES days counts as much as if all days counted alike, told by less noise."""
    fades: Floats = 0.5 ** (np.arange(days) / FADE_HALF_LIFE_DAYS)
    weights: Floats = fades * fades.sum() / (fades**2).sum()
    return weights


class ArmCell(NamedTuple):
    """An arm for a group: their numbers; what it was believed to add after its cost, per customer, with the s.d. of
    what its discount brings back and that of what being written to does by itself; what it was believed to cost; how
    many customers the group has now, and the spread of one customer's value; and `contact`, the part of what was
    believed that is only assumed of being written to."""

    arm: int
    group: int
    prior: float
    prior_se: float
    contact_se: float
    cost: float
    customers: int
    sd: float
    contact: float = 0.0


class CellEstimate(NamedTuple):
    """What draws say of one cell alone; `se` is None where too few drew."""

    value: float
    se: float | None
    n_arm: int
    n_none: int


class Belief(NamedTuple):
    """Means and covariance over J: the cells' values over the horizon and over the window, and visits."""

    mean_J: Floats
    cov_JJ: Floats


class ArmValue(NamedTuple):
    """A cell after the draws: net value over the horizon and over the window per customer, with standard errors; what
    it costs; by the draws alone how many more visits the window had (`visits_se` is None where too few drew); and the
    probabilities that it is worth more than none, and that its arm is, all groups together: both by what has been
    shown, without what is only assumed of letters."""

    cell: ArmCell
    drawn: CellEstimate
    net: float
    net_se: float
    window: float
    window_se: float
    cost: float
    cost_se: float
    visits: float
    visits_se: float | None
    pays: float
    whole: float

    @property
    def measured(self) -> bool:
        """Whether enough customers of the group drew it, and none, to speak of a measurement."""
        return self.drawn.se is not None and min(self.drawn.n_arm, self.drawn.n_none) >= MEASURED


def _prior(draws: Draws, cells: Sequence[ArmCell]) -> Belief:
    """What is believed beside the draws: arms alike and groups alike err together, and what a letter does by itself is
    nearly the same for every arm of a group. What is added in the window mostly lasts over the horizon, and a letter
    works by visits: of their variance, among those who drew none, a rise of the odds is a share."""
    arm, group, sd, contact, mean, assumed = (
        np.array([getattr(cell, name) for cell in cells])
        for name in ("arm", "group", "prior_se", "contact_se", "prior", "contact")
    )
    none = [draws.soon_R[(draws.group_R == cell.group) & (draws.arm_R < 0)] for cell in cells]
    rise = PRIOR_VISITS_SD * np.array([float(np.var(each)) if len(each) else 0.0 for each in none])
    own, same_group = np.eye(len(cells)), group[:, None] == group
    alike = SHARED + SAME_ARM * (arm[:, None] == arm) + SAME_GROUP * same_group + OWN * own
    together = CONTACT + CONTACT_GROUP * same_group + CONTACT_OWN * own
    letters, discounts = np.concatenate([contact, contact, rise]), np.concatenate([sd, sd, 0 * sd])
    lasts, lasts_discount = (part + (1 - part) * np.eye(3) for part in (LASTS, LASTS_DISCOUNT))
    cov = np.kron(lasts, together) * np.outer(letters, letters)
    cov += np.kron(lasts_discount, alike) * np.outer(discounts, discounts)
    more = np.divide(assumed * rise, contact, out=0 * rise, where=contact > 0)
    return Belief(np.concatenate([mean, mean, more]), cov)


def _unassumed(prior: Belief, cells: Sequence[ArmCell]) -> Belief:
    """The same, as doubtful, where letters are taken to do nothing by themselves."""
    assumed = np.array([cell.contact for cell in cells])
    mean = prior.mean_J - np.concatenate([assumed, assumed, prior.mean_J[2 * len(cells) :]])
    return Belief(mean, prior.cov_JJ)


class _Seen(NamedTuple):
    """Comparisons J, their covariance, and the cells that were seen."""

    value_J: Floats
    cov_JJ: Floats
    seen_J: Mask


def _compared(draws: Draws, cells: Sequence[ArmCell], outcomes: Sequence[Floats], *parts: Mask) -> _Seen:
    """Differences of weighted means of each cell, one outcome after the other, part of the rows by part, with their
    covariance over customers."""
    people, who_R = np.unique(draws.who_R, return_inverse=True)
    each_part = parts or (np.ones(len(who_R), dtype=bool),)
    size = len(cells) * len(outcomes) * len(each_part)
    influence = np.zeros((len(people), size))
    value, floor, seen = np.zeros(size), np.zeros(size), np.zeros(size, dtype=bool)
    for i, (part_R, y_R, cell) in enumerate(product(each_part, outcomes, cells)):
        prob = draws.prob_RK[:, cell.arm]
        rows = np.flatnonzero(part_R & (draws.group_R == cell.group) & (prob > 0) & (draws.none_R > 0))
        sides, both = [], prob[rows] + draws.none_R[rows]
        # a window with a small control says little: weights of overlap, h / propensity with h = p q / (p + q)
        for mine, other in ((draws.arm_R[rows] == cell.arm, draws.none_R[rows]), (draws.arm_R[rows] < 0, prob[rows])):
            weight = np.where(mine, other / both, 0.0)
            sides.append((mine.sum(), weight / max(weight.sum(), 1e-12)))
        if min(count for count, _ in sides) < LEAST:
            continue
        (_, a), (_, b) = sides
        y = y_R[rows]
        mean_a, mean_b = float(a @ y), float(b @ y)
        value[i], seen[i] = mean_a - mean_b, True
        np.add.at(influence[:, i], who_R[rows], a * (y - mean_a) - b * (y - mean_b))
        rest = y - np.where(a > 0, mean_a, mean_b)
        floor[i] = float(np.var(rest)) * float((a**2).sum() + (b**2).sum())
    cov = influence.T @ influence
    # a handful of alike customers would look certain: none is surer than the spread of their group allows
    lift = np.maximum(1.0, np.sqrt(floor / np.maximum(np.diag(cov), 1e-12)))
    return _Seen(value, cov * np.outer(lift, lift), seen)


def _shown(draws: Draws, cells: Sequence[ArmCell], *parts: Mask) -> _Seen:
    """What beliefs go by: every cell over J, part by part; visits alone of arms that take nothing off and are doubted
    for being letters, as visits that a discount brings may cost more than they are worth."""
    seen = _compared(draws, cells, (draws.value_R, draws.window_R, draws.soon_R), *parts)
    free = free_arms(cells)
    letters = [cell.arm in free and cell.contact_se > 0 for cell in cells]
    by_visits = np.tile(np.array([True] * 2 * len(cells) + letters, dtype=bool), len(parts))
    return seen._replace(seen_J=seen.seen_J & by_visits)


class _Fit(NamedTuple):
    """The width of the prior that comparisons ask for, and their log likelihood under it."""

    scale: float
    log: float


def _fit(prior: Belief, seen: _Seen) -> _Fit:
    """Of some comparisons at least."""
    at = np.flatnonzero(seen.seen_J)
    gap, own, noise = seen.value_J[at] - prior.mean_J[at], prior.cov_JJ[np.ix_(at, at)], _noise(seen)

    def likelihood(scale: float) -> float:
        log = scipy.stats.multivariate_normal.logpdf(gap, cov=scale**2 * own + noise, allow_singular=True)
        return float(log) - 2.0 * float(np.log(scale) ** 2)  # another width than the stated one needs clear evidence

    return max((_Fit(float(scale), likelihood(float(scale))) for scale in SCALES), key=lambda fit: fit.log)


def _noise(seen: _Seen) -> Floats:
    """The covariance of those that were seen."""
    cov = seen.cov_JJ[np.ix_(seen.seen_J, seen.seen_J)]
    noise: Floats = cov + 1e-9 * np.eye(len(cov)) * max(float(np.trace(cov)), 1e-9)
    return noise


def _posterior(prior: Belief, seen: _Seen) -> Belief:
    """Both together; the prior as wide as the comparisons ask for."""
    at = np.flatnonzero(seen.seen_J)
    if not at.size:
        return prior
    scale = _fit(prior, seen).scale
    cross = scale**2 * prior.cov_JJ[:, at]
    lever = cross @ np.linalg.inv(cross[at] + _noise(seen))
    gap = seen.value_J[at] - prior.mean_J[at]
    cov: Floats = scale**2 * prior.cov_JJ - lever @ cross.T
    return Belief(prior.mean_J + lever @ gap, cov)


class ChangePoint(NamedTuple):
    """That effects have been others since a window (the first one: always the same), with its probability by the draws
    and `rows_R`, the draws that speak of now."""

    since: int
    prob: float
    rows_R: Mask


def find_change_points(draws: Draws, cells: Sequence[ArmCell]) -> list[ChangePoint]:
    """How likely each window is the first of the effects of now, the likeliest first.

    What was drawn before and after a window is compared as one effect each; either both are the same, or each is drawn
    from the prior anew, which happens to CHANGE of the windows.
    """
    prior, when_R = _prior(draws, cells), draws.when_R
    windows = int(when_R.max()) + 1 if len(when_R) else 0
    found = [(0, (windows - 1) * float(np.log1p(-PRIOR_CHANGE)))]
    for since in (windows - age for age in AGES if age < windows):
        seen = _shown(draws, cells, when_R < since, when_R >= since)
        if not (seen.seen_J[: len(seen.seen_J) // 2].any() and seen.seen_J[len(seen.seen_J) // 2 :].any()):
            continue
        other, same = (_fit(_twice(prior, tie), seen).log for tie in (np.eye(2), np.ones((2, 2))))
        found.append(
            (since, other - same + float(np.log(PRIOR_CHANGE)) + (windows - 1 - since) * float(np.log1p(-PRIOR_CHANGE)))
        )
    probs = scipy.special.softmax([log for _, log in found])
    each = [ChangePoint(since, float(prob), when_R >= since) for (since, _), prob in zip(found, probs, strict=True)]
    return sorted(each, key=lambda change: -change.prob)


def _twice(prior: Belief, tie: Floats) -> Belief:
    """Of the effects before and after a change, `tie` (2 x 2) their correlation."""
    return Belief(np.tile(prior.mean_J, 2), np.kron(tie, prior.cov_JJ).astype(np.float64))


class _Told(NamedTuple):
    """Comparisons, and how likely it is that they are those of now."""

    prob: float
    seen: _Seen


def _mixed(prior: Belief, told: Sequence[_Told]) -> Belief:
    """What is believed after comparisons any of which may be those of now: the mean, and the spread besides their own
    doubt."""
    probs, beliefs = [each.prob for each in told], [_posterior(prior, each.seen) for each in told]
    mean: Floats = np.sum([prob * each.mean_J for prob, each in zip(probs, beliefs, strict=True)], axis=0)
    doubts = [each.cov_JJ + np.outer(each.mean_J - mean, each.mean_J - mean) for each in beliefs]
    cov: Floats = np.sum([prob * doubt for prob, doubt in zip(probs, doubts, strict=True)], axis=0)
    return Belief(mean, cov)


def estimate_arm_values(
    draws: Draws, cells: Sequence[ArmCell], since: Sequence[ChangePoint] = (), tests: int = 0
) -> list[ArmValue]:
    """Every cell after the draws of so many windows of tests. Without any draw that says something it is what was
    believed before.

    What is only assumed of letters shows nothing (`pays`, `whole`), and after PATIENCE windows is not believed either.
    `since` are the changes that may be (`find_change_points`); without them all windows are pooled. What is said of the
    draws alone, costs among it, is of those after the likeliest.
    """
    prior, free = _prior(draws, cells), free_arms(cells)
    rows_R = since[0].rows_R if since else np.ones(len(draws.arm_R), dtype=bool)
    seen = _shown(draws, cells, rows_R)
    costs, visits = (_compared(draws, cells, (y,), rows_R) for y in (draws.cost_R, draws.visits_R))
    likely = [each for each in since[1:] if each.prob > MIN_CHANGE_PROB]
    told = [_Told(1 - sum(each.prob for each in likely), seen)]
    told += [_Told(each.prob, _shown(draws, cells, each.rows_R)) for each in likely]
    by_draws = _mixed(_unassumed(prior, cells) if len(draws.arm_R) else prior, told)
    after = by_draws if tests >= PATIENCE_WINDOWS else _mixed(prior, told)
    pays, whole = _pays(np.eye(len(cells)), by_draws), _whole(cells, by_draws)
    se_J, found = np.maximum(np.diag(after.cov_JJ), 0.0) ** 0.5, []
    for i, cell in enumerate(cells):
        rows = rows_R & (draws.group_R == cell.group) & (draws.prob_RK[:, cell.arm] > 0)
        n_arm = int((rows & (draws.arm_R == cell.arm)).sum())
        known = bool(seen.seen_J[i])
        paid = known and cell.arm not in free  # who takes nothing off pays nothing, whatever else is redeemed
        cost = _cost(cell, float(costs.value_J[i]), float(costs.cov_JJ[i, i])) if paid else _expected_cost(cell)
        each = CellEstimate(float(seen.value_J[i]), float(seen.cov_JJ[i, i] ** 0.5) if known else None, n_arm,
                     int((rows & (draws.arm_R < 0)).sum()))  # fmt: skip
        found.append(
            ArmValue(
                cell, each, float(after.mean_J[i]), float(se_J[i]),
                float(after.mean_J[len(cells) + i]), float(se_J[len(cells) + i]), *cost,
                float(visits.value_J[i]), float(visits.cov_JJ[i, i] ** 0.5) if known else None,
                float(pays[i]), whole[cell.arm],
            )
        )  # fmt: skip
    return found


def _whole(cells: Sequence[ArmCell], after: Belief) -> dict[int, float]:
    """By arm, the probability that it adds more than none, all its customers together."""
    arms = sorted({cell.arm for cell in cells})
    people = np.array([[cell.customers * (cell.arm == arm) for cell in cells] for arm in arms], dtype=np.float64)
    return dict(zip(arms, _pays(people.reshape(len(arms), len(cells)), after).tolist(), strict=True))


def _pays(weight_AI: Floats, after: Belief) -> Floats:
    """The probability that sums of cells, weighted, are worth more than none."""
    size = weight_AI.shape[1]
    mean, cov = after.mean_J[:size], after.cov_JJ[:size, :size]
    sd = np.maximum(np.einsum("ai,ij,aj->a", weight_AI, cov, weight_AI), 1e-12) ** 0.5
    found: Floats = scipy.stats.norm.cdf(weight_AI @ mean / sd)
    return found


def free_arms(cells: Iterable[ArmCell]) -> set[int]:
    """Arms that take nothing off for anybody."""
    dearest: dict[int, float] = {}
    for cell in cells:
        dearest[cell.arm] = max(cell.cost, dearest.get(cell.arm, 0.0))
    return {arm for arm, cost in dearest.items() if cost <= 0}


class _Cost(NamedTuple):
    """What an arm costs per customer, with its standard error."""

    cost: float
    se: float


def _expected_cost(cell: ArmCell) -> _Cost:
    """Before any draw."""
    return _Cost(cell.cost, PRIOR_COST_SD * cell.cost)


def _cost(cell: ArmCell, value: float, var: float) -> _Cost:
    """What draws cost and what was expected, weighted by precision; who draws nothing costs nothing."""
    before = _expected_cost(cell)
    if not before.se > 0 or not var > 0:
        return _Cost(max(value, 0.0), var**0.5) if var > 0 else before
    total = 1 / var + 1 / before.se**2
    return _Cost(max((value / var + before.cost / before.se**2) / total, 0.0), total**-0.5)


def detectable_effect(sd: float, treated: float, others: float) -> float:
    """The smallest effect that so many customers show with 80 % power at 5 %, both sides counted."""
    return POWER_Z * sd * float((1 / max(treated, 1e-9) + 1 / max(others, 1e-9)) ** 0.5)


def customers_needed(sd: float, smallest: float) -> int:
    """Customers on each side for that power."""
    return int(np.ceil(2 * (POWER_Z * sd / smallest) ** 2))
