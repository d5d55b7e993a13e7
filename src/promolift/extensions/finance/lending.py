"""Plan which bank customers are offered which credit terms within a budget of capital, and give reasons for refusals.

Expected profit = take-up x (margin x (1 - default) - loss x default) - contact. Legend: N customers, K terms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from promolift.core import allocation
from promolift.core.allocation.fairness_limits import GROUPS_COLUMN
from promolift.core.allocation.settings import Limit
from promolift.core.allocation.solver import AllocatedOffers
from promolift.core.customers.segments import segment_members
from promolift.core.effects.trial_arrays import Floats, Ints
from promolift.core.effects.uplift.dose_response import DoseModel, fit_dose
from promolift.core.experiments.prediction_metrics import auc, calibration, log_loss, wilson_interval
from promolift.extensions.finance.bank_customers import (
    BankCustomers,
    drop_unusable_features,
    holdout_rows,
    read_customers,
)
from promolift.extensions.finance.results import (
    REFUSALS,
    GroupShare,
    LendingResults,
    LendingSettings,
    RateEvidence,
    Refusal,
)
from promolift.extensions.finance.scorecard import MIN_CLASS_ROWS, RiskReason, Scorecard, fit_scorecard
from promolift.foundation.errors import BudgetError, ConfigError
from promolift.foundation.evidence import Z95, SampleEstimate
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages, render_message
from promolift.foundation.progress import Progress, no_progress

MAX_REFUSED = 0.5  # share of customers above which a rule that refuses them has to be confirmed
MIN_RULE_ROWS = 20  # of fewer customers a share says nothing
MIN_GRANT_PROB = 0.05  # a probability of having been granted below which the granted say nothing of a customer
RATE_GROUPS = 8  # groups that the rates of a file are taken in
RATE_QUANTILES = (0.01, 0.99)  # quantiles of the rates of the file between which a rate counts as tried
SHARE_STEPS = 5  # common shares that are tried between those of the groups


class LendingModels(NamedTuple):
    """What was learned: take-up, its curve along the discount from `top_rate`, default, and who was granted before."""

    take: Scorecard | None
    default: Scorecard | None
    granted: Scorecard | None
    dose: DoseModel | None
    top_rate: float
    usual_gain_N: Floats


@dataclass(frozen=True)
class OfferGrid:
    """Every customer's terms: N x K arrays. Money in minor units; `closed_NK` has "" where an offer is open."""

    ids: tuple[str, ...]
    rate_NK: Floats
    amount_NK: Floats
    take_NK: Floats
    default_NK: Floats
    earned_NK: Floats
    lost_NK: Floats
    cost_NK: Floats
    contact: float
    closed_NK: np.ndarray

    @property
    def gain_NK(self) -> Floats:
        return np.asarray(self.take_NK * self.if_taken(self.default_NK) - self.contact)

    def if_taken(self, default_NK: Floats) -> Floats:
        """What an offer that is taken earns if it defaults so often."""
        return np.asarray((1 - default_NK) * self.earned_NK - default_NK * self.lost_NK)

    @property
    def good_N(self) -> Floats:
        """How far each is who a fair share of offers is due to: would pay back, or where nothing is lent take it."""
        lends = bool(np.nanmax(self.lost_NK, initial=0.0) > 0)
        return np.asarray(1 - self.default_NK[:, 0] if lends else self.take_NK[:, 0])


