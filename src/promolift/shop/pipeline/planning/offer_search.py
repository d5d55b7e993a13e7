"""The menu's candidates in; with offers proposed beyond the menu, by grid search or by the conditional generator, out.

Proposals are ordinary candidates of ordinary menu lines, which the plan keeps with the menu's own: effects, evidence,
rules and the allocation treat them as any other.
"""

from typing import TYPE_CHECKING

import polars as pl

from promolift.core import allocation, offers
from promolift.core import effects as effect
from promolift.core.customers.vectors import Floats, main_directions, summed
from promolift.core.offers.menu import list_pairs, pair_line
from promolift.core.offers.proposals import (
    PROPOSALS,
    MenuCandidates,
    NewLines,
    OfferInputs,
    best_lines,
    grid_lines,
    keep_best,
    propose_candidates,
)
from promolift.core.offers.repair import repair, with_terms
from promolift.core.offers.settings import OfferProposalSettings
from promolift.foundation.errors import ConfigError, SupportError
from promolift.foundation.sql import bind
from promolift.foundation.tables.schemas import CANDIDATES, LEVEL, TARGET
from promolift.shop.pipeline.planning.plan_limits import LEVELS, close_weak, evidence_floor
from promolift.shop.results import effects
from promolift.shop.results.work_folder.plan_inputs import budget_cents
from promolift.shop.results.work_folder.run_context import Job, Moments, found_in, mapped

if TYPE_CHECKING:
    from promolift.extensions.generator.offer_generator import Market

DIRECTIONS = 4  # of words and pictures that the generator tells targets apart by
SLICE = 400_000  # candidates whose effects are worked out at once
ACCEPTED = f"""
with {LEVEL},
l as (
    select e.customer_id, e.order_id, {TARGET} as target, e.coupon_cents, e.list_cents
    from events e cross join level left join products p on p.product_id = e.product_id
    where e.kind = 'purchase' and e.list_cents > 0 and e.ts_ms < $asof and e.order_id is not null
)
select customer_id, order_id, target, round(100 * sum(coupon_cents) / sum(list_cents))::bigint as percent
from l where coupon_cents > 0 and target is not null
group by customer_id, order_id, target order by customer_id, order_id, target
"""


def with_proposals(
    job: Job,
    at: Moments,
    menu: pl.DataFrame,
    rules: offers.OfferRules,
    settings: OfferProposalSettings,
    people: OfferInputs,
    share: float = 1.0,
) -> MenuCandidates:
    """`menu` (candidates with their effects) with each customer's best proposals of the few lines that add most.

    None where the menu's own effects are only assumed: a search would find what was assumed. `people` are the customers
    of `menu`, and `share` how many they are of all.
    """
    if settings.proposals == "none":
        return MenuCandidates(menu, job.config.menu)
    floor = evidence_floor(job, menu)
    if floor == LEVELS[0] and job.config.plan.min_evidence == "auto":
        return MenuCandidates(menu, job.config.menu)
    job.tell("plan", 0.3, "offers beyond the menu")
    price = menu_price(job, share * budget_cents(job, at), close_weak(menu, floor))
    items = grid_lines(settings, job.config.menu, settings.scopes)
    priced = grid_rows(job, people, items, rules)
    if settings.proposals == "gan":
        drafts = drawn(job, at, people, priced, settings, rules)
        made = propose_candidates(drafts, job.config.menu, people, rules, settings.valid_days)
        made = made._replace(rows=value(job, made.rows))
    else:
        made = beyond(job, items, priced, price, settings)
    known = close_weak(made.rows, floor)
    ids = tuple(best_lines(menu, known, price, settings.new_lines, settings.least_share))
    found = NewLines(ids, price, floor)
    rows = with_best(menu, known, found, settings)
    used = set(rows["menu_id"])
    return MenuCandidates(
        rows, (*job.config.menu, *(item for item in made.menu if item.id in ids and item.id in used)), found
    )


def of_lines(
    job: Job, menu: pl.DataFrame, people: OfferInputs, rules: offers.OfferRules, found: NewLines
) -> pl.DataFrame:
    """`menu` with the best proposals of lines that were found before, for other customers."""
    settings, ids = job.config.offer, set(found.ids)
    grid = grid_lines(settings, job.config.menu, settings.scopes)
    items = [item for item in grid if {item.id, pair_line(item).id} & ids]
    rows = beyond(job, items, grid_rows(job, people, items, rules), found.price, settings).rows
    return with_best(menu, close_weak(rows, found.floor), found, settings)


def grid_rows(job: Job, people: OfferInputs, items: list[offers.MenuItem], rules: offers.OfferRules) -> pl.DataFrame:
    """Valued candidates of these lines."""
    grid = offers.list_candidates(people.profiles, people.targets, items, rules, people.resting)
    return value(job, grid.filter(pl.col("menu_id") != "none"))


