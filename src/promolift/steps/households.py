"""Messages and profiles in; five customers' stories out: who they are, what they get and why, what they read."""

from typing import Any

import polars as pl

from promolift import message
from promolift.pages import Household
from promolift.results.messages import Messages
from promolift.results.person import Given, Person
from promolift.results.shop import Offers
from promolift.steps.job import Job, Moments
from promolift.steps.message import product_names
from promolift.terms import Offer

COUNT = 5
TOLD = {
    "age": "age {}", "sex": "{}", "occupation": "{}", "income": "income {}", "household_comp": "{}",
    "home_ownership": "{}",
}  # fmt: skip


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
    step = max(1, distinct.height // COUNT)
    return distinct.gather_every(step).head(COUNT)


def top_tastes(job: Job, at: Moments, picked: pl.DataFrame) -> dict[str, list[str]]:
    """The three categories each picked customer buys most often, in readable English; private ones left out."""
    rows = job.profiled.affinities(at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    often = rows.filter(pl.col("bought")).sort("orders", "target", descending=[True, False])
    printed = product_names(job, often.filter(pl.col("target_kind") == "product")["target"])
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
