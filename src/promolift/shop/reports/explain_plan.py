"""Explain why a plan gives nobody, or nearly nobody, an offer, in sentences with the plan's own numbers."""

from math import ceil
from typing import Any, NamedTuple

import polars as pl

from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.core.effects.settings import ValueSettings
from promolift.core.messages.offer_text import describe_menu_line
from promolift.core.offers.menu import MenuItem
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Benefit
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, current_locale, join_list, money, plural
from promolift.foundation.i18n.text import LocalizedText
from promolift.foundation.i18n.translation import to_chinese, translate
from promolift.shop.results import effects
from promolift.shop.results.work_folder.run_context import Job

FEW_SHARE = 0.01  # a plan for a smaller share of the customers it may write to says why
NOBODY = "Nobody gets an offer"
MONEY_UNKNOWN = (
    f"{NOBODY}: the log names no prices or amounts, so nobody knows what a discount would cost or bring. Next: name "
    "the column that holds them under [data.events.mapping] (columns.amount or columns.unit_price), or give a "
    "catalogue with prices (--products)."
)
UNVALUED = (
    f"{NOBODY}: offers are open, but what they would add is known for nobody, since neither the spend of the weeks to "
    "come nor purchases by category could be expected. Next: see `promolift health` for what is missing; most often it "
    "is more weeks, or a catalogue with categories (--products)."
)
NO_CONSENT = (
    "Nobody may be given an offer: all are held out, refused, have not agreed or may be too young. Next: ask customers "
    "whether they agree, and check which column says it (columns.consent in promolift.toml)."
)


class PlanRules(NamedTuple):
    """What a plan stands on: margin and reach as stated, the response, whether products carry their cost."""

    value: ValueSettings
    response: DiscountResponse
    costs_known: bool
    currency: str
    trial: bool = False
    menu: tuple[MenuItem, ...] = ()


def explain_plan(job: Job, valued: pl.DataFrame, free: pl.DataFrame, chosen: pl.DataFrame, able: int) -> list[str]:
    """Explain why the plan is empty or nearly so; no sentence if it is not. `able`: eligible customers."""
    if chosen.height >= max(1.0, FEW_SHARE * able):
        return []
    if able == 0:
        return [translate(NO_CONSENT)]
    if job.clean.lacks_amounts:
        return [translate(MONEY_UNKNOWN)]
    if free.is_empty():
        return [translate(f"{NOBODY}: ") + exclusion_reasons(valued)]
    rules = PlanRules(
        job.config.value,
        effects.load_response(job.store),
        job.clean.catalogue["cost_cents"].drop_nulls().len() > 0,
        job.config.shop.currency,
        job.config.plan.test_share > 0,
        job.config.menu,
    )
    if free["added_cents"].drop_nulls().is_empty():
        return [translate(UNVALUED)]
    pays = free.filter(pl.col("gain_cents") > 0)
    if (others := pays["customer_id"].n_unique()) > max(chosen.height, FEW_SHARE * able):
        least = money(pays["cost_cents"].min(), rules.currency)
        held = f"{plural(others, 'customer')} have an offer that pays, the cheapest of which costs {least}"
        return [
            gettext(
                "The budget or a limit holds the plan back: {held}. Next: raise plan.budget_cents or loosen it.",
                held=held,
                others=count(others),
                least=least,
            )
        ]
    rest = free.filter(~pl.col("customer_id").is_in(pays["customer_id"].implode()))
    known = rest["added_cents"].drop_nulls().len()
    return explain_nearest_offer(rest, rules, chosen.height, able) if known else []


def exclusion_reasons(valued: pl.DataFrame) -> str:
    """Return the most frequent reasons why offers are unavailable."""
    rows = valued.filter(~pl.col("eligible") & (pl.col("offer_id") != "none"))
    most = rows.group_by("why_not").len().sort(["len", "why_not"], descending=[True, False]).head(3)
    reasons = [
        gettext(
            "{why_not} ({n} of {height})",
            why_not=why_not,
            n=count(n),
            height=count(rows.height),
            to_chinese_why_not=to_chinese(why_not),
        )
        for why_not, n in most.iter_rows()
    ]
    if not reasons:
        return gettext("the menu holds no offer that fits anybody.")
    return gettext("no offer is open to anybody: {reasons}.", reasons=translate(join_list(reasons)))


