"""Step 4: profiles and models in; the Plan out: what every offer adds, who gets which, and the record of each decision.

Every number is made here once: the release serves it, the report shows it and learning judges it as it stands.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate, deliver, effect, offer
from promolift.allocate import strategic
from promolift.allocate.settings import Risk, StrategicRule
from promolift.deliver import Drawn, ReleaseTerms
from promolift.deliver.settle import STEP, Spending, cost, even_cost, settled, spending
from promolift.errors import BudgetError, SupportError
from promolift.message import is_couponable, is_sensitive
from promolift.offer.proposals import MenuCandidates
from promolift.offer.replay import per_order
from promolift.privacy import may_send
from promolift.results import effects
from promolift.results.approved import approved, taken_over
from promolift.results.arms import draw_words
from promolift.results.assumed import assumptions
from promolift.results.job import Job, Moments, moments
from promolift.results.plan import Level, Plan, PlanNote, RuleCost, Tables
from promolift.results.why import FEW, why
from promolift.steps.arms import ArmPlan, keep_aimed, keep_arms, plan_arms
from promolift.steps.plan_rules import budget_cents, close_small, close_weak, evidence_floor
from promolift.steps.propose import value, with_proposals
from promolift.steps.targets import list_people, list_replays, list_resting, list_targets
from promolift.tables import Z95
from promolift.words import speaking

KEY = ["customer_id", "offer_id"]
TRIES = 20  # budgets at which draws are tried, each a twentieth smaller than the one before
WEIGHED = (
    "customer_id", "offer_id", "gain_cents", "cost_cents", "caution_cents", "boost_cents", "scope", "target", "menu_id",
    "segments",
)  # fmt: skip


NEAR = 0.05  # of the budget


class NextCent(NamedTuple):
    """What one more cent of budget adds: by its price, and with the limits that grow with it."""

    price: float
    worth: float


class Offered(NamedTuple):
    """Every candidate with its effect, the weakest evidence that may be planned with, the lines they come from, and
    the candidates as a test may open them where that is more: those of weaker evidence, too.
    """

    rows: pl.DataFrame
    floor: Level
    menu: tuple[offer.MenuItem, ...]
    for_test: pl.DataFrame | None = None


class Audience(NamedTuple):
    """Who may be given what: everybody's consent, those who get nothing whatever pays, and what is open to the rest.

    `free` has the columns that the choice weighs and no more: it is as long as the candidates.
    """

    consent: pl.DataFrame
    barred: pl.Series
    held: pl.Series
    free: pl.DataFrame


class PlanDecisions(NamedTuple):
    """The allocation, the terms that decide by its prices, the candidates as decided on, and what came of it."""

    found: allocate.AllocatedOffers
    terms: ReleaseTerms
    rows: pl.DataFrame
    drawn: Drawn


def run(job: Job) -> None:
    """Candidates, their effects, the choice within the budget, and the records of every decision."""
    at = moments(job)
    decide(job, at, offered(job, at))


def offered(job: Job, at: Moments) -> Offered:
    """Candidates of everybody, those proposed beyond the menu included, with their effects and what was learned."""
    job.tell("plan", 0.1, "candidate offers")
    made = candidates(job, at)
    known = approved(job.store, job.config.plan.campaign)
    rows = made.rows
    floor = evidence_floor(job, rows)
    job.tell("plan", 0.6, f"effect of {rows.height:,} candidates")
    if job.config.plan.trial is not True and not (known and known.effects):
        known_well = close_small(close_weak(rows, floor), job.config.rules.least_gain_cents)
    else:
        known_well = rows  # what is only assumed is what a test is for; and it is chosen by what draws say
    for_test = rows if job.config.plan.trial == "auto" else None
    return Offered(with_risk(known_well, job.config.plan.risk), floor, made.menu, for_test)


def candidates(job: Job, at: Moments) -> MenuCandidates:
    """Every customer's candidate offers with their effects, those proposed beyond the menu included."""
    targets = list_targets(job, at.asof)
    stated = [(name, item.scope) for item in job.config.menu for name in item.covers]
    asked = targets.select("target", "kind")
    asked = pl.concat([asked, pl.DataFrame(stated, asked.schema, orient="row")])
    rules = job.config.rules
    rules = rules.model_copy(update={"excluded": tuple(sorted({*rules.excluded, *private(job, asked)}))})
    resting = list_resting(job, at.asof)
    listed = offer.list_candidates(list_people(job, at.asof), targets, job.config.menu, rules, resting)
    if (replays := list_replays(job, at.asof)) is not None:
        listed = listed.join(with_costs(job, replays), on=["customer_id", "menu_id"], how="left", maintain_order="left")
    return with_proposals(job, at, value(job, listed), rules, job.config.offer)


