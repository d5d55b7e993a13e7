"""Public classes for trials: `Trial` checks and fits a trial, `FittedTrial` predicts, evaluates, plans and reports.

Used by notebooks, the command line and programs. Legend: N customers, K treatments, A = K + 1 arms (0: control).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import fit_encoder
from promolift.core.effects.uplift import diagnostics
from promolift.core.effects.uplift.uplift_model import MIN_ARM_CUSTOMERS, EffectModel
from promolift.foundation.errors import StepError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import as_html, join_sentences, percent
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages, render_message
from promolift.foundation.progress import Progress, no_progress
from promolift.trials.analysis.effect_estimates import (
    build_trial_arrays,
    depth_curves,
    e_values,
    estimate_averages,
    estimate_pairs,
    find_effect_movers,
    fit_models,
    name_arms,
)
from promolift.trials.analysis.evaluation import evaluate_models, expected_money, plan_treatments, withdraw_losing
from promolift.trials.analysis.randomisation_units import Assignment, diagnose_units
from promolift.trials.analysis.results import (
    EFFECT_COLUMNS,
    NET_COLUMNS,
    NO_MESSAGE,
    ArmCheck,
    TrialEffects,
    TrialEvaluation,
    TrialFit,
    TrialPlan,
    TrialResults,
    describe_evidence,
    describe_features,
    describe_note,
    fixed_policy_names,
)
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.analysis.trial_data import (
    EVERYBODY,
    ROW,
    TrialData,
    match_features,
    read_rows,
    read_trial,
    treatment_costs,
)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TrialCheck:
    """The evidence that a comparison of the arms supports: `level`, None if none, and the reasons.

    `checks` of the randomisation, if one is stated. `balance`: feature, arm, before, after weighting (standard
    deviations from control). `worth`: what the customers of each arm are worth after weighting; `trimmed`: the share
    set aside for want of overlap. `placebos`: outcome, arm, effect, se, low, high, p. `doubts` about columns. `before`:
    features that were surely known before the treatment; `unsure`: features of which nobody said so, which weight and
    adjust nothing.
    """

    level: Level | None
    reasons: tuple[LazyMessage, ...]
    counts: Mapping[str, int]
    checks: tuple[ArmCheck, ...]
    balance: pl.DataFrame
    placebos: pl.DataFrame
    worth: Mapping[str, float]
    trimmed: float
    doubts: tuple[LazyMessage, ...]
    before: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield describe_evidence(self.level, self.reasons)
        yield gettext("Customers: {arms}.", arms=", ".join(f"{name} {n:,}" for name, n in self.counts.items()))
        for check in self.checks:
            meaning = render_message(check.meaning)
            yield (
                gettext("Passed: {check}.", check=meaning)
                if check.passed
                else gettext("Failed: {check}.", check=meaning)
            )
        if not self.checks:
            yield gettext("Sample ratio: not tested, since no lot is stated (planned=...).")
        far = self.balance.filter(pl.col("after").is_finite()).sort(pl.col("after").abs(), descending=True).head(1)
        for row in far.iter_rows(named=True):
            yield gettext(
                "Balance after weighting: furthest apart is {feature} by {after} standard deviations in {arm}; {much} "
                "would be much.",
                feature=repr(row["feature"]), after=f"{row['after']:+.2f}", arm=row["arm"],
                much=f"{diagnostics.MAX_SMD:g}",
            )  # fmt: skip
        worth = ", ".join(f"{name} {n:,.0f}" for name, n in self.worth.items())
        yield gettext(
            "Overlap: after weighting worth {worth} customers; {trimmed} set aside.",
            worth=worth,
            trimmed=percent(self.trimmed),
        )
        for row in self.placebos.iter_rows(named=True):
            figures = {key: f"{row[key]:.4g}" for key in ("effect", "low", "high")}
            yield gettext(
                "Placebo {outcome}: {arm} differs by {effect} ({low} to {high}), p = {p}.",
                outcome=row["outcome"], arm=row["arm"], p=f"{row['p']:.2g}", **figures,
            )  # fmt: skip
        yield from map(render_message, describe_features(self.before, self.unsure))
        yield from map(describe_note, self.doubts)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.balance)


class Trial:
    """A trial: customers of whom some were treated, what was known about them before, and what they did afterwards.

    `data` is a frame (Polars, pandas, Arrow) with a row per customer, or the path of a file. What its columns mean is
    said by the keys of `TrialSettings`: treatment, control, rates, counts, money, cost and so on.
    `on_progress(step, share, note)` hears how far it is.
    """

    def __init__(self, data: Any, *, on_progress: Progress | None = None, **meaning: Any) -> None:
        """Reads the rows and looks at every column. Raises ConfigError for a key that is none, InputError for a column
        that is not there, or is not what it is said to be; both suggest the nearest name.
        """
        self._start(data, TrialSettings.parse(meaning, "Trial"), on_progress)

    @classmethod
    def from_settings(cls, data: Any, settings: TrialSettings, on_progress: Progress | None = None) -> Self:
        trial = cls.__new__(cls)
        trial._start(data, settings, on_progress)
        return trial

    def _start(self, data: Any, settings: TrialSettings, on_progress: Progress | None) -> None:
        self.settings, self.tell = settings, on_progress or no_progress
        self.path = str(Path(data).resolve()) if isinstance(data, str | Path) else ""
        self.data = read_trial(data, settings)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {n:,}" for name, n in self.counts.items())
        return f"Trial of {len(self.data.arm_N):,} customers: {counts}; outcomes {', '.join(self.settings.outcomes)}"

    @property
    def counts(self) -> dict[str, int]:
        return dict(zip(self.data.arms, np.bincount(self.data.arm_N).tolist(), strict=True))

    @cached_property
    def _diagnosis(self) -> diagnostics.Diagnosis:
        data = self.data
        if data.units is not None:
            return diagnose_units(
                data.units, data.features, data.arm_N, data.planned_NA, data.outcomes, data.arms, self.settings.seed,
                data.weighing,
            )  # fmt: skip
        return diagnostics.diagnose(
            data.features, data.arm_N, planned_A=data.planned_NA, placebos=data.placebos, names=data.arms,
            before=(*data.weighing, EVERYBODY),
        )  # fmt: skip

    @cached_property
    def analysed(self) -> TrialData:
        """The trial's data without the features that may be consequences of the treatment."""
        data, found = self.data.without(self._diagnosis.left_out), self._diagnosis
        drawn = data.planned_NA is not None and found.level in ("randomised", "assumed")
        return data.unadjusted(find_effect_movers(data, found.prob_NA)) if drawn else data

    @cached_property
    def overlap_rows(self) -> Ints:
        """Rows of the customers who could have got every arm: the effect is claimed for them."""
        return np.flatnonzero(self._diagnosis.overlap.keep_N)

    @property
    def customers_differ(self) -> bool:
        """Whether any feature differs between customers. Units that repeat are compared as wholes."""
        return self.data.units is None and any(column.n_unique() > 1 for column in self.analysed.features)

    def check(self) -> TrialCheck:
        """Return which evidence the trial supports, or why none: sample ratio, balance, overlap and placebos."""
        found, arms = self._diagnosis, self.data.arms
        left = zip(arms, np.bincount(self.data.arm_N[self.overlap_rows], minlength=len(arms)).tolist(), strict=True)
        least = MIN_ARM_CUSTOMERS if self.data.units is None else 1
        small = [
            gettext_lazy("{arm} has {n} customers, at least {least} are needed", arm=name, n=n, least=least)
            for name, n in left
            if n < least
        ]
        return TrialCheck(
            None if small else found.level,
            tuple(small) if small and found.level else (*found.reasons, *small),
            self.counts,
            tuple(ArmCheck(name=c.name, p=c.p, passed=c.passed, meaning=c.meaning) for c in found.checks),
            name_arms(found.balance, arms),
            name_arms(found.placebos, arms),
            dict(zip(arms, found.overlap.effective_A.tolist(), strict=True)),
            found.overlap.trimmed,
            self.analysed.doubts,
            self.analysed.before,
            self.analysed.unsure,
        )

    def assignment(self) -> Assignment:
        """Return how the customers with overlap were assigned. Raises SupportError, with the reasons, if no effect can
        be claimed.
        """
        check = self.check()
        if check.level is None:
            raise SupportError(
                "effect_not_identified",
                gettext_lazy(
                    "{where}: no effect can be claimed from these data: {why}",
                    where=self.data.where,
                    why=join_messages(SEMICOLON, *check.reasons, *check.doubts),
                ),
            )
        return Assignment(check.level, self._diagnosis.prob_NA[self.overlap_rows], self._diagnosis)

    def fit(self) -> "FittedTrial":
        """Estimate what each arm adds, on average and per customer. Raises SupportError, with the reasons, if no effect
        can be claimed.
        """
        self.tell("effect", 0.0, gettext_lazy("who got what"))
        assigned, data, units = self.assignment(), self.analysed.subset(self.overlap_rows), self.data.units
        whole = self.analysed if units else data  # units that repeat are compared as wholes
        self.tell("effect", 0.1, gettext_lazy("average effects"))
        arrays = build_trial_arrays(data, assigned.prob_NA)
        effects, compared = (
            estimate_averages(arrays, whole, assigned.level),
            estimate_pairs(arrays, whole, assigned.level),
        )
        dose = depth_curves(data, assigned.level) if self.settings.dose else None
        learned: dict[str, EffectModel] = {}
        withdrawn = None
        if self.customers_differ:
            learned, withdrawn = withdraw_losing(
                data, assigned, fit_models(data, assigned, self.tell), self.settings.budget, self.tell
            )
        check, counts = self.check(), np.array([*self.counts.values()])
        gap = check.balance["after"].abs().max()
        note = TrialFit(
            path=self.path,
            settings=self.settings,
            arms=self.data.arms,
            counts=tuple(counts.tolist()),
            shares=tuple((counts / counts.sum()).tolist()),
            customers=len(self.data.arm_N),
            who=None if self.data.who.name == ROW else self.data.who.name,
            level=assigned.level,
            reasons=check.reasons,
            checks=check.checks,
            trimmed=check.trimmed,
            largest_gap=float(gap) if isinstance(gap, int | float) else None,
            much_gap=diagnostics.MAX_SMD,
            features=tuple(self.analysed.features.columns),
            unsure=self.analysed.unsure,
            doubts=self.analysed.doubts,
            apart=self.customers_differ,
            overlap_customers=len(self.overlap_rows),
            learned={name: model.learned for name, model in learned.items() if model.learned is not None},
            hidden={} if assigned.level == "randomised" or units else e_values(arrays, effects, data.arms),
            units=units.describe(data.arms) if units else NO_MESSAGE,
            withdrawn=withdrawn,
        )
        self.tell("effect", 1.0, gettext_lazy("done"))
        return FittedTrial(
            TrialEffects(note, effects, compared, check.balance, check.placebos, dose), learned, lambda: self
        )


