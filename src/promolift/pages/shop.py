"""A shop's work folder in; the Story that its report tells out: no figure is made here, they are gathered and named."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from promolift import message
from promolift.pages.planned import Chosen, Household
from promolift.pages.story import Shop, Story, Unknown
from promolift.results import effects
from promolift.results.customers import Customers, ShopWeek, Tastes
from promolift.results.evaluation import Evaluation, Lead
from promolift.results.foreseen import Foreseen
from promolift.results.job import Job, Moments, moments
from promolift.results.messages import Messages
from promolift.results.person import Given, Person
from promolift.results.plan import INTERVAL_PERCENT, LIMIT, Luck, Plan, headline
from promolift.results.shop import Health, Offers, Outlook
from promolift.results.shop import Unknown as Unlearned
from promolift.sql import bind, fetch
from promolift.terms import Offer, Words

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
TYPICAL = 6  # offers of which a typical customer is shown
POLICIES = {
    "plan": "promolift's plan",
    "nobody": "nobody",
    "everybody": "everybody the same coupon, whatever it costs",
    "same_coupon": "everyone the same coupon",
    "best_customers_same_coupon": "best customers first (RFM), the same coupon",
    "best_customers_own_offer": "best customers first (RFM), each their best offer",
    "best_response": "likeliest to redeem first",
    "random": "random offers",
}
CARDS = 5  # customers whose stories are told
TOLD = {
    "age": "age {}", "sex": "{}", "occupation": "{}", "income": "income {}", "household_comp": "{}",
    "home_ownership": "{}",
}  # fmt: skip


def tell_story(job: Job) -> Story:
    """Everything the report shows, from what the steps kept."""
    at, store = moments(job), job.store
    plan, found, shop = Plan.load(store), Evaluation.load(store), job.config.shop
    zh_en = labels(job, plan)
    english = {target: words.en for target, words in zh_en.items()}
    response = effects.ResponseFigures.of(effects.response(store), english)
    foreseen, no_outlook = outlook_told(job, at)
    words, said, cards = offer_table(job), Messages.load(store), households(job, at)
    affinities = job.profiled.affinities(at.asof)
    people = Customers.of(job.profiled.profiles(at.asof), affinities, [card.customer_id for card in cards])
    return Story(
        shop=Shop(
            name=shop.name, currency=shop.currency, language=shop.language, timezone=shop.zone, asof_ms=at.asof,
            window_days=job.config.plan.window_days, history_days=364, budget_cents=plan.note.budget_cents,
            data_label="real data" if job.config.data.source == "complete-journey" else "the shop's data",
        ),
        interval_percent=INTERVAL_PERCENT,
        health=Health.load(store),
        customers=people,
        tastes=Tastes.of(named(job, affinities, english)),
        week=week(job),
        foreseen=foreseen,
        response=response,
        targeting=effects.Targeting.load(store),
        predictions=found.predictions,
        frontier=plan.frontier,
        chosen=chosen(plan, job, zh_en, found.luck),
        policies=policy_rows(found.judged),
        lead=lead(found.lead),
        policies_note=policies_note(found.policies),
        mix=plan.offers.join(words, on="offer_id", how="left", maintain_order="left"),
        typical=said.typical(TYPICAL).join(words, on="offer_id", how="left", maintain_order="left"),
        written=said.written,
        silent=said.silent,
        households=cards,
        unknowns=[*unknowns(job, plan, found.unchecked), *unforeseen(no_outlook)],
        missing=dict.fromkeys(("mix", "households"), next(iter(plan.note.why), "nobody gets an offer"))
        | {"predictions": found.unchecked.get("purchases", "there is too little to check"), "discount_share": UNREDUCED}
        | {"tastes": "the log names no amounts to take shares of"}
        | ({"foreseen": no_outlook} if no_outlook and job.config.encoder.depth else {})
        | found.unchecked,
    )  # fmt: skip


def labels(job: Job, plan: Plan) -> dict[str, Words]:
    """The readable name of every target of the candidates."""
    printed = job.clean.printed_names(plan.targets.filter(pl.col("kind") == "product")["target"])
    return {target: message.label(printed.get(target, target), kind) for target, kind in plan.targets.iter_rows()}


def named(job: Job, affinities: pl.DataFrame, english: Mapping[str, str]) -> pl.DataFrame:
    """customer_id, target and spend_share of what was bought and may be told, the target as it is printed."""
    rows = affinities.filter(pl.col("bought") & (pl.col("spend_share") > 0))
    kinds = rows.select("target", "target_kind").unique().sort("target")
    printed = job.clean.printed_names(kinds.filter(pl.col("target_kind") == "product")["target"])
    told = {
        t: english.get(t) or message.label(printed.get(t, t), kind).en
        for t, kind in kinds.iter_rows()
        if message.is_couponable(printed.get(t, t), kind)
    }
    return rows.filter(pl.col("target").is_in(list(told))).select(
        "customer_id",
        pl.col("target").replace_strict(told, return_dtype=pl.String).str.to_titlecase(),
        "spend_share",
    )


def week(job: Job) -> ShopWeek | None:
    """Orders by hour of the week in the shop's zone."""
    sql, clean = bind(HOURS, zone=job.config.shop.zone), job.clean
    return ShopWeek.of(pl.concat([fetch(clean.events(shard).query("events", sql)) for shard in clean.shards]))


