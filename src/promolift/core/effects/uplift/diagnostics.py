"""Determine the evidence level that a comparison of arms can carry, with the reasons.

Legend: N customers, F features, C columns compared, A arms (arm 0 is control), K = A - 1 treatments.

`randomised` is earned only if whoever ran the trial states the arms' shares (`planned_A`) and the data do not
contradict them; `adjusted` needs overlap, balance after weighting and silent placebos; else the level is None and says
why.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike, NDArray

from promolift.core.effects.trial_arrays import (
    Features,
    Floats,
    Ints,
    finite_vector,
    fit_encoder,
    holm_adjust,
    row_keys,
)
from promolift.core.effects.uplift.nuisance import estimate_propensity
from promolift.core.effects.uplift.randomisation_tests import (
    SAMPLE_RATIO,
    ComparedColumns,
    DiagnosticCheck,
    arm_prediction_test,
    compare_columns,
    covariate_balance_test,
    sample_ratio_test,
)
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages

MIN_ARM_CUSTOMERS = 10  # customers without whom no propensity can be estimated
MAX_ADJUSTABLE_SMD = 0.25  # standard deviations beyond which no adjustment is to be trusted (Rubin 2001)
ALPHA = 0.001  # of tests of the stated shares, as is usual for sample ratios (Fabijan et al. 2019)
PLACEBO_ALPHA = 0.01
# The usual limit of a standard deviation (Austin 2009); arms so small that noise moves them further may differ by two
# standard errors, but by no more than ROUGH.
MAX_SMD = 0.1
# Customers whose propensity of some arm is below MIN_PROB are set aside; if they are more than MOST_TRIMMED, or those
# of an arm are worth fewer than LEAST_EFFECTIVE after weighting (of 50 the mean is known to a seventh of a standard
# deviation), there is no overlap to speak of.
MIN_PROB, MAX_TRIMMED, MIN_EFFECTIVE = 0.02, 0.1, 50.0
SEED = 1


@dataclass(frozen=True)
class Overlap:
    """What each arm's customers are worth after weighting (Kish 1965). `keep_N`: those who might have got every arm."""

    effective_A: Floats
    trimmed: float
    keep_N: NDArray[np.bool_]


@dataclass(frozen=True)
class Diagnosis:
    """The level earned (None: refused), why, and all that was looked at. An effect holds for `overlap.keep_N` only.

    `balance`: feature, arm, before, after (differences from control in standard deviations). `placebos`: outcome, arm,
    effect, se, low, high, p (Holm over all). `prob_NA`: the propensities that the effect is to be weighted with.
    `left_out`: features that may be consequences of the treatment, and must not be used.
    """

    level: Level | None
    reasons: tuple[LazyMessage, ...]
    checks: tuple[DiagnosticCheck, ...]
    balance: pl.DataFrame
    placebos: pl.DataFrame
    overlap: Overlap
    prob_NA: Floats
    left_out: tuple[str, ...] = ()

    def require(self) -> Level:
        """The level, or a SupportError with the reasons for which there is none."""
        if self.level is None:
            raise SupportError(
                self.refusal,
                gettext_lazy(
                    "no effect can be claimed from these data: {reasons}",
                    reasons=join_messages(SEMICOLON, *self.reasons),
                ),
            )
        return self.level

    @property
    def refusal(self) -> str:
        """The code of the error that refuses these data: the first thing to look into."""
        if any(check.name == SAMPLE_RATIO and not check.passed for check in self.checks):
            return "sample_ratio_mismatch"
        if self.overlap.trimmed > MAX_TRIMMED or self.overlap.effective_A.min() < MIN_EFFECTIVE:
            return "no_overlap"
        if (self.placebos["p"] < PLACEBO_ALPHA).any():
            return "placebo_failed"
        return "arms_unbalanced"


