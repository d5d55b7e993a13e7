"""A shop's checkout with promolift behind it: an offer on the page, its money held at the till, spent when paid.

PROMOLIFT_KEY=... python examples/serve/shop.py http://127.0.0.1:8080 customer-7
"""

import os
import sys

from promolift.serve.client import Client


def main(url: str, customer: str) -> None:
    with Client(url, os.environ["PROMOLIFT_KEY"]) as promolift:
        made = promolift.decide(customer, channel="site", language="en")
        if made["offer_id"] == "none":
            print(f"no offer: {made['reason']}")
            return
        print(made["message"], made["code"])
        held = promolift.reserve(customer, 250, decision_id=made["decision_id"], code=made["code"], order_id="o-1")
        promolift.confirm(held["redemption_id"], 200)  # the discount came to less in the end
        promolift.feedback(made["decision_id"], value_cents=1800)


if __name__ == "__main__":
    main(*sys.argv[1:3])
