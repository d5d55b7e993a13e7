"""Step 4: profiles and models in; the Plan out: what every offer adds, who gets which, and the record of each decision.

Every number is made here once: the release serves it, the report shows it and learning judges it as it stands. Of many
customers candidates lie on disk in parts; the choice is made by rounds over them, and each part's records where it is.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core import allocation, decisions
from promolift.core import effects as effect
from promolift.core import offers as offer
from promolift.core.allocation import strategic_rules
from promolift.core.allocation.algorithms.choice import Allocation
from promolift.core.allocation.algorithms.constraints import sides
from promolift.core.allocation.fairness_limits import FairLimit, same_for_all_offers
from promolift.core.allocation.settings import StrategicRule
from promolift.core.allocation.solver import plan_of
from promolift.core.customers.consent import may_send
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.decisions.price_decisions import STEP, Spending, even_cost, settled, spending
from promolift.core.offers.menu import belongs
from promolift.core.offers.order_replay import per_order
from promolift.core.offers.product_names import is_couponable, is_sensitive
from promolift.core.offers.proposals import MenuCandidates, NewLines
from promolift.foundation.errors import BudgetError, ConfigError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.formatting import speaking
from promolift.shop.pipeline.planning.line_tests import ArmPlan, keep_aimed, keep_arms, plan_arms
from promolift.shop.pipeline.planning.offer_search import of_lines, value, with_proposals
from promolift.shop.pipeline.planning.offer_targets import CandidateScene, SharedScene, list_replays
from promolift.shop.pipeline.planning.partitions import (
    CustomerParts,
    PartShelf,
    Recorded,
    RecordedPart,
    ShelvedOffers,
    chosen_in,
    record,
    recorded,
)
from promolift.shop.pipeline.planning.plan_limits import (
    close_dear,
    close_small,
    close_weak,
    evidence_floor,
    most_cents,
    private_price,
)
from promolift.shop.reports.assumptions import assumptions
from promolift.shop.reports.explain_plan import FEW, why
from promolift.shop.results import effects
from promolift.shop.results.line_tests import draw_words
from promolift.shop.results.plan import FairPlan, FairUse, Plan, PlanNote, RuleCost, Tables
from promolift.shop.results.work_folder.active_release import approved, taken_over
from promolift.shop.results.work_folder.plan_inputs import budget_cents
from promolift.shop.results.work_folder.run_context import Job, Moments, mapped, moments
from promolift.shop.results.work_folder.work_tables import EVERYBODY, Among

KEY = ["customer_id", "offer_id"]
WHOLE = 3_000  # customers of whom all candidates, with a search beyond the menu 300 kB each, are in memory at once
TRIES = 20  # budgets at which draws are tried, each a twentieth smaller than the one before
WEIGHED = (
    "customer_id", "offer_id", "gain_cents", "cost_cents", "caution_cents", "boost_cents", "scope", "target", "menu_id",
    "segments",
)  # fmt: skip


NEAR = 0.05  # of the budget


def private(job: Job) -> bool:
    """Whether what all customers have in common is known by noisy sums alone."""
    return job.config.privacy.epsilon is not None


class NextCent(NamedTuple):
    """What one more cent of budget adds: by its price, and with the limits that grow with it."""

    price: float
    worth: float


class Offered(NamedTuple):
    """Every candidate with its effect, the weakest evidence that may be planned with, the lines they come from, and
    the candidates as a test may open them where that is more: those of weaker evidence, too.
    """

    rows: CustomerParts
    floor: Level
    menu: tuple[offer.MenuItem, ...]
    for_test: CustomerParts | None = None


@dataclass(frozen=True)
class Audience:
    """Who may be given what: how many customers, how many of them are barred or held out, who (`people`: customer_id,
    may_send, reason, held, in parts), the limits on how offers may be shared among their groups, and what is open.

    `offers` have the columns that the choice weighs and no more; where no limit or rule prefers one offer to another,
    only the rows that some price makes a customer's best.
    """

    people: CustomerParts
    customers: int
    barred: int
    held: int
    fair: tuple[FairLimit, ...]
    offers: ShelvedOffers

    @cached_property
    def consent(self) -> pl.DataFrame:
        """Of everybody, in one frame."""
        return self.people.together(lambda part: part.drop("held")).sort("customer_id")


class PlanDecisions(NamedTuple):
    """The allocation, the terms that decide by its prices, and what came of them for everybody."""

    found: allocation.AllocatedOffers
    terms: ReleaseTerms
    records: Recorded


def run(job: Job) -> None:
    """Candidates, their effects, the choice within the budget, and the records of every decision.

    Of more than `WHOLE` customers they are made shard by shard and lie on disk.
    """
    at, size = moments(job), job.profiled.size if job.profiled.has_profiles else 0
    with job.store.scratch() as disk:
        whole = size <= WHOLE or job.config.offer.proposals == "gan"
        shelf = PartShelf({} if whole else disk)
        decide(job, at, offered(job, at, shelf, 1.0 if whole else WHOLE / size), shelf)


def offered(job: Job, at: Moments, shelf: PartShelf, share: float) -> Offered:
    """Candidates of everybody, those proposed beyond the menu included, with their effects and what was learned.

    Lines beyond the menu are chosen by a `share` of the customers.
    """
    job.tell("plan", 0.1, "candidate offers")
    known, scene = approved(job.store, job.config.plan.campaign), CandidateScene(job, at)
    made = candidates(scene, Among(share=share))
    parts: Iterable[ShelvedPart]
    if share == 1:
        parts = [shelved(shelf, 0, scene.grouped(made.rows))]
    else:  # the sample was for the lines alone
        parts = mapped(job, candidates_of, range(len(job.profiled.parts)), scene.shared(), made.beyond, shelf)
    made = made._replace(rows=made.rows.clear())
    found = [*parts]
    size, seen = sum(each.size for each in found), [each.levels for each in found]
    floor, every = evidence_floor(job, *seen), shelf.parts("candidates")
    job.tell("plan", 0.6, f"effect of {size:,} candidates")
    if private(job):
        budget = budget_cents(job, at)
        every = every.then(partial(close_dear, most_cents=most_cents(job, budget)))
    known_well = every  # what is only assumed is what a test is for; and it is chosen by what draws say
    if job.config.plan.trial is not True and not (known and known.effects):
        known_well = every.then(partial(closed, floor=floor, least_gain_cents=job.config.rules.least_gain_cents))
    for_test = every if job.config.plan.trial == "auto" else None
    valued = known_well.then(partial(strategic_rules.with_risk, risk=job.config.plan.risk))
    return Offered(valued, floor, made.menu, for_test)


def closed(rows: pl.DataFrame, floor: str, least_gain_cents: float) -> pl.DataFrame:
    """Candidates, those closed that are known too little of or gain too little."""
    return close_small(close_weak(rows, floor), least_gain_cents)


class ShelvedPart(NamedTuple):
    """How many candidates a part has, and the evidence that there is among the open ones."""

    size: int
    levels: pl.DataFrame


def candidates_of(job: Job, number: int, shared: SharedScene, found: NewLines | None, shelf: PartShelf) -> ShelvedPart:
    """The candidates of one part of the customers put on the shelf."""
    scene = CandidateScene(job, moments(job), shared)
    return shelved(shelf, number, scene.grouped(candidates(scene, job.profiled.parts[number], found).rows))


def shelved(shelf: PartShelf, number: int, rows: pl.DataFrame) -> ShelvedPart:
    """Candidates put on the shelf."""
    shelf.put("candidates", number, rows)
    return ShelvedPart(rows.height, rows.filter("eligible").select("eligible", "evidence").unique())


def candidates(scene: CandidateScene, among: Among = EVERYBODY, found: NewLines | None = None) -> MenuCandidates:
    """Customers' candidate offers with their effects, those beyond the menu included: of lines `found` before, else of
    the ones that are worth having for these customers.
    """
    job, at, people = scene.job, scene.at, scene.inputs(among)
    stated = [(name, item.scope) for item in job.config.menu for name in item.covers]
    asked = people.targets.select("target", "kind")
    asked = pl.concat([asked, pl.DataFrame(stated, asked.schema, orient="row")])
    rules = job.config.rules
    nothing_for = (*rules.excluded_segments, *job.config.fairness.excluded)
    barred = {"excluded": tuple(sorted({*rules.excluded, *unnamed(job, asked)})), "excluded_segments": nothing_for}
    rules = rules.model_copy(update=barred)
    listed = offer.list_candidates(people.profiles, people.targets, job.config.menu, rules, people.resting)
    if (replays := list_replays(job, at.asof, among)) is not None:
        listed = listed.join(with_costs(job, replays), on=["customer_id", "menu_id"], how="left", maintain_order="left")
    menu = value(job, listed)
    if found is not None and found.ids:
        return MenuCandidates(of_lines(job, menu, people, rules, found), job.config.menu)
    if among.shard is not None:
        return MenuCandidates(menu, job.config.menu)
    if private(job):
        return MenuCandidates(menu, job.config.menu)  # lines beyond it are chosen by what all customers are worth
    return with_proposals(job, at, menu, rules, job.config.offer, people, among.share)


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


def unnamed(job: Job, targets: pl.DataFrame) -> list[str]:
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


def free_candidates(job: Job, among: Among = EVERYBODY) -> pl.DataFrame:
    """Open candidates of those who may be written to and are not held out: what the budget is spent on."""
    plan = Plan.load(job.store)
    free = plan.decided("customer_id", "holdout").filter(pl.col("holdout").eq(False))["customer_id"]
    return plan.open_to(among).filter(pl.col("customer_id").is_in(free.implode())).sort("customer_id", "offer_id")


def decide(job: Job, at: Moments, some: Offered, shelf: PartShelf | None = None) -> Plan:
    """Allocate among those who may be written to and are not held out; keep the plan with everybody's record."""
    job.tell("plan", 0.7, "choice within the budget")
    plan, budget, shelf = job.config.plan, budget_cents(job, at), shelf or PartShelf({})
    own = ReleaseTerms(
        campaign_id=plan.campaign, policy_id="plan", policy_version="1", price=0.0, seed=plan.seed,
        holdout_share=plan.holdout_share, priority=plan.priority,
    )  # fmt: skip
    terms = taken_over(own, approved(job.store, plan.campaign))
    if private(job) and (terms.effects or terms.explore):
        raise ConfigError(
            "release_not_private",
            "privacy.epsilon: the approved release holds what draws taught, learned from exact figures of customers; "
            "give the campaign another name (plan.campaign), or leave privacy.epsilon out",
        )
    if len(some.rows) == 1:  # nothing to part
        shelf = PartShelf({})
    free_of_rules, some = some, some._replace(rows=ruled(job, some.rows, job.config.strategic, shelf))
    audience = audience_of(job, some.rows, terms, shelf)
    limited = bool(plan.limits or audience.fair or private(job))  # these leave no room for a test
    arms: ArmPlan | None = None
    if (plan.trial is True or terms.effects) and not job.clean.moneyless:  # offers of unknown cost keep no budget
        may_test = plan.trial is not False
        fair = [each.limit for each in audience.fair]
        arms = plan_arms(job, at, some.rows, audience.consent, terms, budget, some.floor, shelf, may_test, fair)
        untried = not (arms.note.given or arms.note.tested) and not limited
        if plan.trial == "auto" and untried and terms.effects[0].aimed:
            anew = terms.model_copy(update={"effects": ()})
            arms = first_test(job, at, some, audience, anew, budget, shelf) or arms
    else:
        made = planned(job, at, some, audience, terms, budget, shelf)
        nobody = made.records.chosen.is_empty()
        if plan.trial == "auto" and nobody and not (job.clean.moneyless or limited):
            arms = first_test(job, at, some, audience, terms, budget, shelf)
    if arms is not None:
        made = PlanDecisions(arms.found, arms.terms, arms.records)
    job.tell("plan", 0.9, "other budgets")
    note = summary(job, some, audience, budget, made)
    if arms is None:
        costs = rule_costs(job, free_of_rules.rows, audience, budget, made.found, shelf)
        note = note.model_copy(update={"strategic": costs})
    if audience.fair or job.config.fairness.excluded:
        note = note.model_copy(update={"fairness": fairness(job, audience, budget, made)})
    frontier = limits_of(job, fair=audience.fair).curve(audience.offers, budget, job.config.plan.seed)
    if arms is None and note.why and not (plan.trial or job.clean.moneyless or limited):
        proposed = proposed_test(job, at, some, audience, terms, budget, shelf)
        note = said(note, [*note.why, *proposed.en], [*note.why_zh, *proposed.zh])
    if arms is None:
        keep_aimed(job, at, made.records)
    if arms is not None:
        words = draw_sentences(arms, job.config.shop.currency)
        note = said(note, words.en, words.zh)
        keep_arms(job, arms)
    records = made.records
    del audience, made, arms
    return Plan.keep(job.store, note, Tables(records.rows, records.chosen, records.decisions, frontier))


