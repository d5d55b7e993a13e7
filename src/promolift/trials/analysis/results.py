"""The results of a trial, typed and frozen, and how they are stored in a work folder: fit, evaluation and plan.

Tables name arms as the file does. Legend: N customers, A arms (arm 0 is control), K treatments.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import polars as pl
from pydantic import ConfigDict

from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import as_html, join_sentences, level_name, low_to_high, percent
from promolift.foundation.i18n.lazy_message import (
    SENTENCES,
    LazyMessage,
    gettext_lazy,
    join_messages,
    message_of,
    render_message,
)
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.trials.analysis.settings import TrialSettings

EFFECT_COLUMNS = ("effect", "low", "high", "control_mean")
NET_COLUMNS = ("net", "net_low", "net_high")
NO_MESSAGE = LazyMessage.of("", {})
DOSE_TABLE = "trial_dose"  # is there only where treatments are depths


class _Part(Settings):
    """A part of a note; as in the note, NaN stands for what could not be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class ArmCheck(_Part):
    """One test of whether arms were assigned as stated; `meaning` says what it found."""

    name: LazyMessage
    p: float
    passed: bool
    meaning: LazyMessage


class WithdrawnPolicy(_Part):
    """The policy that the models chose and that failed on customers whom its models did not see: it recommends nothing.

    `treated`: the share of customers it would treat. `lead` a customer over the policy `against`, in the unit of the
    deciding outcome, with its 95 % interval from `n` customers; null where too few customers could judge it. `loses`:
    whether the interval lies below 0.
    """

    treated: float
    against: str
    lead: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def loses(self) -> bool:
        return self.high is not None and self.high < 0

    def describe(self, say: Callable[[float], str]) -> LazyMessage:
        """Return one sentence that says what became of the policy; `say` writes an amount a customer."""
        treated = percent(self.treated)
        if self.lead is None or self.low is None or self.high is None:
            return gettext_lazy(
                "Withdrawn: the policy that the models chose treats {treated} of customers, and an arm has too few "
                "customers to judge it on those whom its models did not see.",
                treated=treated,
            )
        found = {
            "treated": treated, "policy": policy_name(self.against), "lead": say(self.lead), "low": say(self.low),
            "high": say(self.high),
        }  # fmt: skip
        if self.loses:
            return gettext_lazy(
                "Withdrawn: the policy that the models chose treats {treated} of customers and loses to {policy}: "
                "{lead} a customer ({low} to {high}), on customers whom its models did not see.",
                **found,
            )
        return gettext_lazy(
            "Withdrawn: the policy that the models chose treats {treated} of customers and did not beat {policy}: "
            "{lead} a customer ({low} to {high}), on customers whom its models did not see.",
            **found,
        )


class TrialFit(Note):
    """What a fit found: who got what, the evidence level with its reasons, and what was known of customers.

    `path` of the file, empty where there is none. `counts` and `shares` of `customers` by arm, control first. `who` is
    the column that names customers. `overlap_customers`: those with overlap. `apart`: whether anything known differs
    between them. `learned`: rows that an outcome's models learned from, where not all. `largest_gap`: standard
    deviations between an arm and control, after weighting; above `much_gap` it would be much. `units`: how rows repeat,
    in words; empty where every row is a customer. `unsure`: features of which nobody said that they were known before.
    `withdrawn`: the policy that failed on unseen customers. `hidden`: by arm, how strong an unrecorded cause must be to
    explain its effect away (see effect.outcomes.e_value).
    """

    NAME: ClassVar[str] = "trial"
    ALIASES: ClassVar[dict[str, str]] = {"kept": "overlap_customers"}
    path: str
    settings: TrialSettings
    arms: tuple[str, ...]
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    customers: int
    who: str | None
    level: Level
    reasons: tuple[LazyMessage, ...]
    checks: tuple[ArmCheck, ...]
    trimmed: float
    largest_gap: float | None
    much_gap: float
    features: tuple[str, ...]
    doubts: tuple[LazyMessage, ...]
    apart: bool
    overlap_customers: int
    learned: dict[str, int]
    hidden: dict[str, float]
    units: LazyMessage = NO_MESSAGE
    unsure: tuple[str, ...] = ()
    withdrawn: WithdrawnPolicy | None = None


