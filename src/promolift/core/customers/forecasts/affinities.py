"""Estimate what each customer buys of each target, and will buy: one row per customer, moment and target.

Rows are (1) every target the customer bought, with what they are expected to spend on it in the next window without any
further promotion; (2) the likeliest targets they never bought, and (3) targets they only looked at (`bought` false).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.forecasts.first_purchases import (
    CHUNK,
    build_target_space,
    calibrated_probability,
    find_plausible_targets,
    incidence,
    prospects,
    target_columns,
)
from promolift.core.customers.forecasts.new_products import new_product_interests
from promolift.core.customers.forecasts.repeat_purchases import add_purchase_forecast, order_prior, target_prior
from promolift.core.customers.profiles.population_sums import PopulationSums, Shard, exact_sum
from promolift.core.customers.profiles.purchase_counts import first_purchase_times, order_pace, read_purchase_counts
from promolift.core.customers.profiles.purchase_lines import PurchaseLines, number_texts, read_lines, read_moments
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation import sql
from promolift.foundation.frames import without_constants
from promolift.foundation.hashing import hash_units
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.tables.schemas import AFFINITIES
from promolift.foundation.time.clock import DAY_MS

KEY = ["customer_id", "asof_ms"]

VIEWED = """
select customer_id, target, count(*) as views from lines
where kind = 'view' and target is not null and ts_ms < $asof_ms group by all
"""

INTERESTS = """
with near as (
    select m.customer_id, m.asof_ms, l.product_id, l.kind, l.ts_ms
    from moments m join lines l
        on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms and l.ts_ms >= m.asof_ms - $window_days * $day
    where l.product_id is not null
),
looked as (
    select customer_id, asof_ms, product_id, count(*) as views, max(ts_ms) as last_view_ms
    from near where kind = 'view' group by all
)
from looked anti join (from near where kind = 'purchase') using (customer_id, asof_ms, product_id)
"""


@dataclass(frozen=True)
class TextIndex:
    """The sorted texts of the shard's own words and of every target of the shop; `of_word`: the place of each word."""

    texts: pl.Series
    of_word: pl.Series

    @classmethod
    def of(cls, own: pl.DataFrame, shared: PopulationSums) -> "TextIndex":
        """From columns word and code of the shard, and the whole shop's targets."""
        words = own.sort("code")["word"]
        texts = pl.concat([words, shared["targets"]["target"]]).unique().sort().rename("target")
        return cls(texts, cls._places(words, texts))

    @staticmethod
    def _places(texts: pl.Series, among: pl.Series) -> pl.Series:
        place = among.to_frame("text").with_row_index("place")
        return texts.to_frame("text").join(place, on="text", how="left", maintain_order="left")["place"]

    def numbered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with its target as a place here, whether it was a word's number or a text."""
        target = frame["target"]
        place = self._places(target, self.texts) if target.dtype == pl.String else self.of_word.gather(target)
        return frame.with_columns(place.cast(pl.UInt32).alias("target"))


def estimate_affinities(
    shard: Shard, moments: Relation, shared: PopulationSums, settings: ProfileSettings
) -> Iterator[pl.DataFrame]:
    """Table AFFINITIES for the customers and moments of `moments` (columns customer_id, asof_ms), one frame per moment.

    Forecasts are those of counts alone; forecast.py makes more of them. At the `earlier` moments of `shared` there are
    no targets that were never bought.

    Formulas and errors: repeat_purchases.py for targets bought, first_purchases.py for targets never bought.
    Forecasts are null for a moment earlier than every moment of `shared`.
    """
    yield AFFINITIES.empty()
    yield from (_finish(*table[1:]) for table in _tables(shard, moments, shared, settings))


class MomentAffinities(NamedTuple):
    """AFFINITIES of one moment: of all customers (none at an `earlier` moment), and of those that forecasters learn
    from; the sums over all of them (`target_facts`).
    """

    rows: pl.DataFrame
    learned: pl.DataFrame
    facts: pl.DataFrame


def estimate_affinities_by_moment(
    shard: Shard, moments: Relation, shared: PopulationSums, settings: ProfileSettings, share: float
) -> Iterator[MomentAffinities]:
    """`estimate_affinities`, and those of a share of the customers, drawn by hash, from which forecasters learn."""
    people = fetch_frame(read_lines(shard, settings.zone).people)
    people = people.filter(pl.Series(hash_units("purchases", people["name"].to_list()) < share))
    for asof_ms, found, lines, names in _tables(shard, moments, shared, settings):
        facts = target_facts(found)
        facts = facts.with_columns(names.texts.gather(facts["target"]).alias("target"))
        if asof_ms in shared.earlier:
            learned = _finish(found.filter(pl.col("customer_id").is_in(people["customer_id"].implode())), lines, names)
            yield MomentAffinities(learned.clear(), learned, facts)
        else:
            rows = _finish(found, lines, names)
            yield MomentAffinities(rows, rows.filter(pl.col("customer_id").is_in(people["name"].implode())), facts)


