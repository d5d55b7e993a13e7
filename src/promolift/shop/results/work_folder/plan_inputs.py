"""Inputs that planning and feedback share: time spans, rules of line tests and the budget."""

from collections.abc import Sequence

import polars as pl

from promolift.core.decisions.decision_rule import LineEffect, ReleaseTerms
from promolift.core.experiments.arm_choice import ArmChoice, ArmRules, choose_arms
from promolift.core.experiments.line_effects import PATIENCE_WINDOWS, ArmCell, ArmValue
from promolift.core.experiments.surrogate import Spans
from promolift.foundation.errors import SupportError
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.work_folder.run_context import Job, Moments

MONTHS = 6.0  # windows in which what a test teaches will be used


def plan_spans(job: Job) -> Spans:
    """Return window and horizon in days."""
    window = job.config.plan.window_days
    return Spans(window, max(window, job.config.value.horizon_days))


def index_cells(cells: pl.DataFrame) -> list[ArmCell]:
    """Return the cells with arm and group as indices into the sorted names."""
    arms, groups = (cells[name].unique().sort().to_list() for name in ("arm", "group"))
    rows = cells.drop("aimed").iter_rows()
    return [ArmCell(arms.index(arm), groups.index(group), *rest) for arm, group, *rest in rows]


def line_choice_rules(job: Job, terms: ReleaseTerms, budget: float, tests: int = 0) -> ArmRules:
    """What choosing goes by after so many windows of tests. Once all was closed after them nothing new is drawn: it
    stays closed."""
    over = tests >= PATIENCE_WINDOWS and bool(terms.effects) and all(each.state == "closed" for each in terms.effects)
    return ArmRules(job.config.plan.sure, MONTHS, terms.holdout_share, budget, tests, over)


def arm_effects(cells: pl.DataFrame, found: Sequence[ArmValue], rules: ArmRules, level: str) -> tuple[LineEffect, ...]:
    """Effects with what is done with each, by name. Of lines that are aimed all are given that pay: who gets which is
    chosen by what is predicted of each customer."""
    chosen = choose_arms(found, rules)
    if cells["aimed"].any():
        chosen = [
            ArmChoice("give", 1.0) if each.pays >= rules.sure and each.net > 0 else choice
            for each, choice in zip(found, chosen, strict=True)
        ]
    return tuple(
        LineEffect(
            arm=arm, group=group, net_cents=each.net, net_se_cents=each.net_se, window_cents=each.window,
            window_se_cents=each.window_se, cost_cents=each.cost, cost_se_cents=each.cost_se,
            pays=each.pays, state=choice.state, share=choice.share, lead=choice.lead, n_arm=each.drawn.n_arm,
            n_none=each.drawn.n_none,
            drawn_cents=None if each.drawn.se is None else each.drawn.value, drawn_se_cents=each.drawn.se,
            visits=None if each.visits_se is None else each.visits, visits_se=each.visits_se,
            evidence="randomised" if each.measured else level, aimed=aimed,
            gain_ratio=each.net / prior if aimed and prior > 0 else None,
            cost_ratio=each.cost / cost if aimed and cost > 0 else None,
        )
        for (arm, group, aimed, prior, cost), each, choice in zip(
            cells.select("arm", "group", "aimed", "prior", "cost").iter_rows(), found, chosen, strict=True
        )
    )  # fmt: skip


def budget_cents(job: Job, at: Moments) -> int:
    """The stated budget, or the stated share of the last window's revenue."""
    plan = job.config.plan
    if plan.budget_cents is not None:
        return plan.budget_cents
    revenue = job.release_policy.known_figure("revenue_cents")
    if revenue is None:
        revenue = _revenue_cents(job, at)
    if revenue <= 0:
        raise SupportError(
            "revenue_missing",
            "no revenue in the last window to take a budget from. If the log names no prices or amounts, nobody knows "
            "what a discount costs or brings: name their column under [data.events.mapping] (columns.amount or "
            "columns.unit_price); without any, plan.budget_cents = 0 in promolift.toml runs all but the offers. "
            "Otherwise set plan.budget_cents",
        )
    return round(revenue * plan.budget_share)


def _revenue_cents(job: Job, at: Moments) -> float:
    plan = job.config.plan
    since = at.asof - plan.window_days * DAY_MS
    sold = (
        job.clean.events()
        .filter(f"ts_ms >= {since} and ts_ms < {at.asof}")
        .aggregate("sum(revenue_cents)::bigint as s")
    )
    return float(sold.fetchall()[0][0] or 0)
