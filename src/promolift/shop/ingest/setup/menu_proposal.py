"""Propose a menu of offers that fits a shop's log, as lines of promolift.toml.

Thresholds are 1.2 to 1.5 times the usual basket, in round numbers of its currency; free delivery begins no later than
where the shop's own does, as far as its postage tells. Percentages stay within the margin. Postage, fees, gift cards
and the like get no offer.
"""

import math
import re
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from promolift.core.customers.named_audiences import named_audiences
from promolift.core.experiments.arm_shares import LEAST
from promolift.foundation.errors import PromoError
from promolift.foundation.files.raw_table import RawTable, Relation
from promolift.foundation.localized_text import Language
from promolift.foundation.money import currency_digits
from promolift.foundation.sql import bind, fetch_frame, materialise, quote_identifier, run_select
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.setup.audience_sizes import WINDOW_DAYS, AudienceSize, audience_sizes

ROWS = 200_000  # of the log that are looked at
MOST = 100  # things that are no goods; more are not written
MIN_BASKETS = 30  # baskets below which nothing is fitted, and customers with a rhythm below which nobody is won back
ROUND_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # round numbers, times a power of ten
PERCENTS = (10, 20, 30)
FUTURE = "in the future"  # the cleaning rule for dates after today
THRESHOLD = (1.2, 1.5)  # times the usual basket
PAYING_QUANTILE, PAYING_SHARE = 0.98, 0.8  # of orders that pay postage: below the shop's own threshold most do
# What may follow a charge's word, so that it is the thing itself: 'Shipping (DHL)', 'Delivery fee 4.90', 'Postage to
# France', but not 'Shipping Labels'.
_AFTER = (
    r"(?:\s*(?:&|and|und|\+)\s*(?:handling|packing|packaging|verpackung))?"
    r"(?:\s*[-:,/]?\s*(?:fees?|charges?|costs?|surcharges?|rates?|standard|express|economy|international|domestic|free|paid"
    r"|insurance|\(.*\)|[£$€]?\d[\d.,%]*\s*(?:[a-z]{1,3}|[€£$])?))*(?:\s*[-:(].*|\s+(?:to|via|by|for|on)\s.*)?\s*$"
)
_POSTAGE = (
    rf"\b(?:postage|shipping|carriage|deliver(?:y|ies)|freight){_AFTER}|^porto$|livraison{_AFTER}|\bfrais d(?:e|')"
    rf"|versand(?:kosten|gebühr(?:en)?|pauschale|kostenpauschale)?{_AFTER}|gastos de env|邮费|运费|快递费"
)
POSTAGE = re.compile(_POSTAGE, re.IGNORECASE)
NOT_A_PRODUCT = re.compile(
    rf"{_POSTAGE}|\bfees?\b|surcharge|bank charges?\b|\bcommissions?\b|^(?:manual|deposit|rounding)$|gutschein"
    r"|gift ?(?:card|voucher|certificate)s?(?!\s+(?:holder|box|envelope|tin|sleeve|display|wallet|stand|rack))"
    r"|^(?:(?:price|amount|balance|stock|inventory|order|account|credit|tax|rounding|invoice|cash|manual|sales"
    r"|bad debt)\s+)?adjustments?(?:\s+(?:by|for|on|to|of)\s.*|\s*[-:(].*)?\s*$"
    r"|手续费|服务费|礼品卡|购物卡|储值卡|押金|(?:价格|金额|差额)调整|补差",
    re.IGNORECASE,
)


SUMS = """
with orders as (
    select customer_id, sum(list_cents) as cents, min(ts_ms) // $day_ms as day from events where kind = 'purchase'
    group by customer_id, order_id having cents > 0),
customers as (select customer_id from orders group by customer_id having count(distinct day) >= 3)
select count(*) as orders, median(cents) as middle, (select count(*) from customers) as regulars,
    (select sum(revenue_cents)::bigint from events
        where ts_ms > (select max(ts_ms) from events) - $window_ms) as recent,
    (select coalesce(sum(least(shelf_cents, list_cents)) / sum(list_cents), 0) from events
        where kind = 'purchase' and list_cents > 0) as shelf_share
from orders
"""

# Up to what value of goods orders pay postage, where enough do and few below do not.
OWN_FREE_DELIVERY = """
with orders as (
    select coalesce(sum(list_cents) filter (not is_postage), 0) as goods,
        bool_or(is_postage and revenue_cents > 0) as pays
    from (select *, coalesce(product_id in $postage, false) as is_postage from events where kind = 'purchase')
    group by customer_id, order_id having goods > 0),
highest as (select quantile_cont(goods, $quantile) as cents from orders where pays)
select count(*) filter (pays), count(*) filter (not pays and goods > cents),
    avg(pays::int) filter (goods <= cents), any_value(cents)
from orders, highest
"""


