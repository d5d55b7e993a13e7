"""Linear effect learners with penalties learned from the data (empirical Bayes).

Legend: N customers, F features, P basis columns, M modifiers, A arms, K treatments, J folds. A customer in arm a has
the linear predictor z'(sum of modifiers m of arm a of coef_m): modifier 0 holds for everybody, 1 for any treatment, 2..
for one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import CachedRows, Family, Floats, Ints, TrialArrays, chunks

KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles at which the slope of a number with many values may change
CLIP = (0.005, 0.995)  # numbers are winsorised here: one large amount must not carry a slope
MAX_COLUMNS = 140  # wider data get fewer knots, then only the columns most tied to the outcome: costs grow as the cube
SCREENING_ROWS = 50_000  # rows that decide which columns those are, and where knots lie
NEWTON, EVIDENCE, WARM = 12, 25, 8
MAX_NEWTON_STEP = (
    2.0  # no linear predictor moves further in one Newton step: under an exponential link it would overshoot
)
MAX_LINEAR_PREDICTOR = 15.0  # largest linear predictor of the exponential and logistic links
MIN_SCALE = 0.1  # a flag that few customers carry counts as if 1 in 100 did: 23 of them must not carry a slope of 12
MIN_MINORITY_ROWS = 10  # customers who differ in a column of two values, below which it is left out
CODE_SHARE = 0.002  # rows that one value far from all others must hold to be read as a code, such as -999
PILOT_ROWS = 20_000  # rows that the expansion point is found on; one step on all rows is as good as many (Le Cam)


@dataclass(frozen=True)
class Basis:
    """Features to standardised columns: each feature, its hinges, and a flag where values were missing or a code."""

    source_P: Ints
    knot_P: Floats  # NaN: the feature itself; +inf: the flag "missing"
    low_F: Floats
    high_F: Floats
    fill_F: Floats
    code_F: Floats  # a value that stands for "not known", such as -999; NaN: none
    mean_P: Floats
    scale_P: Floats

    def columns(self, x_NF: Floats, spare: int = 0) -> Floats:
        """z_NP1: an intercept and the standardised columns (Fortran order: each column lies in one piece), and room for
        `spare` more."""
        z = np.empty((len(x_NF), len(self.source_P) + 1 + spare), order="F")
        z[:, 0] = 1.0
        for f, group in groupby(range(len(self.source_P)), key=lambda p: self.source_P[p]):
            values = np.ascontiguousarray(x_NF[:, f])
            missing = np.isnan(values) | (values == self.code_F[f])
            filled = np.clip(np.where(missing, self.fill_F[f], values), self.low_F[f], self.high_F[f])
            for p in group:
                knot, out = self.knot_P[p], z[:, p + 1]
                if np.isposinf(knot):
                    out[:] = missing
                elif np.isnan(knot):
                    out[:] = filled
                else:
                    np.maximum(np.subtract(filled, knot, out=out), 0.0, out=out)
                out -= self.mean_P[p]
                out *= 1 / self.scale_P[p]
        return z


class _Column(NamedTuple):
    """A column of the basis: a feature, and its knot as in `Basis.knot_P`."""

    feature: int
    knot: float


def fit_basis(x_NF: Floats) -> Basis:
    """Learn the columns from rows, at most SCREENED of them; constant columns, and flags that fewer than FEW carry, are
    dropped."""
    x_NF = x_NF[:: max(1, len(x_NF) // SCREENING_ROWS)]
    found: list[_Column] = []
    features = x_NF.shape[1]
    low, high, fill = np.zeros(features), np.zeros(features), np.zeros(features)
    code = np.full(features, np.nan)
    for f in range(features):
        values = np.ascontiguousarray(x_NF[:, f])
        known = values[~np.isnan(values)]
        if not known.size:
            continue
        code[f] = _code(known)
        known = known[known != code[f]] if np.isfinite(code[f]) else known
        low[f], high[f] = np.quantile(known, CLIP) if len(np.unique(known[:1000])) > 2 else (known.min(), known.max())
        fill[f] = known.mean()
        clipped = np.clip(known, low[f], high[f])
        many = len(np.unique(clipped[:5000])) > 8
        knots = sorted({float(q) for q in np.quantile(clipped, KNOTS)} - {low[f], high[f]}) if many else []
        found += [_Column(f, k) for k in (np.nan, *knots)]
        if known.size < len(x_NF):
            found.append(_Column(f, np.inf))
    found = _thinned(found)
    source, knot = np.array([f for f, _ in found], dtype=np.int64), np.array([k for _, k in found])
    plain = Basis(source, knot, low, high, fill, code, np.zeros(len(found)), np.ones(len(found)))
    rows, parts = max(len(x_NF), 1), chunks(len(x_NF))
    total, square, most = (np.zeros(len(found)) for _ in range(3))
    for part in parts:
        z_NP = plain.columns(x_NF[part])[:, 1:]
        total, most = total + z_NP.sum(axis=0), np.maximum(most, np.abs(z_NP).max(axis=0, initial=0.0))
    mean = total / rows
    for part in parts:
        square += ((plain.columns(x_NF[part])[:, 1:] - mean) ** 2).sum(axis=0)
    scale, reach = np.sqrt(square / rows), np.maximum(most, 1e-300)
    two = np.isposinf(knot) | np.array([low[f] == 0.0 and high[f] == 1.0 for f in source], dtype=bool)
    rare = np.minimum(total, rows - total) < min(MIN_MINORITY_ROWS, rows / 50)
    keep = (scale > 1e-9 * reach) & ~(two & rare & np.isclose(most, 1.0))
    scale = np.where(two, np.maximum(scale, MIN_SCALE), scale)
    return Basis(source[keep], knot[keep], low, high, fill, code, mean[keep], scale[keep])


def _code(known: Floats) -> float:
    """The smallest or largest value where many have it and it lies far beyond all others: -999, not a price."""
    for value in (known.min(), known.max()):
        same = known == value
        if len(known) > same.sum() >= max(MIN_MINORITY_ROWS, CODE_SHARE * len(known)):
            inner = known[~same]
            low, high = np.quantile(inner, CLIP)
            if max(low - value, value - high) > 2 * max(high - low, 1e-12) and value not in (0.0, 1.0) and high > low:
                return float(value)
    return float("nan")


def _thinned(found: list[_Column]) -> list[_Column]:
    """All columns if there are no more than COLUMNS; else those with every other knot of a feature, or the middle one,
    or none; the feature itself and its flag stay."""
    fewer: tuple[Callable[[list[float]], list[float]], ...] = (
        lambda knots: knots[::2], lambda knots: knots[len(knots) // 2 :][:1], lambda knots: [],
    )  # fmt: skip
    every: dict[int, list[float]] = {f: [] for f, _ in found}
    for f, knot in found:
        every[f] += [knot] if np.isfinite(knot) else []
    for some in fewer:
        if len(found) <= MAX_COLUMNS:
            break
        every = {f: some(knots) for f, knots in every.items()}
        found = [column for column in found if not np.isfinite(column.knot) or column.knot in every[column.feature]]
    return found


def screen_columns(basis: Basis, x_NF: Floats, target_NT: Floats) -> Basis:
    """The COLUMNS columns that hang together most with any of the targets; all of them if there are no more."""
    if len(basis.source_P) <= MAX_COLUMNS:
        return basis
    every = max(1, len(x_NF) // SCREENING_ROWS)
    target = target_NT[::every] - target_NT[::every].mean(axis=0)
    tie_PT = basis.columns(x_NF[::every])[:, 1:].T @ (target / np.maximum(target.std(axis=0), 1e-12))
    keep = np.sort(np.argsort(-np.abs(tie_PT).max(axis=1), kind="stable")[:MAX_COLUMNS])
    return replace(
        basis, source_P=basis.source_P[keep], knot_P=basis.knot_P[keep], mean_P=basis.mean_P[keep],
        scale_P=basis.scale_P[keep],
    )  # fmt: skip


def _contrasts(trial: TrialArrays, outcome_N: Floats) -> Floats:
    """What columns are screened by: the outcome, and for each treatment what it may add by weighting."""
    left_N = outcome_N - outcome_N.mean()
    weight_NA = (trial.arm_N[:, None] == np.arange(trial.arms)) / trial.prob_NA[:, : trial.arms]
    return np.column_stack([left_N, left_N[:, None] * (weight_NA[:, 1:] - weight_NA[:, :1])])


def modifiers(arms: int) -> Floats:
    """m_AM: which coefficient blocks hold in which arm."""
    if arms == 1:
        return np.ones((1, 1))
    one, any_ = np.ones((arms, 1)), (np.arange(arms) > 0).astype(np.float64)[:, None]
    return np.hstack([one, any_] if arms == 2 else [one, any_, np.eye(arms)[:, 1:]])


@dataclass(frozen=True)
class Linear:
    """A generalised linear model with arm interactions; its gain is the difference of the arms' means.

    No arm's mean leaves `low_A` to `high_A`, what outcomes of that arm were (winsorised).
    """

    basis: Basis
    coef_MP: Floats
    family: Family
    low_A: Floats
    high_A: Floats

    @property
    def coef_PA(self) -> Floats:
        """One column of coefficients for each arm."""
        return (modifiers(len(self.low_A)) @ self.coef_MP).T

    def eta(self, z_NP: Floats) -> Floats:
        """Linear predictor under each arm, eta_NA, from the basis columns."""
        return clip_predictors(z_NP @ self.coef_PA, OutcomeSpan(self.low_A, self.high_A), self.family)

    def mean(self, z_NP: Floats) -> Floats:
        """Expected outcome under each arm, mu_NA."""
        return np.clip(inverse_link(self.eta(z_NP), self.family), self.low_A, self.high_A)

    def gain(self, asked: CachedRows) -> Floats:
        mu_NA = self.mean(asked.cached(self.basis, self.basis.columns))
        return mu_NA[:, 1:] - mu_NA[:, :1]


def outcome_family(outcome_N: Floats) -> Family:
    """Two values 0 and 1: binary; never negative: count (amounts too, by quasi-likelihood); else real."""
    if np.isin(outcome_N, (0.0, 1.0)).all():
        return "binary"
    return "count" if outcome_N.min() >= 0 else "real"


def outcome_unit(y_N: Floats) -> float:
    """What outcomes are divided by before anything is fitted: their spread; the amount where all who have one have the
    same, so that it is yes or no; 1 for 0/1 and where nothing varies."""
    spread, top = float(y_N.std()), float(y_N.max(initial=0.0))
    if top > 0 and spread > 0 and np.isin(y_N, (0.0, top)).all():
        return top
    return 1.0 if outcome_family(y_N) == "binary" or spread <= 1e-12 * float(np.abs(y_N).max()) else spread


def inverse_link(eta: Floats, family: Family) -> Floats:
    """Mean of the outcome at a linear predictor."""
    bounded = np.clip(eta, -MAX_LINEAR_PREDICTOR, MAX_LINEAR_PREDICTOR)
    match family:
        case "binary":
            return np.asarray(1 / (1 + np.exp(-bounded)))
        case "count":
            return np.asarray(np.exp(bounded))
        case "real":
            return eta


class OutcomeSpan(NamedTuple):
    """What the outcomes of each arm lie between."""

    low_A: Floats
    high_A: Floats


def outcome_span(trial: TrialArrays) -> OutcomeSpan:
    """The smallest and largest outcome of each arm."""
    each = [trial.outcome_N[trial.arm_N == a] for a in range(trial.arms)]
    return OutcomeSpan(
        np.array([y.min(initial=np.inf) for y in each]), np.array([y.max(initial=-np.inf) for y in each])
    )


class _Cell(NamedTuple):
    """Gram matrix, score and Pearson's sum of the rows of one fold and arm, and how many they are."""

    gram: Floats
    score: Floats
    pearson: float
    rows: int