def ruled(job: Job, rows: CustomerParts, rules: Sequence[StrategicRule], shelf: PartShelf) -> CustomerParts:
    """Candidates with the strategic rules applied; what a pin has to outbid is that of everybody."""
    if not rules:
        return rows
    most = None
    if any(rule.rule == "pin" for rule in rules) and len(rows) > 1:
        found = [*shelf.each(job, len(rows), best_use, rows)]
        most = strategic_rules.BestUse(*map(max, zip(*found, strict=True)))
    return rows.then(partial(strategic_rules.with_rules, rules=rules, most=most))


def best_use(job: Job, number: int, rows: CustomerParts) -> strategic_rules.BestUse:
    """What a pin has to outbid in one part."""
    return strategic_rules.BestUse.of(rows.part(number))


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
    job: Job, at: Moments, some: Offered, audience: Audience, terms: ReleaseTerms, budget: int, shelf: PartShelf
) -> Sentences:
    """The test that would teach what offers add here, in a sentence; none where nothing can be drawn."""
    made = first_test(job, at, some, audience, terms, budget, shelf)
    if made is None:
        return Sentences([], [])
    words = draw_sentences(made, job.config.shop.currency)
    return Sentences(
        [f"Proposed, with plan.trial = true in promolift.toml. {words.en[0]}"],
        [f"建议：在promolift.toml中设置plan.trial = true。{words.zh[0]}"],
    )