def run_lending(settings: LendingSettings, folder: Path, tell: Progress = no_progress) -> LendingResults:
    """Learn from the file, decide on the customers it asks for, and value the decisions where outcomes are known.

    Paths start at `folder`. InputError for a file that does not fit, SupportError where too little is known to learn
    from, BudgetError where the limits cannot hold.
    """
    tell("learn", 0.0, gettext_lazy("reading the file"))
    found = read_customers(folder / settings.path, settings)
    rows = np.arange(len(found))
    apart = holdout_rows(found, settings.seed) if settings.applicants is None else rows[:0]
    learned = np.setdiff1d(rows, apart)
    tell("learn", 0.1, gettext_lazy("what leaks, and what stands for a group"))
    found = drop_unusable_features(found, settings, learned)
    past = found.select_rows(learned)
    new, held = settings.applicants, settings.applicants is None
    asked = read_customers(folder / new, settings, found) if new else found.select_rows(apart)
    check_exclusions(found, asked, settings)
    tell("learn", 0.3, gettext_lazy("take-up and default"))
    models = fit_models(past, settings)
    tell("plan", 0.6, gettext_lazy("terms for {customers} customers", customers=f"{len(asked):,}"))
    return _decided(past, asked, models, settings, held)


def check_exclusions(found: BankCustomers, asked: BankCustomers, settings: LendingSettings) -> None:
    """Stop where a rule refuses more than half of the file, or of those to decide on: its column may hold codes, not
    years. ConfigError unless `confirmed` names the rule.
    """
    for customers in (found, asked):
        for rule, members in zip(settings.exclude, segment_members(customers.rows, settings.exclude), strict=True):
            _check_share(rule.name, rule.where, members.to_numpy(), settings)


def _check_share(rule: str, where: str, refused_N: np.ndarray, settings: LendingSettings) -> None:
    refused, whole = int(refused_N.sum()), len(refused_N)
    if whole >= MIN_RULE_ROWS and refused > MAX_REFUSED * whole and rule not in settings.confirmed:
        raise ConfigError(
            "rule_refuses_most",
            gettext_lazy(
                "{path}: the rule {rule} ({where}) refuses {refused} of {whole} customers. Does its column "
                "hold what the rule takes it for (ages in years, incomes a month)? Correct the rule; if it "
                "is right, set finance.confirmed = [{rule}]",
                path=settings.path,
                rule=repr(rule),
                where=where,
                refused=f"{refused:,}",
                whole=f"{whole:,}",
            ),
        )


def fit_models(past: BankCustomers, settings: LendingSettings) -> LendingModels:
    """LendingModels of the outcomes that the file has. Default is learned from loans whose end is known."""
    took_N = np.nan_to_num(past.taken_N, nan=0.0) > 0 if settings.taken else np.full(len(past), True)
    known = np.flatnonzero(took_N & ~np.isnan(past.defaulted_N))
    answered = np.flatnonzero(~np.isnan(past.taken_N))
    take = default = granted = dose = None
    top, usual_N = float("nan"), np.zeros(0)
    if settings.taken:
        take = fit_scorecard(
            past.features[answered], past.taken_N[answered], _of(past.block_N, answered), settings.seed
        )
        if settings.rate:
            dose, top, usual_N = _dose(past.select_rows(answered))
    if settings.defaulted:
        default = fit_scorecard(
            _with_rate(past.features[known], past.rate_N[known]), past.defaulted_N[known],
            _of(past.block_N, known), settings.seed,
        )  # fmt: skip
        lent_N = np.zeros(len(past))
        lent_N[known] = 1.0
        refused_N = lent_N if not settings.taken else np.where(took_N, lent_N, np.nan)
        some = np.flatnonzero(~np.isnan(refused_N))
        if min(refused_N[some].sum(), len(some) - refused_N[some].sum()) >= MIN_CLASS_ROWS:
            granted = fit_scorecard(past.features[some], refused_N[some], None, settings.seed)
    return LendingModels(take, default, granted, dose, top, usual_N)


def _of(block_N: Ints | None, rows: Ints) -> Ints | None:
    return None if block_N is None else block_N[rows]


def _with_rate(features: pl.DataFrame, rate_N: Floats) -> pl.DataFrame:
    """With the rate that was offered: those who take a dear loan are others than those who take a cheap one."""
    if np.isnan(rate_N).all():
        return features
    return features.with_columns(pl.Series("offered rate", rate_N).fill_nan(None))


