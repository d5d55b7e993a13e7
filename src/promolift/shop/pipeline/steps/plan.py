"""Step 4: decide which customer gets which offer, and record every decision.

Every number of the plan is computed here once; the release serves it, the report shows it and learning judges it. The
candidates of many customers lie on disk in partitions. The allocation works on them in rounds.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import polars as pl

from promolift.core import allocation
from promolift.core import effects as effect
from promolift.core.allocation import strategic_rules
from promolift.core.allocation.algorithms.choice import Allocation
from promolift.core.allocation.algorithms.constraints import limit_bounds
from promolift.core.allocation.settings import StrategicRule
from promolift.core.allocation.solver import plan_prepared
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.decisions.price_decisions import (
    SHRINK_FACTOR,
    BudgetSplit,
    decide_by_price,
    split_budget,
    uniform_draw_cost,
)
from promolift.foundation.errors import BudgetError, ConfigError, SupportError
from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.pipeline.planning.eligibility_check import check_rule_shares
from promolift.shop.pipeline.planning.line_tests import (
    LineTestPlan,
    plan_line_tests,
    save_line_tests,
    save_predicted_draws,
)
from promolift.shop.pipeline.planning.offer_candidates import OfferCandidates, is_private, list_candidates
from promolift.shop.pipeline.planning.open_offers import (
    WEIGHED_COLUMNS,
    Audience,
    audience_of,
    lay_out_offers,
    limits_of,
    open_to,
)
from promolift.shop.pipeline.planning.partitions import (
    DecisionRecords,
    PartitionedFrame,
    PartitionRecords,
    PartitionStore,
    chosen_rows,
    collect_records,
    record_partition,
)
from promolift.shop.pipeline.planning.plan_limits import private_price
from promolift.shop.pipeline.planning.play_audiences import with_plays
from promolift.shop.reports.assumptions import list_assumptions
from promolift.shop.reports.explain_plan import FEW_SHARE, explain_plan
from promolift.shop.results import effects
from promolift.shop.results.evaluation import weakest
from promolift.shop.results.plan import Plan, PlanTables
from promolift.shop.results.plan_note import FairPlan, FairUse, PlanNote, PlanTests, RuleCost
from promolift.shop.results.plan_reason import PlanReason
from promolift.shop.results.work_folder.active_release import inherit_terms, load_approved_release
from promolift.shop.results.work_folder.plan_inputs import budget_cents, holdout_power_cents
from promolift.shop.results.work_folder.run_context import Job, Moments, moments

KEY = ["customer_id", "offer_id"]
CUSTOMERS_IN_MEMORY = 3_000  # above it candidates, 300 kB a customer with a search beyond the menu, lie on disk
BUDGET_TRIES = 20  # budgets at which draws are tried, each a twentieth smaller than the one before
BUDGET_STEP = 0.05  # of the budget


class NextCent(NamedTuple):
    """What one more cent of budget adds: by its price, and with the limits that grow with it."""

    price: float
    worth: float


class PlanDecisions(NamedTuple):
    """The allocation, the terms that decide by its prices, and what came of them for everybody. Where some is drawn,
    `tests` is that in numbers, `drawers` are those who drew an offer, and `best` is the allocation of the whole budget.
    """

    allocated: allocation.AllocatedOffers
    terms: ReleaseTerms
    records: DecisionRecords
    tests: PlanTests | None = None
    drawers: Sequence[str] = ()
    best: allocation.AllocatedOffers | None = None


def run(job: Job) -> None:
    """Candidates, their effects, the choice within the budget, and the records of every decision.

    Of more than `CUSTOMERS_IN_MEMORY` customers they are made shard by shard and lie on disk.
    """
    check_rule_shares(job)
    job = with_plays(job)
    at, size = moments(job), job.profiled.size if job.profiled.has_profiles else 0
    with job.store.scratch() as disk:
        whole = size <= CUSTOMERS_IN_MEMORY or job.config.offer.proposals == "gan"
        shelf = PartitionStore({} if whole else disk)
        decide(job, at, list_candidates(job, at, shelf, 1.0 if whole else CUSTOMERS_IN_MEMORY / size), shelf)


def decide(job: Job, at: Moments, some: OfferCandidates, shelf: PartitionStore | None = None) -> Plan:
    """Allocate among those who may be written to and are not held out; keep the plan with everybody's record."""
    job.tell("plan", 0.7, gettext_lazy("choice within the budget"))
    plan, budget, shelf = job.config.plan, budget_cents(job, at), shelf or PartitionStore({})
    own = ReleaseTerms(
        campaign_id=plan.campaign, policy_id="plan", policy_version="1", price=0.0, seed=plan.seed,
        holdout_share=plan.holdout_share, priority=plan.priority,
    )  # fmt: skip
    terms = inherit_terms(own, load_approved_release(job.store, plan.campaign))
    if is_private(job) and (terms.effects or terms.explore):
        raise ConfigError(
            "release_not_private",
            gettext_lazy(
                "privacy.epsilon: the approved release holds what draws taught, learned from exact figures "
                "of customers; give the campaign another name (plan.campaign), or leave privacy.epsilon out"
            ),
        )
    if len(some.rows) == 1:  # nothing to part
        shelf = PartitionStore({})
    free_of_rules, some = some, some._replace(rows=apply_strategic_rules(job, some.rows, job.config.strategic, shelf))
    audience = audience_of(job, some.rows, terms, shelf)
    best = solve_plan(job, at, some, audience, terms, budget, shelf)
    drawn = draw_beside(job, at, some, audience, best, terms, budget, shelf)
    made = best if drawn is None else drawn.decisions
    job.tell("plan", 0.9, gettext_lazy("other budgets"))
    note = summary(job, some, audience, budget, made)
    if made.terms.policy_id != "trial":
        costs = rule_costs(job, free_of_rules.rows, audience, budget, best.allocated, shelf)
        note = note.model_copy(update={"strategic": costs})
    if audience.fair or job.config.fairness.excluded:
        note = note.model_copy(update={"fairness": fairness(job, audience, budget, made)})
    frontier = limits_of(job, fair=audience.fair).curve(audience.offers, budget, job.config.plan.seed)
    if drawn is None:
        save_predicted_draws(job, at, made.records)
    else:
        note = note.model_copy(update={"why": PlanReason(code="draws")})
        save_line_tests(job, drawn.tests)
    records = made.records
    del audience, made, best, drawn
    return Plan.keep(job.store, note, PlanTables(records.rows, records.chosen, records.decisions, frontier))


