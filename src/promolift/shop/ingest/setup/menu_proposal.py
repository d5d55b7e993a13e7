"""Propose a menu of offers that fits a shop's log, as lines of promolift.toml.

Thresholds are quantiles of the shop's own baskets, in round numbers of its currency. Percentages stay within the
margin. Postage, fees, gift cards and the like get no offer.
"""

import re
from itertools import count
from typing import NamedTuple

from promolift.foundation.errors import PromoError
from promolift.foundation.files.raw_table import RawTable, Relation
from promolift.foundation.money import currency_digits
from promolift.foundation.sql import bind, fetch_frame, quote_identifier, run_select
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines

ROWS = 200_000  # of the log that are looked at
MOST = 100  # things that are no goods; more are not written
MIN_BASKETS = 30  # baskets below which nothing is fitted, and customers with a rhythm below which nobody is won back
ROUND_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)  # round numbers, times a power of ten
PERCENTS = (10, 20, 30)
NOT_A_PRODUCT = re.compile(
    r"postage|shipping|carriage|deliver(?:y|ies)\b|freight|\bfees?\b|surcharge|gift ?(?:card|voucher|certificate)"
    r"|\badjustments?\b|bank charges?\b|\bcommissions?\b|^(?:manual|porto|deposit|rounding)$"
    r"|versand|livraison|\bfrais d(?:e|')|gastos de env|gutschein"
    r"|邮费|运费|快递费|手续费|服务费|礼品卡|购物卡|储值卡|押金|(?:价格|金额|差额)调整|补差",
    re.IGNORECASE,
)


SUMS = """
with orders as (
    select customer_id, sum(list_cents) as cents, min(ts_ms) // $day_ms as day from events where kind = 'purchase'
    group by customer_id, order_id having cents > 0),
customers as (select customer_id from orders group by customer_id having count(distinct day) >= 3)
select count(*) as orders, median(cents) as middle, quantile_cont(cents, 0.65) as high,
    (select count(*) from customers) as regulars
from orders
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
    """What orders come to before discounts, in minor units: the middle one and the 65th of 100; what is no goods; how
    many customers came on three days or more."""

    median_cents: int
    high_cents: int
    no_goods: tuple[str, ...]
    regulars: int = 0


def basket_statistics(log: RawTable, mapping: Mapping, catalogue: Mapping | None) -> BasketStatistics | None:
    """From the first rows of a log; None where too few orders with money are there.

    What is no goods is known by the words of categories, names or ids of products that stand in the log.
    """
    rows = log.rows.limit(ROWS)
    try:
        clean = clean_events(order_lines(rows, mapping), mapping, CleanRules())
        found = fetch_frame(run_select(bind(SUMS, day_ms=DAY_MS), events=clean.accepted())).row(0)
    except PromoError:
        return None
    if found[0] < MIN_BASKETS:
        return None
    return BasketStatistics(round(found[1]), round(found[2]), _no_goods(rows, mapping, catalogue), found[3])


def _no_goods(rows: Relation, mapping: Mapping, catalogue: Mapping | None) -> tuple[str, ...]:
    """Categories and product ids whose words say that they are no goods."""
    product = mapping.sources("product_id")[:1]
    wanted = dict.fromkeys((each, each) for each in product)
    for source in catalogue.sources("category") if catalogue else ():
        wanted[source, source] = None
    for source in catalogue.sources("name") if catalogue else ():
        wanted |= {(source, each): None for each in product}
    found: set[str] = set()
    for source, key in wanted:
        if {source, key} <= set(rows.columns):
            pairs = rows.project(
                f"{quote_identifier(source)}::varchar as said, {quote_identifier(key)}::varchar as key"
            ).distinct()
            found |= {key for said, key in pairs.fetchall() if said and key and NOT_A_PRODUCT.search(said)}
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


def menu_toml(
    fit: BasketStatistics, currency: str, margin: float, categories: bool = False, stores: bool = False
) -> str:
    """[[menu]] lines: a reminder, percentages on a category within the margin, one for a first purchase in a new
    category where goods have `categories`, a win-back where customers have a rhythm, an amount off above the usual
    basket, free delivery.

    The amount is a tenth to a seventh of its threshold, and less than the margin on it.
    """
    digits = currency_digits(currency)
    threshold = round_up(1.1 * fit.high_cents, digits)
    amount = next(
        (
            value
            for part in (7, 8, 10, 12, 15, 20)
            if (value := round_up(threshold / part, digits)) < margin * threshold / 2
        ),
        0,
    )
    free = round_up(fit.median_cents, digits)
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
            f"spend-{threshold // 10**digits}-save-{amount // 10**digits}",
            f'type = "amount_off", amount_cents = {amount}', f"min_spend_cents = {threshold}",
        )  # fmt: skip
    if not stores:
        lines += _line("free-delivery", 'type = "free_shipping"', f"min_spend_cents = {free}", "online_only = true")
    lines += SEGMENTS
    if fit.no_goods:
        names = ", ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in fit.no_goods)
        lines += ["", "[rules]", f"excluded = [{names}]  # these look like no goods: no offer is given on them"]
    return "\n".join([*lines, ""])


def _line(name: str, benefit: str, *more: str) -> list[str]:
    return ["", "[[menu]]", f'id = "{name}"', f"benefit = {{ {benefit} }}", *more]