class _Along(NamedTuple):
    """Take-up along the discount from the highest rate; the gain of each known row at the rate it had."""

    model: DoseModel | None
    top: float
    usual_N: Floats


def _dose(past: BankCustomers) -> _Along:
    """The curve of take-up along the rate, where the file has different ones."""
    known = ~np.isnan(past.rate_N)
    rate_N = past.rate_N[known]
    cuts = np.unique(np.quantile(rate_N, np.linspace(0, 1, RATE_GROUPS + 1)[1:-1])) if rate_N.size else np.zeros(0)
    group_N = np.searchsorted(cuts, rate_N, side="left")
    mean_G = np.array([rate_N[group_N == g].mean() if (group_N == g).any() else np.nan for g in range(len(cuts) + 1)])
    top = float(np.nanmax(mean_G, initial=-1.0))
    depth_N = np.round(top - mean_G[group_N], 6) if rate_N.size else rate_N
    if len(np.unique(depth_N)) < 2:
        return _Along(None, top, np.zeros(0))
    rows = np.flatnonzero(known)
    model = fit_dose(past.features[rows], depth_N, past.taken_N[rows])
    curve_ND = model.curve(past.features[rows]).gain_ND
    place_N = np.searchsorted(model.depth_D, depth_N)
    usual_N = np.where(place_N > 0, np.take_along_axis(curve_ND, np.maximum(place_N - 1, 0)[:, None], 1)[:, 0], 0.0)
    return _Along(model, top, usual_N)


def build_offer_grid(
    asked: BankCustomers, models: LendingModels, settings: LendingSettings, past: BankCustomers
) -> OfferGrid:
    """What every line of terms would earn, lose and bind of every customer, and which lines are closed to whom."""
    n, terms = len(asked), settings.terms
    rate_NK = np.column_stack([asked.rate_N if t.rate is None else np.full(n, t.rate) for t in terms])
    want_N = asked.amount_N
    amount_NK = np.column_stack([np.minimum(want_N, np.inf if t.most_cents is None else t.most_cents) for t in terms])
    lent_NK = np.nan_to_num(amount_NK, nan=0.0)
    months_N = np.where(np.isnan(asked.months_N), settings.usual_months, asked.months_N)
    part_N = (months_N + 1) / (2 * np.maximum(months_N, 1)) if settings.repaid == "instalments" else np.ones(n)
    spread_NK = np.where(np.isnan(rate_NK), 0.0, rate_NK - settings.funding_rate)
    interest_NK = lent_NK * spread_NK * (months_N * part_N / 12)[:, None]
    extra_K = np.array([t.fee_cents + t.margin_cents for t in terms], dtype=np.float64)
    take_NK, default_NK = np.ones((n, len(terms))), np.zeros((n, len(terms)))
    if models.take is not None:
        take_NK[:] = models.take.predict(asked.features)[:, None]
        if models.dose is not None:
            depth_NK = np.clip(models.top_rate - rate_NK, 0.0, models.dose.depth_D[-1])
            usual = float(models.usual_gain_N.mean())
            for k in range(len(terms)):
                gain_N = _along(models.dose, asked.features, np.nan_to_num(depth_NK[:, k]))
                take_NK[:, k] = np.clip(take_NK[:, k] + gain_N - usual, 1e-6, 1 - 1e-6)
    if models.default is not None:
        for k in range(len(terms)):
            default_NK[:, k] = models.default.predict(_with_rate(asked.features, rate_NK[:, k]))
    cost_NK = settings.contact_cents + take_NK * lent_NK * settings.capital_share
    closed_NK = _closed(asked, models, settings, past, rate_NK, lent_NK, months_N, default_NK)
    return OfferGrid(
        tuple(t.id for t in terms), rate_NK, amount_NK, take_NK, default_NK, interest_NK + extra_K,
        settings.loss_share * lent_NK, cost_NK, float(settings.contact_cents), closed_NK,
    )  # fmt: skip