def diagnose(
    features: Features,
    treatment_N: ArrayLike,
    *,
    planned_A: ArrayLike | None = None,
    propensity_NA: ArrayLike | None = None,
    placebos: Mapping[str, ArrayLike] | None = None,
    names: Sequence[str] | None = None,
    before: Collection[str] | None = None,
) -> Diagnosis:
    """The evidence level of comparing these arms, and its diagnostics.

    `features` are what was known before; where that is certain of some of them only, `before` names these. The others
    may be consequences of the treatment, so nothing is ever weighted by them: where arms drawn as stated differ in
    them, they are left out and the level is `assumed`, for either they were measured afterwards or the shares are
    wrong; where arms were not drawn, they must not differ.
    `planned_A` states that arms were randomised with these shares (or N x A propensities). `placebos` are outcomes that
    no arm can have moved, such as spend before. Without `propensity_NA` propensities are estimated out of fold. `names`
    of the arms, control first, are for the reasons. A wrong sample ratio refuses everything: lost customers cannot be
    weighted back. Raises SupportError if an arm has too few customers to look at.
    """
    encoder = fit_encoder(features)
    x_NF = encoder.encode(features)
    owner_F = np.array(encoder.owners, dtype=str)
    sure_F = np.ones(len(owner_F), dtype=bool) if before is None else np.isin(owner_F, list(before))
    arm_N = _arms(treatment_N, len(x_NF), None if planned_A is None else np.asarray(planned_A).shape[-1])
    arms = int(arm_N.max()) + 1 if planned_A is None else np.asarray(planned_A).shape[-1]
    false = {name: _same_length(finite_vector(values, name), len(arm_N)) for name, values in (placebos or {}).items()}
    called = tuple(names or [f"arm {arm}" for arm in range(arms)])
    rows = _Rows(x_NF, arm_N, compare_columns(x_NF, encoder.names), false, called)
    reasons: list[LazyMessage] = []
    checks: list[DiagnosticCheck] = []
    left_out: tuple[str, ...] = ()
    if planned_A is not None:
        prob_NA = _probabilities("planned_A", planned_A, arm_N, arms)
        kept_F, balance = _drop_consequences(_Suspects(x_NF, owner_F, sure_F, arm_N, prob_NA))
        left_out = tuple(dict.fromkeys(owner_F[~kept_F].tolist()))
        owner_F, sure_F = owner_F[kept_F], sure_F[kept_F]
        columns = compare_columns(x_NF[:, kept_F], np.array(encoder.names)[kept_F].tolist())
        rows = replace(rows, x_NF=x_NF[:, kept_F], columns=columns)
        checks = [sample_ratio_test(arm_N, prob_NA, ALPHA), *balance]
        look = replace(_look(rows, prob_NA), checks=tuple(checks), left_out=left_out)
        reasons = [check.meaning for check in checks if not check.passed] + _moved(look, called)
        if not checks[1].passed:
            reasons.append(_furthest(look))
        if left_out:
            reasons.append(_ask(left_out))
        if not reasons:
            reasons = [gettext_lazy("randomised as stated, and nothing in the data contradicts it")]
            return replace(look, level="randomised", reasons=tuple(reasons))
        if len(reasons) == 1 and left_out:
            return replace(look, level="assumed", reasons=tuple(reasons))
        if not checks[0].passed:
            return replace(look, reasons=tuple(reasons))
    if propensity_NA is None:
        prob_NA = _estimated(rows.x_NF[:, sure_F], arm_N, called)
    else:
        prob_NA = _probabilities("propensity_NA", propensity_NA, arm_N, arms)
    look = replace(_look(rows, prob_NA), checks=tuple(checks), left_out=left_out)
    unsure = [name for name, sure in zip(owner_F.tolist(), sure_F, strict=True) if not sure]
    against = _thin(look, rows) + _unlike(look, called, unsure) + _moved(look, called)
    if against:
        return replace(look, reasons=(*reasons, *against))
    weighed = compare_columns(rows.x_NF[:, sure_F], owner_F[sure_F].tolist()).names if propensity_NA is None else []
    if by := list(dict.fromkeys(name.removesuffix(" is missing") for name in weighed)):
        reasons.append(
            gettext_lazy("customers are weighted by what was known before the treatment: {names}", names=", ".join(by))
        )
    reasons.append(
        gettext_lazy("not randomised, but comparable in all that is recorded; what is not recorded may still differ")
        if planned_A is None
        else gettext_lazy(
            "not randomised as stated, but comparable in all that is recorded; what is not recorded may still differ"
        )
    )
    return replace(look, level="adjusted", reasons=tuple(reasons))


class _Suspects(NamedTuple):
    """Encoded features, the column that each belongs to, whether it was surely known before, and the stated lot."""

    x_NF: Floats
    owner_F: NDArray[np.str_]
    sure_F: NDArray[np.bool_]
    arm_N: Ints
    prob_NA: Floats

    def test(self, kept_F: NDArray[np.bool_], *, trees: bool = True) -> list[DiagnosticCheck]:
        """Balance, and whether boosted trees can tell the arm."""
        x_NF = self.x_NF[:, kept_F]
        values_NC = compare_columns(x_NF, [str(name) for name in self.owner_F[kept_F]]).value_NC
        told = arm_prediction_test(x_NF, self.arm_N, self.prob_NA, ALPHA, SEED) if trees else []
        return [covariate_balance_test(values_NC, self.arm_N, self.prob_NA, ALPHA, SEED), *told]


