"""Step 5: write the message of every planned offer, with its printable terms, code and reason.

Of customers who are held out the step keeps which text their message would have had, so that a text can be compared
with them; they get none.
"""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from promolift.core import messages
from promolift.core.decisions import withheld_offers
from promolift.core.experiments.audiences import NOT_BOUGHT
from promolift.core.messages.composition import AUDIENCE_REASONS
from promolift.core.messages.offer_text import neutral_name
from promolift.core.offers import product_names
from promolift.core.offers.colour_names import with_colour
from promolift.core.offers.coupon_codes import CodeKey, unique_codes
from promolift.core.offers.menu import end_of_day, make_offer
from promolift.core.offers.terms import Offer, covered_targets
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LANGUAGES, LocalizedText
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.sql import run_select as query
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.configuration.goods_names import shop_names
from promolift.shop.pipeline.pool_file import load_shop_pool
from promolift.shop.reports import offer_reasons
from promolift.shop.results import effects
from promolift.shop.results.line_tests import all_draws
from promolift.shop.results.messages import Offers, PoolWords, read_tallies
from promolift.shop.results.plan import Plan
from promolift.shop.results.segments import load_play_members
from promolift.shop.results.work_folder.run_context import Job, map_shards, moments

# The last view, cart and purchase of each product a customer met lately.
RECENT_CONTACT_SQL = """
select customer_id, product_id,
  max(ts_ms) filter (kind = 'view') as view_ms, max(ts_ms) filter (kind = 'add_to_cart') as cart_ms,
  max(ts_ms) filter (kind = 'purchase') as bought_ms
from events semi join mine using (customer_id) where product_id is not null and ts_ms >= $since and ts_ms < $asof
  and kind in ('view', 'add_to_cart', 'purchase')
group by all order by all
"""
RECENT_DAYS = 14  # no angle looks further back
PLAY_REASONS = {language: f"play_reason_{language}" for language in LANGUAGES}  # the columns of `plan`
WITHHELD = (
    "customer_id", "offer_id", "angle", *(f"{name}_{each}" for name in ("text", "text_prob") for each in LANGUAGES),
)  # fmt: skip
ABOUT = ("gap_days", "due_in_days")  # of the target, where it is one
PERSON = (
    "top_category_1", "top_category_2", "top_category_3", "recency_days", "cadence_days", "tenure_days",
    "orders_total", "redemption_recency_days", "exposures_total", "basket_median_cents", "basket_p90_cents",
)  # fmt: skip


# Words and not a code: Han characters, letters alone with small ones among them, or such a word beside others.
READS_AS_NAME = r"\p{Han}|^\p{L}*\p{Ll}{2}\p{L}*$|(^|\s)\p{L}*\p{Ll}{2}\p{L}*\s|\s\p{L}*\p{Ll}{2}\p{L}*$"
NUMBERED = r"(?i)^(product|produkt|produit|producto|prodotto|item|article|artikel|goods?)\W*\d+$"  # no name either
MOST_BOUGHT_SQL = """
select customer_id, product_id, count(*) as times, max(ts_ms) as last_ms
from events semi join mine using (customer_id)
where kind = 'purchase' and ts_ms < $asof group by all
"""