class TrialEvaluationNote(Note):
    """What the judgement found beside its tables; `samples` says which models learned from a part only."""

    NAME: ClassVar[str] = "trial_judged"
    settings: TrialSettings
    level: Level
    learned: dict[str, int]
    samples: tuple[LazyMessage, ...]
    withdrawn: WithdrawnPolicy | None = None


class TrialPlanNote(Note):
    """The plan: amounts in money of the file, `gain` net of `cost`, with its 95 % interval; `basis` says net of what.

    `bound`: what no plan within the budget can exceed; `price`: what the next unit of budget would add.
    """

    NAME: ClassVar[str] = "trial_planned"
    budget: float
    gain: float
    low: float
    high: float
    cost: float
    treated: int
    customers: int
    bound: float
    price: float
    level: Level
    basis: LazyMessage
    explain: LazyMessage
    withdrawn: WithdrawnPolicy | None = None

    def describe(self) -> LazyMessage:
        """Return why the plan is what it is, and which policy was withdrawn before it."""
        if self.withdrawn is None:
            return self.explain
        return join_messages(SENTENCES, self.explain, self.withdrawn.describe("{:.4g}".format))


class _NoteWithTables:
    """A note and its tables. `TABLES` holds the stored names of the tables, in the order of the fields."""

    NOTE: ClassVar[type[Note]]
    TABLES: ClassVar[tuple[str, ...]]

    @classmethod
    def load(cls, store: Store) -> Self:
        note = cls.NOTE.load(store)
        tables = (store.frame(name) if name != DOSE_TABLE or store.has(name) else None for name in cls.TABLES)
        return cls(note, *tables)  # type: ignore[call-arg]

    @classmethod
    def load_if_present(cls, store: Store) -> Self | None:
        """Load from the work folder; None if the command has not run on this fit."""
        return cls.load(store) if all(map(store.has, cls.TABLES)) else None

    def keep(self, store: Store) -> Self:
        note, *tables = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        for name, frame in zip(self.TABLES, tables, strict=True):
            if frame is not None:
                store.save(name, frame)
        note.keep(store)
        return self


