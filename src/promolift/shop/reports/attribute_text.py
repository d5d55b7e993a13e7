"""Describe an attribute of a customer's profile in one English sentence.

Meaning and unit of each attribute are stated in PROFILES (foundation/tables/schemas.py).
"""

from collections.abc import Callable, Mapping

from promolift.foundation.tables.schemas import PROFILES

Money = Callable[[float], str]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WINDOWS = (4, 8, 16, 52)

# {} is the value in words; an attribute's standard error joins its sentence, so it has none of its own
SENTENCES: Mapping[str, str] = {
    "name": "Is called {}.",
    "sex": "Sex: {}.",
    "age": "Age: {}.",
    "occupation": "Works as {}.",
    "income": "Income band: {}.",
    "tier": "Membership tier: {}.",
    "language": "Reads {}.",
    "consent": "Agreed to be written to: {}.",
    "orders_total": "Has placed {} so far.",
    "revenue_total_cents": "Has spent {} so far, refunds taken off.",
    "list_total_cents": "Would have paid {} at undiscounted prices.",
    "spend_per_week_cents": "Spends about {} a week.",
    "tenure_days": "First ordered {} ago.",
    "recency_days": "Last ordered {} ago.",
    "shopping_days": "Has shopped on {}.",
    "cadence_days": "Usually comes back after {}.",
    "gap_variation": "Gaps between visits vary by {} of their mean (0 is clockwork, 1 is chance).",
    "due_in_days": "Is due to shop in {} (negative: overdue).",
    "basket_lines_mean": "A basket holds {} on average.",
    "basket_lines_sd": "Baskets vary by {}.",
    "basket_mean_cents": "A basket is worth {} on average.",
    "basket_sd_cents": "Basket values vary by {}.",
    "basket_median_cents": "Half of the baskets are worth more than {}.",
    "basket_p25_cents": "Three quarters of the baskets are worth more than {}.",
    "basket_p75_cents": "A quarter of the baskets are worth more than {}.",
    "basket_p90_cents": "A tenth of the baskets are worth more than {}.",
    **{f"basket_fifth_{k}": f"{{}} of the baskets are in the shop's quintile {k} of 5 by value." for k in range(1, 6)},
    "category_count": "Has bought from {}.",
    "category_entropy": "Breadth of spend over categories: {}.",
    **{f"top_category_{k}": f"Favourite category number {k}: {{}}." for k in (1, 2, 3)},
    **{f"top_category_{k}_share": f"Favourite category number {k} takes {{}} of the spend." for k in (1, 2, 3)},
    "brand_count": "Has bought {}.",
    "top_brand": "Buys mostly the brand {}.",
    "top_brand_share": "The favourite brand makes up {} of the lines.",
    "private_label_share": "{} of the lines are the shop's own brand.",
    "type_count": "Has bought {}.",
    "novelty_share": "{} of the product types of the last 8 weeks were new to this customer.",
    "price_tier": "Pays {} times what others pay for the same types of product.",
    "deal_share": "{} of the lines were bought at a shelf discount.",
    "discount_share": "All reductions together were {} of the undiscounted value.",
    "coupon_share": "{} of the orders had a coupon.",
    "price_sensitivity": "Takes the discounted product more than others do by {} (0 is like the others).",
    "active_hours": "Was seen in {}.",
    "top_hour": "Is most often active in the hour from {}.",
    "top_weekday": "Is most often active on {}.",
    "weekend_share": "{} of the activity is on Saturdays and Sundays.",
    "morning_share": "{} of the activity is between 5 and 11.",
    "evening_share": "{} of the activity is between 18 and 23.",
    "top_channel": "Mostly uses the channel {}.",
    "channel_count": "Uses {}.",
    "top_store": "Mostly goes to store {}.",
    "top_store_share": "The favourite store sees {} of the activity.",
    "store_count": "Has been to {}.",
    "views_total": "Has looked at products {} so far.",
    "sessions_total": "Has come to site or app in {} so far.",
    "view_recency_days": "Last looked at a product {} ago.",
    "view_to_purchase": "Later buys {} of the products looked at.",
    "view_to_cart": "Later puts {} of the products looked at into the cart.",
    "impressions_total": "Was shown products in {} so far.",
    "click_rate": "Clicks on {} of what is shown.",
    "dwell_mean_s": "Looks at a product for {} on average.",
    "exposures_total": "Has received {} so far.",
    "exposures_16w": "Has received {} in the last 16 weeks.",
    "redemptions_total": "Has used {} so far.",
    "redemptions_16w": "Has used {} in the last 16 weeks.",
    "redemption_recency_days": "Last used a coupon {} ago.",
    "redemption_rate": "Answers {} of the campaigns.",
    "words_16w": "Wrote or said something to the shop, {} in the last 16 weeks.",
    "complaints_16w": "Complained in about {} in the last 16 weeks.",
    "complaint_recency_days": "Last complained {} ago.",
    "too_expensive_16w": "Said in about {} in the last 16 weeks that something is too expensive.",
    **{f"orders_{w}w": f"Placed {{}} in the last {w} weeks." for w in WINDOWS},
    **{f"revenue_{w}w_cents": f"Spent {{}} in the last {w} weeks." for w in WINDOWS},
    **{f"views_{w}w": f"Looked at products {{}} in the last {w} weeks." for w in WINDOWS},
    **{f"sessions_{w}w": f"Came to site or app in {{}} in the last {w} weeks." for w in WINDOWS},
    **{f"carts_{w}w": f"Put products into the cart {{}} in the last {w} weeks." for w in WINDOWS},
}
UNITS = {column.name: column.unit for column in PROFILES.columns}


def sentence(row: Mapping[str, object], name: str, money: Money) -> str | None:
    """What attribute `name` says about the customer of this row of PROFILES; None where it is not known.

    `money` writes minor units as the shop does. Where the row holds `name`_se, the sentence ends with it.
    """
    value = row.get(name)
    if value is None:
        return None
    error = row.get(f"{name}_se")
    words = _words(name, value, money)
    if error is not None:
        words += f" (+- {_words(name, error, money)})"
    return SENTENCES[name].format(words)


def describe(row: Mapping[str, object], money: Money) -> list[str]:
    """Every sentence that can be said about the customer, in the order of PROFILES."""
    said = (sentence(row, column.name, money) for column in PROFILES.columns if column.name in SENTENCES)
    return [text for text in said if text is not None]


def _words(name: str, value: object, money: Money) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    match UNITS[name]:
        case "minor units":
            return money(float(value))
        case "share":
            return f"{100 * value:.0f} %"
        case "weekday":
            return WEEKDAYS[int(value) - 1]
        case "hour":
            return f"{value}:00"
        case "days" | "lines" | "seconds" | "ratio" | "nats" | "log odds" as unit:
            digits = 1 if unit in ("days", "lines", "seconds") else 2
            return f"{value:.{digits}f}" + ("" if unit == "ratio" else f" {unit}")
        case "texts" if isinstance(value, float):
            return f"{value:.1f} texts"
        case "views" | "carts":
            return f"{value} times"
        case unit:
            return f"{value} {unit}"