def run(job: Job) -> None:
    """Fill and gate the words of every planned offer; a message that breaks a rule stops the step."""
    kept = Plan.load(job.store)
    plan, offers = kept.chosen, planned_offers(job, kept)
    job.tell("message", 0.1, gettext_lazy("words of {height} offers", height=f"{plan.height:,}"))
    wording = wording_of(job.config).keep(job.store)
    choice = wording.choice(read_tallies(job.store.root / "serve"))
    rows = add_message_facts(job, add_reasons(job, add_angles(job, plan)), offers)
    written = messages.write_messages(rows, offers, choice, wording.way, job.config.shop.languages, wording.names)
    withheld = add_message_facts(job, add_angles(job, withheld_rows(kept, offers)), offers)
    unsent = messages.write_messages(withheld, offers, choice, wording.way, job.config.shop.languages, wording.names)
    job.store.save("withheld", unsent.select(column for column in WITHHELD if column in unsent.columns))
    if not choice.texts:
        job.tell(
            "message",
            0.9,
            gettext_lazy("no text of the pool may be sent: offers stand alone; see `promolift words review`"),
        )
    campaign = job.config.plan.campaign
    keys = [CodeKey(campaign, who, what) for who, what in written.select("customer_id", "offer_id").iter_rows()]
    asked = (key for key in keys if offers[key.offer_id].activation == "code")  # no other offer is redeemed by one
    codes = unique_codes(asked, job.store.secret())
    job.store.save("messages", written.with_columns(pl.Series("code", map(codes.get, keys), dtype=pl.String)))
    Offers(offers=tuple(offers.values())).keep(job.store)


def add_message_facts(job: Job, rows: pl.DataFrame, offers: Mapping[str, Offer]) -> pl.DataFrame:
    """Add the customer's name, and what plays and reminders state as their reason."""
    named = rows.join(customer_names(job), on="customer_id", how="left").sort("customer_id")
    return add_reminder_reasons(job, add_play_reasons(job, named), offers)


def withheld_rows(plan: Plan, offers: Mapping[str, Offer]) -> pl.DataFrame:
    """Return the candidate that each customer who is held out would have got, of offers that others get."""
    given = withheld_offers(plan.held_out(), plan.note.terms).filter(pl.col("offer_id").is_in(list(offers)))
    return plan.candidates_of(given)


def wording_of(config: Config) -> PoolWords:
    """The texts of the shop's pool, or of the one that ships, in its languages; the rule packs, and who sends."""
    settings = config.message
    pool = load_shop_pool(settings)
    sender = settings.sender.model_copy(update={"name": settings.sender.name or config.shop.name[:20]})
    return PoolWords(
        texts=pool.in_languages(config.shop.languages).texts,
        approve=settings.approve,
        packs=settings.packs,
        sender=sender,
        seed=config.plan.seed,
        names=shop_names(settings),
    )


def planned_offers(job: Job, plan: Plan) -> dict[str, Offer]:
    """The printable offers of the plan by id, valid from the day of the plan, and none longer than the plan's days."""
    return printable_offers(job, plan, plan.chosen)


def printable_offers(job: Job, plan: Plan, candidates: pl.DataFrame) -> dict[str, Offer]:
    """The offers of some of the plan's candidates by id, as the plan would print them."""
    shop = job.config.shop
    starts = datetime.fromtimestamp(moments(job).asof / 1000, ZoneInfo(shop.zone))
    ends, menu = end_of_day(starts, plan.note.days), {item.id: item for item in plan.note.menu}
    rows = candidates.select("offer_id", "menu_id", "target", "scope", "kind").unique().sort("offer_id")
    printed = job.clean.printed_names(rows.filter(pl.col("kind") == "product")["target"])
    offers, colours = {}, job.clean.colours
    within = dict(job.clean.catalogue.select("product_id", "category").iter_rows())
    names = shop_names(job.config.message)
    for offer_id, menu_id, target, scope, kind in rows.iter_rows():
        own = None if scope == "all" else names.get(target)
        label = own or (
            None if scope == "all" else product_names.readable_name(printed.get(target, target), kind, names)
        )
        if label and kind == "product" and label not in names.values():
            label = readable_label(label, within.get(target), colours.get(target))
        covers = kind if scope == "category" else scope
        offers[offer_id] = make_offer(menu[menu_id], target or "", covers, label, starts, shop.currency, ends)
    return offers


