"""Serve a plan of creatives as a release, and learn the next shares from its impressions and clicks.

Each learning run is one batch of the bandit. It adds the campaign's impressions and clicks in the ledger to the counts
that the plan was learned from.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, exists, select

from promolift.core.customers.settings import ConsentSettings
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.terms import Benefit
from promolift.extensions.ads.creatives import (
    COUNTS_FRAME,
    bandit_policy,
    describe_next_shares,
    estimate_policy_values,
    plan_impressions,
    serving_shares,
    split_by_time,
)
from promolift.extensions.ads.results import CreativeCatalogue
from promolift.foundation.errors import BudgetError, PromoError, SupportError
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CUSTOMERS
from promolift.foundation.time.clock import DAY_MS
from promolift.foundation.version import __version__
from promolift.server.decisions.live_release import CREATIVE_POLICY, AdCell
from promolift.server.ledger.event_rows import OFFER_MESSAGE
from promolift.server.ledger.policy import FrequencyCap, Pacing, Policy
from promolift.server.ledger.records import Campaign, LearningProposal, LearningTask
from promolift.server.ledger.schema import DECISIONS, EVENTS
from promolift.server.tasks.response_counts import NOT_A_RESPONSE
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.pipeline.release import CUSTOMER_COLUMNS, Manifest, freeze_release, new_draft, read_manifest
from promolift.shop.results.plan_note import PlanNote

CREATIVE_MENU_ITEM = MenuItem(id="creative", benefit=Benefit(type="reminder"), valid_days=1)
DEFAULT_AUDIENCE = "everybody"  # the audience of those who were shown what everybody gets
IMPRESSION_SCHEMA = {
    "creative": pl.String, "shown": pl.Float64, "clicks": pl.Float64, "prob": pl.Float64, "placement": pl.String,
    "audience": pl.String, "at": pl.Int64, "test": pl.String, "customer": pl.String,
}  # fmt: skip


def build_release(store: Store) -> str | None:
    """Freeze the work folder's plan of creatives as a release; its id, None where the folder has another plan."""
    if PlanNote.has(store) or not CreativeCatalogue.has(store):
        return None
    return freeze_shares(store.root, CreativeCatalogue.load_shares(store), CreativeCatalogue.load(store))


def freeze_shares(root: Path, planned: pl.DataFrame, catalogue: CreativeCatalogue) -> str:
    """Freeze shares (`serving_shares`) as a release and return its id. BudgetError if no impression is planned."""
    settings, shown = catalogue.settings, planned.filter(pl.col("share") > 0)
    budget = int(settings.budget * settings.price_cents + 1e-6)
    if shown.is_empty() or budget < 1:
        raise BudgetError(
            "budget_too_small",
            gettext_lazy("creatives: no impression is planned, or the budget is below one minor unit; raise it"),
        )
    cells = pl.concat([shown, shown.group_by("placement", "creative").agg(pl.col("share").sum())], how="diagonal")
    cells = cells.with_columns(pl.col("share") / pl.col("share").sum().over("placement", "audience"))
    where = [AdCell(*row).key for row in cells.select("placement", "audience").iter_rows()]
    rows = cells.select(
        pl.Series("customer_id", where), offer_id="creative", target=pl.lit(None, pl.String), gain_cents="share",
        cost_cents=pl.lit(settings.price_cents), charge_cents=pl.lit(0.0), eligible=pl.lit(True),
        why_not=pl.lit(None, pl.String), scope=pl.lit("all"), kind=pl.lit(None, pl.String),
        menu_id=pl.lit(CREATIVE_MENU_ITEM.id),
    ).sort("customer_id", "offer_id")  # fmt: skip
    text = pl.lit(None, pl.String)
    frames = {
        "candidates": rows,
        # the price of an impression is how many of those who ask see none
        "frontier": pl.DataFrame({"cost_cents": [0.0, settings.budget * settings.price_cents], "price": [1.0, 0.0]}),
        "customers": CUSTOMERS.empty().select(CUSTOMER_COLUMNS),
        "messages": rows.clear().select("customer_id", "offer_id", text.alias(f"message_{settings.language}")),
        "products": pl.DataFrame(schema=dict.fromkeys(("product_id", "target", "name", "category"), pl.String)),
        "counts": planned.select(COUNTS_FRAME.columns).filter(pl.col("shown") > 0),
    }  # fmt: skip
    draft, files = new_draft(root), {}
    for name, frame in frames.items():
        frame.write_parquet(draft / f"{name}.parquet", compression="zstd")
        files[name] = sha256_of_file(draft / f"{name}.parquet")
    terms = ReleaseTerms(
        campaign_id=settings.campaign, policy_id=CREATIVE_POLICY, policy_version=files["candidates"][:16], price=0.0,
        draws="shares",
    )  # fmt: skip
    note = PlanNote(
        budget_cents=budget, gain_cents=0.0, gain_low_cents=None, gain_high_cents=None, cost_cents=float(budget),
        added_cents=0.0, subsidy_cents=0.0, treated=settings.budget, customers=settings.budget, held_out=0, barred=0,
        price=0.0, worth=0.0, bound_cents=0.0, planned_cents=0.0, gap=0.0, evidence="assumed",
        explain="creatives by their shares; what they earn is counted in clicks", terms=terms,
        menu=(CREATIVE_MENU_ITEM,), shop=ShopSettings(languages=(settings.language,)),
        consent=ConsentSettings(default=settings.unasked), window_days=settings.days,
    )  # fmt: skip
    return freeze_release(draft, Manifest(
        form=2, code=__version__, plan=note, terms=terms, offers=(), files=files, creatives=catalogue,
    ))  # fmt: skip


