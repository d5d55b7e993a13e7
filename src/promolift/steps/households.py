"""Five customers' stories: who they are in plain words, what they get and why, and every fact of the message ticked."""

from typing import Any

import polars as pl

from promolift import effect, message
from promolift.report import Check, Household
from promolift.results.shop import Offers
from promolift.steps.job import Job, Moments
from promolift.steps.message import product_names
from promolift.steps.profile import at_moment
from promolift.terms import Language, Offer

COUNT = 5
TOLD = {
    "age": "age {}", "sex": "{}", "occupation": "{}", "income": "income {}", "household_comp": "{}",
    "home_ownership": "{}",
}  # fmt: skip


def households(job: Job, at: Moments, response: effect.DiscountResponse) -> list[Household]:
    """Five different plans: the largest expected gain of five menu lines or categories, described customers first."""
    messages = job.store.frame("messages")
    offers = Offers.load(job.store).by_id
    picked = pick(messages, told(job))
    profiles = at_moment(job, "profiles", at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
    if job.store.has("outlook"):
        ahead = job.store.frame("outlook").select("customer_id", "churn_prob", "leans_to")
        profiles = profiles.join(ahead, on="customer_id", how="left")
    about = {row["customer_id"]: row for row in profiles.iter_rows(named=True)}
    details = {row["customer_id"]: row for row in told(job).iter_rows(named=True)}
    tastes = top_tastes(job, at, picked)
    return [
        household(
            row, about.get(row["customer_id"], {}), details.get(row["customer_id"], {}), tastes, offers[row["offer_id"]]
        )
        for row in picked.iter_rows(named=True)
    ]


def told(job: Job) -> pl.DataFrame:
    """What customers told the shop; nobody if there is no such table."""
    return (
        job.store.frame("customers") if job.store.has("customers") else pl.DataFrame(schema={"customer_id": pl.String})
    )


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
    rows = at_moment(job, "affinities", at.asof).join(picked.select("customer_id"), on="customer_id", how="semi")
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
    low, high = (row["gain_cents"] + side * 1.96 * row["gain_se_cents"] for side in (-1, 1))
    return Household(
        customer_id=row["customer_id"],
        who=who(profile, said, tastes.get(row["customer_id"], [])),
        facts=facts(profile),
        offer=f"{offer.benefit.percent} % off {offer.label.en}" if offer.label else offer.menu_id,
        why=row["reason"],
        gain_cents=row["gain_cents"],
        low_cents=low,
        high_cents=high,
        cost_cents=row["cost_cents"],
        message_zh=row["message_zh"],
        message_en=row["message_en"],
        checks=[*ticks(row, offer, "en"), *ticks(row, offer, "zh")],
        evidence=row["evidence"],
    )


def who(profile: dict[str, Any], said: dict[str, Any], tastes: list[str]) -> str:
    """One or two sentences on the customer."""
    known = [form.format(said[name]) for name, form in TOLD.items() if said.get(name)]
    parts = ["Told the shop: " + ", ".join(known) + "." if known else "Told the shop nothing about itself."]
    cadence = profile.get("cadence_days")
    if cadence is not None:
        parts.append(f"Shops about every {cadence:.0f} days." if cadence >= 1.5 else "Shops nearly every day.")
    if tastes:
        parts.append(f"Buys {', '.join(tastes)} most often.")
    return " ".join(parts)


def facts(profile: dict[str, Any]) -> list[tuple[str, str]]:
    """Figures of the profile, as far as they are known."""
    shown = [
        ("orders in 52 weeks", "orders_52w", "{:,.0f}"),
        ("last order, days ago", "recency_days", "{:.0f}"),
        ("paid less than list price", "discount_share", "{:.0%}"),
        ("lines bought on a shelf deal", "deal_share", "{:.0%}"),
        ("chance to stay away for 8 weeks", "churn_prob", "{:.0%}"),
        ("leans to", "leans_to", "{}"),
    ]
    rows = [(name, form.format(profile[key])) for name, key, form in shown if profile.get(key) is not None]
    value, error = profile.get("price_sensitivity"), profile.get("price_sensitivity_se")
    if value is not None and error is not None:
        rows.append(("price sensitivity, log odds", f"{value:+.2f} ± {1.96 * error:.2f}"))
    return rows


def ticks(row: dict[str, Any], offer: Offer, language: Language) -> list[Check]:
    """Each fact of the text as the verifier sees it now, read again from the finished message."""
    text = row[f"message_{language}"]
    broken = message.broken_rules(text, offer, language, context=context(row))
    if broken:
        return [Check(f"{language}: {rule.code}", rule.reason, False) for rule in broken]
    percent = offer.benefit.percent
    words = f"{percent} %" if language == "en" else f"{(100 - percent) / 10:g}折"
    rows = [("discount", words), ("covers", offer.label.in_(language) if offer.label else "everything")]
    rows.append(("valid through", offer.expires.date().isoformat()))
    return [Check(f"{language}: {fact}", value, True) for fact, value in rows]


def context(row: dict[str, Any]) -> message.Context:
    """What besides the offer the text may rely on: the name, and the purchase it may mention."""
    bought = row.get("companion")
    if not bought or message.is_sensitive(bought, "product") or message.is_sensitive(row.get("bought_category") or ""):
        return message.Context(name=row.get("name"))
    return message.Context(name=row.get("name"), bought=(message.label(bought, "product"),))