class Expansion(NamedTuple):
    """Second-order expansion of the log likelihood of some rows: Gram matrix, and G beta + score, by dispersion."""

    gram: Floats
    pull: Floats


def _expanded(cells: list[_Cell], arm_C: Ints, at_MP: Floats, family: Family) -> Expansion:
    """Rows of one arm share their modifiers, so G is a sum of Kronecker products: one small matrix for each arm."""
    gram, score = np.zeros((at_MP.size, at_MP.size)), np.zeros(at_MP.size)
    for a, m in enumerate(modifiers(int(arm_C.max()) + 1)):
        mine = [cell for cell, arm in zip(cells, arm_C, strict=True) if arm == a]
        gram += np.kron(np.outer(m, m), np.sum([cell.gram for cell in mine], axis=0))
        score += np.kron(m, np.sum([cell.score for cell in mine], axis=0))
    rows, pearson = sum(cell.rows for cell in cells), sum(cell.pearson for cell in cells)
    spread = 1.0 if family == "binary" else max(pearson / max(rows - 1, 1), 1e-9)
    return Expansion(gram / spread, (gram @ at_MP.ravel() + score) / spread)


@dataclass(frozen=True)
class LinearDesign:
    """A trial's basis columns in folds, with the sums of each fold and arm that any fit without a fold is made of.

    Rows are sorted by fold and arm; cell (j, a) is the rows from `edge_C[c]` on, c = j A + a. `cells` are those of the
    log likelihood at `at_MP`, a fit to all rows; `flat_JPP` is z'z. A fit without a fold is one Newton step from there:
    exact for least squares, and near enough for the other links, since no fold moves the fit far (approximate
    cross-validation, Rad & Maleki 2020).
    """

    basis: Basis
    z_NP: Floats
    arm_N: Ints
    y_N: Floats
    edge_C: Ints
    span: OutcomeSpan
    family: Family
    at_MP: Floats
    variance_G: Floats
    cells: list[_Cell]
    flat_JPP: Floats

    @property
    def arms(self) -> int:
        return len(self.span.low_A)

    def without(self, held: int | None) -> Expansion:
        """The expansion over all folds but one."""
        arm_C, fold_C = np.arange(len(self.cells)) % self.arms, np.arange(len(self.cells)) // self.arms
        used = np.flatnonzero(fold_C != held) if held is not None else np.arange(len(fold_C))
        return _expanded([self.cells[c] for c in used], arm_C[used], self.at_MP, self.family)