def first_test(
    job: Job, at: Moments, some: Offered, audience: Audience, terms: ReleaseTerms, budget: int, shelf: PartShelf
) -> ArmPlan | None:
    """A plan that tests; None where nothing can be drawn."""
    with suppress(SupportError):
        risk = job.config.plan.risk
        rows = (
            some.rows
            if some.for_test is None
            else some.for_test.then(lambda part: strategic_rules.with_risk(part, risk))
        )
        made = plan_arms(job, at, rows, audience.consent, terms, budget, some.floor, shelf)
        return made if made.note.tested else None
    return None


class PeopleCounts(NamedTuple):
    """How many customers a part has, and how many of them are barred or held out."""

    customers: int
    barred: int
    held: int


def audience_of(job: Job, rows: CustomerParts, terms: ReleaseTerms, shelf: PartShelf) -> Audience:
    """Who may be given an offer, and which are open to them; gains as the choice takes them."""
    counted = PeopleCounts(*map(sum, zip(*shelf.each(job, len(rows), people_of, rows, terms, shelf), strict=True)))
    fair = fair_to(job, rows, shelf)
    offers = weighed(job, rows, limits_of(job, fair=fair), shelf, "free")
    return Audience(shelf.parts("people"), *counted, fair, offers)


def people_of(job: Job, number: int, rows: CustomerParts, terms: ReleaseTerms, shelf: PartShelf) -> PeopleCounts:
    """Who may be written to and who is held out of one part, put on the shelf."""
    ids = rows.read(number)["customer_id"].unique()
    people = consents(job, ids)
    held = [decisions.in_holdout(who, terms) for who in people["customer_id"]]
    people = people.with_columns(held=pl.Series(held, dtype=pl.Boolean))
    shelf.put("people", number, people)
    return PeopleCounts(people.height, int((~people["may_send"]).sum()), sum(held))