def readable_label(label: LocalizedText, category: str | None, colour: str | None = None) -> LocalizedText:
    """The label of a product, with its colour, or with its category in place of a name that no sentence of a language
    can hold, or that says what only the offer may: for '乌龙茶' English says 'a selected product in tea'."""
    named = label if colour is None else with_colour(label, colour)
    names = {}
    for language in LANGUAGES:
        own = label.text_in(language)
        names[language] = named.text_in(language) if product_names.names_in(own, language) else own
        within = product_names.readable_name(category, "category").text_in(language) if category else ""
        if within and product_names.names_in(within, language) and not product_names.names_in(own, language):
            names[language] = neutral_name(within, language)
    return LocalizedText.model_validate(names)


def customer_names(job: Job) -> pl.DataFrame:
    """Return customer_id and name of customers whose name is known."""
    return job.clean.people.select("customer_id", "name")


def add_angles(job: Job, plan: pl.DataFrame) -> pl.DataFrame:
    """Add the angle of each row, all angles that fit, and what was just bought."""
    kept = messages.add_angles(message_facts(job, plan)).select(
        "customer_id", "offer_id", "angle", "angles", "angle_until_ms",
        pl.when(pl.col("angle") == "just_bought").then("bought_name").alias("bought_name"),
    )  # fmt: skip
    return plan.join(kept, on=["customer_id", "offer_id"], how="left")


def add_reminder_reasons(job: Job, rows: pl.DataFrame, offers: Mapping[str, Offer]) -> pl.DataFrame:
    """Say why each reminder comes: what its customer bought most often as `bought_name`, or where that has no name or
    is a private matter, a sentence that is true of their audience as `play_reason_` of each language."""
    reminders = [name for name, offer in offers.items() if offer.benefit.type == "reminder"]
    mine = rows.filter(pl.col("offer_id").is_in(reminders)).select("customer_id").unique()
    if mine.is_empty():
        return rows
    sql = bind(MOST_BOUGHT_SQL, asof=moments(job).asof)
    bought = pl.concat(map_shards(job, recent_contacts, job.clean.shards, sql, mine))
    refused = job.clean.personal.filter(~pl.col("personal").fill_null(True))
    most = name_most_bought(bought.join(refused, on="customer_id", how="anti"), job.clean.catalogue)
    rows = rows.join(most, on="customer_id", how="left", maintain_order="left")
    own = pl.when(pl.col("offer_id").is_in(reminders)).then("most")
    rows = rows.with_columns(bought_name=pl.coalesce("bought_name", own)).drop("most")
    reasons = {language: PLAY_REASONS[language] for language in job.config.shop.languages}
    unsaid = pl.all_horizontal(pl.col("bought_name", *reasons.values()).is_null())
    alone = pl.col("offer_id").is_in(reminders) & unsaid
    audience = pl.coalesce(
        pl.col("customer_id").replace_strict(drawn_audiences(job), default=None, return_dtype=pl.String),
        pl.when(pl.col("customer_id").is_in(bought["customer_id"].implode()))
        .then(pl.lit("bought")).otherwise(pl.lit(NOT_BOUGHT)),
    )  # fmt: skip
    return rows.with_columns(
        pl.when(alone).then(audience.replace_strict({k: v.text_in(language) for k, v in AUDIENCE_REASONS.items()}))
        .otherwise(name).alias(name)
        for language, name in reasons.items()
    )  # fmt: skip


def drawn_audiences(job: Job) -> dict[str, str]:
    """The audience in which each customer of this plan drew, where a sentence is true of it; of who has not bought yet
    their own purchases tell more."""
    if (drawn := all_draws(job.store)) is None:
        return {}
    now = (pl.col("campaign_id") == job.config.plan.campaign) & (pl.col("ts_ms") == moments(job).asof)
    mine = drawn.filter(now & pl.col("group").is_in([name for name in AUDIENCE_REASONS if name != NOT_BOUGHT]))
    return dict(mine.select("customer_id", "group").iter_rows())


