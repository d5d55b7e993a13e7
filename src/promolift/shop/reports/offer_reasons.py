"""Write the reason why a customer gets an offer, in one sentence from the customer's own figures.

The plan's messages store the figures (`reason_facts`), and the sentence is made from them where it is shown. What sets
the customer apart comes before the arithmetic of the offer, so that two customers share a reason only if they share
the facts.
"""

import json
from collections.abc import Iterator, Mapping
from math import expm1
from typing import Any, Literal, NamedTuple

import polars as pl

from promolift.core import effects, messages
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import covered_targets
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import count, current_locale, day_count, join_list, money, percent
from promolift.foundation.localized_text import LocalizedText
from promolift.shop.results.messages import Motive

MOTIVES: dict[Motive, str] = {
    "away": gettext_noop("have stayed away longer than usual"),
    "deals": gettext_noop("buy it mostly when it is reduced"),
    "prices": gettext_noop("answer prices more than others"),
    "category": gettext_noop("buy a category that sells much more on a discount"),
    "spend": gettext_noop("spend much"),
    "habit": gettext_noop("buy it regularly"),
    "visits": gettext_noop("come when they usually do"),
}
AWAY = 3  # times the usual gap after which a customer is late for all
MOST_OF_ALL = 0.99  # nobody is ahead of all: they are one of them
PART_FACTS = ("base_cents", "reach", "response_net")  # of each part of an offer
TOP = 0.9  # from this share of the others on, being ahead of them in price sensitivity is
MOST = 0.8  # from this share of the others on, being ahead of them is worth saying
OFTEN = 5  # orders from which on a habit is one
LATE = 1.5  # times the usual gap after which a purchase is overdue


class KnownHabits(NamedTuple):
    """What is known of customers and their categories: rows of the profiles and of affinities, ranks from 0 to 1."""

    people: Mapping[str, dict[str, Any]]
    bought: Mapping[tuple[str, str], dict[str, Any]]
    responsive: Mapping[str, float]
    printed: Mapping[str, str]
    currency: str


def load_habits(profiles: pl.DataFrame, affinities: pl.DataFrame, response: effects.DiscountResponse, currency: str,
           printed: Mapping[str, str], of: pl.DataFrame) -> KnownHabits:  # fmt: skip
    """Load the habits of the customers in `of`, ranked among all `profiles`. `printed`: names of products by id."""
    rank = {
        f"{name}_rank": pl.col(name).rank("average") / pl.col(name).count().clip(lower_bound=1)
        for name in ("price_sensitivity", "revenue_52w_cents")
    }
    columns = ["customer_id", "recency_days", "cadence_days", "price_sensitivity", "price_sensitivity_se"]
    middle = pl.col("price_sensitivity").median().alias("middle")
    people = profiles.with_columns(middle, **rank).select(*columns, "middle", *rank)
    people = people.join(of.select("customer_id"), on="customer_id", how="semi")
    answers = response.targets
    ranks = answers.select("target", (pl.col("response").rank("average") / pl.len().clip(lower_bound=1)).alias("rank"))
    return KnownHabits(
        {row["customer_id"]: row for row in people.iter_rows(named=True)},
        {(row["customer_id"], row["target"]): row for row in affinities.iter_rows(named=True)},
        dict(ranks.iter_rows()) if answers.height >= 2 * OFTEN else {},
        printed, currency,
    )  # fmt: skip


ROW_FACTS = ("customer_id", "kind", "target", "scope", "angle", "bought_name", "is_new", "added_cents", "cost_cents",
             "benefit", "depth", *PART_FACTS, "parts")  # fmt: skip


def reason_facts(row: Mapping[str, Any], known: KnownHabits) -> str:
    """Return what the reason of one planned offer is made of, as JSON."""
    who, targets = row["customer_id"], covered_targets(row["target"])
    facts = {name: row[name] for name in ROW_FACTS if row.get(name) is not None}
    if "parts" in facts:
        facts["parts"] = [{name: part[name] for name in PART_FACTS} for part in facts["parts"]]
    return json.dumps({
        "row": facts, "person": known.people.get(who, {}), "currency": known.currency,
        "bought": {each: known.bought[who, each] for each in targets if (who, each) in known.bought},
        "responsive": {each: known.responsive[each] for each in targets if each in known.responsive},
        "printed": {each: known.printed[each] for each in targets if each in known.printed},
    }, ensure_ascii=False)  # fmt: skip


