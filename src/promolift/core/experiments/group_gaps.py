"""Compare how groups of customers were treated at equal baskets, and find features that stand for a group.

A gap is the difference between a group and all others in a linear model of what was measured on the group and on a
basis of the customers' baskets (Frisch, Waugh 1933), with errors that may differ between customers (HC3, MacKinnon,
White 1985, Journal of Econometrics 29). Legend: N customers, P columns of the basis.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.allocation.fairness_limits import groups_to_limit
from promolift.core.effects.trial_arrays import fit_encoder, holm_adjust
from promolift.core.effects.uplift.linear_learners import fit_basis
from promolift.core.experiments.prediction_metrics import Score, auc
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]
GapMeasure = Literal["offers", "value", "refused", "price", "discount"]
ANGLE_PREFIX = "angle:"  # before the name of an angle, in a measure
ALPHA = 0.05
ROUNDING = 1e-10
MIN_RESIDUAL_VARIANCE = 1e-3  # of a group's own variance that baskets must leave, or nobody else is like them
MIN_PROXY_AUC = 0.6  # an AUC above which a feature is looked at as one that may stand for the group
MAX_PROXIES = 3  # features a group, the closest first
MIN_PROXY_SHARE = 0.25  # of a gap that must go with a feature for the gap to run through it
TREES = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "verbose": -1,
    "num_threads": 1, "deterministic": True, "seed": 1,
}  # fmt: skip


class GroupGap(Settings):
    """A measure of the `n` customers of a group (`sex=F`) against all `others` of whom it is known.

    `mean` and `others_mean` are as they stand, `gap` is the difference at equal baskets; its interval holds for all
    gaps of the report at once in 95 % of such reports (Sidak), `p` is adjusted for all of them (Holm). In minor units
    for `value`, else a share; `price` is what was paid over what all paid for the same products in the same weeks, and
    `angle:NAME` the share of messages with this angle, of which none is better than another.
    """

    measure: GapMeasure | str
    group: str
    n: int
    others: int
    mean: float
    others_mean: float
    gap: float
    low: float
    high: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether there is a gap beyond chance, all that was looked at counted in."""
        return self.p < ALPHA

    @property
    def worse(self) -> bool:
        """Whether the group is worse off."""
        if self.measure.startswith(ANGLE_PREFIX):
            return False
        return self.gap > 0 if self.measure in ("price", "refused") else self.gap < 0


class Proxy(Settings):
    """A feature that stands for a group: how well it tells its customers from others (AUC with 95 % interval), and how
    much of the group's gap is left at equal values of it; `through`: a good part goes with it, beyond chance.

    `feature` None: all features together, of which no gap is known.
    """

    group: str
    feature: str | None
    auc: float
    low: float
    high: float
    measure: GapMeasure | str | None = None
    gap: float | None = None
    left: float | None = None
    through: bool = False


class GapFit(NamedTuple):
    """A gap, its standard error, and what each customer adds to its error."""

    gap: float
    se: float
    influence_N: Floats


def orthonormal(z_NP: Floats) -> Floats:
    """Columns that span the same as z_NP; one of the flags of a text always follows from the others."""
    q_NP, scale_P, _ = np.linalg.svd(z_NP, full_matrices=False)
    kept: Floats = q_NP[:, scale_P > ROUNDING * scale_P[0]]
    return kept


def adjusted_gap(q_NP: Floats, y_N: Floats, group_N: NDArray[np.bool_]) -> GapFit | None:
    """The gap of a group at equal values of `orthonormal` columns; None where these settle who is in it."""
    g_N = group_N - q_NP @ (q_NP.T @ group_N)
    y_N = y_N - q_NP @ (q_NP.T @ y_N)
    size = float(g_N @ g_N)
    if size <= MIN_RESIDUAL_VARIANCE * group_N.sum():
        return None
    gap = float(g_N @ y_N) / size
    leverage_N = (q_NP**2).sum(axis=1) + g_N**2 / size
    influence_N = g_N * (y_N - gap * g_N) / np.maximum(1 - leverage_N, 1e-3) / size
    return GapFit(gap, float(np.sqrt((influence_N**2).sum())), influence_N)