def _along(dose: DoseModel, features: pl.DataFrame, depth_N: Floats) -> Floats:
    """Each customer's gain at a depth of their own."""
    at_D = np.unique(depth_N)
    if len(at_D) > 50:  # own rates: between the depths that were tried
        at_D = dose.depth_D
    curve_ND = dose.curve(features, at_D).gain_ND
    return np.array([float(np.interp(d, at_D, row_D)) for d, row_D in zip(depth_N, curve_ND, strict=True)])


def _closed(
    asked: BankCustomers, models: LendingModels, settings: LendingSettings, past: BankCustomers, rate_NK: Floats,
    lent_NK: Floats, months_N: Floats, default_NK: Floats,
) -> np.ndarray:  # fmt: skip
    """The code of a hard exclusion of each offer, "" where it is open; the first that holds."""
    closed_NK = np.full(rate_NK.shape, "", dtype=object)

    def close(where_NK: np.ndarray, code: Refusal) -> None:
        closed_NK[np.broadcast_to(where_NK, closed_NK.shape) & (closed_NK == "")] = code

    for rule, mine in zip(settings.exclude, segment_members(asked.rows, settings.exclude), strict=True):
        close(mine.to_numpy()[:, None], rule.why)
    month_NK = np.maximum(np.nan_to_num(rate_NK) / 12, 1e-9)
    paid_NK = lent_NK * month_NK / -np.expm1(-np.maximum(months_N, 1)[:, None] * np.log1p(month_NK))
    dear_NK = paid_NK > settings.payment_share * asked.income_N[:, None]
    _check_share("affordability", f"payment_share = {settings.payment_share:g}", dear_NK.all(axis=1), settings)
    close(dear_NK, "affordability")
    if settings.income:
        close(np.isnan(asked.income_N)[:, None], "affordability")
    if settings.amount:
        close(np.isnan(asked.amount_N)[:, None], "unlike")
    if models.granted is not None:
        close((models.granted.predict(asked.features) < MIN_GRANT_PROB)[:, None], "unlike")
    if settings.rate:
        known = past.rate_N[~np.isnan(past.rate_N)]
        low, high = np.quantile(known, RATE_QUANTILES) if known.size else (np.inf, -np.inf)
        close(~((rate_NK >= low - 1e-9) & (rate_NK <= high + 1e-9)), "rate_untried")
    close(default_NK > settings.most_risk, "loss_expected")
    return closed_NK


def allocation_candidates(asked: BankCustomers, grid: OfferGrid) -> pl.DataFrame:
    """A row per customer and terms, as allocation takes them; `units`: how far each would pay back, or take up."""
    n, k = grid.take_NK.shape
    gain_NK = np.where(grid.closed_NK == "", grid.gain_NK, np.nan)
    groups = [
        [f"{name}={value}" for name, value in zip(asked.groups.columns, row, strict=True) if value is not None]
        for row in asked.groups.iter_rows()
    ] or [[]] * n
    return pl.DataFrame({
        "customer_id": np.repeat(asked.who.to_numpy(), k), "offer_id": np.tile(np.array(grid.ids, dtype=object), n),
        "gain_cents": gain_NK.ravel(), "cost_cents": grid.cost_NK.ravel(), "place": np.repeat(np.arange(n), k),
        "slot": np.tile(np.arange(k), n), "units": np.repeat(grid.good_N, k),
        GROUPS_COLUMN: pl.Series([groups[row] for row in range(n) for _ in range(k)], dtype=pl.List(pl.String)),
    }, schema_overrides={"customer_id": pl.String, "offer_id": pl.String}).with_columns(
        pl.col("gain_cents").fill_nan(None)
    )  # fmt: skip