def fair_to(job: Job, rows: CustomerParts, shelf: PartShelf) -> tuple[FairLimit, ...]:
    """The limits of fairness among those who may be written to, are not held out and not barred as a segment."""
    asked = job.config.fairness
    if not asked.limited:
        return ()
    nothing_for = [*job.config.rules.excluded_segments, *asked.excluded]
    return allocation.fair_limits(pl.concat(shelf.each(job, len(rows), able_of, rows, shelf, nothing_for)), asked)


def able_of(job: Job, number: int, rows: CustomerParts, shelf: PartShelf, nothing_for: Sequence[str]) -> pl.DataFrame:
    """Those of one part with their groups."""
    mine = rows.part(number).unique("customer_id", maintain_order=True)
    if nothing_for:
        mine = mine.filter(~belongs([*nothing_for]).fill_null(False))
    return mine.join(able(shelf.get("people", number)), on="customer_id", how="semi").select("customer_id", "groups")


def able(people: pl.DataFrame) -> pl.DataFrame:
    """Those who may be given an offer."""
    return people.filter("may_send", ~pl.col("held"))


def fairness(job: Job, audience: Audience, budget: int, made: PlanDecisions) -> FairPlan:
    """How the decisions keep the limits of fairness, and what these cost: expected gain of the best plan without them,
    less with; not known where offers were drawn or approved by what was learned.
    """
    chosen, prices = made.records.chosen, made.found.allocation.multipliers
    chosen = chosen.filter(pl.col("offer_id") != "none")
    cost = None
    if audience.fair and made.terms.policy_id != "trial":
        rest = limits_of(job).at(audience.offers.scopes, budget)
        best = plan_of(audience.offers, budget, rest, seed=job.config.plan.seed)
        cost = max(gain_of(best) - gain_of(made.found), 0.0)
    uses = tuple(
        FairUse(
            limit=each.limit, group=each.group, people=each.people, used=allocation.used(chosen, each.limit),
            price=sum(prices.get(side.name, 0.0) for side in sides(each.limit)) / 100,
        )
        for each in audience.fair
    )  # fmt: skip
    return FairPlan(uses=uses, excluded=job.config.fairness.excluded, cost_cents=cost)