def group_gaps(
    rows: pl.DataFrame, columns: Sequence[str], measures: Sequence[str], alike: Sequence[str], least: int = 50
) -> list[GroupGap]:
    """The gaps of all groups of at least `least` customers, the surest first.

    `rows` has a row per customer: columns of texts that name groups, measures (null: not known), numbers `alike`. Of
    two groups of a column the smaller counts; of two groups of the same customers the first.
    """
    found, t_T = [], []
    for measure in measures:
        mine = rows.drop_nulls(measure)
        if mine.height < 2 * least:
            continue
        y_N, x_NF = mine[measure].cast(pl.Float64).to_numpy(), numeric_columns(mine, alike)
        q_NP, seen = orthonormal(fit_basis(x_NF).columns(x_NF)), set[bytes]()
        for group in groups_to_compare(mine, columns, least):
            in_N = in_group(mine, group)
            fit = None if in_N.tobytes() in seen else adjusted_gap(q_NP, y_N, in_N)
            seen.add(in_N.tobytes())
            if fit is None or fit.se == 0:
                continue
            t_T.append(2 * float(scipy.stats.t.sf(abs(fit.gap / fit.se), min(in_N.sum(), (~in_N).sum()) - 1)))
            found.append((measure, group, y_N[in_N], y_N[~in_N], fit))
    if not found:
        return []
    reach = float(scipy.stats.norm.isf((1 - (1 - ALPHA) ** (1 / len(found))) / 2))
    gaps = [
        GroupGap(
            measure=measure, group=group, n=len(own), others=len(rest), mean=own.mean(), others_mean=rest.mean(),
            gap=fit.gap, low=fit.gap - reach * fit.se, high=fit.gap + reach * fit.se, p=float(p),
        )
        for (measure, group, own, rest, fit), p in zip(found, holm_adjust(np.array(t_T)), strict=True)
    ]  # fmt: skip
    return sorted(gaps, key=lambda each: (each.p, each.measure, each.group))


def numeric_columns(rows: pl.DataFrame, columns: Sequence[str]) -> Floats:
    """Columns of numbers; NaN where there is none."""
    return rows.select(pl.col(list(columns)).cast(pl.Float64)).fill_null(float("nan")).to_numpy()


def in_group(rows: pl.DataFrame, group: str) -> NDArray[np.bool_]:
    """Who is in a group, `column=value`."""
    column, _, value = group.partition("=")
    return (rows[column] == value).fill_null(False).to_numpy()


def groups_to_compare(rows: pl.DataFrame, columns: Sequence[str], least: int) -> Iterator[str]:
    """The groups to look at, `column=value`."""
    for column in columns:
        sizes = dict(rows[column].drop_nulls().value_counts().sort(column).iter_rows())
        if column == "loyalty":  # it is asked of the loyal ones
            yield from ["loyalty=loyal"] if min(sizes.get("loyal", 0), sizes.get("new", 0)) >= least else []
            continue
        large = {f"{column}={value}": size / rows.height for value, size in sizes.items() if size >= least}
        yield from groups_to_limit(large) if len(sizes) > 1 else ()


def find_proxies(
    rows: pl.DataFrame, gaps: Sequence[GroupGap], features: Sequence[str], alike: Sequence[str]
) -> list[Proxy]:
    """How well features (numbers or texts) stand for the group of each column with the surest gap: all together, and
    the closest ones, with what is left of the gap at equal values of each.
    """
    surest: dict[str, GroupGap] = {}
    for gap in gaps:
        surest.setdefault(gap.group.partition("=")[0], gap)
    found = []
    for gap in surest.values():
        mine = rows.drop_nulls(gap.measure)
        in_N = in_group(mine, gap.group)
        scores = {name: proxy_score(mine[name], in_N) for name in features}
        scored = {name: auc(in_N, score_N) for name, score_N in scores.items() if score_N is not None}
        if scored:
            all_of = auc(in_N, joint_probability(mine, [*scored], in_N))
            found.append(Proxy(group=gap.group, feature=None, auc=all_of.value, low=all_of.low, high=all_of.high))
        close = sorted((-each.value, name) for name, each in scored.items() if each.low > MIN_PROXY_AUC)[:MAX_PROXIES]
        found += _through(mine, gap, in_N, {name: scored[name] for _, name in close}, alike)
    return found