class DrawnPlan(NamedTuple):
    """A plan of which some is drawn: its decisions, and the draws among them."""

    decisions: PlanDecisions
    tests: LineTestPlan


def draw_beside(
    job: Job, at: Moments, some: OfferCandidates, audience: Audience, best: PlanDecisions, terms: ReleaseTerms,
    budget: int, shelf: PartitionStore,
) -> DrawnPlan | None:  # fmt: skip
    """The plan with draws beside what evidence says; None where nothing is drawn, and the `best` plan stands.

    Gains that are only assumed are no reason to give an offer in place of drawing it. A plan with limits tests nothing:
    what draws have shown to pay is given within them. Offers of unknown cost keep no budget.
    """
    plan, effects = job.config.plan, terms.effects
    limited, tested = bool(plan.limits or audience.fair), any(not each.aimed for each in effects)
    may_test = plan.test_share > 0 and not limited
    if is_private(job) or not (may_test or (tested if limited else effects)) or job.clean.lacks_amounts:
        return None
    predicted = None
    if not limited and not best.records.chosen.is_empty() and (some.floor, plan.min_evidence) != ("assumed", "auto"):
        calm, room = terms.model_copy(update={"explore": 0.0}), round((1 - plan.test_share) * budget)
        dear = float(best.records.chosen["cost_cents"].sum()) > room
        predicted = (
            solve_plan(job, at, some, audience, calm, room, shelf, "predicted") if dear or terms.explore else best
        )
    rows = apply_strategic_rules(job, some.for_draws or some.rows, job.config.strategic, shelf)
    try:
        tests = plan_line_tests(
            job, at, rows, audience.consent, terms if predicted is None else predicted.terms, budget, shelf,
            predicted.records if predicted else None, may_test, [each.limit for each in audience.fair],
        )  # fmt: skip
    except SupportError:  # the log is too short to tell audiences
        if effects:
            raise
        return None
    few = any(each.aimed and each.prob is not None and each.prob < 1 for each in effects)
    if not (tests.note.tested or tested or (predicted and few)):
        return None
    if predicted is None:
        return DrawnPlan(PlanDecisions(tests.allocated, tests.terms, tests.records), tests)
    sent = tests.draws.filter(~pl.col("aimed") & (pl.col("arm") != "none"))["customer_id"].to_list()
    note = tests.note
    sums = PlanTests(customers=len(sent), gain_cents=note.gain_cents, cost_cents=note.cost_cents)
    found = PlanDecisions(predicted.allocated, tests.terms, tests.records, sums, sent, best.allocated)
    return DrawnPlan(found, tests)