def build_design(
    trial: TrialArrays, family: Family, fold_N: Ints | None = None, basis: Basis | None = None
) -> LinearDesign:
    """Columns and sums of a trial whose rows are sorted by fold and arm. Wide bases are screened by these rows."""
    basis = screen_columns(basis or fit_basis(trial.x_NF), trial.x_NF, _contrasts(trial, trial.outcome_N))
    z_NP, m_AM, y_N, arms = basis.columns(trial.x_NF), modifiers(trial.arms), trial.outcome_N, trial.arms
    fold_N = np.zeros(len(y_N), dtype=np.int64) if fold_N is None else fold_N
    folds = int(fold_N.max(initial=0)) + 1
    edge_C = np.searchsorted(fold_N * arms + trial.arm_N, np.arange(folds * arms + 1))
    slices: list[slice | Ints] = [slice(low, high) for low, high in pairwise(edge_C)]
    arm_C, group_MP = np.arange(len(slices)) % arms, _groups(basis, m_AM.shape[1], sparse=True)
    at_MP = np.zeros(group_MP.shape)
    at_MP[0, 0] = link(y_N.mean(), family)
    scale = max(float(y_N.var()), 1e-12) if family == "real" else 1.0
    variance = np.full(int(group_MP.max(initial=0)) + 1, 0.1 * scale)
    every = max(1, len(y_N) // PILOT_ROWS)

    def sums(parts: list[slice | Ints]) -> list[_Cell]:
        return [_cell(z_NP[rows], y_N[rows], m_AM[a] @ at_MP, family) for rows, a in zip(parts, arm_C, strict=True)]

    pilot: list[slice | Ints] = [np.arange(low, high, every) for low, high in pairwise(edge_C)]
    steps = [pilot] * (NEWTON if family != "real" else 3) + ([slices] if every > 1 else [])
    settled = False
    for step, parts in enumerate(steps):
        if settled and parts is pilot:
            continue
        gram, pull = _expanded(sums(parts), arm_C, at_MP, family)
        to_P, variance = fit_ridge(gram, pull, group_MP.ravel(), variance, WARM)
        to_MP = to_P.reshape(at_MP.shape)
        settled = bool(step) and np.abs(to_MP - at_MP).max() < 1e-4
        at_MP = _stride(z_NP[::every], m_AM, at_MP, to_MP, family)
    cells = sums(slices)
    flat_JPP = np.array([
        sum(cell.gram for cell in cells[j * arms : (j + 1) * arms]) if family == "real"
        else z_NP[low:high].T @ z_NP[low:high]
        for j, (low, high) in enumerate(pairwise(edge_C[::arms]))
    ])  # fmt: skip
    return LinearDesign(
        basis, z_NP, trial.arm_N, y_N, edge_C, outcome_span(trial), family, at_MP, variance, cells, flat_JPP
    )  # fmt: skip


def _cell(z_NP: Floats, y_N: Floats, coef_P: Floats, family: Family) -> _Cell:
    """Sums of some rows of one arm, at its coefficients."""
    mu_N = inverse_link(z_NP @ coef_P, family)
    left_N = y_N - mu_N
    if family == "real":
        return _Cell(z_NP.T @ z_NP, z_NP.T @ left_N, float((left_N**2).sum()), len(y_N))
    v_N = np.maximum(mu_N * (1 - mu_N) if family == "binary" else mu_N, 1e-9)
    root = z_NP * np.sqrt(v_N)[:, None]  # of one matrix with itself BLAS makes half the products only
    return _Cell(root.T @ root, z_NP.T @ left_N, float((left_N**2 / v_N).sum()), len(y_N))


def _stride(z_NP: Floats, m_AM: Floats, at_MP: Floats, to_MP: Floats, family: Family) -> Floats:
    """As far towards a Newton step's end as no row's linear predictor moves too far."""
    if family == "real":
        return to_MP
    furthest = float(np.abs(z_NP @ (m_AM @ (to_MP - at_MP)).T).max(initial=0.0))
    return np.asarray(at_MP + (to_MP - at_MP) * min(1.0, MAX_NEWTON_STEP / max(furthest, 1e-300)))


def clip_predictors(eta_NA: Floats, span: OutcomeSpan, family: Family) -> Floats:
    """Linear predictors no further than outcomes were seen."""
    match family:
        case "binary":
            return np.clip(eta_NA, -MAX_LINEAR_PREDICTOR, MAX_LINEAR_PREDICTOR)
        case "count":
            return np.clip(eta_NA, -MAX_LINEAR_PREDICTOR, np.log(np.maximum(span.high_A, 1e-6)))
        case "real":
            return np.clip(eta_NA, span.low_A, span.high_A)


def fit_linear(design: LinearDesign, held: int | None = None, *, sparse: bool = False) -> Linear:
    """Interactions of every feature with every arm, shrunk as far as the data outside a fold say.

    The variance of each group of coefficients (main, any treatment, one treatment; slopes and hinges) is the fixed
    point of the evidence (MacKay 1992, Neural Computation 4(3)): a group without support in the data shrinks to
    nothing. `sparse` gives each feature's interaction a variance of its own (relevance determination).
    """
    group_MP = _groups(design.basis, len(design.at_MP), sparse)
    gram, pull = design.without(held)
    scale = max(float(design.y_N.var()), 1e-12) if design.family == "real" else 1.0
    start = design.variance_G if sparse else np.full(int(group_MP.max(initial=0)) + 1, 0.1 * scale)
    coef = fit_ridge(gram, pull, group_MP.ravel(), start).coef_P
    some = design.z_NP[:: max(1, len(design.z_NP) // PILOT_ROWS)]
    coef_MP = _stride(some, modifiers(design.arms), design.at_MP, coef.reshape(group_MP.shape), design.family)
    return Linear(design.basis, coef_MP, design.family, *design.span)


class RidgeFit(NamedTuple):
    """Coefficients, and the prior variance of each group of them."""

    coef_P: Floats
    variance_G: Floats


def fit_ridge(gram: Floats, pull: Floats, group_P: Ints, variance: Floats, steps: int = EVIDENCE) -> RidgeFit:
    """argmin of b'Gb/2 - pull'b + sum of b_p^2 / (2 variance of p's group), and the variances of highest evidence.

    Group -1 is free, group -2 is held at 0.
    """
    live = np.flatnonzero(group_P != -2)
    gram, pull_L, group = gram[np.ix_(live, live)], pull[live], group_P[live]
    size = np.bincount(group[group >= 0], minlength=len(variance)).astype(np.float64)
    jitter = 1e-10 * float(gram.diagonal().max(initial=0.0))  # hinges of one feature all but repeat each other
    for _ in range(steps):
        precision = np.append(1 / np.maximum(variance, 1e-12), 1e-8)[group]  # group -1 is the last
        root, _ = scipy.linalg.lapack.dtrtri(
            np.linalg.cholesky(gram + np.diag(precision + jitter)), lower=1
        )  # covariance = root'root
        beta = root.T @ (root @ pull_L)
        kept = group >= 0
        squares = np.bincount(group[kept], weights=beta[kept] ** 2, minlength=len(variance))
        traces = np.bincount(group[kept], weights=(root**2).sum(axis=0)[kept], minlength=len(variance))
        freedom = np.maximum(size - traces / np.maximum(variance, 1e-12), 1e-9)
        new = squares / freedom
        steady = np.abs(np.log(np.maximum(new, 1e-12) / np.maximum(variance, 1e-12))).max(initial=0) < 1e-3
        variance = np.maximum(new, 1e-12)
        if steady:
            break
    full = np.zeros(len(group_P))
    full[live] = beta
    return RidgeFit(full, variance)


def _groups(basis: Basis, mods: int, sparse: bool) -> Ints:
    """Group of each coefficient: intercepts are free, but the one of "any treatment" is held where each has its own."""
    hinge_P = (~np.isnan(basis.knot_P)).astype(np.int64)
    group = np.empty((mods, len(hinge_P) + 1), dtype=np.int64)
    for m in range(mods):
        group[m, 0] = -2 if m == 1 and mods > 2 else -1
        group[m, 1:] = 2 * m + hinge_P
    if sparse:
        features = int(basis.source_P.max(initial=-1)) + 1
        for m in range(mods):
            group[m, 1:] = m * features + basis.source_P
    return _dense(group)


def _dense(group: Ints) -> Ints:
    """Groups numbered without gaps; those below 0 stay."""
    group[group >= 0] = np.unique(group[group >= 0], return_inverse=True)[1]
    return group


def link(mean: Floats, family: Family) -> Floats:
    """Linear predictor of a mean."""
    match family:
        case "binary":
            inner = np.clip(mean, 1e-6, 1 - 1e-6)
            return np.asarray(np.log(inner / (1 - inner)))
        case "count":
            return np.asarray(np.log(np.maximum(mean, 1e-6)))
        case "real":
            return mean


@dataclass(frozen=True)
class Additive:
    """gain = z'coef for each treatment."""

    basis: Basis
    coef_KP: Floats

    def gain(self, asked: CachedRows) -> Floats:
        return asked.cached(self.basis, self.basis.columns) @ self.coef_KP.T


def fit_additive(design: LinearDesign, psi_NK: NDArray[np.float64], held: int | None = None) -> Additive:
    """Doubly robust scores regressed on the basis: what treatments share and what is one's own, both shrunk."""
    treatments, arms = psi_NK.shape[1], design.arms
    m_KM = modifiers(treatments + 1)[1:, 1:]
    group_MP = _dense(_groups(design.basis, m_KM.shape[1] + 1, sparse=False)[1:])
    ends = design.edge_C[::arms]
    used = [j for j in range(len(ends) - 1) if j != held]
    gram_PP = design.flat_JPP[used].sum(axis=0)
    psi_z = sum(psi_NK[ends[j] : ends[j + 1]].T @ design.z_NP[ends[j] : ends[j + 1]] for j in used)
    noise_K = np.concatenate([psi_NK[ends[j] : ends[j + 1]] for j in used]).var(axis=0) + 1e-12
    gram = np.kron((m_KM / noise_K[:, None]).T @ m_KM, gram_PP)
    pull = ((m_KM / noise_K[:, None]).T @ psi_z).ravel()
    start = np.full(int(group_MP.max(initial=0)) + 1, 0.01 * float(noise_K.mean()))
    beta = fit_ridge(gram, pull, group_MP.ravel(), start).coef_P
    return Additive(design.basis, m_KM @ beta.reshape(group_MP.shape))
