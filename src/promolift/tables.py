"""The columns of every table: type, unit, meaning. docs/tables.md is generated from this file."""

from typing import NamedTuple

import polars as pl

from promolift.contract import Column, Flag, Int, Real, Table, Text

Z95 = 1.959963984540054  # standard errors that every 95 % interval reaches to each side


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


EVENTS = Table(
    "events",
    "One row per thing a customer did: one line of a receipt, one product view. Partitioned by customer hash.",
    (),
    (
        Column("customer_id", Text, "who", required=True),
        Column("ts_ms", Int, "when it happened", "ms UTC", required=True),
        Column("kind", Text, "purchase, view, add_to_cart, refund or other", required=True),
        Column("product_id", Text, "what; missing for events about no product"),
        Column("order_id", Text, "receipt, order or session the row belongs to"),
        Column("store_id", Text, "shop, site or app"),
        Column("channel", Text, "store, web, app, ..."),
        Column("quantity", Real, "units; missing where the source's number is impossible", "units", low=0),
        Column("revenue_cents", Int, "what the shop receives for the row; 0 for a view", "minor units", required=True),
        Column(
            "list_cents",
            Int,
            "value at the undiscounted price; equals revenue where the source has no discounts",
            "minor units",
            required=True,
        ),
        Column("shelf_cents", Int, "price reduction open to everybody", "minor units", required=True, low=0),
        Column("coupon_cents", Int, "reduction by a coupon of this customer", "minor units", required=True, low=0),
        Column("dwell_s", Real, "how long they looked, where the source says so", "seconds", low=0),
    ),
)
CUSTOMERS = Table(
    "customers",
    "One row per customer who told us something; others are known by events alone. More columns are kept as text.",
    ("customer_id",),
    (
        Column("customer_id", Text, "who", required=True),
        Column("name", Text, "how to address the customer"),
        Column("sex", Text, "as the source says"),
        Column("age", Text, "years or a band, as the source says"),
        Column("occupation", Text, "as the source says"),
        Column("income", Text, "a band, as the source says"),
        Column("language", Text, "zh or en; missing means the shop's own"),
        Column("consent", Flag, "may be sent marketing; missing means the shop's default"),
    ),
    open=True,
)
PRODUCTS = Table(
    "products",
    "The catalogue, as far as it is known.",
    ("product_id",),
    (
        Column("product_id", Text, "what", required=True),
        Column("name", Text, "as printed for customers"),
        Column("category", Text, "the level at which coupons are given"),
        Column("type", Text, "the finer level below category"),
        Column("department", Text, "the coarser level above category"),
        Column("brand", Text, "brand or brand class"),
        Column("price_cents", Int, "current undiscounted price", "minor units", low=0),
        Column("cost_cents", Int, "what the shop pays for one unit", "minor units", low=0),
    ),
)
EXPOSURES = Table(
    "exposures",
    "Who was targeted by which past campaign.",
    ("campaign_id", "customer_id"),
    (
        Column("campaign_id", Text, "which campaign", required=True),
        Column("customer_id", Text, "who", required=True),
        Column("kind", Text, "the source's type of campaign"),
        Column("start_ms", Int, "first moment the offer could be used", "ms UTC", required=True),
        Column("end_ms", Int, "last moment", "ms UTC", required=True),
    ),
)
REDEMPTIONS = Table(
    "redemptions",
    "Coupons that were used. Rows carry no receipt.",
    (),
    (
        Column("customer_id", Text, "who", required=True),
        Column("campaign_id", Text, "which campaign", required=True),
        Column("coupon_id", Text, "which coupon"),
        Column("ts_ms", Int, "when; local midnight where the source has only the day", "ms UTC", required=True),
    ),
)
COUPONS = Table(
    "coupons",
    "Which products a campaign's coupon covers.",
    ("campaign_id", "coupon_id", "product_id"),
    (
        Column("campaign_id", Text, "which campaign", required=True),
        Column("coupon_id", Text, "which coupon", required=True),
        Column("product_id", Text, "what it covers", required=True),
    ),
)
SHELF = Table(
    "shelf",
    "Displays and mailers: what the shop showed to everybody, by product, store and week.",
    (),
    (
        Column("product_id", Text, "what", required=True),
        Column("store_id", Text, "where", required=True),
        Column("start_ms", Int, "first moment of the week", "ms UTC", required=True),
        Column("display", Flag, "on a display", required=True),
        Column("mailer", Flag, "in a mailer", required=True),
    ),
)


