"""A server that is killed while carts are held: every cart is whole or not there, and neither a campaign nor all of
them together nor a customer spends too much.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
from ledger_helpers import NOW, SUPPORT, add, check_books, limit, open_ledger
from sqlalchemy import select

from promolift.server.ledger.limits import ALL_CAMPAIGNS
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import LIMITS, REDEMPTIONS

RUNS = int(os.environ.get("PROMOLIFT_KILLS", "2"))  # each of three lives; a long run takes 50
CAMPAIGNS = {"spring": 40_003, "tea": 25_001, "delivery": 11_007}
TOGETHER, EACH = 30_001, 4_503  # of all campaigns, in all and per customer: less than the campaigns' own
HELD = """
import asyncio, random, sys
from pathlib import Path
from ledger_helpers import NOW, open_ledger
from promolift.core.offers.cart_pricing import Promotion
from promolift.server.carts.carts import CartIn, UsablePromotion, Wallet
from promolift.server.carts.held_carts import reserve_cart
from promolift.server.ledger.limits import RedemptionTransaction

def promotion(name, **terms):
    return Promotion.parse({"id": name, "stacking": {"category": name}, **terms}, "test")

HOLDS = {
    "ten": UsablePromotion(promotion("ten", benefit={"type": "percent_off", "percent": 10}), "spring"),
    "third": UsablePromotion(promotion("third", benefit={"type": "buy_x_get_y", "buy": 2, "get": 1}), "tea"),
    "free": UsablePromotion(promotion("free", benefit={"type": "free_shipping"}), "delivery"),
}
ledger = open_ledger(Path(sys.argv[1]))

def work(db, bodies):
    wallet = Wallet(dict(HOLDS), {}, None, {}, {}, None, dict.fromkeys(("spring", "tea", "delivery")))
    with RedemptionTransaction(db, NOW) as books:
        return [reserve_cart(books, body, wallet, "test").cart for body in bodies]

async def client(me):
    draw = random.Random(f"{sys.argv[2]} {me}")
    for number in range(100000):
        line = {"line_id": "1", "product_id": "green", "category": "tea", "quantity": 3}
        line["price_cents"] = draw.randint(50, 150)
        body = CartIn.model_validate({
            "customer_id": f"u{me}", "shipping_cents": 60, "lines": [line], "hold": True,
            "order_id": f"{sys.argv[2]}-{me}-{number}",
        })
        found = await ledger.call(work, body)
        if not found.redemptions:
            print("empty", flush=True)
            return
        print(body.order_id, *sorted(found.redemptions.values()), flush=True)

async def main():
    await asyncio.gather(*(client(me) for me in range(8)))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("run", range(RUNS))
def test_a_killed_server_holds_whole_carts_and_keeps_every_budget(tmp_path: Path, run: int) -> None:
    with open_ledger(tmp_path) as ledger:
        rows = [limit(f"l-{name}", cents, campaign_id=name) for name, cents in CAMPAIGNS.items()]
        rows.append(limit("together", TOGETHER, campaign_id=ALL_CAMPAIGNS))
        rows.append(limit("each", EACH, campaign_id=ALL_CAMPAIGNS, per="customer"))
        add(ledger, LIMITS, *rows)
        ledger.write(lambda db, some: [[Campaign().save(db, name, NOW) for name in CAMPAIGNS] and None for _ in some])
    carts: dict[str, set[str]] = {}
    for life in range(3):
        command = [sys.executable, "-c", HELD, str(tmp_path), f"{run}.{life}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SUPPORT)
        assert process.stdout
        heard = 0
        for line in process.stdout:
            if line.startswith("empty"):
                break
            order, *held = line.split()
            carts[order], heard = set(held), heard + 1
            if heard > 60 + 17 * (run % 5):
                break
        process.kill()
        for line in process.stdout:
            if line.endswith("\n") and not line.startswith("empty"):
                order, *held = line.split()
                carts[order] = set(held)
        process.stdout.close()
        process.wait()
        with open_ledger(tmp_path) as ledger:
            check_books(ledger)
            with ledger.read() as db:
                kept = list(db.execute(select(REDEMPTIONS)).mappings())
        known = {row["redemption_id"] for row in kept}
        assert all(held <= known for held in carts.values())  # what was acknowledged is there
        spent, by = Counter[str](), Counter[str]()
        for row in kept:
            spent[row["campaign_id"]] += row["reserved_cents"]
            by[row["customer_id"]] += row["reserved_cents"]
        assert all(spent[name] <= cents for name, cents in CAMPAIGNS.items())
        assert spent.total() <= TOGETHER
        assert max(by.values()) <= EACH
        whole = Counter(row["order_id"] for row in kept)
        assert all(whole[order] == len(held) for order, held in carts.items())  # no promotion of a cart alone
    assert len(carts) > 130
    assert spent.total() > 0.8 * TOGETHER  # the shared limit was what held
