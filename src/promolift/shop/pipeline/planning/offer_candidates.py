"""List the candidate offers of every customer, those proposed beyond the menu included, and value them.

Of many customers they are made shard by shard and stored in partitions.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import polars as pl

from promolift.core import offers as offer
from promolift.core.allocation import strategic_rules
from promolift.core.offers.product_names import is_couponable, is_printable, is_sensitive
from promolift.core.offers.proposals import MenuCandidates, NewLines
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.configuration.goods_names import shop_names
from promolift.shop.pipeline.planning.offer_search import add_proposals, propose_from_lines, value_candidates
from promolift.shop.pipeline.planning.offer_targets import CandidateInputs, SharedInputs
from promolift.shop.pipeline.planning.partitions import (
    PartitionedFrame,
    PartitionStore,
)
from promolift.shop.pipeline.planning.plan_limits import (
    close_small,
    close_unaffordable,
    close_weak,
    evidence_floor,
    most_cents,
)
from promolift.shop.pipeline.planning.predicted_offers import move_predictions
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.active_release import load_approved_release
from promolift.shop.results.work_folder.plan_inputs import budget_cents
from promolift.shop.results.work_folder.run_context import Job, Moments, map_shards, moments
from promolift.shop.results.work_folder.work_tables import ALL_CUSTOMERS, CustomerSubset


def is_private(job: Job) -> bool:
    """Return whether what all customers have in common is known by noisy sums alone."""
    return job.config.privacy.epsilon is not None


class OfferCandidates(NamedTuple):
    """Every candidate with its effect, the weakest evidence that may be planned with, the lines they come from, and
    the candidates as draws may open them where that is more: those of weaker evidence, too.
    """

    rows: PartitionedFrame
    floor: Level
    menu: tuple[offer.MenuItem, ...]
    for_draws: PartitionedFrame | None = None


def list_candidates(job: Job, at: Moments, shelf: PartitionStore, share: float) -> OfferCandidates:
    """Candidates of everybody, those proposed beyond the menu included, with their effects and what was learned.

    Lines beyond the menu are chosen by a `share` of the customers.
    """
    job.tell("plan", 0.1, gettext_lazy("candidate offers"))
    known, scene = load_approved_release(job.store, job.config.plan.campaign), CandidateInputs(job, at)
    made = candidates(scene, CustomerSubset(share=share))
    parts: Iterable[StoredPartition]
    if share == 1:
        parts = [store_candidates(shelf, 0, scene.grouped(made.rows))]
    else:  # the sample was for the lines alone
        parts = map_shards(job, candidates_of, range(len(job.profiled.parts)), scene.shared(), made.beyond, shelf)
    made = made._replace(rows=made.rows.clear())
    found = [*parts]
    size, seen = sum(each.size for each in found), [each.levels for each in found]
    floor, every = evidence_floor(job, *seen), shelf.parts("candidates")
    job.tell("plan", 0.6, gettext_lazy("effect of {size} candidates", size=f"{size:,}"))
    if is_private(job):
        budget = budget_cents(job, at)
        every = every.map(partial(close_unaffordable, most_cents=most_cents(job, budget)))
    least, effects, risk = job.config.rules.least_gain_cents, known.effects if known else (), job.config.plan.risk
    draws = not (job.config.plan.limits or job.config.fairness.limited)
    moved = partial(move_predictions, effects=effects, draws=draws)
    known_well = every.map(partial(close_weak, floor=floor)).map(moved)
    valued = known_well.map(partial(close_small, least_gain_cents=least))
    cautious = partial(strategic_rules.add_caution, risk=risk)
    return OfferCandidates(valued.map(cautious), floor, made.menu, every.map(cautious))


class StoredPartition(NamedTuple):
    """The number of candidates in a partition, and the evidence levels of the open ones."""

    size: int
    levels: pl.DataFrame


def candidates_of(
    job: Job, number: int, shared: SharedInputs, found: NewLines | None, shelf: PartitionStore
) -> StoredPartition:
    """The candidates of one part of the customers put on the shelf."""
    scene = CandidateInputs(job, moments(job), shared)
    return store_candidates(shelf, number, scene.grouped(candidates(scene, job.profiled.parts[number], found).rows))


def store_candidates(shelf: PartitionStore, number: int, rows: pl.DataFrame) -> StoredPartition:
    """Store the candidates of one partition."""
    shelf.put("candidates", number, rows)
    return StoredPartition(rows.height, rows.filter("eligible").select("eligible", "evidence").unique())


def candidates(
    scene: CandidateInputs, among: CustomerSubset = ALL_CUSTOMERS, found: NewLines | None = None
) -> MenuCandidates:
    """Customers' candidate offers with their effects, those beyond the menu included: of lines `found` before, else of
    the ones that are worth having for these customers.
    """
    job, at, people = scene.job, scene.at, scene.inputs(among)
    kind = stated_kind(job)
    stated = [
        (name, kind if item.scope == "category" else item.scope) for item in job.config.menu for name in item.covers
    ]
    asked = people.targets.select("target", "kind")
    asked = pl.concat([asked, pl.DataFrame(stated, asked.schema, orient="row")])
    rules = job.config.rules
    nothing_for = (*rules.excluded_segments, *job.config.fairness.excluded)
    barred = {
        "excluded": tuple(sorted({*rules.excluded, *unnameable_targets(job, asked)})),
        "excluded_segments": nothing_for,
    }
    rules = rules.model_copy(update=barred)
    listed = offer.list_candidates(people.profiles, people.targets, job.config.menu, rules, people.resting, kind)
    if (replays := scene.replays(among)) is not None:
        listed = listed.join(with_costs(job, replays), on=["customer_id", "menu_id"], how="left", maintain_order="left")
    menu = value_candidates(job, listed)
    if found is not None and found.ids:
        return MenuCandidates(propose_from_lines(job, menu, people, rules, found), job.config.menu)
    if among.shard is not None:
        return MenuCandidates(menu, job.config.menu)
    if is_private(job):
        return MenuCandidates(menu, job.config.menu)  # lines beyond it are chosen by what all customers are worth
    return add_proposals(job, at, menu, rules, job.config.offer, people, among.share)


def with_costs(job: Job, replays: pl.DataFrame) -> pl.DataFrame:
    """Return what `effects.add_effects` needs for lines valued by baskets: `replays` per order, what one use
    costs the shop where that is no money off, and what it is worth to the customer then.
    """
    own = []
    for item in (each for each in job.config.menu if each.by_baskets):
        benefit, cost = item.benefit, item.benefit_cost_cents
        pays = benefit.price_cents * benefit.quantity  # the customer, for an exchange
        worth = float(benefit.worth_cents or cost or 0)
        lowers = benefit.type in ("fixed_price", "buy_x_get_y")
        own.append((item.id, None if cost is None else cost - pays, worth, lowers))
    schema = {"menu_id": pl.String, "use_cost_cents": pl.Float64, "use_worth_cents": pl.Float64, "lowers": pl.Boolean}
    return replays.join(pl.DataFrame(own, schema, orient="row"), on="menu_id")


def stated_kind(job: Job) -> str:
    """Return what a menu line of scope category names: a product where the catalogue has neither categories nor types,
    as in `core/customers/profiles/purchase_lines.py: GOODS`.
    """
    known = job.clean.catalogue.select("category", "type")
    return "product" if known.null_count().row(0) == (known.height, known.height) else "category"


def unnameable_targets(job: Job, targets: pl.DataFrame) -> list[str]:
    """Return targets that a message must not name or on which offers are unlawful, by own or category name, and those
    whose name would say in a message what only the offer may, where no other name and no category stands in for it."""
    everyday = shop_names(job.config.message)
    catalogue = job.clean.catalogue.select(pl.col("product_id").alias("target"), "name", "category")
    known = targets.select("target", "kind").unique().join(catalogue, on="target", how="left").sort("target", "kind")
    return [
        target
        for target, kind, name, category in known.iter_rows()
        if is_sensitive(name or target, kind)
        or not (
            {target, name} & everyday.keys() or is_printable(name or target) or (category and is_printable(category))
        )
        or not is_couponable(name or target, kind)
        or (kind == "product" and category and (is_sensitive(category) or not is_couponable(category)))
    ]


def free_candidates(job: Job, among: CustomerSubset = ALL_CUSTOMERS) -> pl.DataFrame:
    """Open candidates of those who may be written to and are not held out: what the budget is spent on."""
    plan = Plan.load(job.store)
    free = plan.decided("customer_id", "holdout").filter(pl.col("holdout").eq(False))["customer_id"]
    return plan.open_to(among).filter(pl.col("customer_id").is_in(free.implode())).sort("customer_id", "offer_id")