def _windows(stem: str, dtype: type[pl.DataType], meaning: str, unit: str) -> tuple[Column, ...]:
    weeks = (4, 8, 16, 52)
    return tuple(Column(stem.format(w), dtype, f"{meaning} in the last {w} weeks", unit) for w in weeks)


def _share(name: str, meaning: str) -> Column:
    return Column(name, Real, meaning, "share", low=0, high=1)


PROFILES = Table(
    "profiles",
    "One row per customer and moment: what was known of them strictly before it. Null means it cannot be known.",
    ("customer_id", "asof_ms"),
    (
        Column("customer_id", Text, "who", required=True),
        Column("asof_ms", Int, "the moment; only earlier rows were used", "ms UTC", required=True),
        *(c for c in CUSTOMERS.columns if c.name != "customer_id"),
        Column("orders_total", Int, "orders so far", "orders"),
        *_windows("orders_{}w", Int, "orders", "orders"),
        Column("revenue_total_cents", Int, "spent so far, less refunds", "minor units"),
        Column("list_total_cents", Int, "the same at undiscounted prices", "minor units"),
        *_windows("revenue_{}w_cents", Int, "spent, less refunds,", "minor units"),
        Column(
            "spend_per_week_cents",
            Real,
            "purchasing power: spend per week over the last 16 weeks or since the first purchase",
            "minor units",
        ),
        Column("tenure_days", Real, "time since the first order", "days", low=0),
        Column("recency_days", Real, "time since the last order", "days", low=0),
        Column("shopping_days", Int, "different days with an order", "days"),
        Column("cadence_days", Real, "median time between shopping days", "days"),
        Column(
            "gap_variation",
            Real,
            "regularity: s.d. of the gaps over their mean; 0 is clockwork, 1 is chance",
            "ratio",
            low=0,
        ),
        Column("due_in_days", Real, "cadence minus recency; negative when overdue", "days"),
        Column("basket_lines_mean", Real, "lines per order", "lines"),
        Column("basket_lines_sd", Real, "s.d. of lines per order", "lines"),
        Column("basket_mean_cents", Real, "mean order value", "minor units"),
        Column("basket_mean_cents_se", Real, "standard error of that mean", "minor units"),
        Column("basket_sd_cents", Real, "s.d. of order values", "minor units"),
        Column("basket_median_cents", Real, "median order value", "minor units"),
        Column("basket_p25_cents", Real, "a quarter of the orders are below", "minor units"),
        Column("basket_p75_cents", Real, "a quarter of the orders are above", "minor units"),
        Column("basket_p90_cents", Real, "a tenth of the orders are above", "minor units"),
        *(
            _share(f"basket_fifth_{k}", f"share of orders in the shop's quintile {k} of 5 by value")
            for k in range(1, 6)
        ),
        Column("category_count", Int, "different categories bought", "categories"),
        Column("category_entropy", Real, "breadth: entropy of spend over categories", "nats", low=0),
        *(
            column
            for k in (1, 2, 3)
            for column in (
                Column(f"top_category_{k}", Text, f"category in place {k} by orders"),
                _share(f"top_category_{k}_share", "its share of spend at undiscounted prices"),
            )
        ),
        Column("brand_count", Int, "different brands bought", "brands"),
        Column("top_brand", Text, "brand of most lines"),
        _share("top_brand_share", "its share of lines"),
        _share("private_label_share", "share of lines of the shop's own brand; null where the catalogue names none"),
        Column("type_count", Int, "different product types bought", "types"),
        _share("novelty_share", "novelty seeking: share of the last 8 weeks' product types never bought before"),
        Column(
            "price_tier",
            Real,
            "own spend at undiscounted prices over the same units at the others' prices by type",
            "ratio",
        ),
        Column("price_tier_se", Real, "its standard error", "ratio"),
        _share("deal_share", "share of lines bought at a shelf discount"),
        _share("discount_share", "all reductions over value at undiscounted prices"),
        _share("coupon_share", "share of orders with a coupon reduction"),
        Column("price_sensitivity", Real, "how much rather than others they take the discounted product", "log odds"),
        Column("price_sensitivity_se", Real, "its standard error", "log odds"),
        Column("active_hours", Int, "different hours with any event", "hours"),
        Column("top_hour", Int, "hour of day most often active, shop's zone", "hour", low=0, high=23),
        Column("top_weekday", Int, "day most often active; Monday is 1", "weekday", low=1, high=7),
        _share("weekend_share", "share of active hours on Saturday and Sunday"),
        _share("morning_share", "share of active hours from 5 to 11"),
        _share("evening_share", "share of active hours from 18 to 23"),
        Column("top_channel", Text, "channel most often used"),
        Column("channel_count", Int, "different channels", "channels"),
        Column("top_store", Text, "store most often used"),
        _share("top_store_share", "its share of active hours"),
        Column("store_count", Int, "different stores", "stores"),
        Column("views_total", Int, "product views so far", "views"),
        *_windows("views_{}w", Int, "product views", "views"),
        *_windows("carts_{}w", Int, "products put into the cart", "carts"),
        Column("view_recency_days", Real, "time since the last view", "days", low=0),
        _share("view_to_purchase", "share of products viewed that were bought later, shrunk towards the shop's"),
        Column("view_to_purchase_se", Real, "its standard error", "share"),
        _share("view_to_cart", "share of products viewed that were put into the cart later, shrunk as well"),
        Column("view_to_cart_se", Real, "its standard error", "share"),
        Column("dwell_mean_s", Real, "how long a product view lasts on average", "seconds", low=0),
        Column("dwell_mean_s_se", Real, "its standard error", "seconds"),
        Column("exposures_total", Int, "campaigns received so far", "campaigns"),
        Column("exposures_16w", Int, "campaigns that began in the last 16 weeks", "campaigns"),
        Column("redemptions_total", Int, "coupons used so far", "coupons"),
        Column("redemptions_16w", Int, "coupons used in the last 16 weeks", "coupons"),
        Column("redemption_recency_days", Real, "time since the last coupon used", "days", low=0),
        _share("redemption_rate", "share of ended campaigns answered, shrunk towards the shop's"),
        Column("redemption_rate_se", Real, "its standard error", "share"),
    ),
)
AFFINITIES = Table(
    "affinities",
    "What each customer buys, and may buy next, per target: product category, or the product where there are none.",
    ("customer_id", "asof_ms", "target"),
    (
        Column("customer_id", Text, "who", required=True),
        Column("asof_ms", Int, "the moment; only earlier rows were used", "ms UTC", required=True),
        Column("target", Text, "category (or the type, where only types are known) or product id", required=True),
        Column("target_kind", Text, "category or product", required=True),
        Column("bought", Flag, "bought before the moment; false for plausible or only viewed targets", required=True),
        Column("orders", Int, "orders with the target", "orders", required=True, low=0),
        Column("list_cents", Int, "value at undiscounted prices", "minor units", required=True),
        Column("revenue_cents", Int, "what was paid", "minor units", required=True),
        Column("recent_list_cents", Int, "the same in the last 84 days", "minor units", required=True),
        Column("recent_revenue_cents", Int, "paid in the last 84 days", "minor units", required=True),
        Column("last_ms", Int, "when it was bought last", "ms UTC"),
        Column("recency_days", Real, "time since then", "days", low=0),
        Column("gap_days", Real, "median time between days it was bought; missing before the second", "days", low=0),
        Column("due_in_days", Real, "gap minus recency; negative when overdue", "days"),
        Column("spend_share", Real, "share of all the customer paid", "share"),
        Column(
            "deal_share",
            Real,
            "share of lines bought at a shelf discount; missing where the shop has none",
            "share",
            low=0,
            high=1,
        ),
        Column("views", Int, "views of the target's products", "views", required=True, low=0),
        Column(
            "expected_cents",
            Real,
            "expected value at undiscounted prices in the next window without a promotion",
            "minor units",
            low=0,
        ),
        Column("expected_se_cents", Real, "standard error of that expectation", "minor units", low=0),
        Column(
            "buy_prob",
            Real,
            "probability of at least one order with the target in the next window",
            "probability",
            low=0,
            high=1,
        ),
    ),
)
OPTION = pl.Struct(
    {"offer": pl.String, "gain_cents": pl.Float64, "cost_cents": pl.Float64, "charge_cents": pl.Float64,
     "prob": pl.Float64}
)  # fmt: skip
CLOSED = pl.Struct({"offer": pl.String, "reason": pl.String})
DECISIONS = Table(
    "decisions",
    "One row per decision: all that an auditor, a replay and off-policy evaluation need.",
    ("decision_id",),
    (
        Column("decision_id", Text, "dec_, moment, hash of campaign, customer, policy, seed and moment", required=True),
        Column("ts_ms", Int, "when it was asked for", "ms UTC", required=True),
        Column("customer_id", Text, "who", required=True),
        Column("campaign_id", Text, "which campaign", required=True),
        Column("policy_id", Text, "which policy", required=True),
        Column("policy_version", Text, "which version of it; versions never change", required=True),
        Column("offer_id", Text, "what was decided; none for no offer", required=True),
        Column(
            "propensity",
            Real,
            "probability that this customer got this decision, the holdout counted in",
            "probability",
            required=True,
            low=0,
            high=1,
        ),
        Column(
            "candidates",
            pl.List(OPTION),
            "the open offers and none: expected gain and cost, what limits and caution charge beyond the price, and "
            "the probability of each",
            required=True,
        ),
        Column("ineligible", pl.List(CLOSED), "the closed offers, each with the rule that closes it", required=True),
        Column("seed", Int, "seed of the exploration hash", required=True),
        Column("holdout", Flag, "kept back to measure what offers earn; missing where nothing may be sent anyway"),
        Column("reason", Text, "the rule that settled it", required=True),
    ),
)
EXPOSURE_FEATURES = Table(
    "exposure_features",
    "What was known of a campaign and a targeted customer before the campaign began.",
    ("campaign_id", "customer_id"),
    (
        Column("campaign_id", Text, "which campaign or thought-of offer", required=True),
        Column("customer_id", Text, "who", required=True),
        Column("kind", Text, "the source's type of campaign"),
        Column("start_ms", Int, "the moment; only earlier rows were used", "ms UTC", required=True),
        Column("end_ms", Int, "last moment of the campaign; missing for an offer only thought of", "ms UTC"),
        Column("history_weeks", Real, "time from the shop's first event to the moment", "weeks", required=True),
        Column("faded_weeks", Real, "the same, each week fading with its age", "weeks", required=True, low=0),
        Column("window_weeks", Real, "the part of `window_days` that history reaches", "weeks", required=True, low=0),
        Column("orders_recent", Int, "orders in the last `window_days`", "orders", required=True, low=0),
        Column("recency_days", Real, "time since the last order; missing if there was none", "days", low=0),
        Column("coupon_lines", Real, "receipt lines with a coupon, fading with age", "lines", required=True, low=0),
        Column("told_us", Flag, "the customer told us something; missing where nobody was asked"),
        Column("earlier_campaigns", Int, "earlier campaigns that targeted the customer", required=True, low=0),
        Column("earlier_redeemed", Int, "those of which a coupon was used by the moment", required=True, low=0),
        Column("earlier_expected", Real, "the same if they were like all their targets", required=True, low=0),
        Column("earlier_coupons", Int, "coupons of them used by the moment", required=True, low=0),
        Column("earlier_coupons_expected", Real, "the same if they were like all their targets", required=True, low=0),
        Column("covered_recent", Int, "orders in the last `window_days` with a covered product, per coupon", low=0),
        Column("covered_orders", Int, "orders with a covered product, ever", low=0),
        Column("covered_couponed", Int, "coupons on something they once bought with a coupon", low=0),
        Column("covered_types", Int, "types of product among the covered; missing where none is known", low=0),
        Column("types_bought", Int, "those of which they ever bought something, covered or not", low=0),
    ),
    open=True,
)
REJECTED = Table(
    "rejected",
    "Raw rows that were not taken, kept aside with the reason.",
    (),
    (
        Column("source", Text, "file or table the row came from", required=True),
        Column("row", Int, "row number in that source, from 1", required=True),
        Column("reason", Text, "the rule it broke", required=True),
        Column("raw", Text, "the row as JSON", required=True),
    ),
)