@dataclass(frozen=True)
class FairLendingPlan:
    """The plan under the band, the best plan without it, how far groups lie apart in each, and the limits."""

    chosen: AllocatedOffers
    free: AllocatedOffers
    gap: float | None
    free_gap: float | None
    limits: tuple[Limit, ...]


def plan_fairly(candidates: pl.DataFrame, budget: float, settings: LendingSettings) -> FairLendingPlan:
    """The most gain within a budget, and with a `band` the shares of each group's good customers that get an offer no
    further apart. BudgetError where no plan can keep the band."""
    free = allocation.plan(candidates, budget, seed=settings.seed)
    sums = group_sums(candidates, free.chosen, settings.least_customers)
    free_gap = largest_gap(sums)
    if settings.band is None or free_gap is None or free_gap <= settings.band:
        return FairLendingPlan(free, free, free_gap, free_gap, ())
    shares = [given / good for given, good in sums.values()]
    best: FairLendingPlan | None = None
    half = settings.band / 2
    for middle in np.linspace(min(shares), max(shares), SHARE_STEPS).tolist():
        limits = tuple(
            Limit(
                name=f"equal opportunity: {group}", measure="units", where={GROUPS_COLUMN: (group,)},
                at_least=max(middle - half, 0.0) * good, at_most=(middle + half) * good,
            )
            for group, (_, good) in sums.items()
        )  # fmt: skip
        try:
            found = allocation.plan(candidates, budget, limits, seed=settings.seed)
        except BudgetError:
            continue
        if best is None or found.gain_cents > best.chosen.gain_cents:
            gap = largest_gap(group_sums(candidates, found.chosen, settings.least_customers))
            best = FairLendingPlan(found, free, gap, free_gap, limits)
    if best is None:
        raise BudgetError(
            "limits_infeasible",
            gettext_lazy(
                "finance.band = {band}: no plan within the budget keeps the groups so close ({free_gap} "
                "apart without it); widen the band, raise the budget, or protect fewer columns",
                band=f"{settings.band:g}",
                free_gap=f"{free_gap:.2f}",
            ),
        )
    return best


class GroupSum(NamedTuple):
    """What offers of a group come to among its good customers, and how many of these there are."""

    offered: float
    good: float


def group_sums(candidates: pl.DataFrame, chosen: pl.DataFrame, least: int) -> dict[str, GroupSum]:
    """Of each group of at least `least` customers who may be offered something."""
    people = candidates.filter(pl.col("gain_cents").is_not_null()).unique("customer_id", maintain_order=True)

    def summed(rows: pl.DataFrame) -> pl.DataFrame:
        members = rows.select(GROUPS_COLUMN, "units").explode(GROUPS_COLUMN).drop_nulls(GROUPS_COLUMN)
        return members.group_by(GROUPS_COLUMN).agg(pl.col("units").sum(), pl.len())

    given = dict(summed(chosen).select(GROUPS_COLUMN, "units").iter_rows())
    sizes = summed(people).filter(pl.col("len") >= least).sort(GROUPS_COLUMN)
    return {name: GroupSum(given.get(name, 0.0), good) for name, good, _ in sizes.iter_rows() if good > 0}


def largest_gap(sums: dict[str, GroupSum]) -> float | None:
    """How far the shares of two groups of one column lie apart at most; None where no column has two."""
    by: dict[str, list[float]] = {}
    for name, each in sums.items():
        by.setdefault(name.partition("=")[0], []).append(each.offered / each.good)
    gaps = [max(shares) - min(shares) for shares in by.values() if len(shares) > 1]
    return max(gaps) if gaps else None