def with_costs(job: Job, replays: pl.DataFrame) -> pl.DataFrame:
    """What `effect.add_effects` asks of lines valued by baskets: the columns REPLAYED per order, what one use costs the
    shop where that is no money off, and what it is worth to the customer then.
    """
    own = []
    for item in (each for each in job.config.menu if each.by_baskets):
        benefit, cost = item.benefit, item.benefit_cost_cents
        pays = benefit.price_cents * benefit.quantity  # the customer, for an exchange
        worth = float(benefit.worth_cents or cost or 0)
        lowers = benefit.type in ("fixed_price", "buy_x_get_y")
        own.append((item.id, None if cost is None else cost - pays, worth, lowers))
    schema = {"menu_id": pl.String, "use_cost_cents": pl.Float64, "use_worth_cents": pl.Float64, "lowers": pl.Boolean}
    return per_order(replays).join(pl.DataFrame(own, schema, orient="row"), on="menu_id")


def private(job: Job, targets: pl.DataFrame) -> list[str]:
    """Targets that a message must not name by itself or on which offers are unlawful, by own or category name."""
    catalogue = job.clean.catalogue.select(pl.col("product_id").alias("target"), "name", "category")
    known = targets.select("target", "kind").unique().join(catalogue, on="target", how="left").sort("target", "kind")
    return [
        target
        for target, kind, name, category in known.iter_rows()
        if is_sensitive(name or target, kind)
        or not is_couponable(name or target, kind)
        or (kind == "product" and category and (is_sensitive(category) or not is_couponable(category)))
    ]


def free_candidates(job: Job) -> pl.DataFrame:
    """Open candidates of those who may be written to and are not held out: what the budget is spent on."""
    plan = Plan.load(job.store)
    free = plan.decisions.filter(pl.col("holdout").eq(False))["customer_id"]
    rows = plan.candidates.filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
    return rows.filter(pl.col("customer_id").is_in(free.implode())).sort("customer_id", "offer_id")


def with_risk(valued: pl.DataFrame, risk: Risk) -> pl.DataFrame:
    """Candidates with what caution takes off the gains of open ones before the choice."""
    open_ = pl.col("eligible") & (pl.col("offer_id") != "none") & pl.lit(risk.rule == "lower")
    caution = pl.when(open_).then(risk.z * pl.col("gain_se_cents")).otherwise(0.0)
    return valued.with_columns(caution.alias("caution_cents"))


def decide(job: Job, at: Moments, some: Offered) -> Plan:
    """Allocate among those who may be written to and are not held out; keep the plan with everybody's record."""
    job.tell("plan", 0.7, "choice within the budget")
    plan, budget = job.config.plan, budget_cents(job, at)
    own = ReleaseTerms(
        campaign_id=plan.campaign, policy_id="plan", policy_version="1", price=0.0, seed=plan.seed,
        holdout_share=plan.holdout_share, priority=plan.priority,
    )  # fmt: skip
    terms = taken_over(own, approved(job.store, plan.campaign))
    free_of_rules, some = some, some._replace(rows=strategic.with_rules(some.rows, job.config.strategic))
    audience = audience_of(job, some.rows, terms)
    arms: ArmPlan | None = None
    if (plan.trial is True or terms.effects) and not job.clean.moneyless:  # offers of unknown cost keep no budget
        may_test = plan.trial is not False
        arms = plan_arms(job, at, some.rows, audience.consent, terms, budget, some.floor, may_test)
        if plan.trial == "auto" and not (arms.note.given or arms.note.tested) and terms.effects[0].aimed:
            arms = first_test(job, at, some, audience, terms.model_copy(update={"effects": ()}), budget) or arms
    else:
        made = planned(job, at, some, audience, terms, budget)
        nobody = made.drawn.decisions.filter(pl.col("offer_id") != "none").is_empty()
        if plan.trial == "auto" and nobody and not (job.clean.moneyless or plan.limits):
            arms = first_test(job, at, some, audience, terms, budget)
    if arms is not None:
        made = PlanDecisions(arms.found, arms.terms, arms.rows, arms.drawn)
    job.tell("plan", 0.9, "other budgets")
    known = pl.all_horizontal(pl.col("gain_cents", "cost_cents").is_not_null())
    rows = made.rows.with_columns(
        pl.Series("prob", made.drawn.prob_R), (pl.col("eligible") & pl.col("why_not").is_null() & known).alias("open")
    )
    given = made.drawn.decisions.filter(pl.col("offer_id") != "none")
    chosen = rows[made.drawn.chosen_C].with_columns(given["decision_id"])
    note = summary(job, some, audience, budget, made, chosen)
    if arms is None:
        costs = rule_costs(job, free_of_rules.rows, audience, budget, made.found)
        note = note.model_copy(update={"strategic": costs})
    frontier = limits_of(job).curve(careful(audience.free), budget, job.config.plan.seed)
    if arms is None and note.why and not (plan.trial or job.clean.moneyless or plan.limits):
        proposed = proposed_test(job, at, some, audience, terms, budget)
        note = said(note, [*note.why, *proposed.en], [*note.why_zh, *proposed.zh])
    if arms is None:
        keep_aimed(job, at, rows, made.drawn.decisions)
    if arms is not None:
        words = draw_sentences(arms, job.config.shop.currency)
        note = said(note, words.en, words.zh)
        keep_arms(job, arms)
    decisions = made.drawn.decisions
    del audience, made, arms  # as long as the candidates, which are written now
    return Plan.keep(job.store, note, Tables(rows, chosen, decisions, frontier))