class FittedTrial:
    """A trial with estimated effects. It predicts for each customer, is evaluated, and plans.

    `estimates` holds the average effects with their note, `models` one model for each outcome with individual effects;
    `trial` loads the rows when they are needed.
    """

    def __init__(self, estimates: TrialEffects, models: Mapping[str, EffectModel], trial: Callable[[], Trial]) -> None:
        self.estimates, self.models, self._trial = estimates, models, trial
        self._evaluation: TrialEvaluation | None = None
        self._evaluation_budget: float | None = None
        self._plan: TrialPlan | None = None

    def __repr__(self) -> str:
        return str(self.estimates)

    def _repr_html_(self) -> str:
        return self.estimates._repr_html_()

    @cached_property
    def trial(self) -> Trial:
        """The trial. Raises InputError if its file no longer exists."""
        return self._trial()

    @property
    def note(self) -> TrialFit:
        return self.estimates.note

    @property
    def effects(self) -> pl.DataFrame:
        """What each arm adds to each outcome, with its interval, and net of cost for money: see TrialEffects."""
        return self.estimates.effects

    @property
    def pairs(self) -> pl.DataFrame:
        """Every pair of arms, the better one first, with intervals that hold for all at once: see TrialEffects."""
        return self.estimates.pairs

    @property
    def results(self) -> TrialResults:
        """All results so far, from which the page is built."""
        return TrialResults(self.estimates, self._evaluation, self._plan)

    @property
    def can_plan(self) -> bool:
        """Whether a plan can be made: an outcome is money, and customers differ."""
        return self.note.settings.money is not None and self.note.apart

    def explain(self) -> str:
        """Return in plain words what the models say and by which rule they were chosen."""
        note, settings, parts = self.note, self.note.settings, [str(self.estimates)]
        for name, model in self.models.items():
            whom = gettext(
                "Who is treated is not decided by this but by {outcome}, {basis}.",
                outcome=settings.deciding_outcome,
                basis=render_message(settings.basis(settings.deciding_outcome)),
            )
            if name == settings.deciding_outcome:
                whom = model.advice([fixed_policy_names(note.arms)[0], *note.arms[1:]])
            if name == settings.deciding_outcome and note.withdrawn:
                whom = join_sentences(whom, render_message(note.withdrawn.describe("{:.4g}".format)))
            parts.append(
                gettext(
                    "{outcome}, {basis}: {found}",
                    outcome=name,
                    basis=render_message(settings.basis(name)),
                    found=join_sentences(model.evidence(note.arms), whom),
                )
            )
        return "\n\n".join(parts)

    def predict(self, new: Any) -> dict[str, pl.DataFrame]:
        """Return what each treatment adds to the deciding outcome of new customers, by treatment: gain, low, high (95
        %), one row for each row of `new`, which is a frame or file of what was known before. Money is net of cost.

        Everybody gets the average where nothing was known of customers. InputError names a column that is missing.
        """
        settings, data, raw = self.note.settings, self.trial.analysed, read_rows(new, "new")
        outcome = settings.deciding_outcome
        net = settings.net(outcome, treatment_costs("new", infer_types(raw).frame, settings, data.arms), data.part_A)
        if self.models:
            effect = self.models[outcome].predict(match_features(raw, data.features), net.cost_NK)
            gain_NK, reach_NK = effect.gain_NK, Z95 * effect.se_NK
        else:
            rows = self.effects.filter(pl.col("outcome") == outcome)
            gain, _, high = NET_COLUMNS if outcome == settings.money else (EFFECT_COLUMNS[0], "", EFFECT_COLUMNS[2])
            more_NK = np.broadcast_to(data.net(outcome).mean_A[1:] - net.cost_NK, (raw.height, rows.height))
            gain_NK = rows[gain].to_numpy() + more_NK
            reach_NK = np.broadcast_to((rows[high] - rows[gain]).to_numpy(), gain_NK.shape)
        return {
            name: pl.DataFrame({"gain": gain, "low": gain - reach, "high": gain + reach})
            for name, gain, reach in zip(data.arms[1:], gain_NK.T, reach_NK.T, strict=True)
        }

    def evaluate(self, budget: float | None = None) -> TrialEvaluation:
        """Evaluate the effects on customers the models did not see: Qini beside a simple rule, calibration, and the
        value of policies net of cost, among them the recommended policy and what `plan` makes of it within the `budget`
        (default: that of the settings). The result is cached for a budget. It takes about as long as the fit.
        """
        budget = self.note.settings.budget if budget is None else budget
        if self._evaluation is None or self._evaluation_budget != budget:
            trial = self._require_customer_features()
            self._evaluation = evaluate_models(
                trial.analysed.subset(trial.overlap_rows), trial.assignment(), self.models, budget, trial.tell,
                self.note.withdrawn,
            )  # fmt: skip
            self._evaluation_budget = budget
            trial.tell("evaluate", 1.0, gettext_lazy("done"))
        return self._evaluation

    def plan(self, budget: float | None = None) -> TrialPlan:
        """Return who gets which treatment: the recommended policy, or the best part of it within a budget in money of
        the trial (default: that of the settings, if any). Another budget than that of the settings is judged first, on
        customers that the models did not see: a plan that loses treats nobody. Raises StepError if no outcome is money.
        """
        trial = self._require_customer_features()
        data, kept, money, money_NA = trial.analysed, trial.overlap_rows, self.note.settings.money, None
        if money and data.net(money).has_percentage_cost:
            x_NF = fit_encoder(data.features).encode(data.features)
            money_NA = expected_money(x_NF[kept], data.arm_N[kept], data.outcomes[money][kept], len(data.arms), x_NF)
        models, withdrawn = self.models, self.note.withdrawn
        if money and budget not in (None, self.note.settings.budget):  # fit has judged the plan of the settings' budget
            models, lost = withdraw_losing(data.subset(kept), trial.assignment(), models, budget, trial.tell)
            withdrawn = lost or withdrawn
        self._plan = plan_treatments(data, models, budget, money_NA, trial.tell, withdrawn)
        return self._plan

    def report(self, page: str | Path = "trial.html") -> Path:
        """Write the page with the latest evaluation and plan (or those of the stated budget), and return its path. If
        too few customers were in an arm to evaluate, the page says so.
        """
        if self.note.apart:
            with suppress(SupportError):
                self.evaluate()
        if self.can_plan and self._plan is None:
            self.plan()
        return write_page(self.results, Path(page))

    def _require_customer_features(self) -> Trial:
        """Return the trial, or raise StepError if nothing was known about its customers."""
        if self.note.apart:
            return self.trial
        if self.note.units:
            raise StepError(
                "individual_effects_unavailable",
                gettext_lazy(
                    "{units}, so all are given the average effect that `promolift effect explain` tells; who gains "
                    "more is learned from rows that are customers of their own",
                    units=self.note.units,
                ),
            )
        raise StepError(
            "customer_features_missing",
            gettext_lazy(
                "nothing was known of these customers before the trial, so all are given the average effect that "
                "`promolift effect explain` tells; join what was known of them to find who gains more"
            ),
        )


def write_page(results: TrialResults, page: Path) -> Path:
    """Write the page of all results and return its path."""
    from promolift.foundation.pages.rendering import render_page
    from promolift.trials.page import build_trial_page

    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render_page(build_trial_page(results)), encoding="utf-8")
    return page