class _Kept(NamedTuple):
    """Which encoded features stay, and the tests of the lot by them."""

    kept_F: NDArray[np.bool_]
    checks: list[DiagnosticCheck]


def _drop_consequences(rows: _Suspects) -> _Kept:
    """Columns that nobody is sure of go if arms differ in them.

    First those that contradict the lot by themselves (Bonferroni); then, while all that is left contradicts it and the
    sure columns alone do not, those that differ at 5 %, at last every unsure one.
    """
    unsure = list(dict.fromkeys(rows.owner_F[~rows.sure_F].tolist()))
    p = {name: rows.test(rows.owner_F == name, trees=False)[0].p for name in unsure}
    kept_F = ~np.isin(rows.owner_F, [name for name in unsure if p[name] <= ALPHA / len(unsure)])
    checks = rows.test(kept_F)
    if all(check.passed for check in checks) or not all(check.passed for check in rows.test(rows.sure_F)):
        return _Kept(kept_F, checks)
    p = {name: min(check.p for check in rows.test(rows.owner_F == name)) for name in unsure}
    for most in (0.05, 1.0):
        kept_F &= ~np.isin(rows.owner_F, [name for name in unsure if p[name] <= most])
        checks = rows.test(kept_F)
        if all(check.passed for check in checks):
            break
    return _Kept(kept_F, checks)


def _ask(left_out: Sequence[str]) -> LazyMessage:
    return gettext_lazy(
        "the stated shares are taken on trust, for the arms differ in {names}, and nobody has said whether that was "
        "known before the treatment. It is left out, and nothing is weighted by it. Measured afterwards? Then say "
        "ignore={columns}. Known before? Then say features=... with it: the arms were not drawn as stated",
        names=", ".join(left_out),
        columns=",".join(left_out),
    )


def _estimated(x_NF: Floats, arm_N: Ints, arms: tuple[str, ...]) -> Floats:
    few = np.bincount(arm_N, minlength=len(arms))
    if few.min() < MIN_ARM_CUSTOMERS:
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "propensity: {arms} has {min} customers; {min_arm_customers} are needed",
                arms=arms[few.argmin()],
                min=few.min(),
                min_arm_customers=MIN_ARM_CUSTOMERS,
            ),
        )
    if not x_NF.shape[1]:
        return np.tile(few / few.sum(), (len(arm_N), 1))
    return estimate_propensity(x_NF, arm_N, row_keys(x_NF, SEED))


class WeightedMeans(NamedTuple):
    """Each arm's mean, and each row's first-order part of its error."""

    mean_A: Floats
    part_NA: Floats


def weighted_means(outcome_N: Floats, arm_N: Ints, prob_NA: Floats) -> WeightedMeans:
    """Each arm's mean weighted by 1 / propensity (Hajek 1971)."""
    got_NA = arm_N[:, None] == np.arange(prob_NA.shape[1])
    weight_NA = np.divide(got_NA, prob_NA, out=np.zeros(prob_NA.shape), where=got_NA)
    total_A = weight_NA.sum(axis=0)
    mean_A = (weight_NA * outcome_N[:, None]).sum(axis=0) / total_A
    return WeightedMeans(mean_A, weight_NA * (outcome_N[:, None] - mean_A) / total_A)


@dataclass(frozen=True)
class _Rows:
    x_NF: Floats
    arm_N: Ints
    columns: ComparedColumns
    placebos: dict[str, Floats]
    arms: tuple[str, ...]


def _look(rows: _Rows, prob_NA: Floats) -> Diagnosis:
    """Balance, placebos and overlap under one set of propensities, no level earned yet."""
    overlap, arms = _overlap(rows.arm_N, prob_NA, MIN_PROB), prob_NA.shape[1]
    counts = np.bincount(rows.arm_N, minlength=arms)
    if counts.min() < 2:
        fewest = rows.arms[counts.argmin()]
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "diagnose: {fewest} has {min} customers; there is nothing to compare", fewest=fewest, min=counts.min()
            ),
        )
    keep_N = overlap.keep_N
    if np.bincount(rows.arm_N[keep_N], minlength=arms).min() < 2:  # refused for want of overlap: show all that is there
        keep_N, rows = np.ones(len(keep_N), dtype=bool), replace(rows, placebos={})
    balance, placebos = _balance(rows, prob_NA, keep_N), _placebos(rows, prob_NA, keep_N)
    return Diagnosis(None, (), (), balance, placebos, overlap, prob_NA)