@dataclass(frozen=True)
class TrialEffects(_NoteWithTables):
    """Average effect of each arm on each outcome, every pair of arms, balance of the features, placebos; `dose` is the
    gain along the depth if treatments are depths.

    `effects`: outcome, arm, effect, low, high in the unit of the file; net, net_low, net_high: what an effect on money
    is worth, its cost paid, null for other outcomes; control_mean, se, p, p_holm, n, level; where
    units repeat, `relative` to what had been without. `pairs`: outcome, arm (the better one), against, effect, low,
    high, net, net_low, net_high (95 %, all pairs of an outcome at once), p, p_holm, shown (whether it beats it, net).
    """

    NOTE = TrialFit
    TABLES = ("trial_effects", "trial_pairs", "trial_balance", "trial_placebos", "trial_dose")
    note: TrialFit
    effects: pl.DataFrame
    pairs: pl.DataFrame
    balance: pl.DataFrame
    placebos: pl.DataFrame
    dose: pl.DataFrame | None

    def keep(self, store: Store) -> Self:
        """Store the fit and delete an earlier fit with its evaluation and plan, which do not describe this one."""
        for name in (DOSE_TABLE, *TrialEvaluation.TABLES, *TrialPlan.TABLES):
            store.remove(name)
        return super().keep(store)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        note, settings = self.note, self.note.settings
        arms = ", ".join(f"{name} {n:,}" for name, n in zip(note.arms, note.counts, strict=True))
        yield gettext("Rows: {arms}.", arms=arms) if note.units else gettext("Customers: {arms}.", arms=arms)
        yield describe_evidence(note.level, note.reasons)
        if note.units:
            yield gettext("Units: {units}.", units=render_message(note.units))
        for row in self.effects.iter_rows(named=True):
            outcome, rate = row["outcome"], row["outcome"] in settings.rates
            effect, low, high, control = (f"{100 * row[k]:.2f}" if rate else f"{row[k]:.4g}" for k in EFFECT_COLUMNS)
            found = {
                "outcome": outcome, "arm": row["arm"], "effect": effect, "low": low, "high": high, "control": control,
            }  # fmt: skip
            if rate:
                said = gettext(
                    "{outcome}: {arm} adds {effect} points ({low} to {high}) to {control} %",
                    **found,
                )
            else:
                said = gettext("{outcome}: {arm} adds {effect} ({low} to {high}) to {control}", **found)
            if note.units and row["relative"] is not None:
                said = gettext("{first}, {then}", first=said, then=f"{100 * row['relative']:+.2f} %")
            yield f"  {said}"
            if not settings.gross(outcome) and row["net"] is not None:
                worth, least, most = (f"{row[k]:.4g}" for k in NET_COLUMNS)
                basis = render_message(settings.basis(outcome))
                yield "    " + gettext(
                    "{basis}: {worth} ({low} to {high})", basis=basis, worth=worth, low=least, high=most
                )
        yield from describe_pairs(self.pairs, settings, note.arms[0], "{:.4g}".format) if len(note.arms) > 2 else ()
        for name, rows in note.learned.items():
            yield gettext(
                "Note: the file is large, so who gains more in {name} was learned from {rows} of {customers} "
                "customers, "
                "drawn by hash; the average and the choice between models use all.",
                name=name, rows=f"{rows:,}", customers=f"{note.overlap_customers:,}",
            )  # fmt: skip
        if note.withdrawn:
            yield render_message(note.withdrawn.describe("{:.4g}".format))
        if not note.units:
            sure = tuple(name for name in note.features if name not in note.unsure) if note.apart else ()
            yield from map(render_message, describe_features(sure, note.unsure))
        yield from map(describe_note, note.doubts)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.effects)


def describe_evidence(level: str | None, reasons: Sequence[str]) -> str:
    """Return the evidence level, "none" where there is none, with its reasons."""
    why = gettext("; ").join(map(render_message, reasons))
    return gettext("Evidence: {level}: {reasons}.", level=level_name(level) if level else gettext("none"), reasons=why)


def describe_note(text: str) -> str:
    """Return a doubt or a remark as a line of a result."""
    return gettext("Note: {text}.", text=render_message(text))


def describe_features(before: tuple[str, ...], unsure: tuple[str, ...]) -> Iterator[LazyMessage]:
    """Yield which features were known before the treatment, and which ones somebody has to say it of."""
    yield gettext_lazy(
        "Taken as known before the treatment: {features}.",
        features=_shortened(before) if before else gettext_lazy("nothing that differs"),
    )
    if unsure:
        yield gettext_lazy(
            "Nobody has said when these were measured: {features}. They tell customers apart, but no effect is "
            "weighted or adjusted by them. Say features=... with all that was known before, ignore=... with others.",
            features=_shortened(unsure),
        )


def _shortened(names: tuple[str, ...]) -> str:
    listed = ", ".join(names[:12])
    return gettext_lazy("{names} and {n} more", names=listed, n=len(names) - 12) if len(names) > 12 else listed


