"""Read the tables that the ingest, profile and effect steps store in a work folder.

A table with at most one row per customer comes as a frame, a larger one as a lazy relation. A table that may be missing
is None or empty; for the others StepError names the command that makes it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.consent import apply_consent_updates, personalisation_consent
from promolift.core.offers.terms import covered_targets
from promolift.foundation.localized_text import CATEGORY_SEPARATOR
from promolift.foundation.sql import fetch_frame, run_select, sql_literal
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CUSTOMERS


@dataclass(frozen=True)
class CustomerSubset:
    """A subset of customers: one shard of the work folder, or a share of all, drawn by hash."""

    shard: int | None = None
    share: float = 1.0

    def rows(self, rows: Relation) -> Relation:
        """Return the rows of the customers in this subset, if it is a share of all."""
        below = f"md5_number_lower('among' || customer_id) % 1000000 < {round(self.share * 1_000_000)}"
        return rows if self.share >= 1 else rows.filter(below)


ALL_CUSTOMERS = CustomerSubset()


class StoredFrame:
    """Reads a table of the work folder as a frame on access; None if the table is missing."""

    def __init__(self, name: str, meaning: str) -> None:
        self.name, self.__doc__ = name, meaning

    def __get__(self, owner: Any, kind: type) -> pl.DataFrame | None:
        return owner.store.frame(self.name) if owner.store.has(self.name) else None


class StoredRelation(StoredFrame):
    """Reads a table of the work folder as a lazy relation on access; None if the table is missing."""

    def __get__(self, owner: Any, kind: type) -> Relation | None:  # type: ignore[override]
        return owner.store.table(self.name) if owner.store.has(self.name) else None


@dataclass(frozen=True)
class CleanTables:
    """Tables that `promolift ingest` stores: EVENTS, CUSTOMERS, PRODUCTS and those of the shop's campaigns."""

    store: Store

    @property
    def shards(self) -> list[int]:
        return self.store.shards("events")

    def events(self, shard: int | None = None) -> Relation:
        """EVENTS: all of them, or one shard."""
        return self.store.events(shard)

    @property
    def has_events(self) -> bool:
        return self.store.has("events")

    @property
    def rejected(self) -> Relation | None:
        """REJECTED: the raw rows that were set aside, with their reason; None in a folder that never held any."""
        return self.store.table("rejected") if self.store.has("rejected") else None

    def rejected_part(self, number: int) -> Relation:
        """REJECTED, as far as it was written at one time."""
        return self.store.table("rejected", number)

    @property
    def has_products(self) -> bool:
        return self.store.has("products")

    @property
    def products(self) -> Relation:
        return self.store.table("products")

    @cached_property
    def catalogue(self) -> pl.DataFrame:
        return self.store.frame("products")

    senses = StoredFrame(
        "senses", "A row per product, its vector of words and pictures, and its colour where that is known."
    )
    pictures = StoredFrame("pictures", "What was read of each picture, by the hash of its file.")

    def forget_senses(self, pictures: bool) -> None:
        """Take away what was made of an earlier catalogue; also what was read of its pictures?"""
        for name in ("senses", *(["pictures"] if pictures else [])):
            if self.store.has(name):
                self.store.remove(name)

    @property
    def vectors(self) -> pl.DataFrame | None:
        """product_id and vector; None where the catalogue has neither words nor pictures."""
        found = self.senses
        if found is None:
            return None
        width = len(found["vector"][0]) if found.height else 0
        return found.select("product_id", pl.col("vector").list.to_array(width))

    @property
    def colours(self) -> dict[str, str]:
        """Products whose colour is known for sure, in English: the catalogue says it, or words and picture do."""
        found = self.senses
        return {} if found is None else dict(found.select("product_id", "colour").drop_nulls().iter_rows())

    @property
    def customers(self) -> Relation:
        return self.store.table("customers")

    @cached_property
    def people(self) -> pl.DataFrame:
        """CUSTOMERS; no rows in a folder that never held any."""
        return self.store.frame("customers") if self.store.has("customers") else CUSTOMERS.empty()

    def customer(self, customer_id: str) -> pl.DataFrame:
        """The row of CUSTOMERS of one customer, or none."""
        if not self.store.has("customers"):
            return CUSTOMERS.empty()
        return fetch_frame(self.customers.filter(f"customer_id = {sql_literal(customer_id)}"))

    def current_customers(self, customer_ids: pl.Series) -> pl.DataFrame:
        """Return CUSTOMERS for these ids, with the consent updates that the API received since."""
        mine = pl.DataFrame({"customer_id": customer_ids.cast(pl.String).unique()})
        people = CUSTOMERS.empty()
        if self.store.has("customers"):
            people = fetch_frame(
                run_select("from kept semi join mine using (customer_id)", kept=self.customers, mine=mine)
            )
        return (
            people
            if self.consent_updates is None
            else apply_consent_updates(people, self.consent_updates.join(mine, on="customer_id", how="semi"))
        )

    @cached_property
    def consent_updates(self) -> pl.DataFrame | None:
        """customer_id, consent and personal (0 no, 1 yes, 2 yes by a web page) as the server's API received them;
        None where it received nothing.
        """
        return self.store.frame("heard") if self.store.has("heard") else None

    @cached_property
    def personal(self) -> pl.DataFrame:
        """customer_id, personal: false for who refused personal decisions, by a column of that name; null: not said."""
        people = (
            self.people if self.consent_updates is None else apply_consent_updates(self.people, self.consent_updates)
        )
        return people.select("customer_id", personalisation_consent(people))

    def printed_names(self, product_ids: pl.Series) -> dict[str, str]:
        """Names as printed, of the products that have one; of an offer on two, both names."""
        if product_ids.is_empty():
            return {}
        asked = {each: covered_targets(each) for each in product_ids.drop_nulls().unique().sort()}
        ones = sorted({one for parts in asked.values() for one in parts})
        named = self.catalogue.filter(pl.col("product_id").is_in(ones)).drop_nulls("name")
        names = dict(named.select("product_id", "name").iter_rows())
        return {
            each: CATEGORY_SEPARATOR.join(names.get(p, p) for p in parts)
            for each, parts in asked.items()
            if names.keys() & {*parts}
        }

    @property
    def lacks_amounts(self) -> bool:
        """Whether no purchase has an amount above 0."""
        paid = self.events().filter("kind = 'purchase' and greatest(revenue_cents, list_cents) > 0")
        return not paid.limit(1).fetchall()

    exposures = StoredRelation("exposures", "EXPOSURES: who was sent what.")
    redemptions = StoredRelation("redemptions", "REDEMPTIONS.")
    transcripts = StoredFrame("transcripts", "TRANSCRIPTS: what recordings say.")
    words = StoredRelation("words", "WORDS: what customers wrote or said, read.")
    coupons = StoredRelation("coupons", "COUPONS: what each coupon was good for.")


