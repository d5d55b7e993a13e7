"""Assign customers to the arms of an experiment, and analyse the arms' sums to verdicts that print their rule.

An experiment compares policies (arms) with one control, by default the persistent holdout. Its design is fixed before
the first result: arms, shares, planned size, error rate, primary metric, and how further looks are paid for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
import scipy
from pydantic import Field, model_validator

from promolift.core.effects.trial_arrays import holm_adjust
from promolift.core.experiments.arm_sums import ArmSums, Key
from promolift.core.experiments.lift import Lift, Metric, always_valid_p, lift, sequential_boundary
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.hashing import hash_unit
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import (
    AND,
    NOTHING,
    SEMICOLON,
    LazyMessage,
    gettext_lazy,
    join_messages,
    ngettext_lazy,
)
from promolift.foundation.settings import Settings

HOLDOUT = "holdout"
ALL_CUSTOMERS = "all customers"
MIN_EVENTS = 20  # of a yes-or-no metric in each arm; with fewer the tail beyond 3 standard errors is far from normal
MAX_CUSTOMERS = 10**12  # that a design may name: more people than there are, and still a number for every formula
RATIO_PRIOR = 1000  # the ratio test's prior has the weight of so many customers: shares off by about 1.5 points


class Design(Settings):
    """What is fixed before the first result; a change needs a new `name`, and with it a new draw of the arms.

    `arms` share those who are not held out. `planned_customers` are all arms together. `always_valid` may be read any
    day; `fixed` speaks once, at the planned size. The primary metric over all customers is judged at `alpha`, Holm
    over the arms; every other metric and segment shares a second `alpha` by `correction`. No verdict comes before
    `least` customers are in an arm: with fewer a mean of skewed money is not nearly normal.
    """

    name: str = Field(min_length=1)
    arms: dict[str, float] = Field(min_length=1)
    holdout_share: float = Field(default=0.1, ge=0, lt=1)
    holdout_salt: str = HOLDOUT
    control: str = HOLDOUT
    planned_customers: int = Field(ge=2, le=MAX_CUSTOMERS)
    primary: str
    method: Literal["always_valid", "fixed"] = "always_valid"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    correction: Literal["holm", "bh"] = "holm"
    least: int = Field(default=200, ge=2, le=MAX_CUSTOMERS)
    ratio_alpha: float = Field(default=0.001, gt=0, lt=0.5)
    evidence: Literal["randomised", "adjusted", "assumed", "simulated"] = "randomised"

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Design":
        if abs(sum(self.arms.values()) - 1) > 1e-9 or min(self.arms.values()) <= 0 or HOLDOUT in self.arms:
            raise ValueError(
                gettext_lazy(
                    "arms {arms}: shares above 0 that add up to 1 are needed, none called {holdout}",
                    arms=self.arms,
                    holdout=repr(HOLDOUT),
                )
            )
        if self.control not in self.shares:
            raise ValueError(
                gettext_lazy(
                    "control {control} is no arm; there are {shares}",
                    control=repr(self.control),
                    shares=", ".join(self.shares),
                )
            )
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Planned share of all customers, by arm; the holdout is there unless its share is 0."""
        rest = {arm: (1 - self.holdout_share) * share for arm, share in self.arms.items()}
        return ({HOLDOUT: self.holdout_share} if self.holdout_share else {}) | rest


@dataclass(frozen=True)
class SampleRatio:
    """Whether the arms have the sizes that were planned. `p` is fixed-size, `p_any_time` may be read every day."""

    observed: dict[str, int]
    expected: dict[str, float]
    p: float
    p_any_time: float
    ok: bool
    rule: LazyMessage


@dataclass(frozen=True)
class Verdict:
    """One comparison. `answer` is higher, lower, not shown, too early or cannot say; the interval is for it alone.

    `total` is the lift times the customers of the arm (for a ratio: times its denominator): what it has added so far.
    """

    metric: str
    arm: str
    control: str
    segment: str
    n_arm: int
    n_control: int
    answer: str
    why: LazyMessage
    rule: LazyMessage
    evidence: str
    unit: str = ""
    lift: Lift | None = None
    low: float | None = None
    high: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None
    total: float | None = None
    total_low: float | None = None
    total_high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None

    def __str__(self) -> str:
        what = f"{self.metric}, {self.arm} against {self.control}, {self.segment}: "
        return f"{what}{self._figure()}. {self.answer.capitalize()}: {self.why}. Rule: {self.rule}."

    def _figure(self) -> str:
        if self.lift is None or self.low is None or self.high is None:
            return "no figure"
        unit = f" {self.unit}" if self.unit else ""
        figure = f"{_num(self.lift.lift)}{unit} ({_num(self.low)} to {_num(self.high)})"
        if self.lift.relative is None or self.relative_low is None or self.relative_high is None:
            return f"{figure}, {self.lift.note}"
        return f"{figure}, {self.lift.relative:+.1%} ({self.relative_low:+.1%} to {self.relative_high:+.1%})"