# What a category offer covers: the category, or in catalogues without any the finer type, or the product itself. LEVEL
# is a common table expression over `products`; TARGET reads it for an event row `e` joined with its product `p`.
LEVEL = """level as (
    select case when count(category) > 0 then 'category' when count(type) > 0 then 'type' else 'product' end as level
    from products
)"""
TARGET = "case level.level when 'category' then p.category when 'type' then p.type else e.product_id end"

CANDIDATES = Table(
    "candidates",
    "The main table: a row per customer and offer; each room adds columns on the right. `none` is an offer too.",
    ("customer_id", "offer_id"),
    (
        Column("customer_id", Text, "who", required=True),
        Column("offer_id", Text, "what; none for no offer", required=True),
        Column("menu_id", Text, "the menu line it comes from", required=True),
        Column("scope", Text, "all, category or product; missing for none"),
        Column("target", Text, "the category or product it covers"),
        Column("kind", Text, "whether the target is a category or a product"),
        Column("benefit", Text, "percent_off, amount_off or free_shipping"),
        Column("depth", Real, "discount as a share of the price", low=0, high=1),
        Column("amount_cents", Int, "amount off", "minor units", low=0),
        Column("min_spend_cents", Int, "spend it asks for", "minor units", low=0),
        Column("activation", Text, "automatic at the till, code (to type or show) or link (opened from the message)"),
        Column("supplier_share", Real, "part of the benefit a supplier pays", low=0, high=1),
        Column("send_cost_cents", Real, "cost of telling the customer", "minor units", low=0),
        Column(
            "base_cents",
            Real,
            "expected list value of what it covers in the window without any offer",
            "minor units",
            low=0,
        ),
        Column("base_se_cents", Real, "standard error of base_cents", "minor units", low=0),
        Column("buy_prob", Real, "probability of buying it at all in the window without any offer", low=0, high=1),
        Column("bought", Flag, "bought before"),
        Column("margin_rate", Real, "margin as a share of list value", high=1),
        Column("price_sensitivity", Real, "see profiles"),
        Column("orders_expected", Real, "expected orders in the window", "orders", low=0),
        Column("basket_mean_cents", Real, "mean value of an order", "minor units", low=0),
        Column("basket_sd_cents", Real, "standard deviation of the value of an order", "minor units", low=0),
        Column("eligible", Flag, "open to this customer", required=True),
        Column("why_not", Text, "the first rule that closes it"),
    ),
    open=True,
)
PLANNED = Table(
    "planned",
    "CANDIDATES with what the plan says of each: computed once, served, told and learned from as they stand here.",
    CANDIDATES.key,
    (
        *CANDIDATES.columns,
        Column("gain_cents", Real, "expected profit after the offer's cost; missing where closed", "minor units"),
        Column("gain_se_cents", Real, "its standard error", "minor units", low=0),
        Column("cost_cents", Real, "what it is expected to cost the shop, telling included", "minor units", low=0),
        Column("added_cents", Real, "expected margin added, before that cost", "minor units"),
        Column("subsidy_cents", Real, "the shop's part of the benefit paid out", "minor units", low=0),
        Column("redeem_prob", Real, "probability that it is used", low=0, high=1),
        Column("evidence", Text, "randomised, adjusted or assumed"),
        Column("caution_cents", Real, "what the rule of risk takes off the gain before the choice", "minor units"),
        Column("charge_cents", Real, "gain that limits and caution ask for beyond the price of budget", "minor units",
               required=True),
        Column("open", Flag, "may be given: eligible, numbers known, not settled otherwise by the plan", required=True),
        Column("prob", Real, "probability that this customer gets it, the holdout counted in", low=0, high=1,
               required=True),
    ),
    open=True,
)  # fmt: skip

