"""A plan that gives nobody an offer, or nearly nobody, in; why, in plain sentences with its numbers, out."""

from math import ceil
from typing import Any, NamedTuple

import polars as pl

from promolift.effect import DiscountResponse, ValueSettings
from promolift.message import line_words
from promolift.results import effects
from promolift.results.job import Job
from promolift.terms import Benefit, Words
from promolift.words import count, listed, money, plural

FEW = 0.01  # a plan for a smaller share of the customers it may write to says why
MONEY_UNKNOWN = (
    "the log names no prices or amounts, so nobody knows what a discount would cost or bring. Next: name the column "
    "that holds them under [data.events.mapping] (columns.amount or columns.unit_price), or give a catalogue with "
    "prices (--products)"
)
UNVALUED = (
    "Nobody gets an offer: offers are open, but what they would add is known for nobody, since neither the "
    "spend of the weeks to come nor purchases by category could be expected. Next: see `promolift health` "
    "for what is missing; most often it is more weeks, or a catalogue with categories (--products)."
)


class PlanRules(NamedTuple):
    """What a plan stands on: margin and reach as stated, the response, whether products carry their cost."""

    value: ValueSettings
    response: DiscountResponse
    costs_known: bool
    currency: str
    trial: bool = False


def why(job: Job, valued: pl.DataFrame, free: pl.DataFrame, chosen: pl.DataFrame, able: int) -> list[str]:
    """Sentences on why the plan is empty or nearly so; none where it is not. `able`: who may be given an offer."""
    if chosen.height >= max(1.0, FEW * able):
        return []
    if able == 0:
        return [
            "Nobody may be given an offer: all are held out or may not be written to. "
            "Next: give customers their consent, or set consent.default under [consent] in promolift.toml."
        ]
    if job.clean.moneyless:
        return [f"Nobody gets an offer: {MONEY_UNKNOWN}."]
    if free.is_empty():
        return [f"Nobody gets an offer: {closed(valued)}"]
    rules = PlanRules(
        job.config.value, effects.response(job.store),
        job.clean.catalogue["cost_cents"].drop_nulls().len() > 0, job.config.shop.currency,
        job.config.plan.trial,
    )  # fmt: skip
    if free["added_cents"].drop_nulls().is_empty():
        return [UNVALUED]
    pays = free.filter(pl.col("gain_cents") > 0)
    if (others := pays["customer_id"].n_unique()) > max(chosen.height, FEW * able):
        least = money(pays["cost_cents"].min(), rules.currency)
        held = f"{plural(others, 'customer')} have an offer that pays, the cheapest of which costs {least}"
        return [f"The budget or a limit holds the plan back: {held}. Next: raise plan.budget_cents or loosen it."]
    rest = free.filter(~pl.col("customer_id").is_in(pays["customer_id"].implode()))
    known = rest["added_cents"].drop_nulls().len()
    return loses(rest, rules, chosen.height, able) if known else []


def closed(valued: pl.DataFrame) -> str:
    """The most frequent reasons why offers are closed."""
    rows = valued.filter(~pl.col("eligible") & (pl.col("offer_id") != "none"))
    most = rows.group_by("why_not").len().sort(["len", "why_not"], descending=[True, False]).head(3)
    reasons = [f"{reason} ({count(n)} of {count(rows.height)})" for reason, n in most.iter_rows()]
    return (
        f"no offer is open to anybody: {listed(reasons)}." if reasons else "the menu holds no offer that fits anybody."
    )


def loses(free: pl.DataFrame, rules: PlanRules, treated: int, able: int) -> list[str]:
    """The offer that comes closest to paying, what decides that it does not, where it would, and what to do."""
    free = free.filter(pl.col("added_cents").is_not_null())
    worth = pl.col("added_cents") / pl.col("cost_cents").clip(lower_bound=1e-9)
    nearest = free.sort([worth, "customer_id", "offer_id"], descending=[True, False, False], nulls_last=True)
    top = nearest.row(0, named=True)
    line = free.filter(pl.col("menu_id") == top["menu_id"])
    cost, added = (float(line[f"{name}_cents"].mean()) for name in ("cost", "added"))  # type: ignore[arg-type]
    said = offer_words(top, rules.currency)
    start = f"Only for {count(treated)} of {count(able)} customers an offer pays" if treated else "No offer pays"
    loss = money(cost - added, rules.currency)
    first = (
        f"{start}. Closest is {said}: per customer it would cost about {money(cost, rules.currency)} and add "
        f"{money(added, rules.currency)} of margin (evidence: {top['evidence']}), a loss of {loss}."
    )
    who = "another customer" if treated else "a first customer"
    ways, alone = breaks_even(nearest, top, rules)
    pays = (f"It would pay for {who} {listed(ways, 'or')}. " if ways else "") + alone
    discount = nearest.filter(pl.col("benefit") == "percent_off").head(1).to_dicts()
    if discount and top["benefit"] != "percent_off" and (lift := extra_needed(discount[0])):
        pays += f"{offer_words(discount[0], rules.currency)} would pay {lift[0]}."
    return [first, rests_on(top, line, rules), pays.strip(), todo(rules)]