@dataclass(frozen=True)
class Analysis:
    """The sample-ratio test and all verdicts; printing it prints every rule."""

    ratio: SampleRatio
    verdicts: tuple[Verdict, ...]

    def __str__(self) -> str:
        return "\n".join([self.ratio.rule, *map(str, self.verdicts)])

    def frame(self) -> pl.DataFrame:
        """One row per verdict; the parts of the lift as columns of their own."""
        rows = [asdict(v) for v in self.verdicts]
        for row in rows:
            parts = row.pop("lift") or {}
            row |= {name: parts.get(name) for name in ("lift", "se", "relative", "relative_se", "noise_cut", "note")}
        return pl.DataFrame(rows, infer_schema_length=None)


def assign_arms(customer_ids: Iterable[str], design: Design) -> list[str]:
    """Arm of each customer, by hash of id and salt alone.

    The holdout hangs on `holdout_salt` only, so that it stays the same through all experiments and releases with that
    salt (deliver/ draws it the same way); the other arms are drawn anew for every `name`.
    """
    return [_arm(who, design) for who in customer_ids]


def _arm(who: str, design: Design) -> str:
    if hash_unit("holdout", design.holdout_salt, who) < design.holdout_share:
        return HOLDOUT
    unit = hash_unit("arm", design.name, who)
    for arm in sorted(design.arms):  # not the order they were written in
        unit -= design.arms[arm]
        if unit < 0:
            return arm
    return max(design.arms)


def analyse(
    sums: Mapping[Key, ArmSums],
    metrics: Sequence[Metric],
    design: Design,
    segments: Mapping[Key, ArmSums] | None = None,
    elapsed: float | None = None,
) -> Analysis:
    """Verdicts on every metric and arm, and on every segment.

    `sums` has keys (arm,), `segments` (arm, segment), as `sum_by_group` makes them. `elapsed`: share of the planned
    time gone, where the same customers earn more every day (a persistent holdout); without it progress is counted in
    customers. If the sample ratio is broken nothing is called an effect. Raises InputError for an arm or a metric that
    the design does not have.
    """
    if design.primary not in [metric.name for metric in metrics]:
        raise InputError(
            "metric_unknown",
            gettext_lazy(
                "experiment {name}: the primary metric {primary} is not among the metrics",
                name=design.name,
                primary=repr(design.primary),
            ),
        )
    if strange := sorted({key[0] for key in [*sums, *(segments or {})]} - set(design.shares)):
        raise InputError(
            "arm_unknown",
            gettext_lazy(
                "experiment {name}: arms {strange} were not planned; it has {shares}",
                name=design.name,
                strange=strange,
                shares=list(design.shares),
            ),
        )
    if any(segment == ALL_CUSTOMERS for _, segment in segments or {}):
        raise InputError(
            "name_reserved",
            gettext_lazy(
                "experiment {name}: a segment may not be called {all_customers}",
                name=design.name,
                all_customers=repr(ALL_CUSTOMERS),
            ),
        )
    counts = {arm: sums[(arm,)].n if (arm,) in sums else 0 for arm in design.shares}
    ratio = sample_ratio_test(counts, design.shares, design.ratio_alpha, design.method == "always_valid")
    progress = elapsed if elapsed is not None else sum(counts.values()) / design.planned_customers
    groups = {ALL_CUSTOMERS: {arm: each for (arm,), each in sums.items()}}
    for (arm, segment), each in (segments or {}).items():
        groups.setdefault(segment, {})[arm] = each
    drafts = [
        _draft(by_arm, segment, arm, metric, design, progress)
        for metric in metrics
        for segment, by_arm in groups.items()
        for arm in design.shares
        if arm != design.control
    ]
    main = [v.metric == design.primary and v.segment == ALL_CUSTOMERS for v in drafts]
    first = _judge([v for v, m in zip(drafts, main, strict=True) if m], "holm", design, ratio, progress)
    rest = _judge([v for v, m in zip(drafts, main, strict=True) if not m], design.correction, design, ratio, progress)
    return Analysis(ratio, (*first, *rest))