def _through(
    rows: pl.DataFrame, gap: GroupGap, in_N: NDArray[np.bool_], close: Mapping[str, Score], alike: Sequence[str]
) -> Iterator[Proxy]:
    y_N, x_NF = rows[gap.measure].cast(pl.Float64).to_numpy(), numeric_columns(rows, alike)
    z_NP = fit_basis(x_NF).columns(x_NF)
    whole = adjusted_gap(orthonormal(z_NP), y_N, in_N)
    for name, scored in close.items():
        more_NF = fit_encoder(rows.select(name)).encode(rows.select(name))
        rest = adjusted_gap(orthonormal(np.hstack([z_NP, fit_basis(more_NF).columns(more_NF)[:, 1:]])), y_N, in_N)
        through, left = False, None
        if whole is not None and rest is not None:
            left, less = rest.gap, whole.gap - rest.gap
            se = float(np.sqrt(((whole.influence_N - rest.influence_N) ** 2).sum()))
            sure = se > 0 and 2 * scipy.stats.norm.sf(abs(less) / se) * len(close) < ALPHA
            through = bool(gap.shown and sure and less * whole.gap >= MIN_PROXY_SHARE * whole.gap**2)
        yield Proxy(
            group=gap.group, feature=name, auc=scored.value, low=scored.low, high=scored.high, measure=gap.measure,
            gap=None if whole is None else whole.gap, left=left, through=through,
        )  # fmt: skip


def proxy_score(feature: pl.Series, in_N: NDArray[np.bool_]) -> Floats | None:
    """A number by which the feature tells the group: itself, in the direction that does; of a text the share of the
    group among those of the other half who have it. None for a feature that is the same for all.
    """
    if feature.drop_nulls().n_unique() < 2 and not feature.null_count():
        return None
    if feature.dtype == pl.String:
        frame = pl.DataFrame({"value": feature.fill_null(""), "hit": in_N, "half": alternate_halves(len(in_N))})
        share = frame.group_by("value", ~pl.col("half")).agg(pl.col("hit").mean().alias("share"))
        found = frame.join(share, on=["value", "half"], how="left", maintain_order="left")["share"]
        return found.fill_null(float(in_N.mean())).to_numpy()
    values = feature.cast(pl.Float64)
    score_N = values.fill_null(float(values.median() or 0.0)).to_numpy()  # type: ignore[arg-type]
    return score_N if auc(in_N, score_N).value >= 0.5 else -score_N


def alternate_halves(n: int) -> NDArray[np.bool_]:
    """Every other customer."""
    half_N: NDArray[np.bool_] = np.arange(n) % 2 == 0
    return half_N


def joint_probability(rows: pl.DataFrame, features: Sequence[str], in_N: NDArray[np.bool_]) -> Floats:
    """The probability of being in the group by boosted trees on all features, each half by the trees of the other."""
    import lightgbm as lgb

    x_NF = np.column_stack([
        rows[name].rank("dense").cast(pl.Float64).fill_null(float("nan")).to_numpy()
        if rows[name].dtype == pl.String else numeric_columns(rows, [name])[:, 0]
        for name in features
    ])  # fmt: skip
    half_N, score_N = alternate_halves(len(in_N)), np.zeros(len(in_N))
    for half in (half_N, ~half_N):
        trees = lgb.train(TREES, lgb.Dataset(x_NF[~half], in_N[~half].astype(float)), 60)
        score_N[half] = trees.predict(x_NF[half])
    return score_N