class Sentences(NamedTuple):
    """The same in both languages."""

    en: list[str]
    zh: list[str]


def said(note: PlanNote, en: list[str], zh: list[str]) -> PlanNote:
    """The note with other sentences on why."""
    return note.model_copy(update={"why": tuple(en), "why_zh": tuple(zh)})


def draw_sentences(arms: ArmPlan, currency: str) -> Sentences:
    """What is given and drawn, and what that will teach."""
    with speaking("zh"):
        zh = draw_words(arms.note, currency)
    return Sentences(draw_words(arms.note, currency), zh)


def proposed_test(
    job: Job, at: Moments, some: Offered, audience: Audience, terms: ReleaseTerms, budget: int
) -> Sentences:
    """The test that would teach what offers add here, in a sentence; none where nothing can be drawn."""
    made = first_test(job, at, some, audience, terms, budget)
    if made is None:
        return Sentences([], [])
    words = draw_sentences(made, job.config.shop.currency)
    return Sentences(
        [f"Proposed, with plan.trial = true in promolift.toml. {words.en[0]}"],
        [f"建议：在promolift.toml中设置plan.trial = true。{words.zh[0]}"],
    )


def first_test(
    job: Job, at: Moments, some: Offered, audience: Audience, terms: ReleaseTerms, budget: int
) -> ArmPlan | None:
    """A plan that tests; None where nothing can be drawn."""
    with suppress(SupportError):
        rows = some.rows if some.for_test is None else with_risk(some.for_test, job.config.plan.risk)
        made = plan_arms(job, at, rows, audience.consent, terms, budget, some.floor)
        return made if made.note.tested else None
    return None


def audience_of(job: Job, rows: pl.DataFrame, terms: ReleaseTerms) -> Audience:
    """Who may be given an offer, and which are open to them; gains as the choice takes them."""
    consent = consents(job, rows["customer_id"])
    barred = consent.filter(~pl.col("may_send"))["customer_id"]
    people = rows["customer_id"].unique()
    held = people.filter(pl.Series([deliver.in_holdout(who, terms) for who in people], dtype=pl.Boolean))
    audience = Audience(consent, barred, held, rows.clear())
    limits = [column for limit in limits_of(job).stated for column in limit.where]
    wanted = [name for name in dict.fromkeys((*WEIGHED, *limits, "units")) if name in rows.columns]
    return audience._replace(free=open_to(rows.select(wanted), rows["eligible"], audience))


def open_to(rows: pl.DataFrame, eligible: pl.Series, audience: Audience) -> pl.DataFrame:
    """The rows that are open to those who may be given an offer."""
    kept = pl.col("customer_id").is_in(pl.concat([audience.barred, audience.held]).implode())
    return rows.filter(eligible & (rows["offer_id"] != "none"), ~kept)