def name_most_bought(bought: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """customer_id and `most`, the name of what each bought most often: a name in the catalogue, or a product id that
    reads as one. `bought` has customer_id, product_id, times and last_ms."""
    known = bought.drop_nulls("product_id")
    rows = known.join(catalogue.select("product_id", "name", "category"), on="product_id", how="left")
    key = pl.col("product_id")
    own = pl.when(key.str.contains(READS_AS_NAME) & ~key.str.contains(NUMBERED)).then(key)
    rows = rows.with_columns(most=pl.coalesce("name", own)).drop_nulls("most")
    named = rows.select("most", "category").unique(maintain_order=True)
    private = [product_names.is_unfit(name) or bool(within and product_names.is_sensitive(within))
               for name, within in named.iter_rows()]  # fmt: skip
    open_ = named.filter(~pl.Series(private, dtype=pl.Boolean))
    rows = rows.join(open_, on=["most", "category"], how="semi", nulls_equal=True)
    return rows.sort("times", "last_ms", "product_id").group_by("customer_id").last().select("customer_id", "most")


def add_play_reasons(job: Job, rows: pl.DataFrame) -> pl.DataFrame:
    """Add per language `play_reason_`: what the shop's own plays state as the reason of their messages."""
    languages = job.config.shop.languages
    if not job.config.plays:
        return rows.with_columns(pl.lit(None, pl.String).alias(PLAY_REASONS[each]) for each in languages)
    stated = [(play.id, *map(play.reason_in, languages)) for play in job.config.plays]
    schema = dict.fromkeys(("play", *(PLAY_REASONS[each] for each in languages)), pl.String)
    members = load_play_members(job.store).select("customer_id", "play")
    mine = members.join(pl.DataFrame(stated, schema, orient="row"), on="play").drop("play")
    return rows.join(mine, on="customer_id", how="left", maintain_order="left")


def add_reasons(job: Job, plan: pl.DataFrame) -> pl.DataFrame:
    """Add `reason_facts` and `motive`: why this customer gets this offer, by the customer's own figures."""
    asof, currency = moments(job).asof, job.config.shop.currency
    about = offer_targets(plan).select("customer_id", pl.col("part").alias("target"))
    bought = job.profiled.affinities(asof, plan["customer_id"]).join(about, on=["customer_id", "target"], how="semi")
    printed = job.clean.printed_names(plan.filter(pl.col("kind") == "product")["target"])
    known = offer_reasons.load_habits(
        job.profiled.profiles(asof), bought, effects.load_response(job.store), currency, printed, plan
    )
    rows = add_novelty(job, plan).sort("customer_id")
    why = [
        (offer_reasons.reason_facts(row, known), offer_reasons.offer_reason(row, known).motive)
        for row in rows.iter_rows(named=True)
    ]
    facts = pl.DataFrame(why, {"reason_facts": pl.String, "motive": pl.String}, orient="row")
    return rows.drop("is_new", strict=False).hstack(facts)


def add_novelty(job: Job, plan: pl.DataFrame) -> pl.DataFrame:
    """Add `is_new`: the product was not looked at, but is new and similar to what the customer buys."""
    if job.clean.vectors is None:
        return plan
    new = job.profiled.interests(moments(job).asof).filter(pl.col("views") == 0)
    pairs = new.select("customer_id", pl.col("product_id").alias("target"), is_new=pl.lit(True))
    return plan.join(pairs, on=["customer_id", "target"], how="left")


def offer_targets(plan: pl.DataFrame) -> pl.DataFrame:
    """Return customer_id, offer_id and `part`: a row per category or product of a planned offer, null for none."""
    covers = pl.col("target").map_elements(lambda t: list(covered_targets(t)), pl.List(pl.String))
    parts = plan.select("customer_id", "offer_id", covers.alias("part"))
    return parts.explode("part", empty_as_null=True, keep_nulls=True)


def message_facts(job: Job, plan: pl.DataFrame) -> pl.DataFrame:
    """All that `messages.add_angles` asks of each planned row: affinity, profile, and what happened lately."""
    asof, key = moments(job).asof, ["customer_id", "offer_id"]
    parts = offer_targets(plan)
    affinity = job.profiled.affinities(asof, plan["customer_id"]).rename({"target": "part", "bought": "had"})
    habits = affinity.select("customer_id", "part", "had", "orders", *ABOUT)
    halves = parts.join(habits, on=["customer_id", "part"], how="left")
    met = _lately(job, asof, plan["customer_id"])
    halves = halves.join(_met(met), on=["customer_id", "part"], how="left")
    single = pl.len() == 1
    about = halves.group_by(key).agg(
        *(pl.when(single).then(pl.col(name).first()).alias(name) for name in ("orders", *ABOUT)),
        pl.when(~single).then(pl.col("orders").fill_null(0).min()).alias("pair_orders"),
        pl.when(~single).then((pl.col("gap_days") - pl.col("due_in_days")).max()).alias("pair_recency_days"),
        pl.col("had").any().alias("bought"), pl.col("view_ms").max(), pl.col("cart_ms").max(),
    )  # fmt: skip
    people = job.profiled.profiles(asof)
    sensitive = (
        pl.col("price_sensitivity").alias("sensitivity"),
        pl.col("price_sensitivity_se").alias("sensitivity_se"),
    )
    people = people.select("customer_id", *(name for name in PERSON if name in people.columns), *sensitive)
    if job.clean.exposures is None:  # nobody knows who was sent what
        people = people.with_columns(exposures_total=pl.lit(None))
    rows = plan.drop("bought", "price_sensitivity", strict=False).join(about, on=key, how="left")
    rows = rows.join(people, on="customer_id", how="left").join(_just(met), on="customer_id", how="left")
    return rows.join(job.clean.personal, on="customer_id", how="left").with_columns(
        asof_ms=pl.lit(asof), within=pl.lit(None)
    )


def _lately(job: Job, asof: int, customer_ids: pl.Series) -> pl.DataFrame:
    mine = pl.DataFrame({"customer_id": customer_ids.unique()})
    sql = bind(RECENT_CONTACT_SQL, since=asof - RECENT_DAYS * DAY_MS, asof=asof)
    met = pl.concat(map_shards(job, recent_contacts, job.clean.shards, sql, mine))
    return met.join(job.clean.catalogue.select("product_id", "name", "category", "type"), on="product_id", how="left")


def recent_contacts(job: Job, shard: int, sql: str, mine: pl.DataFrame) -> pl.DataFrame:
    """Return what customers of a shard recently viewed, added to the cart and bought."""
    return fetch_frame(query(sql, events=job.clean.events(shard), mine=mine))


def _met(met: pl.DataFrame) -> pl.DataFrame:
    """Per customer and `part` (a product, its category or type): when it was last looked at and put into the cart.

    Null where the same was bought since.
    """
    kinds = [met.with_columns(part=pl.col(name)) for name in ("product_id", "category", "type")]
    last = (
        pl.concat(kinds)
        .drop_nulls("part")
        .group_by("customer_id", "part")
        .agg(pl.col("view_ms").max(), pl.col("cart_ms").max(), pl.col("bought_ms").max())
    )
    since = pl.col("bought_ms").fill_null(0)
    return last.select(
        "customer_id", "part",
        *(pl.when(pl.col(name) > since).then(pl.col(name)).alias(name) for name in ("view_ms", "cart_ms")),
    )  # fmt: skip


def _just(met: pl.DataFrame) -> pl.DataFrame:
    """customer_id, bought_key, bought_name, bought_within, bought_ms: the last purchase of each."""
    last = met.drop_nulls("bought_ms").sort("bought_ms", "product_id").group_by("customer_id").last()
    return last.select(
        "customer_id",
        pl.col("product_id").alias("bought_key"),
        pl.coalesce("name", "product_id").alias("bought_name"),
        pl.col("category").alias("bought_within"),
        "bought_ms",
    )