def reason_text(facts: str | None) -> str:
    """Return the reason that was stored by `reason_facts`, in the language that is used; empty where there is none."""
    if not facts:
        return ""
    found = json.loads(facts)
    row = dict.fromkeys(ROW_FACTS) | found["row"]
    who, bought = row["customer_id"], {(row["customer_id"], each): habit for each, habit in found["bought"].items()}
    known = KnownHabits({who: found["person"]}, bought, found["responsive"], found["printed"], found["currency"])
    return offer_reason(row, known).text


class OfferReason(NamedTuple):
    """The sentence, and in one word what sets the customer apart: a key of MOTIVES."""

    text: str
    motive: Motive


def offer_reason(row: Mapping[str, Any], known: KnownHabits) -> OfferReason:
    """Describe what the customer buys, what sets them apart and what the offer is expected to do."""
    apart = next(_apart(row, known.people.get(row["customer_id"], {}), known), None)
    parts = [*_lately(row, known), *_buys(row, known), *([apart.text] if apart else []), *_worth(row, known)]
    text = gettext("; ").join(parts) or _visits(known.people.get(row["customer_id"], {}))
    return OfferReason(text, apart.motive if apart else "habit" if _names(row, known) else "visits")


def _labels(row: Mapping[str, Any], known: KnownHabits) -> list[LocalizedText]:
    kind: Literal["product", "category"] = "product" if row["kind"] == "product" else "category"
    return [readable_name(known.printed.get(each, each), kind) for each in covered_targets(row["target"])]


def _names(row: Mapping[str, Any], known: KnownHabits) -> list[str]:
    return [each.text_in(current_locale()) for each in _labels(row, known)]


def _lately(row: Mapping[str, Any], known: KnownHabits) -> list[str]:
    """What just happened, where that is what the message is about."""
    found = messages.event_reason(row.get("angle"), join_list(_names(row, known)), row.get("bought_name"))
    return [found] if found else []


def _buys(row: Mapping[str, Any], known: KnownHabits) -> list[str]:
    """The habit with what the offer is on; of two categories that of the one bought more often."""
    names = _names(row, known)
    if not names:
        return []
    if row["scope"] == "product":
        if row.get("is_new"):
            return [gettext("{names} is new and like what they buy", names=names[0])]
        return [] if _lately(row, known) else [gettext("looked at {names} and did not buy it", names=names[0])]
    found = [
        (known.bought.get((row["customer_id"], each)), name)
        for each, name in zip(covered_targets(row["target"]), names, strict=True)
    ]
    said = [_habit(habit, name) for habit, name in found if habit and habit["bought"]]
    new = [name for habit, name in found if not (habit and habit["bought"])]
    if new:
        said.append(gettext("has not bought {new} yet, but people who buy the same things do", new=join_list(new)))
    return [gettext(", ").join(said)]


def _habit(habit: Mapping[str, Any], name: str) -> str:
    orders, gap, due = habit["orders"], habit["gap_days"], habit["due_in_days"]
    if gap is None or due is None:
        times = (
            gettext("once", orders=count(orders)) if orders == 1 else gettext("{orders} times", orders=count(orders))
        )
        return gettext("bought {name} {times}", name=name, times=times)
    if gap < 1:
        return gettext("buys {name} on most visits", name=name)
    every, late = round(gap), day_count(round(abs(due)))
    often = (
        gettext("buys {name} about every day", name=name)
        if every == 1
        else gettext("buys {name} about every {every} days", name=name, every=every)
    )
    if -due > (LATE - 1) * gap and -due >= 1:
        return often + gettext(" and is {late} days late", late=late)
    return often + (gettext(" (next in about {late} days)", late=late) if due >= 1 else gettext(" (due now)"))