def with_best(
    menu: pl.DataFrame, proposed: pl.DataFrame, found: NewLines, settings: OfferProposalSettings
) -> pl.DataFrame:
    """`menu` and each customer's best of the proposed rows that are of the lines found."""
    best = keep_best(proposed.filter(pl.col("menu_id").is_in(found.ids)), found.price, settings.per_line)
    return pl.concat([menu, best], how="diagonal").sort("customer_id", "offer_id")


def menu_price(job: Job, budget: float, menu: pl.DataFrame) -> float:
    """The price of a cent of budget where the menu alone is planned."""
    free = menu.filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
    return allocation.plan(free, budget, seed=job.config.plan.seed).allocation.price


def beyond(
    job: Job, items: list[offers.MenuItem], priced: pl.DataFrame, price: float, settings: OfferProposalSettings
) -> MenuCandidates:
    """Of the grid's lines those that the menu lacks, and their valued candidates; pairs of categories among them."""
    for_all = [each for each in job.config.menu if not (each.min_spend_cents or each.segments or each.untried)]
    known = {(item.scope, item.depth) for item in for_all}
    fresh = [item for item in items if (item.scope, item.depth) not in known]
    rows = priced.filter(pl.col("menu_id").is_in([item.id for item in fresh]))
    if not settings.pairs:
        return MenuCandidates(rows, tuple(fresh))
    both = value(job, list_pairs(priced, items, price).select(*CANDIDATES.schema, "parts"))
    two = [pair_line(item) for item in items if item.scope == "category"]
    return MenuCandidates(pl.concat([rows, both], how="diagonal"), (*fresh, *two))


def value(job: Job, rows: pl.DataFrame) -> pl.DataFrame:
    """Candidates in order of customer and offer with the effect model's word on each, a slice at a time for memory."""
    response, odds = effects.response(job.store), job.effects.redemption_odds(rows["customer_id"])
    key = ("customer_id", "offer_id")
    slices = (rows.slice(start, SLICE) for start in range(0, max(rows.height, 1), SLICE))
    done = pl.concat([effect.add_effects(each, response, odds, job.config.value) for each in slices], rechunk=False)
    who, what = (pl.col(name) for name in key)
    ordered = (who > who.shift()) | ((who == who.shift()) & (what > what.shift()))
    return done if done.select(ordered.all()).item() else done.sort(key)


def drawn(
    job: Job, at: Moments, people: OfferInputs, grid: pl.DataFrame, settings: OfferProposalSettings,
    rules: offers.OfferRules,
) -> pl.DataFrame:  # fmt: skip
    """PROPOSALS of the generator, trained on the shop's accepted coupons and repaired."""
    try:
        from promolift.extensions.generator.offer_generator import GeneratorSettings, fit_generator, market_from
    except ImportError:
        raise ConfigError(
            "extra_missing", "offer.proposals = 'gan' needs torch: pip install 'promolift[deep]', or use 'grid'"
        ) from None
    kinds = frozenset(item.benefit.type for item in job.config.menu)
    market = market_from(grid, people.profiles, settings.print.percents, kinds)
    if job.clean.vectors is not None:
        market = market.placed(slot_vectors(market, job.clean.catalogue, job.clean.vectors))
    made = fit_generator(market, accepted(job, at), GeneratorSettings(seed=settings.seed))
    drafts = made.propose(market, settings.draws, settings.seed)
    known = with_terms(drafts, grid, job.config.menu, job.config.value.margin_rate)
    return PROPOSALS.conform(repair(known, settings.print, rules.margin_floor)).unique(PROPOSALS.key)


def slot_vectors(market: "Market", goods: pl.DataFrame, vectors: pl.DataFrame) -> Floats:
    """Words and pictures of each slot's products by their main directions; 0 for everything."""
    level = next(name for name in ("category", "type", "product_id") if goods[name].count())
    seen = goods.join(vectors, on="product_id").sort("product_id")
    keys = pl.concat(["category " + seen[level], "product " + seen["product_id"]])
    names = [f"{scope} {target}" for scope, target in market.slots]
    return main_directions(summed(names, keys, pl.concat([seen["vector"]] * 2)), DIRECTIONS)


def accepted(job: Job, at: Moments) -> pl.DataFrame:
    """What was bought with a coupon before the plan, as PROPOSALS."""
    rows = pl.concat(mapped(job, found_in, job.clean.shards, bind(ACCEPTED, asof=at.asof)))
    if rows.is_empty():
        raise SupportError(
            "coupon_purchases_missing", "offer.proposals = 'gan': the logs hold no purchase with a coupon; use 'grid'"
        )
    rest = {"scope": "category", "benefit": "percent_off", "amount_cents": 0, "min_spend_cents": 0}
    return PROPOSALS.conform(rows.with_columns(pl.lit(value).alias(name) for name, value in rest.items()))