def sample_ratio_test(
    counts: Mapping[str, int], shares: Mapping[str, float], alpha: float = 0.001, any_time: bool = True
) -> SampleRatio:
    """Test of the arms' sizes against the plan: Pearson's chi-square, and one that may be read every day.

    The latter is 1 / the multinomial likelihood ratio under a Dirichlet prior around the planned shares (Lindon, Malek
    2022, NeurIPS), and decides if `any_time`. A broken ratio means that customers got lost from an arm, by a cause
    that may hang on the outcome: no figure of such an experiment can be trusted. SupportError without customers.
    """
    n = sum(counts.values())
    if n == 0:
        raise SupportError("too_few_customers", gettext_lazy("sample ratio: no customer in any arm"))
    share = np.array([shares[arm] for arm in counts])
    seen = np.array(list(counts.values()), dtype=np.float64)
    expected = n * share / share.sum()
    p = float(scipy.stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), len(seen) - 1)) if len(seen) > 1 else 1.0
    prior = RATIO_PRIOR * share / share.sum()
    log_gamma = scipy.special.gammaln
    evidence = log_gamma(prior + seen).sum() - log_gamma(prior).sum() + log_gamma(prior.sum())
    evidence -= log_gamma(prior.sum() + n) + (seen * np.log(share / share.sum())).sum()
    p_any_time = float(np.exp(-max(0.0, evidence)))
    ok = (deciding := p_any_time if any_time else p) >= alpha
    test = gettext_lazy("any-time multinomial test") if any_time else gettext_lazy("chi-square test")
    sizes = ", ".join(f"{arm} {counts[arm]} (planned {e:.1f})" for arm, e in zip(counts, expected, strict=True))
    planned = gettext_noop("Sample ratio as planned: {sizes} ({test}, p = {p}, broken below {alpha})")
    broken = gettext_noop("Sample ratio BROKEN: {sizes} ({test}, p = {p}, broken below {alpha})")
    rule = gettext_lazy(planned if ok else broken, sizes=sizes, test=test, p=f"{deciding:.3g}", alpha=f"{alpha:g}")
    return SampleRatio(dict(counts), dict(zip(counts, expected.tolist(), strict=True)), p, p_any_time, ok, rule)


