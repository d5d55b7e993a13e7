"""A shop's work folder in; the Story that its report tells out: no figure is made here, they are gathered and named."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from promolift import message
from promolift.pages.story import Card, OpenQuestion, ReadFact, Story
from promolift.results import effects
from promolift.results.customers import Customers, ShopWeek, Tastes
from promolift.results.evaluation import Evaluation
from promolift.results.forecasts import Forecasts
from promolift.results.job import Job, Moments, moments
from promolift.results.messages import LANGUAGES, Messages, PoolState, PoolWords
from promolift.results.person import Given, Person
from promolift.results.plan import LIMIT, Plan, PlanNote, headline
from promolift.results.shop import ForecastNote, Health, Offers, Unknown
from promolift.sql import bind, fetch
from promolift.terms import Words

HOURS = """
with local as (
    select order_id, make_timestamp(min(ts_ms) * 1000) at time zone 'UTC' at time zone $zone as t
    from events where kind = 'purchase' group by order_id, customer_id
)
select isodow(t) - 1 as weekday, hour(t) as hour, count(*) as orders from local group by all order by all
"""
UNREDUCED = (
    "the log holds no prices before discounts; name their column under [data.events.mapping] "
    "(columns.list_unit_price or columns.shelf_discount)"
)
TYPICAL = 12  # customers whose messages are shown
CARDS = 5  # customers whose stories are told
TOLD = {
    "age": "age {}", "sex": "{}", "occupation": "{}", "income": "income {}", "household_comp": "{}",
    "home_ownership": "{}",
}  # fmt: skip


def tell_story(job: Job) -> Story:
    """Everything the report shows, from what the steps kept."""
    at, store = moments(job), job.store
    plan, found, note = Plan.load(store), Evaluation.load(store), PlanNote.load(store)
    zh_en = labels(job, plan)
    english = {target: words.en for target, words in zh_en.items()}
    forecast = forecasts_of(job, at)
    unforecast = None if forecast else ForecastNote.load(store).missing
    said, shown, offers = Messages.load(store), cards(job, at), offer_words(job)
    affinities = job.profiled.affinities(at.asof)
    nobody = next(iter(note.why), "nobody gets an offer")
    return Story(
        plan=note,
        head=None if job.clean.moneyless else headline(note, found.luck),
        luck=found.luck,
        half=plan.curve.at(note.budget_cents / 2),
        twice=plan.curve.at(2.0 * note.budget_cents),
        binding=binding(note.limits, zh_en),
        frontier=plan.frontier,
        asof_ms=at.asof,
        window_days=job.config.plan.window_days,
        data_label="real data" if job.config.data.source == "complete-journey" else "the shop's data",
        health=Health.load(store),
        customers=Customers.of(job.profiled.profiles(at.asof), affinities, [card.given.customer_id for card in shown]),
        tastes=Tastes.of(named(job, affinities, english)),
        week=week(job),
        forecast=forecast,
        response=effects.ResponseFigures.of(effects.response(store), english),
        targeting=effects.Targeting.load(store),
        predictions=found.predictions,
        policies=found.judged,
        lead=found.lead,
        offers=plan.offers.with_columns(
            pl.col("offer_id").replace_strict(offers, default=None, return_dtype=pl.String).alias("offer")
        ),
        typical=typical(job, said, offers),
        angles=list(said.angles.items()),
        pool=PoolState.of(PoolWords.load(store)) if PoolWords.has(store) else PoolState(),
        written=said.written,
        silent=said.silent,
        cards=shown,
        unknowns=[*unknowns(job, plan, found.unchecked), *no_forecast(unforecast)],
        missing={
            "offers": nobody,
            "cards": nobody,
            "predictions": found.unchecked.get("purchases", "there is too little to check"),
            "discount_share": UNREDUCED,
            "tastes": "the log names no amounts to take shares of",
        }
        | ({"forecast": unforecast} if unforecast and job.config.encoder.depth else {})
        | found.unchecked,
    )


def typical(job: Job, said: Messages, offers: Mapping[str, str]) -> list[Card]:
    """Customers of every reason and the most frequent offers, with the facts that are read in what they read."""
    printed = Offers.load(job.store).by_id
    cards = []
    for row in said.typical(TYPICAL).iter_rows(named=True):
        found = []
        for language in LANGUAGES:
            bought = (message.label(row["bought_name"], "product"),) if row.get("bought_name") else ()
            known = message.Known(name=row.get("name"), bought=bought)
            text = row[f"message_{language}"]
            read = message.facts(text, printed[row["offer_id"]], language, known=known) if text else []
            found += [ReadFact(language, fact.said, fact.kind, fact.holds) for fact in read]
        cards.append(Card(Given.of(row), offers[row["offer_id"]], read=found))
    return cards


def labels(job: Job, plan: Plan) -> dict[str, Words]:
    """The readable name of every target of the candidates."""
    printed = job.clean.printed_names(plan.targets.filter(pl.col("kind") == "product")["target"])
    return {target: message.label(printed.get(target, target), kind) for target, kind in plan.targets.iter_rows()}


def named(job: Job, affinities: pl.DataFrame, english: Mapping[str, str]) -> pl.DataFrame:
    """customer_id, target and spend_share of what was bought and may be told, the target as it is printed."""
    rows = affinities.filter(pl.col("bought") & (pl.col("spend_share") > 0))
    kinds = rows.select("target", "target_kind").unique().sort("target")
    printed = job.clean.printed_names(kinds.filter(pl.col("target_kind") == "product")["target"])
    names = {
        t: english.get(t) or message.label(printed.get(t, t), kind).en
        for t, kind in kinds.iter_rows()
        if message.is_couponable(printed.get(t, t), kind)
    }
    return rows.filter(pl.col("target").is_in(list(names))).select(
        "customer_id",
        pl.col("target").replace_strict(names, return_dtype=pl.String).str.to_titlecase(),
        "spend_share",
    )


def week(job: Job) -> ShopWeek | None:
    """Orders by hour of the week in the shop's zone."""
    sql, clean = bind(HOURS, zone=job.config.shop.zone), job.clean
    return ShopWeek.of(pl.concat([fetch(clean.events(shard).query("events", sql)) for shard in clean.shards]))