def _overlap(arm_N: Ints, prob_NA: Floats, min_prob: float) -> Overlap:
    keep_N: NDArray[np.bool_] = np.asarray((prob_NA >= min_prob).all(axis=1))
    weights = [1 / prob_NA[(arm_N == a) & keep_N, a] for a in range(prob_NA.shape[1])]
    worth = [each.sum() ** 2 / (each**2).sum() if each.size else 0.0 for each in weights]
    return Overlap(np.array(worth), float(1 - keep_N.mean()), keep_N)


def _balance(rows: _Rows, prob_NA: Floats, keep_N: NDArray[np.bool_]) -> pl.DataFrame:
    """Standardised mean differences from control; the standard deviation is that before weighting throughout."""
    arm_N, x = rows.arm_N, rows.columns.value_NC
    weight_N = np.where(keep_N, 1 / np.maximum(prob_NA[np.arange(len(arm_N)), arm_N], 1e-12), 0.0)
    mine = [arm_N == a for a in range(prob_NA.shape[1])]
    mean, spread = [x[m].mean(axis=0) for m in mine], [x[m].var(axis=0) for m in mine]
    after = [np.average(x[m], axis=0, weights=weight_N[m]) for m in mine]
    parts = []
    for a in range(1, prob_NA.shape[1]):
        sd = np.sqrt((spread[a] + spread[0]) / 2)
        smd = [_over(each[a] - each[0], sd) for each in (mean, after)]
        parts.append(pl.DataFrame({"feature": rows.columns.names, "arm": a, "before": smd[0], "after": smd[1]}))
    schema = {"feature": pl.String, "arm": pl.Int64, "before": pl.Float64, "after": pl.Float64}
    return pl.concat([pl.DataFrame(schema=schema), *(part.cast(schema) for part in parts)])  # type: ignore[arg-type]


def _over(gap_C: Floats, sd_C: Floats) -> Floats:
    """Gap in standard deviations; a gap between two constants is infinite, none is 0."""
    return np.divide(gap_C, sd_C, out=np.where(np.abs(gap_C) > 1e-12, np.inf, 0.0), where=sd_C > 1e-12)


def _placebos(rows: _Rows, prob_NA: Floats, keep_N: NDArray[np.bool_]) -> pl.DataFrame:
    found = []
    for name, outcome_N in rows.placebos.items():
        mean_A, part_NA = weighted_means(outcome_N[keep_N], rows.arm_N[keep_N], prob_NA[keep_N])
        for a in range(1, prob_NA.shape[1]):
            se = float(np.sqrt(np.sum((part_NA[:, a] - part_NA[:, 0]) ** 2)))
            found.append((name, a, float(mean_A[a] - mean_A[0]), se))
    frame = pl.DataFrame(
        found, schema={"outcome": pl.String, "arm": pl.Int64, "effect": pl.Float64, "se": pl.Float64}, orient="row"
    )
    effect, se_T = frame["effect"].to_numpy(), frame["se"].to_numpy()
    z_T = np.divide(np.abs(effect), se_T, out=np.where(effect == 0, 0.0, np.inf), where=se_T > 0)
    half = Z95 * pl.col("se")
    limits = [(pl.col("effect") - half).alias("low"), (pl.col("effect") + half).alias("high")]
    return frame.with_columns(*limits, pl.Series("p", holm_adjust(2 * scipy.stats.norm.sf(z_T)), dtype=pl.Float64))


def _thin(look: Diagnosis, rows: _Rows) -> list[LazyMessage]:
    found = []
    if look.overlap.trimmed > MAX_TRIMMED:
        found.append(
            gettext_lazy(
                "no overlap: {share} of customers had a propensity below {least} of some arm, so there is nobody to "
                "compare them with",
                share=f"{look.overlap.trimmed:.0%}",
                least=f"{MIN_PROB:g}",
            )
        )
    for a, worth in enumerate(look.overlap.effective_A):
        if worth < MIN_EFFECTIVE:
            found.append(
                gettext_lazy(
                    "no overlap: the {customers} customers of {arm} are worth {worth} after weighting, fewer than "
                    "{least}",
                    customers=(rows.arm_N == a).sum(),
                    arm=rows.arms[a],
                    worth=f"{worth:.0f}",
                    least=f"{MIN_EFFECTIVE:g}",
                )
            )
    return found


