"""Estimate the effects of a trial: averages, pairs of arms, individual models, gain along the depth of a discount.

Legend: N customers, K treatments, A = K + 1 arms (arm 0 is control).
"""

from dataclasses import replace

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import TrialArrays as Arrays
from promolift.core.effects.trial_arrays import fit_encoder, holm_adjust, row_keys
from promolift.core.effects.uplift import learner_selection, uplift_model
from promolift.core.effects.uplift.average_effects import AdjustedMeans, adjusted_means, average_effects, e_value
from promolift.core.effects.uplift.dose_response import fit_dose
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import Progress, sub_progress
from promolift.trials.analysis.randomisation_units import Assignment, estimate_unit_averages
from promolift.trials.analysis.results import EFFECT_COLUMNS, NET_COLUMNS
from promolift.trials.analysis.trial_data import TrialData, depths

Floats = NDArray[np.float64]
MOVE_ALPHA = 0.05  # probability of not adjusting by columns that were known before
DEPTH_CURVE_POINTS = 13  # points of a depth curve, 0 included


def name_arms(frame: pl.DataFrame, arms: tuple[str, ...]) -> pl.DataFrame:
    """Return the frame with the names of arms in place of their numbers."""
    return frame.with_columns(pl.col("arm").replace_strict(dict(enumerate(arms)), return_dtype=pl.String))


def build_trial_arrays(data: TrialData, prob_NA: Floats) -> Arrays:
    """Return the customers and their first outcome as the arrays that averages are estimated from. They hold only what
    was surely known before: adjusting for a consequence of the treatment takes away a part of its effect.
    """
    encoder = fit_encoder(data.sure_features)
    x_NF, settings = encoder.encode(data.sure_features), data.settings
    first, keys = data.outcomes[settings.outcomes[0]], row_keys(x_NF, settings.seed)
    return Arrays(x_NF, data.arm_N, first, prob_NA, keys, tuple(encoder.names))


def find_effect_movers(data: TrialData, prob_NA: Floats) -> tuple[str, ...]:
    """Return the columns by which no average may be adjusted, since adjusting by them moves the effect as drawn.

    Arms drawn at random do not differ in what was known before, but by chance, so adjusting by it moves an effect by no
    more than the standard error of the move (a Hausman test, at 5 % over all outcomes and arms). A column that is a
    consequence of the treatment has no such limit. Those that move it alone go first; all, if the others still do.
    """
    stated = [name for name in data.before if name in (data.settings.strata, *data.settings.features)]
    doubtful = [name for name in data.before if name not in stated]
    if not doubtful or (data.units is not None and data.units.panel is not None):
        return ()
    cluster_N = None if data.units is None else data.units.unit_N

    def adjust(names: list[str]) -> list[AdjustedMeans]:
        arrays = build_trial_arrays(replace(data, before=(*stated, *names)), prob_NA)
        seed = data.settings.seed
        return [adjusted_means(arrays, each, cluster_N=cluster_N, seed=seed) for each in data.outcomes.values()]

    plain = adjust([])

    def moves(names: list[str]) -> bool:
        p = [_p_of_move(*pair, cluster_N) for pair in zip(plain, adjust(names), strict=True)]
        return bool(np.concatenate(p).min() < MOVE_ALPHA / sum(map(len, p)))

    if not moves(doubtful):
        return ()
    alone = [name for name in doubtful if moves([name])]
    others = [name for name in doubtful if name not in alone]
    return tuple(alone if alone and not (others and moves(others)) else doubtful)


def _p_of_move(plain: AdjustedMeans, adjusted: AdjustedMeans, cluster_N: NDArray[np.int64] | None) -> Floats:
    """p-values of the moves of each arm's effect, by the influence of rows or clusters on the move."""
    part_NK = adjusted.part_NK - plain.part_NK
    if cluster_N is not None:
        part_NK = np.column_stack([np.bincount(cluster_N, part_N) for part_N in part_NK.T])
    se_K, move_K = np.sqrt((part_NK**2).sum(axis=0)), np.abs(adjusted.gain_K - plain.gain_K)
    size_K = np.divide(move_K, se_K, out=np.zeros_like(move_K), where=se_K > 1e-6 * plain.se_K)
    return np.asarray(2 * scipy.stats.t.sf(size_K, plain.freedom))


