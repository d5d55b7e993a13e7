"""The columns of what the encoder expects: a row per customer, and a row per item."""

from promolift.contract import Column, Int, Real, Table, Text

LIKELY = tuple(
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
        *LIKELY,
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