SEGMENTS = """
# Groups of customers, by rules on what their profiles say (docs/configuration.md#segment), counted in the report.
# A menu line with segments = ["best"] is for these alone; plan.limits and rules.excluded_segments name them, too.
[[segment]]
name = "frequent"
name_zh = "高频客户"
where = "recency_days <= 28 and orders_16w >= 8"

[[segment]]
name = "best"
name_zh = "高消费客户"
where = "value_decile = 10"  # the tenth that spent most in 52 weeks

[[segment]]
name = "lapsing"
name_zh = "流失风险客户"
where = "recency_days > 28 and recency_days > 2 * cadence_days and orders_total >= 3"  # beyond their own rhythm
""".splitlines()


class BasketStatistics(NamedTuple):
    """What the middle order comes to before discounts, in minor units; what is no goods; how many customers came on
    three days or more; from which value of goods the shop delivers free, where that is known; how many customers are
    in each named audience, and the revenue of the last window, as far as the log is short enough to count; how many
    rows were left out because they are dated after today; and by which part of their value prices were reduced."""

    median_cents: int
    no_goods: tuple[str, ...]
    regulars: int = 0
    own_free_cents: int | None = None
    audiences: tuple[AudienceSize, ...] = ()
    recent_cents: int = 0
    future_rows: int = 0
    shelf_share: float = 0.0


def basket_statistics(
    log: RawTable, mapping: Mapping, catalogue: Mapping | None, rules: CleanRules
) -> BasketStatistics | None:
    """From the first rows of a log; None where too few orders with money are there.

    What is no goods is known by the words of categories, names or ids of products that stand in the log.
    """
    rows = log.rows.limit(ROWS)
    postage = _named_goods(rows, mapping, catalogue, POSTAGE, of_category=False)
    try:
        clean = clean_events(order_lines(rows, mapping), mapping, rules).computed()
        events, late = materialise(clean.accepted()), clean.counts().rejected.get(FUTURE, 0)
        found = fetch_frame(run_select(bind(SUMS, day_ms=DAY_MS, window_ms=WINDOW_DAYS * DAY_MS), events=events)).row(0)
        query = bind(OWN_FREE_DELIVERY, postage=[*postage, ""], quantile=PAYING_QUANTILE)
        paid, free, share, own = fetch_frame(run_select(query, events=events)).row(0)
        sizes = audience_sizes(events) if found[0] >= MIN_BASKETS and not _is_longer(log) else ()
    except PromoError:
        return None
    if found[0] < MIN_BASKETS:
        return None
    known = min(paid, free) >= MIN_BASKETS and share >= PAYING_SHARE
    no_goods = _named_goods(rows, mapping, catalogue, NOT_A_PRODUCT)
    return BasketStatistics(
        round(found[1]), no_goods, found[2], round(own) if known else None, sizes, found[3] or 0, late, float(found[4])
    )


def _is_longer(log: RawTable) -> bool:
    return len(log.rows.project("1").limit(ROWS + 1).fetchall()) > ROWS


def _named_goods(
    rows: Relation, mapping: Mapping, catalogue: Mapping | None, words: re.Pattern[str], of_category: bool = True
) -> tuple[str, ...]:
    """Product ids (and categories) with such words in id, name or category."""
    product = mapping.sources("product_id")[:1]
    wanted = dict.fromkeys((each, each) for each in product)
    for source in catalogue.sources("category") if catalogue else ():
        wanted |= {(source, each): None for each in ([source] if of_category else product)}
    for source in catalogue.sources("name") if catalogue else ():
        wanted |= {(source, each): None for each in product}
    found: set[str] = set()
    for source, key in wanted:
        if {source, key} <= set(rows.columns):
            pairs = rows.project(
                f"{quote_identifier(source)}::varchar as said, {quote_identifier(key)}::varchar as key"
            ).distinct()
            found |= {key for said, key in pairs.fetchall() if said and key and words.search(said)}
    return tuple(sorted(found))[:MOST]


def round_up(cents: float, digits: int) -> int:
    """The next round sum of whole currency units that is not less: 4,700 cents are 5,000, 61,200 yen 80,000."""
    unit = round(10.0**digits)
    for power in count():
        for step in ROUND_STEPS:
            value = round(step * 10.0**power) * unit
            if step * 10.0**power % 1 == 0 and value >= cents:
                return value
    raise AssertionError("unreachable")