def rule_costs(
    job: Job, rows: pl.DataFrame, audience: Audience, budget: int, found: allocate.AllocatedOffers
) -> tuple[RuleCost, ...]:
    """What each strategic rule costs: the gain of the best plan without it, less that of the best with all of them.

    `rows` are the candidates before any rule, `found` the best plan under all.
    """
    rules, costs = job.config.strategic, []
    with_all = gain_of(found)
    for rule in rules:
        others = tuple(each for each in rules if each != rule)
        changed = strategic.with_rules(rows, others)
        free = open_to(changed, changed["eligible"], audience)
        limits = limits_of(job, others).at(free, budget)
        best = allocate.plan(preferred(free), budget, limits, seed=job.config.plan.seed)
        mine = found.chosen.filter(strategic.covered_by(rule))
        able = open_to(rows, rows["eligible"], audience).filter(strategic.covered_by(rule))
        costs.append(
            RuleCost(
                name=rule.name, rule=rule.rule, given=mine.height, able=able["customer_id"].n_unique(),
                cost_cents=max(gain_of(best) - with_all, 0.0),
                price=0.0 if found.added_cents else found.allocation.multipliers.get(rule.name, 0.0),
            )
        )  # fmt: skip
    return tuple(costs)


def gain_of(found: allocate.AllocatedOffers) -> float:
    """What a plan gains, careful, by the gains that it was chosen by less what rules added to them."""
    return found.gain_cents - found.added_cents


def worth_of(job: Job, free: pl.DataFrame, budget: int, found: allocate.AllocatedOffers) -> NextCent:
    """What one more cent of budget adds to the gain. Where strategic rules add to gains, prices hold that, too: then
    it is measured between plans of a little more and a little less.
    """
    limits = limits_of(job)
    if not found.added_cents:
        return NextCent(found.allocation.price, limits.worth(found.allocation))
    offers, seed, near = preferred(free), job.config.plan.seed, [budget * (1 - NEAR), budget * (1 + NEAR)]
    some = allocate.at_budgets(offers, near, lambda cents: limits.at(free, cents), seed=seed)
    less, more = (gain_of(each or found) for each in some)
    slope = (more - less) / (near[1] - near[0]) if all(some) and budget else 0.0
    return NextCent(slope, slope)


