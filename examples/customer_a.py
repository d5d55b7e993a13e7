"""Customer A viewed products 1 and 2 and bought 1: the facts in, the sentence that offers him product 2 out.

python examples/customer_a.py
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from promolift.core.messages import AngleFacts, Draft, find_live_angle, write_message
from promolift.core.messages.angles import SeenItem
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.localized_text import Language, LocalizedText
from promolift.foundation.tables.schemas import CUSTOMERS, EVENTS

SHOP = ZoneInfo("Asia/Shanghai")
CUSTOMER = {
    "customer_id": "A", "name": "用户A", "sex": "female", "age": "28", "occupation": "teacher", "income": None,
    "language": "zh", "consent": True,
}  # fmt: skip
NAMES = {"zh": CUSTOMER["name"], "en": "Customer A"}
CATALOGUE = {"1": LocalizedText(zh="商品1", en="Product 1"), "2": LocalizedText(zh="商品2", en="Product 2")}
HOOKS = {
    "zh": Draft("{deal}｜刚好搭配", "您刚刚购买了{bought}"),
    "en": Draft("{deal}: goes with it", "you just bought {bought}"),
}
WHAT_HAPPENED = [("10:00", "view", "1", 0), ("10:02", "view", "2", 0), ("10:07", "purchase", "1", 9900)]


def events() -> pl.DataFrame:
    """Two views and a purchase as rows of the events table."""
    rows = [
        {
            "customer_id": "A", "ts_ms": ms(datetime.fromisoformat(f"2026-06-01T{clock}").replace(tzinfo=SHOP)),
            "kind": kind, "product_id": product, "order_id": "o1" if kind == "purchase" else None, "channel": "app",
            "quantity": 1.0, "revenue_cents": cents, "list_cents": cents, "shelf_cents": 0, "coupon_cents": 0,
        }
        for clock, kind, product, cents in WHAT_HAPPENED
    ]  # fmt: skip
    return EVENTS.check(pl.DataFrame(rows, schema=EVENTS.schema))


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def offer_for(history: pl.DataFrame) -> Offer:
    """20 % off what was viewed and not bought, for the rest of the month."""
    bought = history.filter(pl.col("kind") == "purchase").get_column("product_id")
    viewed = history.filter(pl.col("kind") == "view").get_column("product_id")
    product = next(p for p in viewed if p not in set(bought))
    return Offer(
        id="off_a", menu_id="viewed", benefit=Benefit(type="percent_off", percent=20), scope="product", covers=product,
        label=CATALOGUE.get(product) or readable_name(product, "product"), currency="CNY",
        starts=datetime(2026, 6, 1, tzinfo=SHOP), expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=SHOP),
    )  # fmt: skip


def known_of(history: pl.DataFrame, language: Language) -> AngleFacts:
    """What may be said of them: the reason that their own events give, and the purchase it names."""
    bought, viewed = (
        [
            SeenItem(row["product_id"], None, row["ts_ms"])
            for row in history.filter(pl.col("kind") == kind).iter_rows(named=True)
        ]
        for kind in ("purchase", "view")
    )
    found = find_live_angle([offer_for(history).covers], bought, viewed, [], history["ts_ms"].max() + 1)
    assert found is not None
    assert found.bought is not None
    return AngleFacts(name=NAMES[language], bought=(CATALOGUE[found.bought.key],), angle=found.angle)


def sentence(language: Language) -> str:
    """The one sentence; name and purchase are said, age, sex and occupation never are."""
    CUSTOMERS.check(pl.DataFrame([CUSTOMER], schema=CUSTOMERS.schema))
    history = events()
    return write_message(offer_for(history), known_of(history, language), language, HOOKS[language]).sentence


if __name__ == "__main__":
    print(sentence("zh"))
    print(sentence("en"))