def chosen(made: Plan, job: Job, names: dict[str, Words], luck: Luck | None) -> Chosen:
    """The plan's headline, its place on the budget curve, its certificate and what it stands on."""
    plan = made.note
    head = headline(plan, luck)
    return Chosen(
        budget_cents=plan.budget_cents, gain_cents=None if job.clean.moneyless else head.gain_cents,
        low_cents=head.low_cents, high_cents=head.high_cents, promised_cents=head.promised_cents,
        cost_cents=plan.cost_cents, spent_share=plan.spent_share, price=plan.worth, next_cents=plan.next_cents,
        treated=plan.treated, treated_share=plan.treated_share, eligible=plan.able, customers=plan.customers,
        held_out=plan.held_out, barred=plan.barred, offers=made.offers.height, bound_cents=plan.bound_cents,
        missing_cents=plan.missing_cents, gap=plan.gap, evidence=plan.evidence, why=plan.why,
        luck=None if head.promised_cents is None else luck, assumptions=plan.fragile_first,
        half=made.curve.at(plan.budget_cents / 2), twice=made.curve.at(2.0 * plan.budget_cents),
        gain_means=f"margin added in {job.config.plan.window_days} days, after the shop's part of the discounts",
        explanation=binding(plan.limits, names),
    )  # fmt: skip


def binding(limits: Sequence[str], names: dict[str, Words]) -> str | None:
    """Which limits hold gain back, the dearest first, in words."""
    said = [name.removeprefix(LIMIT) for name in limits]
    if not said:
        return None
    words = [f"at most so much of the budget on {names[name].en}" if name in names else name for name in said]
    return f"Loosening these limits would pay, the first one most: {'; '.join(words[:5])}."


def policy_rows(judged: pl.DataFrame | None) -> pl.DataFrame | None:
    """Policies at equal spend, under the names that the report gives them."""
    if judged is None:
        return None
    return judged.select(
        pl.col("policy").replace(POLICIES),
        pl.col("expected_profit_cents").alias("profit_cents"),
        pl.col("low").alias("low_cents"),
        pl.col("high").alias("high_cents"),
        pl.col("lead_low").alias("lead_low_cents"),
        pl.col("lead_high").alias("lead_high_cents"),
        "spend_cents",
        pl.col("treated").round().cast(pl.Int64),
        "evidence",
        (pl.col("policy") == "plan").alias("ours"),
    )


def lead(found: Lead | None) -> Lead | None:
    """The lead of the plan, its rival by its name in the report."""
    return found and found.model_copy(update={"rival": POLICIES.get(found.rival, found.rival)})


def policies_note(rows: pl.DataFrame | None) -> str | None:
    """How the comparison was made fair."""
    if rows is None:
        return None
    if "check" in rows["valued_by"]:
        return (
            "Customers were split into two halves by hash. Who is offered what was decided with the response of one "
            "half and valued with that of the other, for every policy alike, so that no policy is graded by the "
            "estimate that chose it. The plan shown here is made that way; that of other chapters uses both halves. "
            "Intervals cover the draw of customers, not the error that all policies share in the response; the limit "
            "per category binds the plan alone."
        )
    return (
        "All policies are valued by the same assumed response that chose the plan: this shows consistency, not proof."
    )


def offer_table(job: Job) -> pl.DataFrame:
    """offer_id and offer, its words, of every planned offer."""
    rows = [(offer.id, message.offer_words(offer, "en")) for offer in Offers.load(job.store).offers]
    return pl.DataFrame(rows, schema={"offer_id": pl.String, "offer": pl.String}, orient="row")


def unforeseen(why: str | None) -> list[Unknown]:
    """What nobody knows without an encoder."""
    return [] if why is None else [Unknown("What each customer will do next, as a learned encoder would see it.", why)]