class _Table(NamedTuple):
    asof_ms: int
    found: pl.DataFrame
    lines: PurchaseLines
    names: TextIndex


def _tables(shard: Shard, moments: Relation, shared: PopulationSums, settings: ProfileSettings) -> Iterator[_Table]:
    lines = read_lines(shard, settings.zone)
    names = TextIndex.of(number_texts(shard, settings.zone), shared)
    known = fetch_frame(read_moments(lines, moments, shared, shared.earlier))
    for part in known.sort("asof_ms").partition_by("asof_ms", maintain_order=True):
        yield _Table(part["asof_ms"][0], _at_moment(shard, names, part, shared, settings), lines, names)


def target_facts(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums per moment and target over AFFINITIES of some customers: how many bought it, lately, and are expected to."""
    recent = [(pl.col("recency_days") < days).sum().alias(f"within_{days}") for days in (28, 56)]
    known = rows.select("asof_ms", "target", "bought", "recency_days", "buy_prob").filter("bought")
    return known.group_by("asof_ms", "target").agg(pl.len().alias("people"), *recent, exact_sum(pl.col("buy_prob")))


def _at_moment(
    shard: Shard, names: TextIndex, known: pl.DataFrame, shared: PopulationSums, settings: ProfileSettings
) -> pl.DataFrame:
    """All targets of the customers of one moment, customers and targets as numbers."""
    asof_ms = known["asof_ms"][0]
    paced = order_pace(shard, asof_ms, settings).join(known.select(*KEY, "shared_ms"), on=KEY, maintain_order="left")
    choices = names.numbered(read_purchase_counts(shard, settings).before(asof_ms, settings))
    bought = _bought(choices, paced, names, shared, settings)
    novel = bought.clear() if asof_ms in shared.earlier else _novel(shard, paced, names, shared, settings)
    viewed = fetch_frame(sql.run_select(bind(VIEWED, asof_ms=asof_ms), lines=read_lines(shard, settings.zone).rows))
    viewed = names.numbered(viewed).join(known.select(KEY), on="customer_id")
    table = pl.concat([bought, novel], how="diagonal").join(viewed, on=[*KEY, "target"], how="full", coalesce=True)
    return table.join(known.select("customer_id", "has_shelf"), on="customer_id", how="left")


def find_interests(shard: Shard, moments: Relation, shared: PopulationSums, settings: ProfileSettings) -> pl.DataFrame:
    """Products viewed but not bought in the last `interest_days`; none for data without views. Where the catalogue has
    words or pictures also, with 0 views, products few have bought yet that are like what they buy (new_products.py).

    Columns customer_id, asof_ms, product_id, views, last_view_ms, buy_rate.

    `buy_rate` is the share of such customer-product pairs that were bought in the following window of the same length,
    one window before the shared moment, per product and shrunk towards all products: (bought + s p) / (pairs + s) with
    s = 20 pairs; null where the shop has no such history yet.
    """
    lines = read_lines(shard, settings.zone)
    known = read_moments(lines, moments, shared)
    query = bind(INTERESTS, window_days=settings.interest_days, day=DAY_MS)
    seen = fetch_frame(sql.run_select(query, moments=known, lines=lines.rows))
    table = lines.texts(seen.join(fetch_frame(known).select(*KEY, "shared_ms"), on=KEY), "product_id")
    counts = shared["interests"].rename({"asof_ms": "shared_ms"})
    overall = counts.group_by("shared_ms").agg((pl.col("bought").sum() / pl.col("pairs").sum()).alias("overall"))
    table = table.join(counts, on=["shared_ms", "product_id"], how="left").join(overall, on="shared_ms", how="left")
    bought, pairs = pl.col("bought").fill_null(0), pl.col("pairs").fill_null(0)
    rate = ((bought + 20 * pl.col("overall")) / (pairs + 20)).alias("buy_rate")
    table = table.select(*KEY, "product_id", "views", "last_view_ms", rate)
    if shared.vectors is not None:
        table = _and_new(table, new_product_interests(shard, fetch_frame(moments), shared, settings))
    return table.sort(*KEY, "product_id")


def _and_new(viewed: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """What was looked at, and the new products that were not."""
    if new.is_empty():
        return viewed
    return pl.concat([viewed, new.join(viewed, on=[*KEY, "product_id"], how="anti")], how="vertical_relaxed")


def _bought(
    choices: pl.DataFrame, pace: pl.DataFrame, names: TextIndex, shared: PopulationSums, settings: ProfileSettings
) -> pl.DataFrame:
    orders = order_prior(shared["orders"])
    prior = names.numbered(target_prior(shared["targets"], shared["orders"]))
    table = choices.join(pace.drop("orders"), on=KEY).join(orders, on="shared_ms", how="left")
    table = without_constants(table.join(prior, on=["shared_ms", "target"], how="left")).with_columns(
        (pl.col("faded_orders") / pl.col("choice_weight")).alias("n_c"),
        (pl.col("faded_choices") / pl.col("choice_weight")).alias("e"),
    )
    # by a number Polars divides one row, and multiplies several by its reciprocal: so here all are multiplied
    recency = (pl.col("asof_ms") - pl.col("last_ms")) * (1 / DAY_MS)
    whole = pl.col("revenue_cents").sum().over(KEY)
    fades = math.log(2) / settings.visit_half_life_days / 2  # effective days to days: a new customer's past is short
    days = (pl.col("eff_days") * fades).clip(0, 1 - 1e-9).arctanh() * (1 / fades)
    own = pl.col("recent_list_cents") * settings.window_days / days.clip(settings.window_days, settings.recent_days)
    share = settings.own_share
    return add_purchase_forecast(table, settings.window_days).with_columns(
        (pl.col("expected_cents") * (1 - share) + own * share if share else pl.col("expected_cents")),
        recency.alias("recency_days"),
        (pl.col("gap_days") - recency).alias("due_in_days"),
        pl.when(whole > 0).then(pl.col("revenue_cents") / whole).alias("spend_share"),
        pl.lit(True).alias("bought"),
    )


def _novel(
    shard: Shard, paced: pl.DataFrame, names: TextIndex, shared: PopulationSums, settings: ProfileSettings
) -> pl.DataFrame:
    """The never bought targets of highest score, at most `plausible_targets` a customer; ties by target name."""
    parts = [pl.DataFrame(schema={"customer_id": pl.Int32, "asof_ms": pl.Int64, "target": pl.UInt32})]
    if not paced.height or paced["shared_ms"][0] is None:
        return parts[0]
    shared_ms = paced["shared_ms"][0]
    space, first = build_target_space(shared, shared_ms, settings), first_purchase_times(shard, settings)
    prior, column_W = names.numbered(space.prior), target_columns(space.targets, number_texts(shard, settings.zone))
    check = shared["calibration"].filter(pl.col("asof_ms") == shared_ms)
    for chunk in paced.iter_slices(CHUNK):
        who = chunk["customer_id"].to_numpy()
        bought_NK = incidence(first, who, column_W, len(space.targets), chunk["asof_ms"][0])
        found = find_plausible_targets(prospects(bought_NK, chunk, space, settings), settings.plausible_targets)
        prob = calibrated_probability(found.prior, found.score, check)
        chosen = prior[found.column].select("target", "a", "alpha", "value_cents", "value_strength", "value_var")
        table = pl.concat([chunk[found.row].select(*KEY, "eff_orders"), chosen], how="horizontal")
        parts.append(_value(table.with_columns(pl.Series("buy_prob", prob, dtype=pl.Float64))))
    return pl.concat(parts, how="diagonal")


def _value(table: pl.DataFrame) -> pl.DataFrame:
    """Expected value of a first purchase: about -ln(1 - prob) orders, each worth the target's mean order."""
    spread = pl.col("value_var") * (1 + 1 / pl.col("value_strength")) / pl.col("value_cents").clip(lower_bound=1.0) ** 2
    relative = (1 / (pl.col("alpha") + pl.col("eff_orders")) + 1 / pl.col("a") + spread).sqrt()
    expected = -(1 - pl.col("buy_prob").clip(upper_bound=0.99)).log() * pl.col("value_cents")
    return table.select(
        *KEY,
        "target",
        pl.lit(False).alias("bought"),
        "buy_prob",
        expected.alias("expected_cents"),
        (expected * relative).alias("expected_se_cents"),
    )


def _finish(table: pl.DataFrame, lines: PurchaseLines, names: TextIndex) -> pl.DataFrame:
    """Columns and types of AFFINITIES. Counts of things that did not happen are 0; what cannot be known stays null."""
    counts = ["orders", "list_cents", "revenue_cents", "recent_list_cents", "recent_revenue_cents", "views"]
    table = table.sort("customer_id", "target")  # numbers sort as their texts do
    table = lines.texts(table).with_columns(
        names.texts.gather(table["target"]),
        pl.lit(lines.target_kind).alias("target_kind"),
        pl.col("bought").fill_null(False),
        pl.when(pl.col("has_shelf")).then(pl.col("deal_share")).alias("deal_share"),
        *(pl.col(name).fill_null(0) for name in counts),
    )
    return AFFINITIES.conform(table)