def apply_strategic_rules(
    job: Job, rows: PartitionedFrame, rules: Sequence[StrategicRule], shelf: PartitionStore
) -> PartitionedFrame:
    """Apply the strategic rules to candidates; a pin has to outbid the best of all customers."""
    if not rules:
        return rows
    most = None
    if any(rule.rule == "pin" for rule in rules) and len(rows) > 1:
        found = [*shelf.each(job, len(rows), best_use, rows)]
        most = strategic_rules.BestReturn(*map(max, zip(*found, strict=True)))
    return rows.map(partial(strategic_rules.apply_strategic_rules, rules=rules, most=most))


def best_use(job: Job, number: int, rows: PartitionedFrame) -> strategic_rules.BestReturn:
    """What a pin has to outbid in one part."""
    return strategic_rules.BestReturn.of(rows.part(number))


def fairness(job: Job, audience: Audience, budget: int, made: PlanDecisions) -> FairPlan:
    """How the decisions keep the limits of fairness, and what these cost: expected gain of the best plan without them,
    less with; not known where offers were drawn or approved by what was learned.
    """
    chosen, prices = made.records.chosen, made.allocated.allocation.multipliers
    chosen = chosen.filter(pl.col("offer_id") != "none")
    cost = None
    if audience.fair and made.terms.policy_id != "trial":
        rest = limits_of(job).at(audience.offers.scopes, budget)
        best = plan_prepared(audience.offers, budget, rest, seed=job.config.plan.seed)
        cost = max(gain_of(best) - gain_of(made.allocated), 0.0)
    uses = tuple(
        FairUse(
            limit=each.limit, group=each.group, people=each.population_share,
            used=allocation.limit_usage(chosen, each.limit),
            price=sum(prices.get(side.name, 0.0) for side in limit_bounds(each.limit)) / 100,
        )
        for each in audience.fair
    )  # fmt: skip
    return FairPlan(uses=uses, excluded=job.config.fairness.excluded, cost_cents=cost)


def rule_costs(
    job: Job,
    rows: PartitionedFrame,
    audience: Audience,
    budget: int,
    found: allocation.AllocatedOffers,
    shelf: PartitionStore,
) -> tuple[RuleCost, ...]:
    """What each strategic rule costs: the gain of the best plan without it, less that of the best with all of them.

    `rows` are the candidates before any rule, `found` the best plan under all.
    """
    rules, costs = job.config.strategic, []
    with_all = gain_of(found)
    for at, rule in enumerate(rules):
        others = tuple(each for each in rules if each != rule)
        stated = limits_of(job, others, audience.fair)
        offers = lay_out_offers(
            job, apply_strategic_rules(job, rows, others, shelf), stated, shelf, f"without rule {at}"
        )
        best = plan_prepared(offers, budget, stated.at(offers.scopes, budget), seed=job.config.plan.seed)
        costs.append(
            RuleCost(
                name=rule.name, rule=rule.rule, offers=sum(found.each(partial(covered_rows, rule))),
                able=sum(shelf.each(job, len(rows), count_eligible, rows, shelf, rule)),
                cost_cents=max(gain_of(best) - with_all, 0.0),
                price=0.0 if found.added_cents else found.allocation.multipliers.get(rule.name, 0.0),
            )
        )  # fmt: skip
    return tuple(costs)


def covered_rows(rule: StrategicRule, rows: pl.DataFrame) -> int:
    """How many candidates a rule is about."""
    return rows.filter(strategic_rules.is_covered(rule)).height


def count_eligible(job: Job, number: int, rows: PartitionedFrame, shelf: PartitionStore, rule: StrategicRule) -> int:
    """Count the customers of a partition who can get an offer that a rule covers."""
    part = rows.part(number)
    free = open_to(part, part["eligible"], shelf.get("people", number))
    return free.filter(strategic_rules.is_covered(rule))["customer_id"].n_unique()


def gain_of(found: allocation.AllocatedOffers) -> float:
    """What a plan gains, careful, by the gains that it was chosen by less what rules added to them."""
    return found.gain_cents - found.added_cents