def unknowns(job: Job, plan: Plan, unchecked: Mapping[str, str]) -> list[Unknown]:
    """What nobody knows from this data, why it matters, and what would tell."""
    value, held = job.config.value, job.config.plan.holdout_share
    notes = [
        Unknown(
            "Whether this plan earns what is expected.",
            "Nothing in the data was given by chance, so every effect here is an estimate.",
            f"Send the plan: {held:.0%} of the customers are held out by hash, and the difference to them will tell."
            if held
            else "Set plan.holdout_share, so that some customers are held out and the difference can tell.",
        ),
        Unknown(
            "Whether a personal offer works like a shelf discount.",
            "The response was read from prices open to everybody; a message may be missed, or noticed more.",
            "The held-out customers answer this, too.",
        ),
    ]
    if not job.clean.catalogue["cost_cents"].drop_nulls().len():
        what = f"The margin: {value.margin_rate:.0%} of undiscounted value is assumed for every product."
        notes.append(Unknown(what, "Profit is proportional to it.", "Give the products their cost_cents."))
    for menu_id in plan.unmeasured:
        notes.append(
            Unknown(
                f"What the offer {menu_id!r} adds where it was never measured.",
                "It is listed with an assumed effect and not planned.",
                "Try it on a small share of customers drawn by hash.",
            )
        )
    gaps = {f"No {name} model": reason for name, reason in effects.NoModel.load(job.store) if reason}
    gaps |= {f"Not checked: {name}": reason for name, reason in unchecked.items()}
    gaps |= {f"Not known of anybody: {name}": why for name, why in Unlearned.load(job.store).reasons.items()}
    notes += [Unknown(f"{what}.", reason) for what, reason in sorted(gaps.items())]
    return notes


def households(job: Job, at: Moments) -> list[Household]:
    """Five different plans: the largest expected gain of five menu lines or categories, described customers first."""
    messages = Messages.load(job.store).rows
    offers = Offers.load(job.store).by_id
    described = job.clean.people
    picked = pick(messages, described)
    profiles = job.profiled.profiles(at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    if (ahead := job.profiled.outlook) is not None:
        profiles = profiles.join(ahead.select("customer_id", "churn_prob", "leans_to"), on="customer_id", how="left")
    about = {row["customer_id"]: row for row in profiles.iter_rows(named=True)}
    details = {row["customer_id"]: row for row in described.iter_rows(named=True)}
    tastes = top_tastes(job, at, picked)
    return [
        household(
            row, about.get(row["customer_id"], {}), details.get(row["customer_id"], {}), tastes, offers[row["offer_id"]]
        )
        for row in picked.iter_rows(named=True)
    ]


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


def household(
    row: dict[str, Any], profile: dict[str, Any], said: dict[str, Any], tastes: dict[str, list[str]], offer: Offer
) -> Household:
    """One card."""
    given, person = Given.of(row), Person.of(profile)
    return Household(
        customer_id=given.customer_id,
        who=who(person, said, tastes.get(given.customer_id, [])),
        facts=facts(person),
        offer=message.offer_words(offer, "en"),
        why=given.reason,
        gain_cents=given.gain_cents,
        low_cents=given.low_cents,
        high_cents=given.high_cents,
        cost_cents=given.cost_cents,
        message_zh=given.message_zh,
        message_en=given.message_en,
        evidence=given.evidence,
    )


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


def facts(person: Person) -> list[tuple[str, str]]:
    """Figures of the profile, as far as they are known."""
    shown = [
        ("orders in a year", "orders_52w", "{:,.0f}"),
        ("last order, days ago", "recency_days", "{:.0f}"),
        ("paid less than list price", "discount_share", "{:.0%}"),
        ("lines bought on a shelf deal", "deal_share", "{:.0%}"),
        ("chance to stay away for two months", "churn_prob", "{:.0%}"),
        ("leans to", "leans_to", "{}"),
    ]
    known = [(name, getattr(person, key), form) for name, key, form in shown]
    rows = [(name, form.format(value)) for name, value, form in known if value is not None]
    value, within = person.price_sensitivity, person.sensitivity_within
    if value is not None and within is not None:
        rows.append(("price sensitivity, log odds", f"{value:+.2f} ± {within:.2f}"))
    return rows


def outlook_told(job: Job, at: Moments) -> tuple[Foreseen | None, str | None]:
    """The outlook, or why there is none."""
    note, ahead = Outlook.load(job.store), job.profiled.outlook
    if note.checked is None or ahead is None:
        return None, note.missing
    return Foreseen.of(note.checked, note.told, mapped_people(job, at, ahead), mapped_goods(job)), None


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