def binding(limits: Sequence[str], names: Mapping[str, Words]) -> str:
    """Which limits hold gain back, the dearest first, in words."""
    said = [name.removeprefix(LIMIT) for name in limits]
    words = [f"at most so much of the budget on {names[name].en}" if name in names else name for name in said[:5]]
    return f"Loosening these limits would pay, the first one most: {'; '.join(words)}." if words else ""


def offer_words(job: Job) -> dict[str, str]:
    """The words of every planned offer, by its id."""
    return {offer.id: message.offer_words(offer, "en") for offer in Offers.load(job.store).offers}


def no_forecast(why: str | None) -> list[OpenQuestion]:
    """What nobody knows without an encoder."""
    return (
        []
        if why is None
        else [OpenQuestion("What each customer will do next, as a learned encoder would see it.", why)]
    )


def unknowns(job: Job, plan: Plan, unchecked: Mapping[str, str]) -> list[OpenQuestion]:
    """What nobody knows from this data, why it matters, and what would tell."""
    value, held = job.config.value, job.config.plan.holdout_share
    notes = [
        OpenQuestion(
            "Whether this plan earns what is expected.",
            "Nothing in the data was randomised, so every effect here is an estimate.",
            f"Send the plan: {held:.0%} of the customers are held out by hash, and the difference to them will tell."
            if held
            else "Set plan.holdout_share, so that some customers are held out and the difference can tell.",
        ),
        OpenQuestion(
            "Whether a personal offer works like a shelf discount.",
            "The response was read from prices open to everybody; a message may be missed, or noticed more.",
            "The held-out customers answer this, too.",
        ),
    ]
    if not job.clean.catalogue["cost_cents"].drop_nulls().len():
        what = f"The margin: {value.margin_rate:.0%} of undiscounted value is assumed for every product."
        notes.append(OpenQuestion(what, "Profit is proportional to it.", "Give the products their cost_cents."))
    for menu_id in plan.unmeasured:
        notes.append(
            OpenQuestion(
                f"What the offer {menu_id!r} adds where it was never measured.",
                "It is listed with an assumed effect and not planned.",
                "Try it on a small share of customers drawn by hash.",
            )
        )
    gaps = {f"No {name} model": reason for name, reason in effects.NoModel.load(job.store) if reason}
    gaps |= {f"Not checked: {name}": reason for name, reason in unchecked.items()}
    gaps |= {f"Not known of anybody: {name}": why for name, why in Unknown.load(job.store).reasons.items()}
    notes += [OpenQuestion(f"{what}.", reason) for what, reason in sorted(gaps.items())]
    return notes