def offer_words(row: dict[str, Any], currency: str) -> str:
    """A menu line in a few words."""
    one = {"category": Words(zh="一个品类", en="one category"), "product": Words(zh="一件商品", en="one product")}
    benefit = Benefit(
        type=row["benefit"], percent=round(100 * (row["depth"] or 0)), amount_cents=row["amount_cents"] or 0
    )
    on = None if row["scope"] == "all" else one[row["kind"]]
    return line_words(benefit, row["min_spend_cents"] or 0, currency, "en", on)


def percent(value: float) -> str:
    """A share as a whole number of per cent."""
    return f"{100 * value:.0f} %"


def rests_on(top: dict[str, Any], line: pl.DataFrame, rules: PlanRules) -> str:
    """Which margin and which response decide."""
    rate = percent(float(line["margin_rate"].mean()))  # type: ignore[arg-type]
    stated = rules.value.margin_rate != ValueSettings().margin_rate
    of = "from the products' costs" if rules.costs_known else "as stated" if stated else "assumed, since none is given"
    parts = [f"a margin of {rate} ({of})"]
    if top["activation"] != "automatic" and top["coupon_prob"] is None:
        parts.append(f"{percent(rules.value.coupon_reach)} of customers noticing a coupon (assumed)")
    if top["benefit"] != "percent_off":
        parts.append(
            f"{percent(rules.value.stretch_share)} of orders just below the threshold being filled up (assumed)"
        )
    if top["evidence"] == "assumed" and rules.response.level == "assumed":
        parts.append(f"a response to discounts that is assumed, because {rules.response.why}")
    elif top["evidence"] == "assumed":
        parts.append("a response to this offer that is assumed, because it was never given")
    else:
        parts.append(f"a response read from past discounts ({rules.response.level})")
    return f"This rests on {listed(parts, 'and on')}."


class BreakEven(NamedTuple):
    """From what on an offer would pay, each way apart; and a sentence where a higher margin alone would not do."""

    ways: list[str]
    alone: str


def breaks_even(nearest: pl.DataFrame, top: dict[str, Any], rules: PlanRules) -> BreakEven:
    """The margin, the response and the supplier's part from which the nearest offer would pay."""
    needed, half = margins_needed(nearest)
    factor = None if needed is None else needed / top["margin_rate"]
    if factor is None or needed is None or needed > 1:
        parts, alone = [], "A higher margin alone would not do. "
    else:
        up = f"margins {factor:.1f} times as high" if rules.costs_known else f"a margin of {above(needed):.2f}"
        most = (
            f" (for half of the customers: {above(half):.2f})" if half and half <= 1 and not rules.costs_known else ""
        )
        parts, alone = [f"from {up} up{most}"], ""
    if top["benefit"] == "percent_off":
        parts += extra_needed(top)
    paid, left = top["subsidy_cents"], top["added_cents"] - top["send_cost_cents"]
    share = 1 - left * (1 - top["supplier_share"]) / paid if paid > 0 else 2.0
    if share <= 1:
        now = f"now {100 * top['supplier_share']:.0f} %"
        parts.append(f"if suppliers paid {100 * above(share):.0f} % of the discount ({now})")
    return BreakEven(parts, alone)


def above(value: float) -> float:
    """The least hundredth that is not below `value`: a threshold must not be rounded to a value that misses it."""
    return ceil(100 * value - 1e-9) / 100


class MarginsNeeded(NamedTuple):
    """The margin at which the first customer's best offer breaks even, and that of the customer in the middle."""

    first: float | None
    half: float | None


def margins_needed(rows: pl.DataFrame) -> MarginsNeeded:
    """From which margins on offers pay.

    What an offer adds is proportional to the margin, what it costs does not hang on it. None where none adds anything.
    """
    needed = pl.col("margin_rate") * pl.col("cost_cents") / pl.col("added_cents")
    each = rows.filter(pl.col("added_cents") > 0).group_by("customer_id").agg(needed.min().alias("needed"))["needed"]
    return MarginsNeeded(each.min(), each.median())  # type: ignore[arg-type]


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
    return [f"if it sold {100 * above(needed):.0f} % more (expected: {100 * expected:.0f} %)"]


def todo(rules: PlanRules) -> str:
    """What to do next, the cheapest first."""
    costs = "give the products their cost (column cost), or set value.margin_rate in promolift.toml to yours"
    trial = (
        "set plan.trial = true and run `promolift run`: offers are then tested within the budget, and "
        "`promolift learn` shows what they earned"
    )
    steps = [
        *([] if rules.costs_known else [costs]),
        "set supplier_share on the [[menu]] lines that suppliers pay for",
        *([] if rules.trial else [trial]),
    ]
    return f"Next: {'; '.join(steps)}."