PLAN_FILE = Table(
    "plan_file",
    "plan.csv and plan.parquet: all that a till or a mail tool needs. Those with an offer, the largest expected gain "
    "first, then those who are held out and must get none; who is not named gets nothing. See docs/plan-file.md.",
    ("customer_id",),
    (
        Column("customer_id", Text, "who", required=True),
        Column("status", Text, "offer, or holdout: kept without an offer to measure what offers earn", required=True),
        Column("offer_id", Text, "which offer; this and all terms are missing for the holdout"),
        Column("arm", Text, "the menu line that the offer comes from; none for the holdout"),
        Column("group", Text, "the group in which a test compares arms; missing where the plan does not test"),
        Column("benefit", Text, "percent_off, amount_off or free_shipping"),
        Column("percent", Int, "percent_off: 20 takes 20 % off", "percent", low=1, high=100),
        Column("amount", Real, "amount_off: what is taken off, 5.00 or 500", "major units", low=0),
        Column("currency", Text, "of amount, min_spend and max_discount: an ISO 4217 code"),
        Column("min_spend", Real, "the least order it holds for; 0 for any", "major units", low=0),
        Column("max_discount", Real, "the most it takes off; missing where there is no such limit", "major units",
               low=0),
        Column("scope", Text, "what target_ids are: category or product; all: the offer holds for everything"),
        Column("target", Text, "what it covers, in the shop's language"),
        Column("target_ids", pl.List(pl.String), "the categories or products it covers, as the catalogue names them; "
               "in the CSV with ` ++ ` between them; empty for everything"),
        Column("joined", Text, "of an offer on two: each, whichever is bought; together, only if both are"),
        Column("activation", Text, "automatic (at the till), code (typed or shown) or link (opened from the message)"),
        Column("code", Text, "this customer's own code; needed where activation is code"),
        Column("starts", pl.Date, "first day, in the shop's zone"),
        Column("expires", pl.Date, "last day, to its end"),
        Column("valid_days", Int, "days from the first to the last", "days", low=1),
        Column("channel", Text, "where this customer is met most; missing where that is not known"),
        Column("message_zh", Text, "the words in Chinese"),
        Column("message_en", Text, "the words in English"),
        Column("expected_gain_cents", Real, "expected profit after the offer's cost", "minor units"),
        Column("expected_cost_cents", Real, "what it is expected to cost the shop", "minor units", low=0),
        Column("propensity", Real, "that this customer got this decision", "probability", required=True, low=0, high=1),
        Column("decision_id", Text, "the decision's record; name it where an outcome is reported", required=True),
        Column("reason", Text, "why this offer, or why none", required=True),
    ),
)  # fmt: skip

