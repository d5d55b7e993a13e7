"""Propose offers for `offer.proposals = "gan"`: train the generator on accepted coupons and draw from it."""

from typing import TYPE_CHECKING

import polars as pl

from promolift.core import offers
from promolift.core.customers.vectors import Floats, principal_directions, sum_vectors
from promolift.core.offers.proposals import PROPOSALS, OfferInputs
from promolift.core.offers.repair import add_margins, repair_offers
from promolift.core.offers.settings import OfferProposalSettings
from promolift.foundation.errors import ConfigError, SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL, CATEGORY_TARGET_SQL
from promolift.shop.results.work_folder.run_context import Job, Moments, map_shards, query_shard

if TYPE_CHECKING:
    from promolift.extensions.generator.offer_generator import OfferMarket

VECTOR_DIRECTIONS = 4  # of words and pictures that the generator tells targets apart by
ACCEPTED = f"""
with {CATEGORY_LEVEL_SQL},
l as (
    select e.customer_id, e.order_id, {CATEGORY_TARGET_SQL} as target, e.coupon_cents, e.list_cents
    from events e cross join level left join products p on p.product_id = e.product_id
    where e.kind = 'purchase' and e.list_cents > 0 and e.ts_ms < $asof and e.order_id is not null
)
select customer_id, order_id, target, round(100 * sum(coupon_cents) / sum(list_cents))::bigint as percent
from l where coupon_cents > 0 and target is not null
group by customer_id, order_id, target order by customer_id, order_id, target
"""


def generate_proposals(
    job: Job, at: Moments, people: OfferInputs, grid: pl.DataFrame, settings: OfferProposalSettings,
    rules: offers.OfferRules,
) -> pl.DataFrame:  # fmt: skip
    """PROPOSALS of the generator, trained on the shop's accepted coupons and repaired."""
    try:
        from promolift.extensions.generator.offer_generator import GeneratorSettings, build_market, fit_generator
    except ImportError:
        raise ConfigError(
            "extra_missing",
            gettext_lazy("offer.proposals = 'gan' needs torch: pip install 'promolift[deep]', or use 'grid'"),
        ) from None
    kinds = frozenset(item.benefit.type for item in job.config.menu)
    market = build_market(grid, people.profiles, settings.print.percents, kinds)
    if job.clean.vectors is not None:
        market = market.with_slot_vectors(slot_vectors(market, job.clean.catalogue, job.clean.vectors))
    made = fit_generator(market, load_accepted_offers(job, at), GeneratorSettings(seed=settings.seed))
    drafts = made.propose(market, settings.draws, settings.seed)
    known = add_margins(drafts, grid, job.config.menu, job.config.value.margin_rate)
    return PROPOSALS.conform(repair_offers(known, settings.print, rules.margin_floor)).unique(PROPOSALS.key)


def slot_vectors(market: "OfferMarket", goods: pl.DataFrame, vectors: pl.DataFrame) -> Floats:
    """Words and pictures of each slot's products by their main directions; 0 for everything."""
    level = next(name for name in ("category", "type", "product_id") if goods[name].count())
    seen = goods.join(vectors, on="product_id").sort("product_id")
    keys = pl.concat(["category " + seen[level], "product " + seen["product_id"]])
    names = [f"{scope} {target}" for scope, target in market.slots]
    return principal_directions(sum_vectors(names, keys, pl.concat([seen["vector"]] * 2)), VECTOR_DIRECTIONS)


def load_accepted_offers(job: Job, at: Moments) -> pl.DataFrame:
    """What was bought with a coupon before the plan, as PROPOSALS."""
    rows = pl.concat(map_shards(job, query_shard, job.clean.shards, bind(ACCEPTED, asof=at.asof)))
    if rows.is_empty():
        raise SupportError(
            "coupon_purchases_missing",
            gettext_lazy("offer.proposals = 'gan': the logs hold no purchase with a coupon; use 'grid'"),
        )
    rest = {"scope": "category", "benefit": "percent_off", "amount_cents": 0, "min_spend_cents": 0}
    return PROPOSALS.conform(rows.with_columns(pl.lit(value).alias(name) for name, value in rest.items()))