def _decided(
    past: BankCustomers, asked: BankCustomers, models: LendingModels, settings: LendingSettings, held: bool
) -> LendingResults:
    grid = build_offer_grid(asked, models, settings, past)
    candidates = allocation_candidates(asked, grid)
    whole = allocation.plan(candidates, float(np.nansum(grid.cost_NK.max(axis=1))) + 1.0, seed=settings.seed)
    budget = 0.5 * whole.cost_cents if settings.budget_cents is None else float(settings.budget_cents)
    fair = plan_fairly(candidates, budget, settings)
    slot_N = chosen_terms(fair.chosen.chosen, len(asked))
    free_N = chosen_terms(fair.free.chosen, len(asked))
    sums = group_sums(candidates, fair.chosen.chosen, settings.least_customers)
    checked = check_models(past, asked, models, settings, held)
    tried: RateEvidence = "randomised" if settings.rate_randomised else "adjusted"
    return LendingResults(
        settings=settings, training_rows=len(past), decided_rows=len(asked), held_out=held,
        plan=plan_table(asked, grid, models, slot_N, free_N), left_out=asked.left_out | _fixed(models),
        checks=checked.figures, bins=checked.bins, gain_cents=fair.chosen.gain_cents, cost_cents=fair.chosen.cost_cents,
        budget_cents=budget, worth=estimate_plan_value(asked, grid, slot_N, budget) if held else {},
        groups=tuple(_shares(asked, grid, slot_N, sums, held)), gap=fair.gap, free_gap=fair.free_gap,
        price_cents=fair.free.gain_cents - fair.chosen.gain_cents, limits=fair.limits,
        evidence="assumed" if models.dose is None else tried,
        unknown=tuple(list_assumptions(past, models, settings)), notes=past.notes,
    )  # fmt: skip


def _fixed(models: LendingModels) -> dict[str, LazyMessage]:
    cards = [card for card in (models.take, models.default) if card is not None]
    return {name: gettext_lazy("says when, not who") for card in cards for name in card.fixed}


def chosen_terms(chosen: pl.DataFrame, size: int) -> Ints:
    """The place of each customer's terms; -1 for no offer."""
    slot_N = np.full(size, -1, np.int64)
    slot_N[chosen["place"].to_numpy()] = chosen["slot"].to_numpy()
    return slot_N


class ModelChecks(NamedTuple):
    """Figures of the models, by name, and what was predicted beside what happened."""

    figures: dict[str, SampleEstimate]
    bins: dict[str, pl.DataFrame]


def check_models(
    past: BankCustomers, asked: BankCustomers, models: LendingModels, settings: LendingSettings, held: bool
) -> ModelChecks:
    """How good take-up and default are: on customers the models did not see, held out or else out of fold."""
    figures, bins = dict[str, SampleEstimate](), dict[str, pl.DataFrame]()
    for name, card in (("take-up", models.take), ("default", models.default)):
        if card is None:
            continue
        if held:
            y_N = asked.taken_N if name == "take-up" else asked.defaulted_N
            rate_N = asked.rate_N if name == "default" else np.full(len(asked), np.nan)
            rows = np.flatnonzero(~np.isnan(y_N))
            prob_N = card.predict(_with_rate(asked.features, rate_N))[rows] if rows.size else np.zeros(0)
        else:
            y_N = past.taken_N if name == "take-up" else past.defaulted_N
            took_N = np.nan_to_num(past.taken_N, nan=0.0) > 0 if name == "default" and settings.taken else True
            rows = np.flatnonzero(~np.isnan(y_N) & took_N)
            prob_N = card.fold_prob_N
        y_N = y_N[rows]
        if min(y_N.sum(), len(y_N) - y_N.sum()) < 2:
            continue
        level = calibration(y_N, prob_N)
        for figure in (auc(y_N, prob_N), log_loss(y_N, prob_N), level.in_the_large):
            named = gettext_lazy(
                "{first}, {then}", first=LazyMessage.of(name, {}), then=LazyMessage.of(figure.figure, {})
            )
            figures[named] = SampleEstimate(figure.value, figure.low, figure.high, figure.n)
        bins[name] = pl.DataFrame([(b.prob, b.rate, b.low, b.high, b.n) for b in level.bins], orient="row",
                                  schema=["predicted", "happened", "low", "high", "n"])  # fmt: skip
    return ModelChecks(figures, bins)