def adjust_p_values(p_values: Sequence[float], correction: str) -> list[float]:
    """Adjusted p-values: `holm` bounds the probability of any false claim, `bh` the expected share of false ones.

    Holm 1979, Scandinavian Journal of Statistics 6; Benjamini, Hochberg 1995, JRSS B 57. Holm needs no assumption,
    Benjamini-Hochberg independent or positively dependent tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    found: list[float] = (
        holm_adjust(p) if correction == "holm" or not p.size else scipy.stats.false_discovery_control(p)
    ).tolist()
    return found


def _draft(
    by_arm: Mapping[str, ArmSums], segment: str, arm: str, metric: Metric, design: Design, progress: float
) -> Verdict:
    """A comparison without its answer; `why` says what is missing if there is no figure."""
    control, treated = by_arm.get(design.control), by_arm.get(arm)
    n_arm, n_control = treated.n if treated else 0, control.n if control else 0
    draft = Verdict(
        metric.name,
        arm,
        design.control,
        segment,
        n_arm,
        n_control,
        "cannot say",
        NOTHING,
        NOTHING,
        design.evidence,
        metric.unit,
    )
    gap = _gap(control, treated, metric, design.least)
    if control is None or treated is None or gap:
        return replace(draft, why=gap)
    try:
        found = lift(control, treated, metric)
    except SupportError as error:
        return replace(draft, why=error.message)
    reach, p = _tested(found, design, progress)
    low, high = found.lift - reach * found.se, found.lift + reach * found.se
    relative, half = found.relative, reach * (found.relative_se or 0.0)
    return replace(
        draft,
        lift=found,
        low=low,
        high=high,
        relative_low=None if relative is None else relative - half,
        relative_high=None if relative is None else relative + half,
        total=found.lift * found.units,
        total_low=low * found.units,
        total_high=high * found.units,
        p=p,
        rule=_figure_rule(metric, found, treated),
    )


def _gap(control: ArmSums | None, treated: ArmSums | None, metric: Metric, least: int) -> LazyMessage:
    """Why there is too little to judge, or nothing."""
    if control is None or treated is None or min(control.n, treated.n) < least:
        n_arm, n_control = treated.n if treated else 0, control.n if control else 0
        return gettext_lazy(
            "{arm} and {control} customers; {least} are needed in each arm", arm=n_arm, control=n_control, least=least
        )
    for sums in (control, treated):
        yes = sums.total[sums.at(metric.value)]
        if metric.per is None and sums.is_rate(metric.value) and min(yes, sums.n - yes) < MIN_EVENTS:
            return gettext_lazy(
                "{events} of {customers} customers in an arm; a rate needs {least} with and {least} without",
                events=f"{yes:.0f}",
                customers=sums.n,
                least=MIN_EVENTS,
            )
    return NOTHING


class _Tested(NamedTuple):
    """Half-width in standard errors, and the p-value that goes with it."""

    reach: float
    p: float


def _tested(found: Lift, design: Design, progress: float) -> _Tested:
    z = found.lift / found.se
    if design.method == "fixed":
        reach = float(scipy.stats.t.ppf(1 - design.alpha / 2, found.freedom))
        return _Tested(reach, float(2 * scipy.stats.t.sf(abs(z), found.freedom)))
    return _Tested(sequential_boundary(progress, design.alpha), always_valid_p(z, progress, design.alpha))


def _figure_rule(metric: Metric, found: Lift, sums: ArmSums) -> LazyMessage:
    """How the figure was made: kind of mean, covariates, caps."""
    parts = [
        gettext_lazy("sum of {value} / sum of {per}", value=metric.value, per=metric.per)
        if metric.per
        else gettext_lazy("mean {metric} per customer", metric=metric.value)
    ]
    if metric.covariates:
        covariates = ", ".join(metric.covariates)
        parts.append(
            gettext_lazy(
                "adjusted for {covariates} ({share} of the variance taken off)",
                covariates=covariates,
                share=f"{found.noise_cut:.0%}",
            )
        )
    for name in filter(None, (metric.value, metric.per)):
        cap, clipped = sums.caps[sums.at(name)], sums.clipped[sums.at(name)]
        if cap:
            known = [LazyMessage.untranslated(f"{limit:g}") for limit in (cap.low, cap.high) if limit is not None]
            limits = join_messages(AND, *known)
            parts.append(
                gettext_lazy(
                    "{name} capped at {limits} ({source}: {clipped} of {values} values in the arm)",
                    name=name,
                    limits=limits,
                    source=cap.source,
                    clipped=clipped,
                    values=sums.n,
                )
            )
    return join_messages(SEMICOLON, *parts)


def _judge(
    drafts: list[Verdict], correction: str, design: Design, ratio: SampleRatio, progress: float
) -> list[Verdict]:
    """Answers for one family of comparisons, their p-values adjusted together.

    A comparison that cannot be made yet counts with p = 1: it will be looked at later, and that look is paid for too.
    """
    adjusted = adjust_p_values([1.0 if v.p is None else v.p for v in drafts], correction)
    name = "Holm" if correction == "holm" else "Benjamini-Hochberg"
    family = ngettext_lazy(
        "{correction} over 1 comparison at {alpha}",
        "{correction} over {comparisons} comparisons at {alpha}",
        len(drafts),
        correction=name,
        comparisons=len(drafts),
        alpha=f"{design.alpha:g}",
    )
    level = f"{1 - design.alpha:.0%}"
    if design.method == "fixed":
        test = gettext_lazy("Welch t test, {level} interval, read once at the planned size", level=level)
    else:
        test = gettext_lazy(
            "{level} always-valid interval, at {progress} of the plan, may be read any day",
            level=level,
            progress=f"{progress:.0%}",
        )
    evidence = design.evidence if ratio.ok else "assumed"
    judged = []
    for v, p in zip(drafts, adjusted, strict=True):
        rests_on = gettext_lazy("evidence {level}", level=LazyMessage.of(evidence, {}))
        rule = join_messages(SEMICOLON, *filter(None, (v.rule, test, family, rests_on)))
        draft = replace(v, p_adjusted=None if v.p is None else p, rule=rule, evidence=evidence)
        judged.append(_answer(draft, design, ratio, progress))
    return judged


def _answer(draft: Verdict, design: Design, ratio: SampleRatio, progress: float) -> Verdict:
    if not ratio.ok:
        return replace(
            draft,
            answer="cannot say",
            why=gettext_lazy("the sample ratio is broken, so no difference can be put down to the arm"),
        )
    if draft.p_adjusted is None or draft.lift is None:
        return draft
    if design.method == "fixed" and progress < 1:
        return replace(
            draft,
            answer="too early",
            why=gettext_lazy("{progress} of the plan; a fixed test speaks once, at 100%", progress=f"{progress:.0%}"),
        )
    because = gettext_lazy("adjusted p = {p}, alpha {alpha}", p=f"{draft.p_adjusted:.3g}", alpha=f"{design.alpha:g}")
    if draft.p_adjusted >= design.alpha:
        return replace(
            draft, answer="not shown", why=gettext_lazy("chance alone could do this ({because})", because=because)
        )
    return replace(draft, answer="higher" if draft.lift.lift > 0 else "lower", why=because)


def _num(value: float) -> str:
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.4g}"