def describe_pairs(
    pairs: pl.DataFrame, settings: TrialSettings, control: str, say: Callable[[float], str]
) -> Iterator[str]:
    """Yield, for the deciding outcome, the best arm and its runner-up, and which treatment beats which."""
    mine = pairs.filter(pl.col("outcome") == settings.deciding_outcome).to_dicts()
    wins = Counter(pair["arm"] for pair in mine)
    first, second = (sorted({p[key] for p in mine for key in ("arm", "against")}, key=lambda arm: -wins[arm]))[:2]
    best = {"outcome": settings.deciding_outcome, "arm": first, "second": second}
    if settings.gross(settings.deciding_outcome):
        yield gettext("Best by {outcome}: {arm}, then {second} (all pairs at once):", **best)
    else:
        basis = render_message(settings.basis(settings.deciding_outcome))
        yield gettext("Best by {outcome}: {arm}, then {second} ({basis}, all pairs at once):", basis=basis, **best)
    for pair in sorted(mine, key=lambda pair: (-wins[pair["arm"]], -wins[pair["against"]])):
        keys = EFFECT_COLUMNS[:3] if pair["net"] is None else NET_COLUMNS
        by, low, high = (say(pair[key]) for key in keys)
        said = {"arm": pair["arm"], "against": pair["against"], "by": by, "low": low, "high": high}
        if pair["shown"]:
            yield "  " + gettext("{arm} beats {against}: by {by} ({low} to {high})", **said)
        else:
            yield "  " + gettext("{arm} is not shown to beat {against}: by {by} ({low} to {high})", **said)


@dataclass(frozen=True)
class TrialEvaluation(_NoteWithTables):
    """The evaluation on customers that the models did not see; trials/analysis/evaluation.py explains the method.

    `qini`: outcome, arm, figure, by, value, low, high, n. `curves`: points of both orders to treat customers in.
    `deciles`: predicted and realised gains by deciles. `policies`: what nobody, everybody by each treatment and the
    recommended policy are worth, net of cost; the comparisons are paired.
    """

    NOTE = TrialEvaluationNote
    TABLES = ("trial_qini", "trial_curves", "trial_deciles", "trial_policies")
    note: TrialEvaluationNote
    qini: pl.DataFrame
    curves: pl.DataFrame
    deciles: pl.DataFrame
    policies: pl.DataFrame

    @property
    def calibration(self) -> pl.DataFrame:
        """outcome, arm, groups of similar prediction, and in how many of them it lay inside the realised interval."""
        each = self.deciles.group_by("outcome", "arm", maintain_order=True)
        return each.agg(groups=pl.len().cast(pl.Int64), inside=pl.col("inside").sum().cast(pl.Int64))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        settings = self.note.settings
        yield gettext("Judged on customers the models did not see (two halves):")
        for row in self.qini.iter_rows(named=True):
            yield "  " + gettext(
                "{outcome}, {arm}: {figure} by {by} {value} ({low} to {high})",
                outcome=row["outcome"], arm=row["arm"], figure=gettext(row["figure"]), by=gettext(row["by"]),
                value=f"{row['value']:.4f}", low=f"{row['low']:.4f}", high=f"{row['high']:.4f}",
            )  # fmt: skip
        for outcome in settings.modelled_outcomes:
            rows = self.policies.filter(pl.col("outcome") == outcome)
            basis = render_message(settings.basis(outcome))
            yield gettext("{outcome} per customer under each policy, {basis}:", outcome=outcome, basis=basis)
            for row in rows.iter_rows(named=True):
                worth = {key: f"{row[key]:.4g}" for key in ("value", "low", "high")}
                if row["policy"] == "recommended":
                    treated = percent(row["treated"])
                    yield "  " + gettext(
                        "recommended (treats {treated}): {value} ({low} to {high})", treated=treated, **worth
                    )
                else:
                    policy = render_message(policy_name(row["policy"]))
                    yield "  " + gettext("{policy}: {value} ({low} to {high})", policy=policy, **worth)
            yield "  " + render_message(describe_policy(rows, settings, "{:.4g}".format))
            if self.note.withdrawn and outcome == settings.deciding_outcome:
                yield "  " + render_message(self.note.withdrawn.describe("{:.4g}".format))
        yield from map(describe_note, self.note.samples)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.policies)


