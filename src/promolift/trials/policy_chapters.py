"""Build the chapters of a trial's page on policies and on the plan."""

from functools import partial

import polars as pl

from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    in_brackets,
    interval,
    interval_name,
    join_sentences,
    low_to_high,
    percent,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import (
    Block,
    Chapter,
    Figure,
    TextTable,
    note,
    unknown_note,
)
from promolift.foundation.pages.charts import (
    ForestRow,
    forest_plot,
    frontier_chart,
    thin_rows,
)
from promolift.trials.analysis.results import (
    TrialEvaluation,
    TrialPlan,
    WithdrawnPolicy,
    describe_policy,
    policy_name,
)
from promolift.trials.analysis.trial_story import ALIKE, UNPLANNED, TrialStory, why_unjudged


def policies_chapter(trial: TrialStory) -> Chapter:
    """Nobody, everybody by each treatment, and the recommended policy, with intervals."""
    title = gettext("Which policy earns most?")
    lead = gettext("Every policy valued on the same customers; the recommended one on those its models did not see.")
    judged = trial.evaluation
    if judged is None:
        return Chapter(
            "policies",
            gettext("Policies"),
            title,
            lead,
            [unknown_note(gettext("what policies are worth"), why_unjudged(trial))],
        )
    blocks: list[Figure | Block] = [
        _policy(trial, judged, place, outcome) for place, outcome in enumerate(trial.settings.modelled_outcomes)
    ]
    blocks += _withdrawn(trial, judged.note.withdrawn)
    return Chapter("policies", gettext("Policies"), title, lead, blocks)


def _withdrawn(trial: TrialStory, lost: WithdrawnPolicy | None) -> list[Figure | Block]:
    """The policy that failed on customers whom its models did not see."""
    return (
        []
        if lost is None
        else [note(render_message(lost.describe(partial(trial.added, trial.settings.deciding_outcome))), "warn")]
    )


def _policy(trial: TrialStory, judged: TrialEvaluation, place: int, outcome: str) -> Figure:
    rows = judged.policies.filter(pl.col("outcome") == outcome)
    say, more, all_ = (partial(how, outcome) for how in (trial.amount, trial.added, trial.total))
    marks = [
        ForestRow(
            render_message(policy_name(r["policy"])), r["value"], r["low"], r["high"],
            [percent(r["treated"]), low_to_high(r["lead_low"], r["lead_high"], more), all_(r["added"]),
             low_to_high(r["added_low"], r["added_high"], all_)],
            "ours" if r["policy"] == "recommended" else "main",
        )
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    last, named = rows.row(-1, named=True), trial.outcome_label(outcome)
    return forest_plot(
        f"policy-{place}",
        named,
        render_message(describe_policy(rows, trial.settings, more)),
        trial.axis(gettext("{named}, per customer", named=named), outcome),
        (
            gettext("policy"),
            named,
            gettext("treats"),
            gettext("lead over {policy}", policy=render_message(policy_name(last["best_fixed"]))),
            gettext("beyond nobody, all"),
            interval_name(),
        ),
        marks,
        say,
        how=join_sentences(
            trial.basis_sentence(outcome),
            gettext("The last columns: what all customers together add to treating nobody."),
        ),
        n=count(last["n"]),
        evidence=trial.level,
        wide=True,
    )


def plan_chapter(trial: TrialStory) -> Chapter:
    """Return the chapter of the plan: the curve of budgets, and what was stated."""
    title = gettext("What to do with the budget")
    lead = gettext("At most one treatment for each customer, and never more than the budget.")
    plan, s = trial.results.plan, trial.settings
    if plan is None:
        why = gettext("no outcome is money, so gains cannot be weighed against costs")
        if s.money:
            why = gettext(UNPLANNED if trial.fit.apart else ALIKE)
        return Chapter("plan", gettext("Plan"), title, lead, [unknown_note(gettext("a plan"), why)])
    text = gettext(
        "Stated, not measured: margin {margin_rate} of {money}, {render_message}.",
        margin_rate=percent(s.margin_rate),
        money=s.money,
        render_message=render_message(s.cost_text(trial.cash)),
    )
    blocks = [_frontier(trial, plan), note(render_message(plan.note.explain)), *_withdrawn(trial, plan.note.withdrawn)]
    return Chapter("plan", gettext("Plan"), title, lead, [*blocks, note(text, "warn")])


def _frontier(trial: TrialStory, found: TrialPlan) -> Figure:
    plan, line, cash = found.note, found.frontier, trial.cash
    cells = [[cash(r["budget"]), cash(r["gain"]), count(r["treated"])] for r in thin_rows(line).iter_rows(named=True)]
    return frontier_chart(
        gettext(
            "{cost} treats {treated} of {customers} customers and is expected to add {gain}{in_brackets}.",
            cost=cash(plan.cost),
            treated=count(plan.treated),
            customers=count(plan.customers),
            gain=cash(plan.gain),
            in_brackets=in_brackets(interval(plan.low, plan.high, cash)),
        ),
        [
            (trial.cents(r["budget"]), trial.cents(r["gain"]), None, None, r["treated"])
            for r in line.iter_rows(named=True)
        ],
        (trial.cents(plan.cost), trial.cents(plan.gain), plan.price),
        MoneyFormat(trial.settings.currency),
        gettext("the next {cash} adds {price}", cash=cash(1), price=cash(plan.price)),
        TextTable([gettext("budget"), gettext("extra profit, net"), gettext("customers")], cells, ()),
        how=trial.basis_sentence(trial.settings.deciding_outcome),
        n=count(plan.customers),
        evidence=trial.level,
    )
