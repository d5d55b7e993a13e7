"""The rules of cleaning, in one table: what is looked for, what it means, what happens. The docs are generated from it.

Each rule's `sql` is the condition itself, over the columns that `clean.parsed` makes; `$name` is a CleanRules field.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from promolift.settings import Settings

Action = Literal["rejected", "repaired", "counted"]


class CleanRules(Settings):
    """Limits of what is believed; the [cleaning rules](cleaning.md) go by them."""

    now_ms: int | None = Field(
        default=None,
        description="Events later than this are rejected, in milliseconds UTC since 1970. Left out: the moment of "
        "`promolift ingest`.",
        examples=[1_767_225_600_000],
    )
    since_ms: int = Field(
        default=631_152_000_000,
        description="Events earlier than this are rejected, in milliseconds UTC since 1970; the default is 1990-01-01.",
    )
    max_quantity: float = Field(
        default=1000, gt=0, description="Units in one row above which the number is not believed and becomes missing."
    )
    max_price_cents: int = Field(
        default=1_000_000_000,
        gt=0,
        description="Minor units in one row above which a row is rejected, or a product's price becomes missing.",
    )
    max_age: int = Field(
        default=110, gt=0, description="Years above which an age is not believed: 118 is often 'unknown'."
    )
    late_ms: int = Field(
        default=86_400_000,
        gt=0,
        description="Milliseconds between an event and its arrival above which it is counted as late; it is kept.",
    )
    drop_identical: bool = Field(
        default=True,
        description="Rows equal in every column to an earlier one are duplicates and rejected.",
    )


@dataclass(frozen=True)
class Rule:
    """One rule: `rejected` sets the row aside, `repaired` changes it, `counted` only tells."""

    name: str
    action: Action
    meaning: str
    sql: str


EVENT_RULES: tuple[Rule, ...] = (
    Rule("missing customer", "rejected", "the row does not say who", "customer_id is null"),
    Rule("missing time", "rejected", "the row does not say when", "ts_ms is null and not time_written"),
    Rule("unreadable time", "rejected", "what stands in the time column is no time", "ts_ms is null"),
    Rule("too early", "rejected", "before rules.since_ms, usually a default such as 1970-01-01", "ts_ms < $since_ms"),
    Rule("in the future", "rejected", "later than the moment of the ingest", "ts_ms > $now_ms"),
    Rule(
        "duplicate",
        "rejected",
        "same event id, else equal in all columns, as an earlier row of the customer",
        "repeated",
    ),
    Rule("other currency", "rejected", "money in another currency than the shop's", "currency <> $currency"),
    Rule(
        "unreadable amount",
        "rejected",
        "what stands in the amount column is no number",
        "paid and money is null and money_written",
    ),
    Rule(
        "missing amount",
        "rejected",
        "a purchase or refund that does not say how much",
        "paid and money is null and money_expected",
    ),
    Rule(
        "impossible price",
        "rejected",
        "negative without being a refund, or above rules.max_price_cents",
        "paid and (abs(money) > $max_price_cents"
        " or (kind = 'purchase' and (money < 0 or (unit_price < 0 and quantity < 0))))",
    ),
    Rule(
        "impossible quantity",
        "repaired",
        "zero, negative without being a refund, above rules.max_quantity, or no number: the quantity becomes missing",
        "quantity_written and (quantity is null or quantity = 0 or abs(quantity) > $max_quantity"
        " or (quantity < 0 and kind <> 'refund'))",
    ),
    Rule(
        "amount computed",
        "repaired",
        "no amount of its own: unit price times quantity, else the catalogue's price, is used",
        "paid and computed",
    ),
    Rule(
        "impossible discount", "repaired", "a discount that raises the price: it becomes 0", "shelf < 0 or coupon < 0"
    ),
    Rule(
        "list below revenue",
        "repaired",
        "the undiscounted value was below what was paid: it becomes equal",
        "kind = 'purchase' and round(list) < round(money)",
    ),
    Rule("missing order", "repaired", "no order id: one per customer and local day is made", "paid and order_missing"),
    Rule("cancelled", "counted", "an order whose status says the money was not kept: its kind is 'other'", "gone"),
    Rule("unknown kind", "counted", "an event name nobody has explained: its kind is 'other'", "kind_unknown"),
    Rule("late", "counted", "received more than rules.late_ms after it happened", "received_ms - ts_ms > $late_ms"),
    Rule(
        "refund",
        "counted",
        "a negative quantity with its amount, a cancelled order, or a refund by name",
        "kind = 'refund'",
    ),
)
CUSTOMER_RULES: tuple[Rule, ...] = (
    Rule("missing customer", "rejected", "the row does not say who", "customer_id is null"),
    Rule("duplicate", "rejected", "the same customer again: the last row wins", "repeated"),
    Rule("impossible age", "repaired", "a number below 0 or above rules.max_age: it becomes missing", "age_bad"),
)
PRODUCT_RULES: tuple[Rule, ...] = (
    Rule("missing product", "rejected", "the row does not say what", "product_id is null"),
    Rule("duplicate", "rejected", "the same product again: the last row wins", "repeated"),
    Rule(
        "impossible price",
        "repaired",
        "negative, above rules.max_price_cents or no number: it becomes missing",
        "price_bad or cost_bad",
    ),
)
EXPOSURE_RULES: tuple[Rule, ...] = (
    Rule("missing customer", "rejected", "the row does not say who", "customer_id is null"),
    Rule("missing campaign", "rejected", "the row does not say which campaign", "campaign_id is null"),
    Rule(
        "unreadable time",
        "rejected",
        "no start or end, or what stands there is no time",
        "start_ms is null or end_ms is null",
    ),
    Rule("ends before it starts", "rejected", "the last moment lies before the first", "end_ms < start_ms"),
    Rule("duplicate", "rejected", "the same customer and campaign again: the last row wins", "repeated"),
)
REDEMPTION_RULES: tuple[Rule, ...] = (
    Rule("missing customer", "rejected", "the row does not say who", "customer_id is null"),
    Rule("missing campaign", "rejected", "the row does not say which campaign", "campaign_id is null"),
    Rule("unreadable time", "rejected", "what stands in the time column is no time", "ts_ms is null"),
    Rule("duplicate", "rejected", "equal in all columns to an earlier row", "repeated"),
)
COUPON_RULES: tuple[Rule, ...] = (
    Rule(
        "missing key",
        "rejected",
        "campaign, coupon or product is missing",
        "campaign_id is null or coupon_id is null or product_id is null",
    ),
    Rule("duplicate", "rejected", "the same campaign, coupon and product again", "repeated"),
)
SHELF_RULES: tuple[Rule, ...] = (
    Rule(
        "missing key",
        "rejected",
        "product, store or week is missing",
        "product_id is null or store_id is null or start_ms is null",
    ),
)
RULES: dict[str, tuple[Rule, ...]] = {
    "events": EVENT_RULES,
    "customers": CUSTOMER_RULES,
    "products": PRODUCT_RULES,
    "exposures": EXPOSURE_RULES,
    "redemptions": REDEMPTION_RULES,
    "coupons": COUPON_RULES,
    "shelf": SHELF_RULES,
}


def rules_text() -> str:
    """All rules as Markdown tables, one per clean table."""
    parts = []
    for table, rules in RULES.items():
        rows = "\n".join(f"| {rule.name} | {rule.action} | {rule.meaning} |" for rule in rules)
        parts.append(f"### {table}\n\n| rule | what happens | meaning |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)