@dataclass(frozen=True)
class ProfileTables:
    """Tables that `promolift profile` stores, as of the moments of the plan and of the checks."""

    store: Store

    @property
    def synthetic_events(self) -> Relation:
        """EVENTS of the made-up customers that the others learn from under privacy.epsilon."""
        return self.store.table("stand_in")

    @property
    def has_profiles(self) -> bool:
        return self.store.has("profiles")

    @property
    def size(self) -> int:
        return int(self.store.table("profiles").aggregate("count(distinct customer_id)").fetchall()[0][0])

    @property
    def parts(self) -> list[CustomerSubset]:
        """The shards of customers, or everybody where there are none."""
        return [CustomerSubset(shard) for shard in self.store.shards("affinities")] or [ALL_CUSTOMERS]

    @property
    def every_profile(self) -> pl.DataFrame:
        return self.store.frame("profiles")

    @property
    def yearly(self) -> pl.DataFrame:
        rows: pl.DataFrame = self.store.table("profiles").project("customer_id, asof_ms, revenue_52w_cents").pl()
        return rows

    def profiles(self, asof_ms: int, among: CustomerSubset = ALL_CUSTOMERS) -> pl.DataFrame:
        return self._at("profiles", asof_ms, among=among)

    def profile_columns(self, asof_ms: int, *columns: str) -> pl.DataFrame:
        """Some columns of PROFILES as of one moment, without those that the folder's version does not have."""
        rows = self.store.table("profiles").filter(f"asof_ms = {asof_ms}")
        known = [name for name in columns if name in rows.columns]
        return fetch_frame(rows.project(", ".join(known))) if known else pl.DataFrame()

    def profile(self, asof_ms: int, customer_id: str) -> pl.DataFrame:
        """The row of PROFILES of one customer, or none."""
        return self._at("profiles", asof_ms, customer_id)

    def affinities(
        self, asof_ms: int, customers: str | pl.Series | None = None, *, among: CustomerSubset = ALL_CUSTOMERS
    ) -> pl.DataFrame:
        """AFFINITIES as of one moment: a row per customer and category or product; those of some customers alone."""
        return self._at("affinities", asof_ms, customers, among)

    def interests(self, asof_ms: int, among: CustomerSubset = ALL_CUSTOMERS) -> pl.DataFrame:
        """INTERESTS as of one moment: looked at and not bought; with 0 views: new, and like what they buy."""
        return self._at("interests", asof_ms, among=among)

    def has_interests(self, asof_ms: int) -> bool:
        """Whether anybody looked at something that such looks end in buying."""
        rows = self.store.table("interests").filter(f"asof_ms = {asof_ms} and buy_rate > 0")
        return bool(rows.limit(1).fetchall())

    outlook = StoredFrame(
        "outlook", "OUTLOOK: what the encoder expects of each customer; None where it was not asked for."
    )

    @property
    def required_outlook(self) -> pl.DataFrame:
        """Return OUTLOOK; StepError if it is missing."""
        return self.store.frame("outlook")

    def outlook_of(self, customer_id: str) -> pl.DataFrame:
        if not self.store.has("outlook"):
            return pl.DataFrame()
        return fetch_frame(self.store.table("outlook").filter(f"customer_id = {sql_literal(customer_id)}"))

    def _at(
        self, name: str, asof_ms: int, customers: str | pl.Series | None = None, among: CustomerSubset = ALL_CUSTOMERS
    ) -> pl.DataFrame:
        rows = among.rows(self.store.table(name, among.shard).filter(f"asof_ms = {asof_ms}"))
        if isinstance(customers, pl.Series):
            mine = pl.DataFrame({"customer_id": customers.unique()})
            return fetch_frame(run_select("from kept semi join mine using (customer_id)", kept=rows, mine=mine))
        return fetch_frame(rows if customers is None else rows.filter(f"customer_id = {sql_literal(customers)}"))


@dataclass(frozen=True)
class EffectTables:
    """Tables that `promolift effect` stores beside the discount response."""

    store: Store

    @property
    def depths(self) -> Relation:
        """DEPTHS: how deep each product was discounted in each week."""
        return self.store.table("depths")

    redemption_features = StoredFrame("redemption_features", "A row per past campaign and customer sent it.")

    def redemption_odds(self, customer_ids: pl.Series) -> pl.DataFrame | None:
        """customer_id, target, redeem_prob of the menu's coupons for these customers; None where there are none."""
        if not self.store.has("redemption_odds"):
            return None
        mine = pl.DataFrame({"customer_id": customer_ids.unique()})
        return fetch_frame(
            run_select(
                "from odds semi join mine using (customer_id)",
                odds=self.store.table_of("redemption_odds", mine),
                mine=mine,
            )
        )