def explain_nearest_offer(free: pl.DataFrame, rules: PlanRules, treated: int, able: int) -> list[str]:
    """Describe the offer closest to paying, what decides that it does not, when it would, and what to do."""
    free = free.filter(pl.col("added_cents").is_not_null())
    worth = pl.col("added_cents") / pl.col("cost_cents").clip(lower_bound=1e-9)
    nearest = free.sort([worth, "customer_id", "offer_id"], descending=[True, False, False], nulls_last=True)
    top = nearest.row(0, named=True)
    line = free.filter(pl.col("menu_id") == top["menu_id"])
    cost, added = (float(line[f"{name}_cents"].mean()) for name in ("cost", "added"))  # type: ignore[arg-type]
    said = offer_words(top, rules)
    start = gettext("No offer pays")
    if treated:
        start = gettext(
            "Only for {treated} of {able} customers an offer pays", treated=count(treated), able=count(able)
        )
    loss, costs, adds = (money(x, rules.currency) for x in (cost - added, cost, added))
    first = gettext(
        "{start}. Closest is {said}: per customer it would cost about {costs} and add {adds} "
        "of margin (evidence: {evidence}), a loss of {loss}.",
        start=start,
        said=translate(said),
        costs=costs,
        adds=adds,
        evidence=translate(top["evidence"]),
        loss=loss,
    )
    who = gettext("another customer") if treated else gettext("a first customer")
    margin, more = margin_needed(nearest, top, rules), extra_needed(top) if top["benefit"] == "percent_off" else []
    ways = [*filter(None, [margin]), *more, *supplier_needed(top)]
    pays = gettext("It would pay for {who} {ways}. ", who=who, ways=translate(join_list(ways, "or"))) if ways else ""
    pays += "" if margin else gettext("A higher margin alone would not do. ")
    discount = nearest.filter(pl.col("benefit") == "percent_off").head(1).to_dicts()
    if discount and top["benefit"] != "percent_off" and (lift := extra_needed(discount[0])):
        name = offer_words(discount[0], rules)
        pays += gettext("{name} would pay {lift}.", name=translate(name), lift=translate(lift[0]))
    return [first, deciding_inputs(top, line, rules), pays.strip(), next_steps(rules)]


def offer_words(row: dict[str, Any], rules: PlanRules) -> str:
    """A menu line in a few words; one that was proposed beyond the menu by its row."""
    one = {
        "category": LocalizedText(zh="一个品类", en="one category"),
        "product": LocalizedText(zh="一件商品", en="one product"),
    }
    line = next((item for item in rules.menu if item.id == row["menu_id"]), None)
    benefit = line.benefit if line else Benefit(type="percent_off", percent=round(100 * row["depth"]))
    on = (
        None
        if row["scope"] == "all"
        else readable_name(row["target"], row["kind"])
        if line and line.covers
        else one[row["kind"]]
    )
    return describe_menu_line(benefit, row["min_spend_cents"] or 0, rules.currency, current_locale(), on)


def percent(value: float) -> str:
    """A share as a whole number of per cent."""
    return gettext("{value} %", value=f"{100 * value:.0f}")


def deciding_inputs(top: dict[str, Any], line: pl.DataFrame, rules: PlanRules) -> str:
    """Describe which margin and which response decide."""
    rate = percent(float(line["margin_rate"].mean()))  # type: ignore[arg-type]
    if rules.costs_known:
        of = gettext("from the products' costs")
    elif "margin_rate" in rules.value.model_fields_set:
        of = gettext("as stated")
    else:
        of = gettext("assumed, since none is given")
    parts = [gettext("a margin of {rate} ({of})", rate=rate, of=of)]
    if top["activation"] != "automatic" and top["coupon_prob"] is None:
        reach = percent(rules.value.coupon_reach)
        parts.append(gettext("{reach} of customers noticing a coupon (assumed)", reach=reach))
    if top["benefit"] != "percent_off":
        stretch = percent(rules.value.stretch_share)
        parts.append(gettext("{stretch} of orders just below the threshold being filled up (assumed)", stretch=stretch))
    if top["evidence"] == "assumed" and rules.response.level == "assumed":
        parts.append(
            gettext(
                "a response to discounts that is assumed, because {why}",
                why=rules.response.why,
                response_why=to_chinese(rules.response.why),
            )
        )
    elif top["evidence"] == "assumed":
        parts.append(gettext("a response to this offer that is assumed, because it was never given"))
    else:
        parts.append(gettext("a response read from past discounts ({level})", level=translate(rules.response.level)))
    return gettext("This rests on {parts}.", parts=join_list(parts, "and on"), parts_2="；".join(parts))