def weighed(job: Job, rows: CustomerParts, limits: allocation.ShopLimits, shelf: PartShelf, name: str) -> ShelvedOffers:
    """What is open to those who may be given an offer, as `Audience.offers`, laid out for the limits."""
    columns = dict.fromkeys((*WEIGHED, *(column for limit in limits.stated for column in limit.where), "units"))
    plain = same_for_all_offers(limits.stated) and limits.category_share >= 1
    found = [*shelf.each(job, len(rows), weighed_part, rows, shelf, name, [*columns], plain)]
    scopes = pl.concat(each.scopes for each in found).unique().sort("scope", "target")
    return ShelvedOffers.laid(job, shelf, name, limits.at(scopes, 0), scopes, any(each.boosted for each in found))


class WeighedPart(NamedTuple):
    """Scope and target of a part's open candidates, each pair once, and whether rules add to their gains."""

    scopes: pl.DataFrame
    boosted: bool


def weighed_part(
    job: Job, number: int, rows: CustomerParts, shelf: PartShelf, name: str, columns: Sequence[str], plain: bool
) -> WeighedPart:
    """What is open of one part, put on the shelf with the gains that the choice is made by."""
    part = rows.part(number)
    slim = part.select(column for column in columns if column in part.columns)
    free, boosted = open_to(slim, part["eligible"], shelf.get("people", number)), "boost_cents" in part.columns
    shelf.put(
        name,
        number,
        strategic_rules.preferred(strategic_rules.best_at_some_price(free) if plain and not boosted else free),
    )
    return WeighedPart(free.select("scope", "target").unique(), boosted)


def open_to(rows: pl.DataFrame, eligible: pl.Series, people: pl.DataFrame) -> pl.DataFrame:
    """The rows that are open to those of `people` who may be given an offer."""
    kept = pl.col("customer_id").is_in(able(people)["customer_id"].implode())
    return rows.filter(eligible & (rows["offer_id"] != "none"), kept)


def rule_costs(
    job: Job, rows: CustomerParts, audience: Audience, budget: int, found: allocation.AllocatedOffers, shelf: PartShelf
) -> tuple[RuleCost, ...]:
    """What each strategic rule costs: the gain of the best plan without it, less that of the best with all of them.

    `rows` are the candidates before any rule, `found` the best plan under all.
    """
    rules, costs = job.config.strategic, []
    with_all = gain_of(found)
    for at, rule in enumerate(rules):
        others = tuple(each for each in rules if each != rule)
        stated = limits_of(job, others, audience.fair)
        offers = weighed(job, ruled(job, rows, others, shelf), stated, shelf, f"without rule {at}")
        best = plan_of(offers, budget, stated.at(offers.scopes, budget), seed=job.config.plan.seed)
        costs.append(
            RuleCost(
                name=rule.name, rule=rule.rule, given=sum(found.each(partial(covered_rows, rule))),
                able=sum(shelf.each(job, len(rows), able_to_get, rows, shelf, rule)),
                cost_cents=max(gain_of(best) - with_all, 0.0),
                price=0.0 if found.added_cents else found.allocation.multipliers.get(rule.name, 0.0),
            )
        )  # fmt: skip
    return tuple(costs)