def initial_policy(catalogue: CreativeCatalogue, now_ms: int, own: Policy) -> Policy:
    """What a campaign's creatives begin with: its own cap and pacing, or where it has none the plan's cap on each
    creative and the plan's budget paced over its days from now on.
    """
    settings = catalogue.settings
    caps = own.caps or (FrequencyCap(offers=settings.cap, days=1.0, each=True),)
    pacing = own.pacing or Pacing(
        starts_ms=now_ms, ends_ms=now_ms + settings.days * DAY_MS, arrivals=float(settings.budget)
    )
    return own.model_copy(update={"caps": caps, "pacing": pacing})


def load_impressions(db: Connection, campaign_id: str, since_ms: int = 0) -> pl.DataFrame:
    """The campaign's impressions with their clicks, as `read_creatives` has rows. A click is what takes an offer up
    elsewhere, too: any event of the decision but a view or a dismissal. `prob` is the creative's among those open,
    given that one was shown: whether one was, was drawn apart from which.
    """
    clicked = exists().where(
        EVENTS.c.decision_id == DECISIONS.c.decision_id, EVENTS.c.name.not_in(NOT_A_RESPONSE | {OFFER_MESSAGE})
    )
    columns = DECISIONS.c.offer_id, DECISIONS.c.ts_ms, DECISIONS.c.propensity, DECISIONS.c.price, DECISIONS.c.terms
    mine = DECISIONS.c.campaign_id == campaign_id, DECISIONS.c.policy_id == CREATIVE_POLICY  # it may have served offers
    shown = *mine, DECISIONS.c.unanswered == 0, DECISIONS.c.offer_id != "none", DECISIONS.c.ts_ms >= since_ms
    found = db.execute(select(*columns, clicked.label("clicked")).where(*shown).order_by(DECISIONS.c.decision_id))
    rows = pl.DataFrame(map(_impression, found), schema=IMPRESSION_SCHEMA, orient="row", infer_schema_length=None)
    return rows.filter(pl.col("placement").is_not_null())


def _impression(row: Any) -> tuple[Any, ...]:
    creative, ts_ms, propensity, price, said, clicked = row
    terms = json.loads(said)
    shown = (1 - price) * (1 - terms.get("holdout_share", 0.0))
    where = terms.get("placement"), terms.get("audience") or DEFAULT_AUDIENCE
    return creative, 1.0, float(clicked), min(1.0, propensity / shown), *where, ts_ms, "all", None


def learn_next_shares(
    db: Connection, task: LearningTask, counted: Callable[..., pl.DataFrame]
) -> LearningProposal | None:
    """The next shares, from the counts the plan began with and all that was shown since on days that are `counted`, as
    far back as clicks are kept; frozen as a release, with what the shares of its earlier part would have earned on the
    later. None for a campaign of offers, SupportError where nobody clicked.
    """
    served = (Campaign.find(db, task.campaign_id) or Campaign()).release or ""
    home = task.work / "serve" / "releases" / served
    try:
        catalogue = read_manifest(home, served).creatives
    except PromoError:  # whether its decisions say anything without it is for others to see
        catalogue = None
    if catalogue is None:
        return None
    rows = counted(load_impressions(db, task.campaign_id, task.events_since_ms), at="at")
    counts = pl.read_parquet(home / "counts.parquet")
    if rows.is_empty() or not float(rows["clicks"].sum()) + float(counts["clicks"].sum()):
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "creatives: nobody clicked yet; events with the decision_id, such as Promotion Clicked, say so"
            ),
        )
    explore, every = catalogue.settings.explore, catalogue.creatives
    earlier, later = split_by_time(rows)
    before, values = pl.concat([counts, earlier.select(COUNTS_FRAME.columns)]), {}
    if before["clicks"].sum():
        values = estimate_policy_values(later, {"next shares": bandit_policy(before, explore, every)}).values
    why = f"{later['clicks'].sum():.0f} clicks in {later.height:,} later impressions, {rows.height:,} served in all"
    whole = pl.concat([counts, rows.select(COUNTS_FRAME.columns)])
    plan = plan_impressions(whole, bandit_policy(whole, explore, every), catalogue.settings)
    made = freeze_shares(task.work, serving_shares(plan, counts), catalogue)
    return LearningProposal(made=made, why=LazyMessage.from_stored(describe_next_shares(values, why)))