_LIKELY = tuple(
    column
    for k in (1, 2, 3)
    for column in (
        Column(f"next_{k}", Text, f"number {k} of the likeliest items of the next basket, private ones left out"),
        Column(f"next_{k}_prob", Real, "its probability to be in it", low=0, high=1),
    )
)
OUTLOOK = Table(
    "outlook",
    "What the encoder expects of each customer: calibrated figures, no effects. `embedding` is a vector.",
    ("customer_id",),
    (
        Column("customer_id", Text, "who", required=True),
        Column("asof_ms", Int, "the moment before which all is known", "ms UTC", required=True),
        Column("visits", Int, "visits with a purchase before it", "visits", required=True, low=0),
        Column("basis", Text, "their own visits; with fewer than 3, customers like them", required=True),
        *_LIKELY,
        Column("spend_cents", Real, "expected spend of the next 56 days", "minor units", required=True, low=0),
        Column("orders", Real, "expected orders of the next 56 days", "orders", required=True, low=0),
        Column("churn_prob", Real, "probability of no visit in the next 56 days", required=True, low=0, high=1),
        Column("deal_share", Real, "share of the next visit's items bought on discount", required=True, low=0, high=1),
        Column("leans_to", Text, "department, or category, that the next basket leans to more than everybody's"),
        Column("sentences", Text, "the same in plain words, a line each", required=True),
    ),
    open=True,
)
OUTLOOK_ITEMS = Table(
    "outlook_items",
    "Where the encoder places each item, also one that nobody bought yet. `embedding` is its vector.",
    ("item",),
    (
        Column("item", Text, "category, type or product, as `encoder.level` says", required=True),
        Column("name", Text, "its readable name; missing where it is private or may not be offered"),
        Column("category", Text, "its category, the most frequent one"),
        Column("department", Text, "its department, the most frequent one"),
        Column("price_cents", Real, "median price of its products", "minor units", low=0),
        Column("visits", Int, "visits it was bought on, of the customers learned from", "visits", required=True, low=0),
        Column("basis", Text, "its own purchases; without any, its category, brand and price", required=True),
        Column("expected_baskets", Real, "customers in whose next basket it is expected", required=True, low=0),
        *(Column(f"like_{k}", Text, f"number {k} of the items most like it") for k in (1, 2, 3)),
    ),
    open=True,
)


def all_tables() -> list[Table]:
    """Every table of this module, in the order of the story."""
    return [value for value in globals().values() if isinstance(value, Table)]
