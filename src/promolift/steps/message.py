"""Step 5: the plan in; printable offers, codes, verified words in both languages and the reason of each row kept."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from promolift import deliver, llm, message
from promolift.deliver.files import safe_cells
from promolift.offer import make_offer
from promolift.results import effects, reasons
from promolift.results.job import Job, moments
from promolift.results.plan import Plan
from promolift.results.shop import Offers
from promolift.sql import DAY_MS, bind, fetch
from promolift.terms import Offer
from promolift.words import speaking

LAST_BOUGHT = """
select customer_id, arg_max(product_id, (ts_ms, product_id)) as product_id from events
where kind = 'purchase' and product_id is not null and ts_ms >= $since and ts_ms < $asof
group by customer_id order by customer_id
"""
COMPANION_DAYS = 7  # a purchase older than this is no longer "just bought"


def run(job: Job) -> None:
    """Write and verify the words of every planned offer; a text that breaks a rule stops the step."""
    kept = Plan.load(job.store)
    plan, offers = kept.chosen, planned_offers(job, kept)
    job.tell("message", 0.1, f"words of {plan.height:,} offers in two languages")
    known = plan.rename({"bought": "known"})  # a flag here, but `bought` means the purchase to be mentioned there
    named = known.join(names(job), on="customer_id", how="left").join(
        companions(job, plan), on="customer_id", how="left"
    )
    style = message.Style(seed=job.config.plan.seed)
    drafts = drafted(job, named, offers, style)
    written = message.write_all(named.sort("customer_id"), offers, style, drafts=drafts)
    written = written.rename({"bought": "companion", "known": "bought"})
    campaign = job.config.plan.campaign
    keys = [deliver.CodeKey(campaign, who, what) for who, what in written.select("customer_id", "offer_id").iter_rows()]
    codes = deliver.unique_codes(keys, job.store.secret())
    coded = written.with_columns(pl.Series("code", [codes[key] for key in keys], dtype=pl.String))
    job.store.save("messages", explained(job, coded))
    Offers(offers=tuple(offers.values())).keep(job.store)


def drafted(
    job: Job, plan: pl.DataFrame, offers: dict[str, Offer], style: message.Style
) -> dict[message.Brief, message.Draft] | None:
    """The model's free words by brief, kept for review as `message_pool`; None where the template writes alone."""
    settings = job.config.message
    if settings.writer == "template":
        return None
    needed = message.briefs(plan, offers, style, settings.languages)
    writer = llm.writer_of(settings.writer, job.config.llm)
    pool = message.fill_pool(list(needed), writer, message.reviewer(needed, style), style.seed)
    table = reviewed(message.pool_frame(pool), settings.review)
    job.store.save("message_pool", table)
    free = table["approved"].to_list() if settings.review else [True] * len(pool)
    drafts = {entry.brief: entry.draft for entry, said in zip(pool, free, strict=True) if entry.draft and said}
    job.tell("message", 0.5, f"{len(drafts):,} of {len(pool):,} drafts are used; the rest is left to the template")
    return drafts


def reviewed(pool: pl.DataFrame, review: str | None) -> pl.DataFrame:
    """The pool with what a person said in the review file, to which new texts are added."""
    if review is None:
        return message.with_verdicts(pool, None)
    path = Path(review)
    read = pl.read_csv(path, infer_schema=False) if path.exists() else None
    table = message.with_verdicts(pool, read)
    asked = safe_cells(message.to_review(table, read))
    if read is None or not asked.equals(read.fill_null("").select(asked.columns)):
        draft = path.with_name(f".{path.name}.draft")
        asked.write_csv(draft, include_bom=True)
        draft.replace(path)
    return table


def planned_offers(job: Job, plan: Plan) -> dict[str, Offer]:
    """The printable offers of the plan by id, valid from the day of the plan."""
    shop = job.config.shop
    starts = datetime.fromtimestamp(moments(job).asof / 1000, ZoneInfo(shop.zone))
    menu = {item.id: item for item in plan.note.menu}
    rows = plan.chosen.select("offer_id", "menu_id", "target", "scope", "kind").unique().sort("offer_id")
    printed = job.clean.printed_names(rows.filter(pl.col("kind") == "product")["target"])
    offers = {}
    for offer_id, menu_id, target, scope, kind in rows.iter_rows():
        label = None if scope == "all" else message.label(printed.get(target, target), kind)
        covers = kind if scope == "category" else scope
        offers[offer_id] = make_offer(menu[menu_id], target or "", covers, label, starts, shop.currency)
    return offers


def companions(job: Job, plan: pl.DataFrame) -> pl.DataFrame:
    """customer_id, bought, bought_kind, bought_category: the last purchase of those who get an offer on one product."""
    asof = moments(job).asof
    sql = bind(LAST_BOUGHT, since=asof - COMPANION_DAYS * DAY_MS, asof=asof)
    last = pl.concat([fetch(job.clean.events(shard).query("events", sql)) for shard in job.clean.shards])
    one = plan.filter(pl.col("scope") == "product").select("customer_id").join(last, on="customer_id")
    catalogue = job.clean.catalogue.select("product_id", "name", "category")
    return one.join(catalogue, on="product_id", how="left").select(
        "customer_id",
        pl.coalesce("name", "product_id").alias("bought"),
        pl.lit("product").alias("bought_kind"),
        pl.col("category").alias("bought_category"),
    )


def names(job: Job) -> pl.DataFrame:
    """customer_id and name of those whose name is known."""
    return job.clean.people.select("customer_id", "name")


def explained(job: Job, plan: pl.DataFrame) -> pl.DataFrame:
    """The plan with `reason`, `reason_zh` and `motive`: why this offer for this customer, from their own figures."""
    asof, currency = moments(job).asof, job.config.shop.currency
    who = plan["customer_id"].implode()
    bought = job.profiled.affinities(asof).filter(pl.col("customer_id").is_in(who))
    printed = job.clean.printed_names(plan.filter(pl.col("kind") == "product")["target"])
    known = reasons.habits(job.profiled.profiles(asof), bought, effects.response(job.store), currency, printed)
    rows = plan.sort("customer_id")
    why = [reasons.reason(row, known) for row in rows.iter_rows(named=True)]
    with speaking("zh"):
        why_zh = [reasons.reason(row, known).text for row in rows.iter_rows(named=True)]
    return rows.with_columns(
        pl.Series("reason", [each.text for each in why], dtype=pl.String),
        pl.Series("reason_zh", why_zh, dtype=pl.String),
        pl.Series("motive", [each.motive for each in why], dtype=pl.String),
    )