def worth_of(job: Job, audience: Audience, budget: int, found: allocation.AllocatedOffers) -> NextCent:
    """What one more cent of budget adds to the gain. Where strategic rules add to gains, prices hold that, too: then
    it is measured between plans of a little more and a little less.
    """
    limits = limits_of(job, fair=audience.fair)
    if not found.added_cents:
        return NextCent(found.allocation.price, limits.worth(found.allocation))
    seed, near = job.config.plan.seed, [budget * (1 - BUDGET_STEP), budget * (1 + BUDGET_STEP)]
    scopes = audience.offers.scopes
    some = allocation.plan_at_budgets(audience.offers, near, lambda cents: limits.at(scopes, cents), seed=seed)
    less, more = (gain_of(each or found) for each in some)
    slope = (more - less) / (near[1] - near[0]) if all(some) and budget else 0.0
    return NextCent(slope, slope)


def solve_plan(
    job: Job,
    at: Moments,
    some: OfferCandidates,
    audience: Audience,
    terms: ReleaseTerms,
    budget: int,
    shelf: PartitionStore,
    name: str = "plan",
) -> PlanDecisions:
    """The best plan, its records on the shelf under a name. Where an approved release leaves a share to exploration,
    the draws are part of it and its budget.

    What is drawn may cost more than is expected of it, or pass a limit: then less is spent and drawn, and where no such
    draws keep all of them, nothing is drawn.
    """
    even = sum(shelf.each(job, len(some.rows), even_cost_of, some.rows, shelf)) if terms.explore else 0.0

    def spent(mine: BudgetSplit) -> PlanDecisions:
        if is_private(job):
            found = allocation.plan_at_price(audience.offers, private_price(job, audience.offers, budget), budget)
            limits = []
        else:
            limits = limits_of(job, fair=audience.fair).at(audience.offers.scopes, mine.budget_cents)
            found = plan_prepared(audience.offers, mine.budget_cents, limits, seed=job.config.plan.seed)
        own = terms.model_copy(update={"price": found.allocation.price, "explore": mine.explore})
        asked = some.rows, shelf, audience.offers.name, limits, found.allocation, own, at.asof, name
        return PlanDecisions(
            found, own, collect_records(shelf.each(job, len(some.rows), decide_partition, *asked), shelf, name)
        )

    for part in (SHRINK_FACTOR**k for k in range(BUDGET_TRIES if terms.explore else 0)):
        with suppress(BudgetError):  # a limit that says at least may need the whole budget
            made = spent(split_budget(part * budget, part * terms.explore, even))
            if within_limits(job, audience, made.records.chosen, budget):
                return made
    return spent(BudgetSplit(float(budget), 0.0))


def even_cost_of(job: Job, number: int, rows: PartitionedFrame, shelf: PartitionStore) -> float:
    """What it costs if everybody of one part draws evenly."""
    part = rows.part(number)
    return uniform_draw_cost(open_to(part.select(WEIGHED_COLUMNS[:4]), part["eligible"], shelf.get("people", number)))


def decide_partition(
    job: Job, number: int, rows: PartitionedFrame, shelf: PartitionStore, name: str, limits: list[allocation.Limit],
    found: Allocation, terms: ReleaseTerms, asof_ms: int, label: str,
) -> PartitionRecords:  # fmt: skip
    """Decide for the customers of one partition and store the records."""
    part, people = rows.part(number), shelf.get("people", number)
    wanted = chosen_rows(shelf, name, number, found.choice).select(KEY)
    held, consent = people.filter("held")["customer_id"], people.drop("held")
    return record_partition(
        decide_by_price(add_charges(part, limits, found), wanted, consent, held, terms, asof_ms), shelf, label, number
    )


def within_limits(job: Job, audience: Audience, chosen: pl.DataFrame, budget: int) -> bool:
    """Return whether the decisions, draws included, keep the budget, every upper limit, and fairness."""
    offers = chosen.filter(pl.col("offer_id") != "none")
    fair = not allocation.find_violations(offers, [each.limit for each in audience.fair])
    within = float(offers["cost_cents"].sum()) <= budget and fair
    return within and allocation.satisfies_limits(offers, limits_of(job).at(audience.offers.scopes, budget))