def estimate_averages(arrays: Arrays, data: TrialData, level: Level) -> pl.DataFrame:
    """Return the table `effects` of TrialEffects."""

    def average(outcomes: dict[str, Floats]) -> pl.DataFrame:
        if data.units is None:
            return average_effects(arrays, outcomes, level, seed=data.settings.seed)
        return estimate_unit_averages(data.units, arrays, outcomes, level, data.settings.seed)

    found, money = name_arms(average(data.outcomes), data.arms), data.settings.money
    net, is_money = data.net(money or ""), pl.col("outcome") == pl.lit(money, pl.String)
    paid = {name: net.net_effect(gross, data.arms) for gross, name in zip(EFFECT_COLUMNS[:3], NET_COLUMNS, strict=True)}
    if money and net.has_percentage_cost:  # profit is no multiple of the outcome then: it is estimated for itself
        profit = {money: net.profit_before_cost(data.outcomes[money], data.arm_N)}
        own = name_arms(average(profit), data.arms).select("outcome", "arm", *EFFECT_COLUMNS[:3])
        cost = dict(zip(data.arms, net.mean_A.tolist(), strict=True))
        taken = pl.col("arm").replace_strict(cost, return_dtype=pl.Float64)
        own = own.select(
            "outcome",
            "arm",
            *((pl.col(e) - taken).alias(n) for e, n in zip(EFFECT_COLUMNS[:3], NET_COLUMNS, strict=True)),
        )
        found = found.join(own, on=["outcome", "arm"], how="left", maintain_order="left")
        paid = {name: pl.col(name) for name in NET_COLUMNS}
    found = found.with_columns(**{name: pl.when(is_money).then(each) for name, each in paid.items()})
    first = ("outcome", "arm", *EFFECT_COLUMNS[:3], *NET_COLUMNS)
    return found.select(*first, pl.all().exclude(*first))


def estimate_pairs(arrays: Arrays, data: TrialData, level: Level) -> pl.DataFrame:
    """Return the table `pairs` of TrialEffects; of a panel, only pairs with control."""
    found = [estimate_averages(arrays, data, level).with_columns(against=pl.lit(data.arms[0]))]
    last = 1 if data.units is not None and data.units.panel is not None else len(data.arms) - 1
    for base in range(1, last):
        order = [base, *(arm for arm in range(len(data.arms)) if arm != base)]
        place_A = np.argsort(order)  # every arm's number once `base` is compared with as control is
        arm_N, units = place_A[data.arm_N], data.units
        rebased = replace(
            data, arms=tuple(data.arms[arm] for arm in order), arm_N=arm_N, part_A=data.part_A[order],
            cost_NA=data.cost_NA[:, order] - data.cost_NA[:, [base]],
            units=None if units is None else replace(units, arm_U=place_A[units.arm_U]),
        )  # fmt: skip
        turned = replace(arrays, arm_N=place_A[arrays.arm_N], prob_NA=arrays.prob_NA[:, order])
        later = pl.col("arm").is_in(list(data.arms[base + 1 :]))
        found.append(
            estimate_averages(turned, rebased, level).filter(later).with_columns(against=pl.lit(data.arms[base]))
        )
    columns = ["outcome", "arm", "against", *EFFECT_COLUMNS[:3], *NET_COLUMNS, "p"]
    parts = pl.concat(each.select(columns) for each in found).partition_by("outcome", maintain_order=True)
    return pl.concat(_together(part) for part in parts)


def _together(part: pl.DataFrame) -> pl.DataFrame:
    """One outcome's pairs, the better arm first, with intervals that hold for all at once (Sidak 1967) and Holm's p."""
    wider = float(scipy.stats.norm.ppf(0.5 + 0.5 * 0.95 ** (1 / part.height))) / Z95
    names = ((EFFECT_COLUMNS[0], EFFECT_COLUMNS[1], EFFECT_COLUMNS[2]), NET_COLUMNS)
    wide = [
        (pl.col(mid) + wider * (pl.col(end) - pl.col(mid))).alias(end)
        for mid, low, high in names
        for end in (low, high)
    ]
    worse = pl.coalesce("net", "effect") < 0
    turned = [pl.when(worse).then(pl.col(b)).otherwise(pl.col(a)).alias(a)
              for a, b in (("arm", "against"), ("against", "arm"))]  # fmt: skip
    turned += [pl.when(worse).then(-pl.col(a)).otherwise(pl.col(b)).alias(b)
               for mid, low, high in names for a, b in ((mid, mid), (high, low), (low, high))]  # fmt: skip
    shown = pl.coalesce("net_low", "low") > 0
    adjusted = pl.Series("p_holm", holm_adjust(part["p"].to_numpy()))
    return part.with_columns(wide).with_columns(turned).with_columns(adjusted, shown=shown)