def fit_threshold(usual_cents: float, digits: int, most_cents: int | None = None) -> int:
    """A round sum within `THRESHOLD` times the usual basket, and at most `most_cents`."""
    least, most = (usual_cents * times for times in THRESHOLD)
    value = round_up(least, digits)
    if value > most:
        unit = 10.0 ** max(math.floor(math.log10(max(least, 1.0))) - 1, 0)
        value = round(math.ceil(least / unit) * unit)
    if most_cents is None or value <= most_cents:
        return value
    unit = 10.0 ** max(math.floor(math.log10(max(most_cents, 1))) - 1, 0)
    return round(math.floor(most_cents / unit) * unit)


def menu_toml(
    fit: BasketStatistics,
    currency: str,
    margin: float,
    categories: bool = False,
    stores: bool = False,
    languages: Sequence[Language] = ("en",),
) -> str:
    """[[menu]] lines: a reminder, percentages on a category within the margin, one for a first purchase in a new
    category where goods have `categories`, a win-back where customers have a rhythm, an amount off above the usual
    basket, free delivery. Segments have names in the `languages` of the shop.

    The amount is a tenth to a seventh of its threshold, and less than the margin on it.
    """
    digits = currency_digits(currency)
    threshold = fit_threshold(fit.median_cents, digits)
    amount = next(
        (
            value
            for part in (7, 8, 10, 12, 15, 20)
            if (value := round_up(threshold / part, digits)) < margin * threshold / 2
        ),
        0,
    )
    free = fit_threshold(fit.median_cents, digits, fit.own_free_cents)
    lines = [
        "",
        "# The menu: what this shop is willing to give, fitted to its baskets (the middle order is "
        f"{fit.median_cents / 10**digits:,.{digits}f} {currency}).",
        "# Change it as you like; docs/configuration.md explains every key.",
    ]
    lines += _line("reminder", 'type = "reminder"')
    for percent in PERCENTS:
        if percent / 100 < margin:
            lines += _line(f"category-{percent}", f'type = "percent_off", percent = {percent}', 'scope = "category"')
    percent = max((each for each in PERCENTS if each / 100 < margin / 2), default=0)
    if percent and categories:
        benefit = f'type = "percent_off", percent = {percent}'
        lines += _line(
            f"new-category-{percent}", benefit, 'scope = "category"', "untried = true  # never bought before"
        )
    if percent and fit.regulars >= MIN_BASKETS:
        lines += _line(f"win-back-{percent}", f'type = "percent_off", percent = {percent}', 'segments = ["lapsing"]')
    if amount:
        lines += _line(
            f"spend-{_plain(threshold, digits)}-save-{_plain(amount, digits)}",
            f'type = "amount_off", amount_cents = {amount}', f"min_spend_cents = {threshold}",
        )  # fmt: skip
    if not stores:
        lines += _line("free-delivery", 'type = "free_shipping"', f"min_spend_cents = {free}", "online_only = true")
    own = [line for line in SEGMENTS if "zh" in languages or not line.startswith("name_zh")]
    lines += [*own, *_plays_toml(fit, currency)]
    if fit.no_goods:
        names = ", ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in fit.no_goods)
        lines += ["", "[rules]", f"excluded = [{names}]  # these look like no goods: no offer is given on them"]
    return "\n".join([*lines, ""])


def _plain(cents: int, digits: int) -> str:
    """An amount in an id: 50, or 2-40 for 2.40."""
    whole, rest = divmod(cents, 10**digits)
    return f"{whole}-{rest:0{digits}d}" if rest else str(whole)


def _plays_toml(fit: BasketStatistics, currency: str) -> list[str]:
    """Plays that the log can carry and no plan tests unless asked, each with its size, as comments."""
    lines = ["", "# Plays: an audience, a reason, benefits to try (docs/plays.md); `promolift plays` lists them all."]
    for size in fit.audiences:
        audience = named_audiences()[size.name]
        if audience.query is None or size.customers < 2 * LEAST:
            continue
        benefits = ", ".join(f'"{each}"' for each in audience.benefits)
        lines += [
            f"# {size.customers:,} customers: {audience.who}",
            "# [[plays]]", f'# id = "{size.name.replace(" ", "-")}"', f'# audience = "{size.name}"',
            f"# benefits = [{benefits}]",
        ]  # fmt: skip
    return lines


def _line(name: str, benefit: str, *more: str) -> list[str]:
    return ["", "[[menu]]", f'id = "{name}"', f"benefit = {{ {benefit} }}", *more]