def max_smd(most_smd: float, se: float) -> float:
    """How far arms may lie apart: `most_smd`, or two standard errors of small arms up to ROUGH."""
    return max(most_smd, min(2 * float(se), MAX_ADJUSTABLE_SMD))


def _unlike(look: Diagnosis, arms: tuple[str, ...], unsure: list[str]) -> list[LazyMessage]:
    worth_A = np.maximum(look.overlap.effective_A, 1.0)  # nobody left: refused for that
    se_A = np.sqrt(1 / worth_A + 1 / worth_A[0])
    most = pl.col("arm").map_elements(lambda arm: max_smd(MAX_SMD, se_A[arm]), return_dtype=pl.Float64)
    worst = look.balance.filter(pl.col("after").abs() > most)
    if worst.is_empty():
        return []
    name, arm, _, after = worst.sort(pl.col("after").abs(), "feature", descending=[True, False]).row(0)
    text = gettext_lazy(
        "arms differ after weighting: {feature} by {gap} standard deviations in {arm}",
        feature=repr(name),
        gap=f"{after:+.2f}",
        arm=arms[arm],
    )
    asked = [each for each in dict.fromkeys(unsure) if (worst["feature"].str.starts_with(each)).any()]
    if asked:
        text = gettext_lazy(
            "{difference}. Nobody has said whether these were known before the treatment: {names}; name those that "
            "were with features=..., and the others with ignore=...",
            difference=text,
            names=", ".join(asked),
        )
    return [text]


def _furthest(look: Diagnosis) -> LazyMessage:
    """The features that differ most, weighted by the stated shares: where to look for the cause."""
    by = pl.col("after").abs()
    worst = look.balance.sort(by, "feature", descending=[True, False]).unique("feature", maintain_order=True).head(3)
    named = ", ".join(f"{name!r}: {gap:+.2f}" for name, gap in worst.select("feature", "after").iter_rows())
    return gettext_lazy(
        "furthest apart, in standard deviations: {features}; what was known only afterwards is no feature",
        features=named,
    )


def _moved(look: Diagnosis, arms: tuple[str, ...]) -> list[LazyMessage]:
    return [
        gettext_lazy(
            "placebo {outcome} differs by {effect} (s.e. {se}) in {arm}",
            outcome=repr(row["outcome"]),
            effect=f"{row['effect']:.3g}",
            se=f"{row['se']:.2g}",
            arm=arms[row["arm"]],
        )
        for row in look.placebos.filter(pl.col("p") < PLACEBO_ALPHA).iter_rows(named=True)
    ]


def _arms(treatment_N: ArrayLike, n: int, arms: int | None) -> Ints:
    """The arm of each customer, where there are so many; None: as many as the numbers say."""
    arm = _same_length(finite_vector(treatment_N, "treatment_N"), n)
    if arm.size == 0 or (arm < 0).any() or (arm != np.round(arm)).any():
        raise InputError(
            "treatment_invalid",
            gettext_lazy("treatment_N: needs an arm number for each customer; 0 is control, treatments are 1, 2, ..."),
        )
    most = int(arm.max())
    if most >= (arms or most + 1) or max(arms or 0, most + 1) < 2:
        given = arms or most + 1
        raise InputError(
            "arm_count_invalid",
            gettext_lazy(
                "treatment_N: arms up to {most}, but probabilities are given for {given}; two are needed",
                most=most,
                given=given,
            ),
        )
    return arm.astype(np.int64)


def _same_length(values_N: Floats, n: int) -> Floats:
    if len(values_N) != n:
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "diagnose: {values_n} values for {n} rows of features; give one for each customer",
                values_n=len(values_N),
                n=n,
            ),
        )
    return values_N


def _probabilities(name: str, values: ArrayLike | None, arm_N: Ints, arms: int) -> Floats:
    prob = np.asarray(values, dtype=np.float64)
    if prob.ndim == 1:
        prob = np.tile(prob, (len(arm_N), 1))
    if prob.shape != (len(arm_N), arms) or not ((prob >= 0).all() and np.allclose(prob.sum(axis=1), 1, atol=1e-6)):
        raise InputError(
            "propensity_invalid",
            gettext_lazy(
                "{name}: shape {shape}; needs probabilities of {arms} arms, 0 or more, summing to 1",
                name=name,
                shape=prob.shape,
                arms=arms,
            ),
        )
    if (prob[np.arange(len(arm_N)), arm_N] == 0).any():
        raise InputError(
            "propensity_zero",
            gettext_lazy("{name}: some customers got an arm whose probability is said to have been 0", name=name),
        )
    return prob