def _apart(row: Mapping[str, Any], person: Mapping[str, Any], known: KnownHabits) -> Iterator[OfferReason]:
    """What sets the customer apart from the others, the most telling first."""
    names = dict(zip(covered_targets(row["target"]), _names(row, known), strict=True))
    recency, cadence = person.get("recency_days"), person.get("cadence_days")
    if recency and cadence and recency > max(AWAY * cadence, 21):
        away, usual = day_count(round(recency)), day_count(round(max(cadence, 1)))
        text = gettext("has stayed away for {away} days, usually comes every {usual}", away=away, usual=usual)
        yield OfferReason(text, "away")
    deals = {name: known.bought.get((row["customer_id"], each)) for each, name in names.items()}
    hunted = {
        n: d["deal_share"] for n, d in deals.items() if d and d["orders"] >= OFTEN and d["deal_share"] is not None
    }
    if hunted and max(hunted.values()) >= MOST:
        name = max(hunted, key=hunted.__getitem__)
        of = percent(hunted[name])
        yield OfferReason(gettext("bought {of} of their {name} on a deal", of=of, name=name), "deals")
    ahead, sure = person.get("price_sensitivity_rank"), _sure(person)
    if ahead is not None and sure and ahead >= TOP:
        yield OfferReason(
            gettext("answers prices more than {ahead} of customers", ahead=percent(min(ahead, MOST_OF_ALL))), "prices"
        )
    best = max(names, key=lambda each: known.responsive.get(each, 0.0), default="")
    if known.responsive.get(best, 0.0) >= MOST:
        yield OfferReason(
            gettext("discounts on {names} move sales more than on most categories", names=names[best]),
            "category",
        )
    spend = person.get("revenue_52w_cents_rank")
    if spend is not None and spend >= MOST:
        yield OfferReason(
            gettext("spends more than {spend} of customers", spend=percent(min(spend, MOST_OF_ALL))), "spend"
        )
    if ahead is not None and sure:
        more = ahead > 0.5
        yield OfferReason(
            (gettext("answers prices more than most") if more else gettext("answers prices less than most")),
            "prices" if more else "habit",
        )


def _visits(person: Mapping[str, Any]) -> str:
    """When they come, where nothing sets them apart and the offer is on everything."""
    recency, cadence = person.get("recency_days"), person.get("cadence_days")
    if recency is None:
        return gettext("fits the whole basket")
    days = round(recency)
    ago = (
        gettext("today")
        if days < 1
        else (gettext("{days} day ago", days=days) if days == 1 else gettext("{days} days ago", days=days))
    )
    if cadence is None:
        return gettext("came last {ago}", ago=ago)
    every = max(round(cadence), 1)
    often = gettext("every day") if every == 1 else gettext("about every {every} days", every=every)
    return gettext("comes {often}, last {ago}", often=often, ago=ago)


def _sure(person: Mapping[str, Any]) -> bool:
    """Whether the answer to prices lies farther from the middle than its error."""
    value, error, middle = (person.get(name) for name in ("price_sensitivity", "price_sensitivity_se", "middle"))
    return None not in (value, error, middle) and abs(value - middle) > error  # type: ignore[operator]


def _worth(row: Mapping[str, Any], known: KnownHabits) -> list[str]:
    """What would be bought anyway, what more, and what is left of it."""
    added, cost, parts = row["added_cents"], row["cost_cents"], row.get("parts") or [row]
    if row["benefit"] != "percent_off" or added is None or any(each.get("response_net") is None for each in parts):
        return []
    base = [each["base_cents"] * each["reach"] for each in parts]
    grown = sum(x * expm1(each["response_net"] * row["depth"]) for x, each in zip(base, parts, strict=True))
    anyway, more, keeps, pays = (money(x, known.currency) for x in (sum(base), grown, added, cost))
    return [
        gettext(
            "would buy {anyway} of it anyway and is expected to buy {more} more: {keeps} of margin for {pays} of cost",
            anyway=anyway,
            more=more,
            keeps=keeps,
            pays=pays,
        )
    ]