def margin_needed(nearest: pl.DataFrame, top: dict[str, Any], rules: PlanRules) -> str:
    """The margin from which the nearest offer would pay, and half of the customers; empty where no margin would do.

    What an offer adds is proportional to the margin, what it costs does not hang on it.
    """
    needed = pl.col("margin_rate") * pl.col("cost_cents") / pl.col("added_cents")
    each = nearest.filter(pl.col("added_cents") > 0).group_by("customer_id").agg(needed.min().alias("needed"))["needed"]
    if each.is_empty() or (first := float(each.min())) > 1:  # type: ignore[arg-type]
        return ""
    if rules.costs_known:
        return gettext("from margins {first} times as high up", first=f"{first / top['margin_rate']:.1f}")
    half = float(each.median())  # type: ignore[arg-type]
    most = (
        gettext(" (for half of the customers: {round_up_percent})", round_up_percent=f"{round_up_percent(half):.2f}")
        if half <= 1
        else ""
    )
    return gettext(
        "from a margin of {round_up_percent} up{most}", round_up_percent=f"{round_up_percent(first):.2f}", most=most
    )


def supplier_needed(top: dict[str, Any]) -> list[str]:
    """The suppliers' part of the discount from which the nearest offer would pay; none where no part would do."""
    paid, left = top["subsidy_cents"], top["added_cents"] - top["send_cost_cents"]
    share = 1 - left * (1 - top["supplier_share"]) / paid if paid > 0 else 2.0
    now, then = 100 * top["supplier_share"], 100 * round_up_percent(share)
    return (
        [gettext("if suppliers paid {then} % of the discount (now {now} %)", then=f"{then:.0f}", now=f"{now:.0f}")]
        if share <= 1
        else []
    )


def round_up_percent(value: float) -> float:
    """The least hundredth that is not below `value`: a threshold must not be rounded to a value that misses it."""
    return ceil(100 * value - 1e-9) / 100


def extra_needed(top: dict[str, Any]) -> list[str]:
    """How much more a percentage off must sell so as to pay at this margin, beside what is expected.

    Of x times the sales V it keeps m - f d of each unit of money: m V (x - 1) = f d V x + send. Demand that is only
    pulled forward counts as sold.
    """
    margin, base = top["margin_rate"], (top["base_cents"] or 0.0) * (top["reach"] or 0.0)
    keeps = margin - (1 - top["supplier_share"]) * top["depth"]
    if keeps <= 0 or base <= 0:
        return []
    needed = (margin + top["send_cost_cents"] / base) / keeps - 1
    expected = top["added_cents"] / (margin * base)
    more, now = 100 * round_up_percent(needed), 100 * expected
    return [gettext("if it sold {more} % more (expected: {now} %)", more=f"{more:.0f}", now=f"{now:.0f}")]


def next_steps(rules: PlanRules) -> str:
    """Return what to do next, the cheapest first."""
    costs = gettext("give the products their cost (column cost), or set value.margin_rate in promolift.toml to yours")
    trial = gettext(
        "set plan.test_share = 0.1 and run `promolift run`: offers are then tested within "
        "the budget, and `promolift learn` shows what they earned"
    )
    suppliers = gettext("set supplier_share on the [[menu]] lines that suppliers pay for")
    steps = [*([] if rules.costs_known else [costs]), suppliers, *([] if rules.trial else [trial])]
    return gettext("Next: {steps}.", steps="; ".join(steps), steps_2="；".join(steps))
