"""Who may be given an offer, which offers are open to them, and the limits that these keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import polars as pl

from promolift.core import allocation, decisions
from promolift.core.allocation import strategic_rules
from promolift.core.allocation.fairness_limits import FairnessLimit, same_for_all_offers
from promolift.core.allocation.settings import StrategicRule
from promolift.core.customers.consent import may_send
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.offers.menu import in_segments
from promolift.shop.pipeline.planning.partitions import PartitionedFrame, PartitionStore, StoredOffers
from promolift.shop.results.work_folder.run_context import Job

WEIGHED_COLUMNS = (
    "customer_id", "offer_id", "gain_cents", "cost_cents", "caution_cents", "boost_cents", "scope", "target", "menu_id",
    "segments",
)  # fmt: skip


@dataclass(frozen=True)
class Audience:
    """Who may be given what: how many customers, how many of them are barred or held out, who (`people`: customer_id,
    may_send, reason, held, in parts), the limits on how offers may be shared among their groups, and what is open.

    `offers` have the columns that the choice weighs and no more; where no limit or rule prefers one offer to another,
    only the rows that some price makes a customer's best.
    """

    people: PartitionedFrame
    customers: int
    barred: int
    held: int
    fair: tuple[FairnessLimit, ...]
    offers: StoredOffers

    @cached_property
    def consent(self) -> pl.DataFrame:
        """Of everybody, in one frame."""
        return self.people.collect(lambda part: part.drop("held")).sort("customer_id")


class PeopleCounts(NamedTuple):
    """How many customers a part has, and how many of them are barred or held out."""

    customers: int
    barred: int
    held: int


def audience_of(job: Job, rows: PartitionedFrame, terms: ReleaseTerms, shelf: PartitionStore) -> Audience:
    """Who may be given an offer, and which are open to them; gains as the choice takes them."""
    counted = PeopleCounts(*map(sum, zip(*shelf.each(job, len(rows), people_of, rows, terms, shelf), strict=True)))
    fair = fairness_limits(job, rows, shelf)
    offers = lay_out_offers(job, rows, limits_of(job, fair=fair), shelf, "free")
    return Audience(shelf.parts("people"), *counted, fair, offers)


def people_of(
    job: Job, number: int, rows: PartitionedFrame, terms: ReleaseTerms, shelf: PartitionStore
) -> PeopleCounts:
    """Who may be written to and who is held out of one part, put on the shelf."""
    ids = rows.read(number)["customer_id"].unique()
    people = consents(job, ids)
    held = [decisions.in_holdout(who, terms) for who in people["customer_id"]]
    people = people.with_columns(held=pl.Series(held, dtype=pl.Boolean))
    shelf.put("people", number, people)
    return PeopleCounts(people.height, int((~people["may_send"]).sum()), sum(held))


def fairness_limits(job: Job, rows: PartitionedFrame, shelf: PartitionStore) -> tuple[FairnessLimit, ...]:
    """Return the fairness limits among eligible customers of segments that are not barred."""
    asked = job.config.fairness
    if not asked.limited:
        return ()
    nothing_for = [*job.config.rules.excluded_segments, *asked.excluded]
    return allocation.make_fairness_limits(
        pl.concat(shelf.each(job, len(rows), eligible_partition, rows, shelf, nothing_for)), asked
    )


def eligible_partition(
    job: Job, number: int, rows: PartitionedFrame, shelf: PartitionStore, nothing_for: Sequence[str]
) -> pl.DataFrame:
    """Return the eligible customers of one partition with their groups."""
    mine = rows.part(number).unique("customer_id", maintain_order=True)
    if nothing_for:
        mine = mine.filter(~in_segments([*nothing_for]).fill_null(False))
    return mine.join(eligible_customers(shelf.get("people", number)), on="customer_id", how="semi").select(
        "customer_id", "groups"
    )


def eligible_customers(people: pl.DataFrame) -> pl.DataFrame:
    """Return the customers who may be given an offer."""
    return people.filter("may_send", ~pl.col("held"))


def lay_out_offers(
    job: Job, rows: PartitionedFrame, limits: allocation.ShopLimits, shelf: PartitionStore, name: str
) -> StoredOffers:
    """Lay out the open offers of eligible customers for the limits, as `Audience.offers`."""
    columns = dict.fromkeys((*WEIGHED_COLUMNS, *(column for limit in limits.stated for column in limit.where), "units"))
    plain = same_for_all_offers(limits.stated) and limits.category_share >= 1
    found = [*shelf.each(job, len(rows), lay_out_open_offers, rows, shelf, name, [*columns], plain)]
    scopes = pl.concat(each.scopes for each in found).unique().sort("scope", "target")
    return StoredOffers.lay_out(job, shelf, name, limits.at(scopes, 0), scopes, any(each.boosted for each in found))


class PartitionScopes(NamedTuple):
    """The distinct scopes and targets of a partition's open candidates, and whether rules add to their gains."""

    scopes: pl.DataFrame
    boosted: bool


def lay_out_open_offers(
    job: Job, number: int, rows: PartitionedFrame, shelf: PartitionStore, name: str, columns: Sequence[str], plain: bool
) -> PartitionScopes:
    """Store the open candidates of one partition with the gains that the allocation uses."""
    part = rows.part(number)
    slim = part.select(column for column in columns if column in part.columns)
    free, boosted = open_to(slim, part["eligible"], shelf.get("people", number)), "boost_cents" in part.columns
    shelf.put(
        name,
        number,
        strategic_rules.with_decision_gains(
            strategic_rules.drop_dominated_offers(free) if plain and not boosted else free
        ),
    )
    return PartitionScopes(free.select("scope", "target").unique(), boosted)


def open_to(rows: pl.DataFrame, eligible: pl.Series, people: pl.DataFrame) -> pl.DataFrame:
    """The rows that are open to those of `people` who may be given an offer."""
    kept = pl.col("customer_id").is_in(eligible_customers(people)["customer_id"].implode())
    return rows.filter(eligible & (rows["offer_id"] != "none"), kept)


def limits_of(
    job: Job, rules: Sequence[StrategicRule] | None = None, fair: Sequence[FairnessLimit] = ()
) -> allocation.ShopLimits:
    """The limit per category, the stated ones, the shares that strategic `rules`, or the shop's own, ask for, and those
    of `fair`.
    """
    plan = job.config.plan
    floors = strategic_rules.share_floors(job.config.strategic if rules is None else rules)
    shares = [each.limit for each in fair]
    return allocation.ShopLimits(plan.category_share, (*map(allocation.Limit.read, plan.limits), *floors, *shares))


def consents(job: Job, customer_ids: pl.Series) -> pl.DataFrame:
    """customer_id, may_send, reason for everybody with a candidate."""
    return may_send(customer_ids, job.clean.current_customers(customer_ids), job.config.consent)