def add_charges(rows: pl.DataFrame, limits: list[allocation.Limit], found: Allocation) -> pl.DataFrame:
    """Candidates with `charge_cents`: what limits and caution ask for beyond the price of the budget, less what
    strategic rules add, of everybody.
    """
    asked = allocation.limit_charges(strategic_rules.with_decision_gains(rows), limits, found)
    charge = asked + rows["caution_cents"].fill_null(0.0) - strategic_rules.rule_boosts(rows)
    return rows.with_columns(charge.alias("charge_cents"))


def gain_interval(job: Job, made: PlanDecisions) -> IntervalEstimate | None:
    """The plan's gain with its 95 % interval, as `effects.gain_interval` has it. None for an empty plan."""
    chosen, taught = made.records.chosen, made.terms.effects
    if chosen.is_empty():
        return None
    by_draw = pl.col("customer_id").is_in(made.drawers) if made.tests else pl.lit(bool(taught))
    predicted, drawn = chosen.filter(~by_draw), chosen.filter(by_draw)
    if any(each.aimed and each.n_arm for each in taught):
        predicted, drawn = predicted.clear(), chosen
    return effect.gain_interval(
        predicted, drawn, effects.load_response(job.store), beside_draws=made.tests is not None,
        learned=made.tests is None or any(each.n_arm for each in taught),
    )  # fmt: skip


def summary(job: Job, some: OfferCandidates, audience: Audience, budget: int, made: PlanDecisions) -> PlanNote:
    """The plan in numbers. `gap` is how far what is decided by price is from the best possible plan, at most.

    The bound is on gains as planned with; under a risk rule they are more cautious than what is expected.
    """
    chosen, given = made.records.chosen, made.records.assignments
    best, gain, config = made.best or made.allocated, float(chosen["gain_cents"].sum()), job.config
    found = best.allocation
    trial, predicted = made.terms.policy_id == "trial", chosen.filter(~pl.col("customer_id").is_in(made.drawers))
    drawn_too = made.terms.explore and not trial  # the best plan, of which the draws then took a part
    added = found.gain - gain_of(best)
    planned_cents = (
        gain_of(best) if drawn_too else float(strategic_rules.with_cautious_gains(predicted)["gain_cents"].sum())
    )
    span = gain_interval(job, made)
    customers, bound = given.height, found.bound - added
    held = int(given["holdout"].fill_null(False).sum())
    able = customers - audience.barred - held
    listed = free = chosen  # a plan for many needs no reason
    if chosen.height < max(1.0, FEW_SHARE * able):
        share = CUSTOMERS_IN_MEMORY / max(customers, 1)
        listed = some.rows.collect(lambda part: drawn_customers(part, share))
        free = open_to(listed, listed["eligible"], audience.people.collect(lambda part: drawn_customers(part, share)))
    return PlanNote(
        budget_cents=budget, gain_cents=gain, gain_low_cents=span and span.low, gain_high_cents=span and span.high,
        cost_cents=float(chosen["cost_cents"].sum()), added_cents=float(chosen["added_cents"].sum()),
        subsidy_cents=float(chosen["subsidy_cents"].sum()), treated=chosen.height, customers=customers, held_out=held,
        barred=audience.barred, **worth_of(job, audience, budget, best)._asdict(),
        bound_cents=bound, planned_cents=planned_cents,
        gap=max(0.0, (bound - planned_cents) / bound) if bound > 0 else 0.0,
        evidence=(weakest(chosen["evidence"]) if trial else None) or some.floor,
        risk=config.plan.risk.rule, explain=found.explain(),
        limits=() if trial else tuple(use.name for use in found.binding),
        why=explain_plan(job, listed, free, chosen, able),
        assumptions=list_assumptions(
            chosen, effects.load_response(job.store), config.value, job.clean.catalogue["cost_cents"].count() > 0,
            drawn=trial or bool(made.terms.effects and made.tests is None), drawers=made.drawers,
        ),
        terms=made.terms, menu=some.menu, tests=made.tests,
        shop=config.shop, consent=config.consent, window_days=config.plan.window_days, asof_ms=moments(job).asof,
        detectable_cents=None if trial or is_private(job) else holdout_power_cents(
            job, moments(job).asof, predicted["customer_id"], made.terms.holdout_share
        ),
    )  # fmt: skip


def drawn_customers(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """The rows of a share of the customers, drawn by hash; all of them where it is 1 or more."""
    if share >= 1:
        return rows
    people = rows["customer_id"].unique()
    drawn = people.filter(pl.Series(hash_units("few", people) < share))
    return rows.filter(pl.col("customer_id").is_in(drawn.implode()))