def describe_policy(rows: pl.DataFrame, settings: TrialSettings, say: Callable[[float], str]) -> LazyMessage:
    """Return whether the recommended policy beats the better of treating nobody and treating everybody; `rows` are
    those of one outcome.
    """
    ours = rows.row(-1, named=True)
    best = policy_name(ours["best_fixed"])
    found = {"treated": percent(ours["treated"]), "policy": best} | {
        name: say(ours[key]) for name, key in (("lead", "lead"), ("low", "lead_low"), ("high", "lead_high"))
    }
    if ours["outcome"] != settings.deciding_outcome:
        return gettext_lazy(
            "Before cost, so nothing is recommended by it: {outcome} decides. The policy recommended there treats "
            "{treated} of customers; against {policy}: {lead} a customer ({low} to {high}).",
            outcome=settings.deciding_outcome,
            **found,
        )
    if ours["moved"] == 0:
        return gettext_lazy("Recommended: {policy}; no group proved better off otherwise.", policy=best)
    if ours["lead_low"] > 0:
        return gettext_lazy(
            "The recommended policy treats {treated} of customers and beats {policy} by {lead} a customer "
            "({low} to {high}).",
            **found,
        )
    if ours["lead_high"] < 0 and ours["treated"] == 0:
        del found["treated"]
        return gettext_lazy(
            "Nobody is to be treated. This earned more here, but not surely enough: {policy}, {lead} a customer "
            "({low} to {high}).",
            **found,
        )
    if ours["lead_high"] < 0:
        return gettext_lazy(
            "The recommended policy treats {treated} of customers and loses to {policy}: {lead} a customer "
            "({low} to {high}).",
            **found,
        )
    return gettext_lazy(
        "The recommended policy treats {treated} of customers; it was not shown to beat {policy}: {lead} a customer "
        "({low} to {high}).",
        **found,
    )


@dataclass(frozen=True)
class TrialPlan(_NoteWithTables):
    """Who gets which treatment within the budget, and the gain and cost of every other budget.

    `frame` has a row for each customer treated: the column that names customers, if there is one, row (from 1),
    treatment, gain (net of cost), low, high, cost, evidence. `plan["treatment"]` is one of its columns.
    """

    NOTE = TrialPlanNote
    TABLES = ("trial_plan", "trial_frontier")
    note: TrialPlanNote
    frame: pl.DataFrame
    frontier: pl.DataFrame

    def __getitem__(self, column: str) -> pl.Series:
        return self.frame[column]

    def __str__(self) -> str:
        note, span = self.note, low_to_high(self.note.low, self.note.high, "{:,.2f}".format)
        by = ", ".join(f"{name} {n:,}" for name, n in self.frame["treatment"].value_counts().sort("treatment").rows())
        treated = gettext("Treated: {arms}.", arms=by or gettext("nobody"))
        worth = {"gain": f"{note.gain:,.2f}", "level": level_name(note.level), "basis": render_message(note.basis)}
        if span:
            gain = gettext("Expected gain {gain} (95 % interval {span}, {level}), {basis}.", span=span, **worth)
        else:
            gain = gettext("Expected gain {gain} ({level}), {basis}.", **worth)
        return f"{join_sentences(treated, gain)}\n{render_message(note.describe())}"

    def _repr_html_(self) -> str:
        return as_html(str(self), self.frame)


@dataclass(frozen=True)
class TrialResults:
    """All results of a trial so far; None where the command has not run on this fit."""

    fitted: TrialEffects
    evaluation: TrialEvaluation | None
    plan: TrialPlan | None

    @classmethod
    def load(cls, store: Store) -> Self:
        return cls(TrialEffects.load(store), TrialEvaluation.load_if_present(store), TrialPlan.load_if_present(store))


NOBODY, EVERYBODY = gettext_noop("nobody (control {arm})"), gettext_noop("everybody: {arm}")
WITHIN_BUDGET = gettext_noop("plan within {budget}")


def fixed_policy_names(arms: tuple[str, ...]) -> list[str]:
    """Return the names of the fixed policies: nobody is treated, or everybody by one arm."""
    return [NOBODY.format(arm=arms[0]), *(EVERYBODY.format(arm=arm) for arm in arms[1:])]


def policy_name(name: str) -> LazyMessage:
    """Return the name of a policy, as the tables hold it, for people."""
    return message_of(name, NOBODY, EVERYBODY, WITHIN_BUDGET)