def estimate_plan_value(
    asked: BankCustomers, grid: OfferGrid, slot_N: Ints, budget: float
) -> dict[str, SampleEstimate]:
    """What the plan earned by what its customers did, beside a response model's at the same budget: who is likeliest to
    take the offer, or where all take it the safest, first; and the difference, paired by customer. In minor units."""
    took_N = np.where(np.isnan(asked.taken_N), 1.0, asked.taken_N)
    value_NK = took_N[:, None] * grid.if_taken(_happened(asked, grid)) - grid.contact
    rows, open_NK = np.arange(len(asked)), grid.closed_NK == ""
    best_N = np.where(open_NK, grid.gain_NK, -np.inf).argmax(axis=1)  # it offers each the terms that earn most, too
    safe = np.isnan(asked.taken_N).all()
    score_N = -grid.default_NK[rows, best_N] if safe else grid.take_NK[rows, best_N]
    order = np.argsort(-score_N, kind="stable")
    order = order[open_NK[order].any(axis=1)]
    spent = np.cumsum(grid.cost_NK[order, best_N[order]])
    plain_N = np.full(len(asked), -1, np.int64)
    given = order[spent <= budget]
    plain_N[given] = best_N[given]
    ours_N, plain = _value(value_NK, slot_N), _value(value_NK, plain_N)
    named = {"plan": ours_N, "response model": plain, "plan over response model": ours_N - plain}
    return {name: _total(value_N) for name, value_N in named.items()}


def _happened(asked: BankCustomers, grid: OfferGrid) -> Floats:
    """Defaults as they happened, and as expected where that is not known."""
    known_N = ~np.isnan(asked.defaulted_N)
    return np.where(known_N[:, None], np.nan_to_num(asked.defaulted_N)[:, None], grid.default_NK)


def _value(value_NK: Floats, slot_N: Ints) -> Floats:
    picked_N = np.take_along_axis(value_NK, np.maximum(slot_N, 0)[:, None], 1)[:, 0]
    return np.where(slot_N >= 0, picked_N, 0.0)


def _total(value_N: Floats) -> SampleEstimate:
    total, reach = float(value_N.sum()), Z95 * float(np.sqrt(len(value_N) * value_N.var(ddof=1)))
    return SampleEstimate(total, total - reach, total + reach, len(value_N))


def _shares(
    asked: BankCustomers, grid: OfferGrid, slot_N: Ints, sums: dict[str, GroupSum], held: bool
) -> Iterator[GroupShare]:
    lends = not np.isnan(asked.defaulted_N).all()
    good_N = asked.defaulted_N == 0 if lends else asked.taken_N == 1
    open_N = (grid.closed_NK == "").any(axis=1)
    for name, each in sums.items():
        column, _, value = name.partition("=")
        mine_N = (asked.groups[column] == value).fill_null(False).to_numpy() & open_N
        due, given = int((mine_N & good_N).sum()), int((mine_N & good_N & (slot_N >= 0)).sum())
        happened = SampleEstimate(given / due, *wilson_interval(given, due), due) if held and due else None
        yield GroupShare(name, int(mine_N.sum()), each.good, each.offered / each.good, happened)