def cards(job: Job, at: Moments) -> list[Card]:
    """Five different plans: the largest expected gain of five menu lines or categories, described customers first."""
    offers, described = offer_words(job), job.clean.people
    picked = pick(Messages.load(job.store).rows, described)
    profiles = job.profiled.profiles(at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    if (ahead := job.profiled.outlook) is not None:
        profiles = profiles.join(ahead.select("customer_id", "churn_prob", "leans_to"), on="customer_id", how="left")
    about = {row["customer_id"]: Person.of(row) for row in profiles.iter_rows(named=True)}
    details = {row["customer_id"]: row for row in described.iter_rows(named=True)}
    tastes = top_tastes(job, at, picked)
    found = []
    for row in picked.iter_rows(named=True):
        given = Given.of(row)
        person = about.get(given.customer_id, Person())
        said = who(person, details.get(given.customer_id, {}), tastes.get(given.customer_id, []))
        found.append(Card(given, offers[given.offer_id], said, facts(person)))
    return found


def pick(messages: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """At most one customer per target, spread from high to low gain, those who told us something first."""
    known = messages.with_columns(pl.col("customer_id").is_in(described["customer_id"].implode()).alias("known"))
    best = known.sort(["known", "gain_cents", "customer_id"], descending=[True, True, False])
    distinct = best.unique("target", keep="first", maintain_order=True).sort(
        "gain_cents", "customer_id", descending=[True, False]
    )
    step = max(1, distinct.height // CARDS)
    return distinct.gather_every(step).head(CARDS)


def top_tastes(job: Job, at: Moments, picked: pl.DataFrame) -> dict[str, list[str]]:
    """The three categories each picked customer buys most often, in readable English; private ones left out."""
    rows = job.profiled.affinities(at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    often = rows.filter(pl.col("bought")).sort("orders", "target", descending=[True, False])
    printed = job.clean.printed_names(often.filter(pl.col("target_kind") == "product")["target"])
    found: dict[str, list[str]] = {}
    for who, target, kind in often.select("customer_id", "target", "target_kind").iter_rows():
        names = found.setdefault(who, [])
        name = printed.get(target, target)
        if len(names) < 3 and not message.is_sensitive(name, kind) and message.is_couponable(name, kind):
            names.append(message.label(name, kind).en)
    return found


def who(person: Person, said: dict[str, Any], tastes: list[str]) -> str:
    """One or two sentences on the customer."""
    known = [form.format(said[name]) for name, form in TOLD.items() if said.get(name)]
    parts = ["Told the shop: " + ", ".join(known) + "." if known else "Told the shop nothing."]
    cadence = person.cadence_days
    if cadence is not None:
        parts.append(f"Shops about every {cadence:.0f} days." if cadence >= 1.5 else "Shops nearly every day.")
    if tastes:
        parts.append(f"Buys {', '.join(tastes)} most often.")
    return " ".join(parts)


def facts(person: Person) -> dict[str, str]:
    """Figures of the profile, as far as they are known."""
    shown = [
        ("orders in a year", "orders_52w", "{:,.0f}"),
        ("last order, days ago", "recency_days", "{:.0f}"),
        ("paid less than list price", "discount_share", "{:.0%}"),
        ("lines bought on a shelf deal", "deal_share", "{:.0%}"),
        ("probability to stay away for two months", "churn_prob", "{:.0%}"),
        ("leans to", "leans_to", "{}"),
    ]
    known = [(name, getattr(person, key), form) for name, key, form in shown]
    rows = {name: form.format(value) for name, value, form in known if value is not None}
    value, within = person.price_sensitivity, person.sensitivity_within
    if value is not None and within is not None:
        rows["price sensitivity, log odds"] = f"{value:+.2f} ± {within:.2f}"
    return rows


def forecasts_of(job: Job, at: Moments) -> Forecasts | None:
    """What the encoder forecasts; None where there is no encoder: the note says why."""
    note, ahead = ForecastNote.load(job.store), job.profiled.outlook
    if note.checked is None or ahead is None:
        return None
    return Forecasts.of(note.checked, note.told, mapped_people(job, at, ahead), mapped_goods(job))


def mapped_people(job: Job, at: Moments, ahead: pl.DataFrame) -> pl.DataFrame:
    """Customers on the map with what colours them; `ahead` is what is expected of everybody."""
    shown = job.profiled.outlook_map.filter(pl.col("kind") == "customer").select("x", "y", customer_id="key")
    profiles = job.profiled.profiles(at.asof).select("customer_id", "price_sensitivity")
    return shown.join(ahead.select("customer_id", "spend_cents", "leans_to"), on="customer_id").join(
        profiles, on="customer_id", how="left"
    )


def mapped_goods(job: Job) -> pl.DataFrame:
    """Items on the map that may be told, with the shelf they belong to."""
    items = job.profiled.outlook_items.drop("embedding").filter(pl.col("name").is_not_null())
    shelf = pl.col("department").fill_null(pl.col("category")).fill_null("other")
    shown = job.profiled.outlook_map.filter(pl.col("kind") == "item").select("x", "y", item="key")
    rows = shown.join(items, on="item").with_columns(shelf.alias("shelf"))
    words = {key: message.label(key, "department").en for key in rows["shelf"].unique().sort()}
    return rows.select("name", "x", "y", pl.col("shelf").replace_strict(words, return_dtype=pl.String), "visits")
