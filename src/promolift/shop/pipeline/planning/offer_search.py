"""Add offers beyond the menu to its candidates: by grid search, or by the candidate source of an extension.

A candidate source is a function of the job, the moments, the customers, the grid's valued candidates, and the settings
of proposals and rules; it returns PROPOSALS. Proposals are ordinary candidates of ordinary menu lines, which the plan
keeps with the menu's own: effects, evidence, rules and the allocation treat them as any other.
"""

import polars as pl

from promolift.core import allocation, offers
from promolift.core import effects as effect
from promolift.core.offers.menu import list_pairs, pair_menu_item
from promolift.core.offers.proposals import (
    MenuCandidates,
    NewLines,
    OfferInputs,
    best_rows_per_line,
    grid_lines,
    propose_candidates,
    select_lines,
)
from promolift.core.offers.settings import OfferProposalSettings
from promolift.foundation.extension import load_reference, registered
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.tables.schemas import CANDIDATES
from promolift.shop.pipeline.planning.plan_limits import LEVELS, close_weak, evidence_floor
from promolift.shop.results import effects
from promolift.shop.results.work_folder.plan_inputs import budget_cents
from promolift.shop.results.work_folder.run_context import Job, Moments

ROWS_PER_SLICE = 400_000  # candidates whose effects are worked out at once


def add_proposals(
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
    job.tell("plan", 0.3, gettext_lazy("offers beyond the menu"))
    price = menu_price(job, share * budget_cents(job, at), close_weak(menu, floor))
    items = grid_lines(settings, job.config.menu, settings.scopes)
    priced = grid_rows(job, people, items, rules)
    if settings.proposals != "grid":
        propose = load_reference(registered("candidates")[settings.proposals])
        drafts: pl.DataFrame = propose(job, at, people, priced, settings, rules)
        made = propose_candidates(drafts, job.config.menu, people, rules, settings.valid_days)
        made = made._replace(rows=value_candidates(job, made.rows))
    else:
        made = find_new_lines(job, items, priced, price, settings)
    known = close_weak(made.rows, floor)
    ids = tuple(select_lines(menu, known, price, settings.new_lines, settings.least_share))
    found = NewLines(ids, price, floor)
    rows = add_best_proposals(menu, known, found, settings)
    used = set(rows["menu_id"])
    return MenuCandidates(
        rows, (*job.config.menu, *(item for item in made.menu if item.id in ids and item.id in used)), found
    )


def propose_from_lines(
    job: Job, menu: pl.DataFrame, people: OfferInputs, rules: offers.OfferRules, found: NewLines
) -> pl.DataFrame:
    """Add to `menu` the best proposals of lines that were found before, for other customers."""
    settings, ids = job.config.offer, set(found.ids)
    grid = grid_lines(settings, job.config.menu, settings.scopes)
    items = [item for item in grid if {item.id, pair_menu_item(item).id} & ids]
    rows = find_new_lines(job, items, grid_rows(job, people, items, rules), found.price, settings).rows
    return add_best_proposals(menu, close_weak(rows, found.floor), found, settings)


def grid_rows(job: Job, people: OfferInputs, items: list[offers.MenuItem], rules: offers.OfferRules) -> pl.DataFrame:
    """Valued candidates of these lines."""
    grid = offers.list_candidates(people.profiles, people.targets, items, rules, people.resting)
    return value_candidates(job, grid.filter(pl.col("menu_id") != "none"))


def add_best_proposals(
    menu: pl.DataFrame, proposed: pl.DataFrame, found: NewLines, settings: OfferProposalSettings
) -> pl.DataFrame:
    """Add to `menu` each customer's best proposed rows of the lines found."""
    best = best_rows_per_line(proposed.filter(pl.col("menu_id").is_in(found.ids)), found.price, settings.per_line)
    return pl.concat([menu, best], how="diagonal").sort("customer_id", "offer_id")


def menu_price(job: Job, budget: float, menu: pl.DataFrame) -> float:
    """The price of a cent of budget where the menu alone is planned."""
    free = menu.filter(pl.col("eligible") & (pl.col("offer_id") != "none"))
    return allocation.plan(free, budget, seed=job.config.plan.seed).allocation.price


def find_new_lines(
    job: Job, items: list[offers.MenuItem], priced: pl.DataFrame, price: float, settings: OfferProposalSettings
) -> MenuCandidates:
    """Return the grid's lines that the menu lacks, with their valued candidates and pairs of categories."""
    for_all = [each for each in job.config.menu if not (each.min_spend_cents or each.segments or each.untried)]
    known = {(item.scope, item.depth) for item in for_all}
    fresh = [item for item in items if (item.scope, item.depth) not in known]
    rows = priced.filter(pl.col("menu_id").is_in([item.id for item in fresh]))
    if not settings.pairs:
        return MenuCandidates(rows, tuple(fresh))
    both = value_candidates(job, list_pairs(priced, items, price).select(*CANDIDATES.schema, "parts"))
    two = [pair_menu_item(item) for item in items if item.scope == "category"]
    return MenuCandidates(pl.concat([rows, both], how="diagonal"), (*fresh, *two))


def value_candidates(job: Job, rows: pl.DataFrame) -> pl.DataFrame:
    """Add the predicted effect to candidates in order of customer and offer, in slices that fit in memory."""
    response, odds = effects.load_response(job.store), job.effects.redemption_odds(rows["customer_id"])
    key = ("customer_id", "offer_id")
    slices = (rows.slice(start, ROWS_PER_SLICE) for start in range(0, max(rows.height, 1), ROWS_PER_SLICE))
    done = pl.concat([effect.add_effects(each, response, odds, job.config.value) for each in slices], rechunk=False)
    who, what = (pl.col(name) for name in key)
    ordered = (who > who.shift()) | ((who == who.shift()) & (what > what.shift()))
    return done if done.select(ordered.all()).item() else done.sort(key)