def e_values(arrays: Arrays, effects: pl.DataFrame, arms: tuple[str, ...]) -> dict[str, float]:
    """Return the E-value of each arm's effect on the first outcome: how strong an unrecorded cause must be to explain
    it away.
    """
    first = effects.filter(pl.col("outcome") == effects["outcome"][0])
    return {
        arm: e_value(effect, se, float(arrays.outcome_N[np.isin(arrays.arm_N, (0, arms.index(arm)))].std()))
        for arm, effect, se in first.select("arm", "effect", "se").iter_rows()
    }


def fit_models(data: TrialData, assigned: Assignment, tell: Progress) -> dict[str, uplift_model.EffectModel]:
    """Fit a model of each modelled outcome, net of cost if the outcome is money."""
    settings, found = data.settings, {}
    same = assigned.level == "randomised" and settings.planned == "equal"
    propensity_NK = None if same else assigned.prob_NA[:, 1:]
    for done, name in enumerate(settings.modelled_outcomes):
        start, part = 0.2 + 0.7 * done / len(settings.modelled_outcomes), 0.7 / len(settings.modelled_outcomes)
        heard = sub_progress(tell, "effect", start, part, f"who gains how much {name}")
        heard(0.0)
        net = data.net(name)
        found[name] = uplift_model.fit_effects(
            data.features, data.arm_N, net.profit_before_cost(data.outcomes[name], data.arm_N),
            propensity_NK=propensity_NK, cost_NK=net.cost_NK, diagnosis=assigned.diagnosis,
            settings=learner_selection.EffectSettings(seed=settings.seed), before=data.before, on_progress=heard,
        )  # fmt: skip
    return found


def depth_curves(data: TrialData, level: str) -> pl.DataFrame:
    """Return the gain along the depth, for all customers and for thirds by expected outcome: segment, depth, gain, low,
    high (of the mean gain of the segment).

    Gains in money are net of margin and cost, which between two depths lies between theirs. InputError if treatments
    are no depths; SupportError unless they were randomised with the same shares for everybody.
    """
    settings = data.settings
    if level != "randomised" or settings.strata is not None or data.units is not None:
        raise SupportError(
            "dose_not_randomised",
            gettext_lazy("dose: depths must have been randomised with the same shares for everybody (planned=...)"),
        )
    found_A = depths(data.arms)
    if found_A is None:
        text = gettext_lazy("treatments {arms} are no depths", arms=", ".join(data.arms))
        raise InputError(
            "dose_not_numeric",
            gettext_lazy(
                "{where}: dose: {text}; give numbers or names with one in them such as 10%, 0 for none",
                where=data.where,
                text=text,
            ),
        )
    depth_A = np.array(found_A)
    features, net = data.features, data.net(settings.deciding_outcome)
    model = fit_dose(
        features, depth_A[data.arm_N], net.profit_before_cost(data.outcomes[settings.deciding_outcome], data.arm_N)
    )
    expected = model.predict_outcomes(features)
    third = np.searchsorted(np.quantile(expected, [1 / 3, 2 / 3]), expected, side="right")
    names = np.array([gettext_noop("lowest third"), gettext_noop("middle third"), gettext_noop("highest third")])[third]
    grid = np.linspace(0, depth_A.max(), DEPTH_CURVE_POINTS)[1:]
    everybody = model.segment(features, np.full(len(features), "everybody"), grid)
    found = pl.concat([everybody, model.segment(features, names, grid)])
    rising = np.argsort(depth_A[1:])
    paid = [
        np.interp(depth, depth_A[1:][rising], mean_A[1:][rising])
        for segment, depth in found.select("segment", "depth").iter_rows()
        for mean_A in [net.subset(np.flatnonzero((names == segment) | (segment == "everybody"))).mean_A]
    ]
    return found.with_columns(pl.col("gain", "low", "high") - pl.Series(paid))
