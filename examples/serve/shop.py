"""A shop's checkout with promolift behind it: an offer, its cart priced and held, paid, half of it returned.

PROMOLIFT_KEY=... python examples/serve/shop.py http://127.0.0.1:8080 customer-7 product-1
"""

import os
import sys

from promolift.server.api.client import Client


def main(url: str, customer: str, product: str = "p1") -> None:
    with Client(url, os.environ["PROMOLIFT_KEY"]) as promolift:
        made = promolift.decide(customer, channel="site", language="en")
        if made["offer_id"] == "none":
            print(f"no offer: {made['reason']}")
            return
        print(made["message"], made["code"])
        lines = [{"line_id": "1", "product_id": product, "quantity": 2, "price_cents": 500}]
        cart = promolift.price_cart(customer, lines, decision_ids=[made["decision_id"]], hold=True, order_id="o-1")
        print(f"{cart['subtotal_cents']} before, {cart['total_cents']} after")
        for applied in cart["applied"]:
            promolift.confirm(str(applied["redemption_id"]))  # the order is paid
            promolift.rollback(str(applied["redemption_id"]), applied["discount_cents"] // 2)  # one of two came back
        promolift.feedback(made["decision_id"], value_cents=1800)


if __name__ == "__main__":
    main(*sys.argv[1:4])