def covered_rows(rule: StrategicRule, rows: pl.DataFrame) -> int:
    """How many candidates a rule is about."""
    return rows.filter(strategic_rules.covered_by(rule)).height


def able_to_get(job: Job, number: int, rows: CustomerParts, shelf: PartShelf, rule: StrategicRule) -> int:
    """How many customers of a part can get an offer that a rule is about."""
    part = rows.part(number)
    free = open_to(part, part["eligible"], shelf.get("people", number))
    return free.filter(strategic_rules.covered_by(rule))["customer_id"].n_unique()


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
    seed, near = job.config.plan.seed, [budget * (1 - NEAR), budget * (1 + NEAR)]
    scopes = audience.offers.scopes
    some = allocation.at_budgets(audience.offers, near, lambda cents: limits.at(scopes, cents), seed=seed)
    less, more = (gain_of(each or found) for each in some)
    slope = (more - less) / (near[1] - near[0]) if all(some) and budget else 0.0
    return NextCent(slope, slope)


def planned(
    job: Job, at: Moments, some: Offered, audience: Audience, terms: ReleaseTerms, budget: int, shelf: PartShelf
) -> PlanDecisions:
    """The best plan; where an approved release leaves a share to exploration, the draws are part of it and its budget.

    What is drawn may cost more than is expected of it, or pass a limit: then less is spent and drawn, and where no such
    draws keep all of them, nothing is drawn.
    """
    even = sum(shelf.each(job, len(some.rows), even_cost_of, some.rows, shelf)) if terms.explore else 0.0

    def spent(mine: Spending) -> PlanDecisions:
        if private(job):
            found = allocation.at_price(audience.offers, private_price(job, audience.offers, budget), budget)
            limits = []
        else:
            limits = limits_of(job, fair=audience.fair).at(audience.offers.scopes, mine.budget_cents)
            found = plan_of(audience.offers, mine.budget_cents, limits, seed=job.config.plan.seed)
        own = terms.model_copy(update={"price": found.allocation.price, "explore": mine.explore})
        asked = some.rows, shelf, audience.offers.name, limits, found.allocation, own, at.asof
        return PlanDecisions(found, own, recorded(shelf.each(job, len(some.rows), settled_part, *asked), shelf, "plan"))

    for part in (STEP**k for k in range(TRIES if terms.explore else 0)):
        with suppress(BudgetError):  # a limit that says at least may need the whole budget
            made = spent(spending(part * budget, part * terms.explore, even))
            if keeps(job, audience, made.records.chosen, budget):
                return made
    return spent(Spending(float(budget), 0.0))


def even_cost_of(job: Job, number: int, rows: CustomerParts, shelf: PartShelf) -> float:
    """What it costs if everybody of one part draws evenly."""
    part = rows.part(number)
    return even_cost(open_to(part.select(WEIGHED[:4]), part["eligible"], shelf.get("people", number)))


def settled_part(
    job: Job, number: int, rows: CustomerParts, shelf: PartShelf, name: str, limits: list[allocation.Limit],
    found: Allocation, terms: ReleaseTerms, asof_ms: int,
) -> RecordedPart:  # fmt: skip
    """The decisions of one part, put on the shelf."""
    part, people = rows.part(number), shelf.get("people", number)
    wanted = chosen_in(shelf, name, number, found.choice).select(KEY)
    held, consent = people.filter("held")["customer_id"], people.drop("held")
    return record(settled(charged(part, limits, found), wanted, consent, held, terms, asof_ms), shelf, "plan", number)


def keeps(job: Job, audience: Audience, chosen: pl.DataFrame, budget: int) -> bool:
    """Whether what was decided for, draws included, keeps the budget, every limit that says at most, and fairness."""
    offers = chosen.filter(pl.col("offer_id") != "none")
    fair = not allocation.breaks(offers, [each.limit for each in audience.fair])
    within = float(offers["cost_cents"].sum()) <= budget and fair
    return within and allocation.kept(offers, limits_of(job).at(audience.offers.scopes, budget))


def limits_of(
    job: Job, rules: Sequence[StrategicRule] | None = None, fair: Sequence[FairLimit] = ()
) -> allocation.ShopLimits:
    """The limit per category, the stated ones, the shares that strategic `rules`, or the shop's own, ask for, and those
    of `fair`.
    """
    plan = job.config.plan
    floors = strategic_rules.floors(job.config.strategic if rules is None else rules)
    shares = [each.limit for each in fair]
    return allocation.ShopLimits(plan.category_share, (*map(allocation.Limit.read, plan.limits), *floors, *shares))


