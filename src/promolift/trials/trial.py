"""A trial as a file or a frame in; whether it can be trusted, what its arms add, to whom, and who is to be treated out.

What a notebook, the command line and a program call. Legend: N customers, K treatments, A = K + 1 arms (0: control).
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

from promolift.core.effects.trial_arrays import encoder_of
from promolift.core.effects.uplift import diagnostics
from promolift.core.effects.uplift.uplift_model import LEAST_ROWS, EffectModel
from promolift.foundation.errors import StepError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.files.column_types import typed
from promolift.foundation.i18n.formatting import as_html, share
from promolift.foundation.progress import Tell, quiet
from promolift.trials.analysis.effect_estimates import (
    arrays_of,
    averages,
    by_name,
    depth_curves,
    hidden_causes,
    models,
    pairs,
)
from promolift.trials.analysis.evaluation import expected_money, judge, plan
from promolift.trials.analysis.randomisation_units import Assigned, unit_diagnosis
from promolift.trials.analysis.results import (
    EFFECT,
    NET,
    ArmCheck,
    TrialEffects,
    TrialFit,
    TrialJudgement,
    TrialPlan,
    TrialResults,
    policy_names,
)
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.analysis.trial_data import ROW, costs, features_of, read, rows_of

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TrialCheck:
    """What evidence a comparison of the arms supports: `level`, None if none, and why.

    `checks` of the randomisation, if one is stated. `balance`: feature, arm, before, after weighting (standard
    deviations from control). `worth`: what the customers of each arm are worth after weighting; `trimmed`: the share
    set aside for want of overlap. `placebos`: outcome, arm, effect, se, low, high, p. `doubts` about columns.
    """

    level: Level | None
    reasons: tuple[str, ...]
    counts: Mapping[str, int]
    checks: tuple[ArmCheck, ...]
    balance: pl.DataFrame
    placebos: pl.DataFrame
    worth: Mapping[str, float]
    trimmed: float
    doubts: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"Evidence: {self.level or 'none'}: {'; '.join(self.reasons)}."
        yield f"Customers: {', '.join(f'{name} {n:,}' for name, n in self.counts.items())}."
        for check in self.checks:
            yield f"{'Passed' if check.passed else 'Failed'}: {check.meaning}."
        if not self.checks:
            yield "Sample ratio: not tested, since no lot is stated (planned=...)."
        far = self.balance.filter(pl.col("after").is_finite()).sort(pl.col("after").abs(), descending=True).head(1)
        for row in far.iter_rows(named=True):
            much = f"{diagnostics.MOST_SMD:g} would be much"
            where = f"{row['feature']!r} by {row['after']:+.2f} standard deviations in {row['arm']}"
            yield f"Balance after weighting: furthest apart is {where}; {much}."
        worth = ", ".join(f"{name} {n:,.0f}" for name, n in self.worth.items())
        yield f"Overlap: after weighting worth {worth} customers; {share(self.trimmed)} set aside."
        for row in self.placebos.iter_rows(named=True):
            span = f"{row['effect']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
            yield f"Placebo {row['outcome']}: {row['arm']} differs by {span}, p = {row['p']:.2g}."
        yield from (f"Note: {doubt}." for doubt in self.doubts)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.balance)


class Trial:
    """Customers of whom some were treated: who got what, what was known of them before, what they did afterwards.

    `data` is a frame (Polars, pandas, Arrow) with a row per customer, or the path of a file. What its columns mean is
    said by the keys of `TrialSettings`: treatment, control, rates, counts, money, cost and so on.
    `on_progress(step, share, note)` hears how far it is.
    """

    def __init__(self, data: Any, *, on_progress: Tell | None = None, **meaning: Any) -> None:
        """Reads the rows and looks at every column. Raises ConfigError for a key that is none, InputError for a column
        that is not there, or is not what it is said to be; both suggest the nearest name.
        """
        self._start(data, TrialSettings.parse(meaning, "Trial"), on_progress)

    @classmethod
    def of(cls, data: Any, settings: TrialSettings, on_progress: Tell | None = None) -> Self:
        trial = cls.__new__(cls)
        trial._start(data, settings, on_progress)
        return trial

    def _start(self, data: Any, settings: TrialSettings, on_progress: Tell | None) -> None:
        self.settings, self.tell = settings, on_progress or quiet
        self.path = str(Path(data).resolve()) if isinstance(data, str | Path) else ""
        self.data = read(data, settings)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {n:,}" for name, n in self.counts.items())
        return f"Trial of {len(self.data.arm_N):,} customers: {counts}; outcomes {', '.join(self.settings.outcomes)}"

    @property
    def counts(self) -> dict[str, int]:
        return dict(zip(self.data.arms, np.bincount(self.data.arm_N).tolist(), strict=True))

    @cached_property
    def _found(self) -> diagnostics.Diagnosis:
        data = self.data
        if data.units is not None:
            return unit_diagnosis(
                data.units, data.features, data.arm_N, data.planned_NA, data.outcomes, data.arms, self.settings.seed
            )
        return diagnostics.diagnose(
            data.features, data.arm_N, planned_A=data.planned_NA, placebos=data.placebos, names=data.arms
        )

    @cached_property
    def kept(self) -> Ints:
        """Rows of the customers with a propensity of every arm: whom an effect is claimed for."""
        return np.flatnonzero(self._found.overlap.keep_N)

    @property
    def apart(self) -> bool:
        """Whether anything known of customers differs between them; units that repeat are compared as wholes."""
        return self.data.units is None and any(column.n_unique() > 1 for column in self.data.features)

    def check(self) -> TrialCheck:
        """Sample ratio, balance, overlap and placebos: which evidence the trial supports, or why none."""
        found, arms = self._found, self.data.arms
        left = zip(arms, np.bincount(self.data.arm_N[self.kept], minlength=len(arms)).tolist(), strict=True)
        least = LEAST_ROWS if self.data.units is None else 1
        small = [f"{name} has {n} customers, at least {least} are needed" for name, n in left if n < least]
        return TrialCheck(
            None if small else found.level,
            tuple(small) if small and found.level else (*found.reasons, *small),
            self.counts,
            tuple(ArmCheck(name=c.name, p=c.p, passed=c.passed, meaning=c.meaning) for c in found.checks),
            by_name(found.balance, arms),
            by_name(found.placebos, arms),
            dict(zip(arms, found.overlap.effective_A.tolist(), strict=True)),
            found.overlap.trimmed,
            self.data.doubts,
        )

    def assigned(self) -> Assigned:
        """How the customers kept were assigned. SupportError, with the reasons, where no effect can be claimed."""
        check = self.check()
        if check.level is None:
            why = "; ".join((*check.reasons, *check.doubts))
            raise SupportError(
                "effect_not_identified", f"{self.data.where}: no effect can be claimed from these data: {why}"
            )
        return Assigned(check.level, self._found.prob_NA[self.kept], self._found)

    def fit(self) -> "Fitted":
        """What each arm adds, on average and to whom. SupportError, with the reasons, where nothing can be claimed."""
        self.tell("effect", 0.0, "who got what")
        assigned, data, units = self.assigned(), self.data.of(self.kept), self.data.units
        whole = self.data if units else data  # units that repeat are compared as wholes
        self.tell("effect", 0.1, "average effects")
        arrays = arrays_of(data, assigned.prob_NA)
        effects, compared = averages(arrays, whole, assigned.level), pairs(arrays, whole, assigned.level)
        dose = depth_curves(data, assigned.level) if self.settings.dose else None
        learned = models(data, assigned, self.tell) if self.apart else {}
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
            much_gap=diagnostics.MOST_SMD,
            features=tuple(self.data.features.columns),
            doubts=self.data.doubts,
            apart=self.apart,
            kept=len(self.kept),
            learned={name: model.learned for name, model in learned.items() if model.learned is not None},
            hidden={} if assigned.level == "randomised" or units else hidden_causes(arrays, effects, data.arms),
            units=units.in_words(data.arms) if units else "",
        )
        self.tell("effect", 1.0, "done")
        return Fitted(TrialEffects(note, effects, compared, check.balance, check.placebos, dose), learned, lambda: self)


class Fitted:
    """A trial whose effects are estimated; it answers for each customer, is judged, and plans.

    `found` holds the averages with their note, `models` one model for each outcome that customers are told apart by;
    `trial` gives the rows when they are needed.
    """

    def __init__(self, found: TrialEffects, models: Mapping[str, EffectModel], trial: Callable[[], Trial]) -> None:
        self.found, self.models, self._trial = found, models, trial
        self._judged: TrialJudgement | None = None
        self._judged_within: float | None = None
        self._planned: TrialPlan | None = None

    def __repr__(self) -> str:
        return str(self.found)

    def _repr_html_(self) -> str:
        return self.found._repr_html_()

    @cached_property
    def trial(self) -> Trial:
        """The trial. InputError if its file is gone."""
        return self._trial()

    @property
    def note(self) -> TrialFit:
        return self.found.note

    @property
    def effects(self) -> pl.DataFrame:
        """What each arm adds to each outcome, with its interval, and net of cost for money: see TrialEffects."""
        return self.found.effects

    @property
    def pairs(self) -> pl.DataFrame:
        """Every pair of arms, the better one first, with intervals that hold for all at once: see TrialEffects."""
        return self.found.pairs

    @property
    def results(self) -> TrialResults:
        """All that is known so far: what the page is made of."""
        return TrialResults(self.found, self._judged, self._planned)

    @property
    def plans(self) -> bool:
        """Whether a plan can be made: an outcome is money, and customers differ."""
        return self.note.settings.money is not None and self.note.apart

    def explain(self) -> str:
        """What the models say and by which rule they were chosen, in plain words."""
        note, settings, parts = self.note, self.note.settings, [str(self.found)]
        for name, model in self.models.items():
            decides = f"{settings.deciding}, {settings.basis(settings.deciding)}"
            whom = f"Who is treated is not decided by this but by {decides}."
            if name == settings.deciding:
                whom = model.advice([policy_names(note.arms)[0], *note.arms[1:]])
            parts.append(f"{name}, {settings.basis(name)}: {model.evidence(note.arms)} {whom}")
        return "\n\n".join(parts)

    def predict(self, new: Any) -> dict[str, pl.DataFrame]:
        """What each treatment adds to the deciding outcome of new customers, by its name: gain, low, high (95 %), a row
        for each row of `new`, a frame or file of what was known before. Money is net of cost.

        Everybody gets the average where nothing was known of customers. InputError names a column that is missing.
        """
        settings, data, raw = self.note.settings, self.trial.data, rows_of(new, "new")
        outcome = settings.deciding
        net = settings.net(outcome, costs("new", typed(raw).frame, settings, data.arms), data.part_A)
        if self.models:
            effect = self.models[outcome].predict(features_of(raw, data.features), net.cost_NK)
            gain_NK, reach_NK = effect.gain_NK, Z95 * effect.se_NK
        else:
            rows = self.effects.filter(pl.col("outcome") == outcome)
            gain, _, high = NET if outcome == settings.money else (EFFECT[0], "", EFFECT[2])
            more_NK = np.broadcast_to(data.net(outcome).mean_A[1:] - net.cost_NK, (raw.height, rows.height))
            gain_NK = rows[gain].to_numpy() + more_NK
            reach_NK = np.broadcast_to((rows[high] - rows[gain]).to_numpy(), gain_NK.shape)
        return {
            name: pl.DataFrame({"gain": gain, "low": gain - reach, "high": gain + reach})
            for name, gain, reach in zip(data.arms[1:], gain_NK.T, reach_NK.T, strict=True)
        }

    def evaluate(self, budget: float | None = None) -> TrialJudgement:
        """How well the effects hold for customers the models did not see: Qini beside a simple rule, calibration, what
        policies would have earned, net of cost: the recommended one, and what `plan` makes of it within the `budget`
        (left out: that of the settings). Made once for a budget; takes about as long as the fit.
        """
        budget = self.note.settings.budget if budget is None else budget
        if self._judged is None or self._judged_within != budget:
            trial = self._told_apart()
            self._judged = judge(trial.data.of(trial.kept), trial.assigned(), self.models, budget, trial.tell)
            self._judged_within = budget
            trial.tell("evaluate", 1.0, "done")
        return self._judged

    def plan(self, budget: float | None = None) -> TrialPlan:
        """Who gets which treatment: the recommended policy, or the best of it within a budget in money of the trial
        (left out: that of the settings, if any). Raises StepError where no outcome is money.
        """
        trial = self._told_apart()
        data, kept, money, money_NA = trial.data, trial.kept, self.note.settings.money, None
        if money and data.net(money).gives_back:
            x_NF = encoder_of(data.features).encode(data.features)
            money_NA = expected_money(x_NF[kept], data.arm_N[kept], data.outcomes[money][kept], len(data.arms), x_NF)
        self._planned = plan(data, self.models, budget, money_NA, trial.tell)
        return self._planned

    def report(self, page: str | Path = "trial.html") -> Path:
        """Write the page, with the judgement and the plan last asked for (or of the stated budget); its path. Where too
        few customers were in an arm to be judged on others, the page says that they were not.
        """
        if self.note.apart:
            with suppress(SupportError):
                self.evaluate()
        if self.plans and self._planned is None:
            self.plan()
        return write_page(self.results, Path(page))

    def _told_apart(self) -> Trial:
        """The trial, or a StepError where nothing was known of its customers."""
        if self.note.apart:
            return self.trial
        code, why = "customer_features_missing", "nothing was known of these customers before the trial"
        remedy = "join what was known of them to find who gains more"
        if self.note.units:
            code = "individual_effects_unavailable"
            why, remedy = self.note.units, "who gains more is learned from rows that are customers of their own"
        told = "so all are given the average effect that `promolift effect explain` tells"
        raise StepError(code, f"{why}, {told}; {remedy}")


def write_page(results: TrialResults, page: Path) -> Path:
    """Write the page of all that is known; its path."""
    from promolift.foundation.pages.rendering import render_page
    from promolift.trials.page import page_of

    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render_page(page_of(results)), encoding="utf-8")
    return page