def preferred(rows: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the gains that the choice is made by: careful ones, and what strategic rules add."""
    rows = careful(rows)
    return rows.with_columns(pl.col("gain_cents") + boost(rows)) if "boost_cents" in rows.columns else rows


def boost(rows: pl.DataFrame) -> pl.Series:
    """What strategic rules add to each gain."""
    if "boost_cents" not in rows.columns:
        return pl.Series("boost_cents", [0.0]).new_from_index(0, rows.height)
    return rows["boost_cents"].fill_null(0.0)


def careful(rows: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the gains that the choice is made by."""
    return rows.with_columns(pl.col("gain_cents") - pl.col("caution_cents").fill_null(0.0))


def planned(
    job: Job, at: Moments, some: Offered, audience: Audience, terms: ReleaseTerms, budget: int
) -> PlanDecisions:
    """The best plan; where an approved release leaves a share to exploration, the draws are part of it and its budget.

    What is drawn may cost more than is expected of it, or pass a limit: then less is spent and drawn, and where no such
    draws keep all of them, nothing is drawn.
    """
    offers, even = preferred(audience.free), even_cost(audience.free) if terms.explore else 0.0

    def spent(mine: Spending) -> PlanDecisions:
        limits = limits_of(job).at(audience.free, mine.budget_cents)
        found = allocate.plan(offers, mine.budget_cents, limits, seed=job.config.plan.seed)
        own = terms.model_copy(update={"price": found.allocation.price, "explore": mine.explore})
        rows = charged(some.rows, limits, found)
        return PlanDecisions(
            found, own, *settled(rows, found.chosen.select(KEY), audience.consent, audience.held, own, at.asof)
        )

    for part in (STEP**k for k in range(TRIES if terms.explore else 0)):
        with suppress(BudgetError):  # a limit that says at least may need the whole budget
            made = spent(spending(part * budget, part * terms.explore, even))
            if keeps(job, audience.free, made.drawn.decisions, budget):
                return made
    return spent(Spending(float(budget), 0.0))


def keeps(job: Job, free: pl.DataFrame, decisions: pl.DataFrame, budget: int) -> bool:
    """Whether what was decided, draws included, keeps the budget and every limit that says at most."""
    if cost(free, decisions) > budget:
        return False
    chosen = free.join(decisions.select(KEY), on=KEY, how="semi")
    return allocate.kept(chosen, limits_of(job).at(free, budget))


def limits_of(job: Job, rules: Sequence[StrategicRule] | None = None) -> allocate.ShopLimits:
    """The limit per category, the stated ones, and the shares that strategic `rules`, or the shop's own, ask for."""
    plan = job.config.plan
    floors = strategic.floors(job.config.strategic if rules is None else rules)
    return allocate.ShopLimits(plan.category_share, (*map(allocate.Limit.read, plan.limits), *floors))


def charged(rows: pl.DataFrame, limits: list[allocate.Limit], found: allocate.AllocatedOffers) -> pl.DataFrame:
    """Candidates with `charge_cents`: what limits and caution ask for beyond the price of the budget, less what
    strategic rules add, of everybody.
    """
    asked = allocate.charges(preferred(rows), limits, found.allocation)
    return rows.with_columns((asked + rows["caution_cents"].fill_null(0.0) - boost(rows)).alias("charge_cents"))


def total_draws(job: Job, chosen: pl.DataFrame) -> NDArray[np.float64] | None:
    """Possible totals of the plan's gain, None for an empty one."""
    return None if chosen.is_empty() else effect.total_draws(chosen, effects.response(job.store))


def summary(
    job: Job, some: Offered, audience: Audience, budget: int, made: PlanDecisions, chosen: pl.DataFrame
) -> PlanNote:
    """The plan in numbers. `gap` is how far the recorded decisions are from the best possible plan, at most.

    The bound is on gains as planned with; under a risk rule they are more cautious than what is expected.
    """
    found, gain, config = made.found.allocation, float(chosen["gain_cents"].sum()), job.config
    trial = made.terms.policy_id == "trial"
    drawn_too = made.terms.explore and not trial  # the best plan, of which the draws then took a part
    added = found.gain - gain_of(made.found)
    planned_cents = gain_of(made.found) if drawn_too else float(careful(chosen)["gain_cents"].sum())
    draws = None if made.terms.effects else total_draws(job, chosen)
    low, high = (None, None) if draws is None else np.quantile(draws, [0.025, 0.975]).tolist()
    if made.terms.effects and chosen.height:  # of one menu line and group all err together
        alike = chosen.group_by("menu_id", "gain_se_cents").len()
        reach = Z95 * float(np.linalg.norm((alike["gain_se_cents"] * alike["len"]).to_numpy()))
        low, high = gain - reach, gain + reach
    customers, bound = made.drawn.decisions.height, found.bound - added
    held = int(made.drawn.decisions["holdout"].fill_null(False).sum())
    able = customers - audience.barred.len() - held
    empty = chosen.height < max(1.0, FEW * able)
    free = open_to(some.rows, some.rows["eligible"], audience) if empty else audience.free
    with speaking("zh"):
        why_zh = tuple(why(job, some.rows, free, chosen, able))
    return PlanNote(
        budget_cents=budget, gain_cents=gain, gain_low_cents=low, gain_high_cents=high,
        cost_cents=float(chosen["cost_cents"].sum()), added_cents=float(chosen["added_cents"].sum()),
        subsidy_cents=float(chosen["subsidy_cents"].sum()), treated=chosen.height, customers=customers, held_out=held,
        barred=audience.barred.len(), **worth_of(job, audience.free, budget, made.found)._asdict(),
        bound_cents=bound, planned_cents=planned_cents,
        gap=max(0.0, (bound - planned_cents) / bound) if bound > 0 else 0.0,
        evidence=some.floor, risk=config.plan.risk.rule, explain=found.explain(),
        limits=() if trial else tuple(use.name for use in found.binding),
        why=tuple(why(job, some.rows, free, chosen, able)), why_zh=why_zh,
        assumptions=() if made.terms.effects else assumptions(
            chosen, effects.response(job.store), config.value, job.clean.catalogue["cost_cents"].count() > 0
        ),
        terms=made.terms, menu=some.menu,
        shop=config.shop, consent=config.consent,
    )  # fmt: skip


def consents(job: Job, customer_ids: pl.Series) -> pl.DataFrame:
    """customer_id, may_send, reason for everybody with a candidate."""
    return may_send(customer_ids, job.clean.people, job.config.consent)