def charged(rows: pl.DataFrame, limits: list[allocation.Limit], found: Allocation) -> pl.DataFrame:
    """Candidates with `charge_cents`: what limits and caution ask for beyond the price of the budget, less what
    strategic rules add, of everybody.
    """
    asked = allocation.charges(strategic_rules.preferred(rows), limits, found)
    charge = asked + rows["caution_cents"].fill_null(0.0) - strategic_rules.boost(rows)
    return rows.with_columns(charge.alias("charge_cents"))


def total_draws(job: Job, chosen: pl.DataFrame) -> NDArray[np.float64] | None:
    """Possible totals of the plan's gain, None for an empty one."""
    return None if chosen.is_empty() else effect.total_draws(chosen, effects.response(job.store))


def summary(job: Job, some: Offered, audience: Audience, budget: int, made: PlanDecisions) -> PlanNote:
    """The plan in numbers. `gap` is how far the recorded decisions are from the best possible plan, at most.

    The bound is on gains as planned with; under a risk rule they are more cautious than what is expected.
    """
    chosen, given = made.records.chosen, made.records.given
    found, gain, config = made.found.allocation, float(chosen["gain_cents"].sum()), job.config
    trial = made.terms.policy_id == "trial"
    drawn_too = made.terms.explore and not trial  # the best plan, of which the draws then took a part
    added = found.gain - gain_of(made.found)
    planned_cents = gain_of(made.found) if drawn_too else float(strategic_rules.careful(chosen)["gain_cents"].sum())
    draws = None if made.terms.effects else total_draws(job, chosen)
    low, high = (None, None) if draws is None else np.quantile(draws, [0.025, 0.975]).tolist()
    if made.terms.effects and chosen.height:  # of one menu line and group all err together
        alike = chosen.group_by("menu_id", "gain_se_cents").len()
        reach = Z95 * float(np.linalg.norm((alike["gain_se_cents"] * alike["len"]).to_numpy()))
        low, high = gain - reach, gain + reach
    customers, bound = given.height, found.bound - added
    held = int(given["holdout"].fill_null(False).sum())
    able = customers - audience.barred - held
    listed = free = chosen  # a plan for many needs no reason
    if chosen.height < max(1.0, FEW * able):
        share = WHOLE / max(customers, 1)
        listed = some.rows.together(lambda part: drawn_customers(part, share))
        free = open_to(listed, listed["eligible"], audience.people.together(lambda part: drawn_customers(part, share)))
    with speaking("zh"):
        why_zh = tuple(why(job, listed, free, chosen, able))
    return PlanNote(
        budget_cents=budget, gain_cents=gain, gain_low_cents=low, gain_high_cents=high,
        cost_cents=float(chosen["cost_cents"].sum()), added_cents=float(chosen["added_cents"].sum()),
        subsidy_cents=float(chosen["subsidy_cents"].sum()), treated=chosen.height, customers=customers, held_out=held,
        barred=audience.barred, **worth_of(job, audience, budget, made.found)._asdict(),
        bound_cents=bound, planned_cents=planned_cents,
        gap=max(0.0, (bound - planned_cents) / bound) if bound > 0 else 0.0,
        evidence=some.floor, risk=config.plan.risk.rule, explain=found.explain(),
        limits=() if trial else tuple(use.name for use in found.binding),
        why=tuple(why(job, listed, free, chosen, able)), why_zh=why_zh,
        assumptions=() if made.terms.effects else assumptions(
            chosen, effects.response(job.store), config.value, job.clean.catalogue["cost_cents"].count() > 0
        ),
        terms=made.terms, menu=some.menu,
        shop=config.shop, consent=config.consent,
    )  # fmt: skip


def drawn_customers(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """The rows of a share of the customers, drawn by hash; all of them where it is 1 or more."""
    if share >= 1:
        return rows
    people = rows["customer_id"].unique()
    return rows.filter(
        pl.col("customer_id").is_in(people.filter(pl.Series(hash_units("few", people) < share)).implode())
    )


def consents(job: Job, customer_ids: pl.Series) -> pl.DataFrame:
    """customer_id, may_send, reason for everybody with a candidate."""
    return may_send(customer_ids, job.clean.people_of(customer_ids), job.config.consent)