def plan_table(
    asked: BankCustomers, grid: OfferGrid, models: LendingModels, slot_N: Ints, free_N: Ints
) -> pl.DataFrame:
    """A row per customer: the terms or none, what is expected of them, and of a refusal the code and, in the language
    in use, the reason with what speaks against the customer."""
    rows = np.arange(len(slot_N))
    gain_NK = np.where(grid.closed_NK == "", grid.gain_NK, -np.inf)
    best_N = np.where(slot_N >= 0, slot_N, gain_NK.argmax(axis=1))
    codes: list[Refusal | None] = [
        None if slot_N[n] >= 0 else _refusal(grid, int(n), int(best_N[n]), free_N) for n in rows
    ]
    risky = [n for n, code in enumerate(codes) if code == "loss_expected"] if models.default is not None else []
    against: dict[int, Sequence[RiskReason]] = {}
    if risky and models.default is not None:
        rate_N = grid.rate_NK[rows, best_N][risky]
        against = dict(zip(risky, models.default.reasons(_with_rate(asked.features[risky], rate_N)), strict=True))

    def at(values_NK: Floats) -> pl.Series:
        return pl.Series(values_NK[rows, best_N]).fill_nan(None)

    return pl.DataFrame({
        "customer_id": asked.who,
        "terms": [grid.ids[best_N[n]] if slot_N[n] >= 0 else None for n in rows],
        "rate": at(grid.rate_NK), "amount_cents": at(grid.amount_NK).round(0),
        "months": pl.Series(asked.months_N).fill_nan(None),
        "take_up": at(grid.take_NK), "default": at(grid.default_NK), "gain_cents": at(grid.gain_NK),
        "cost_cents": at(grid.cost_NK), "refused": codes,
        "why": [_sentence(code, against.get(n, ())) for n, code in enumerate(codes)],
    }, schema_overrides=dict.fromkeys(("terms", "refused", "why"), pl.String))  # fmt: skip


def _refusal(grid: OfferGrid, n: int, best: int, free_N: Ints) -> Refusal:
    """Why a customer gets none of the terms."""
    code: Any = grid.closed_NK[n, best]
    if code:
        return code  # type: ignore[no-any-return]
    if grid.gain_NK[n, best] <= 0:
        lost = grid.default_NK[n, best] * grid.lost_NK[n, best]
        return "loss_expected" if lost > (1 - grid.default_NK[n, best]) * grid.earned_NK[n, best] else "unlikely"
    return "fairness" if free_N[n] >= 0 else "budget"


def _sentence(code: Refusal | None, against: Sequence[RiskReason]) -> str | None:
    """A refusal in the reader's language, with the features that speak most against the customer."""
    if code is None:
        return None
    why = gettext(REFUSALS[code])
    if not against:
        return why
    parts = [gettext_lazy("{feature} is {value}", feature=each.feature, value=repr(each.value)) for each in against]
    return gettext("{why}; above all: {parts}", why=why, parts=render_message(join_messages(SEMICOLON, *parts)))


def list_assumptions(past: BankCustomers, models: LendingModels, settings: LendingSettings) -> Iterator[LazyMessage]:
    """What the file cannot say and the plan rests on, in words."""
    if models.take is None:
        yield gettext_lazy(
            "take-up: the file has only customers who took what they were offered, so it is taken as certain"
        )
    elif models.dose is None and settings.amount:
        yield gettext_lazy("take-up by rate: the file has no different rates, so all terms are taken up alike")
    elif models.dose is not None and not settings.rate_randomised:
        yield gettext_lazy(
            "take-up by rate is read from rates that were not drawn at random: adjusted for the features, not proven"
        )
    yield gettext_lazy("what customers would have done without an offer: all that is taken counts as earned by it")
    if models.default is None:
        return
    if models.granted is not None:
        lent = int((~np.isnan(past.defaulted_N)).sum())
        yield gettext_lazy(
            "reject inference: of {customers} customers no end of a loan is known, and nothing is assumed of them; "
            "customers unlike all to whom money was lent get no offer",
            customers=f"{len(past) - lent:,}",
        )
    else:
        yield gettext_lazy(
            "reject inference: the file has only customers to whom money was lent; of those refused before nothing is "
            "known, and the plan holds for customers like these alone"
        )
    if not settings.rate:
        yield gettext_lazy(
            "adverse selection: no rate is in the file, so whether dear terms draw riskier customers is not known"
        )
    yield gettext_lazy(
        "the part of the amount that a default loses ({share}) is assumed", share=f"{settings.loss_share:.0%}"
    )
