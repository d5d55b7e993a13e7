"""The price of a cart: equal to a brute-force oracle, and what one costs in CPU; decisions for a whole segment.

    python benchmarks/core/cart.py [--quick] [--work FOLDER]       # 100,000 carts; --quick 2,000

FOLDER is a finished work folder, such as `.promolift/demo` after `make demo`: then also 10,000 decisions in one call.
Carts over HTTP: `benchmarks/server/serve.py --only carts`.

Prints one JSON object a line. The oracle tries every set of promotions that stacking allows, on single units and in
exact fractions, by code of its own.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from promolift.core.decisions import ReleaseTerms
from promolift.core.offers.cart_pricing import Cart, CartLine, Promotion, Stacking, price_cart
from promolift.core.offers.terms import Benefit
from promolift.shop.pipeline.planning.segment_decisions import decide_rows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def drawn_cart(draw: random.Random) -> Cart:
    lines = [
        CartLine(f"l{k}", f"p{draw.randrange(6)}", f"c{draw.randrange(3)}", draw.randint(1, 4), draw.choice((0, 1, 99, 250, draw.randrange(5000))))
        for k in range(draw.randint(1, 6))
    ]  # fmt: skip
    cap = draw.choice((None, None, draw.randrange(3000)))
    return Cart(lines, draw.choice((0, 499, 800)), cap)


def drawn_promotion(draw: random.Random, name: str) -> Promotion:
    kind = draw.choice(
        ("percent_off", "amount_off", "fixed_price", "buy_x_get_y", "gift", "free_shipping", "points", "exchange")
    )
    most = draw.choice((None, draw.randint(1, 800)))
    times = draw.choice((None, draw.randint(1, 3)))
    spend = draw.choice((0, 0, draw.randrange(1, 9000)))
    fields: dict = {
        "percent_off": {"percent": draw.randint(1, 100), "base": draw.choice(("list", "remaining")), "max_discount_cents": most},
        "amount_off": {"amount_cents": draw.randint(1, 1500)},
        "fixed_price": {"price_cents": draw.randint(1, 3000), "max_times": times, "max_discount_cents": most},
        "buy_x_get_y": {"buy": draw.randint(1, 3), "get": draw.randint(1, 2), "percent": draw.choice((None, 50)), "max_times": times},
        "gift": {"product_id": "g", "quantity": draw.randint(1, 2), "worth_cents": draw.choice((0, 300))},
        "free_shipping": {"max_discount_cents": most},
        "points": {"points": draw.randint(1, 500), "worth_cents": draw.choice((0, 120))},
        "exchange": {"product_id": f"p{draw.randrange(6)}", "price_cents": draw.randint(1, 800), "quantity": draw.randint(1, 2)},
    }[kind]  # fmt: skip
    scope = draw.choice(("basket", "category", "product"))
    names = [f"{scope[0]}{k}" for k in range(3 if scope == "category" else 6)]
    covers = () if scope == "basket" else tuple(draw.sample(names, draw.randint(1, 3)))
    pair = len(covers) > 1 and kind in ("percent_off", "amount_off", "fixed_price") and draw.random() < 0.5
    if kind == "amount_off" and 0 < spend <= fields["amount_cents"]:
        spend = 0
    return Promotion(
        id=name,
        benefit=Benefit(type=kind, **{key: value for key, value in fields.items() if value is not None}),
        scope=scope,
        covers=covers,
        joined="together" if pair else "each",
        min_spend_cents=spend,
        starts=draw.choice((None, NOW - timedelta(days=1), NOW + timedelta(seconds=1)))
        if draw.random() < 0.2
        else None,
        expires=draw.choice((NOW, NOW - timedelta(seconds=1))) if draw.random() < 0.2 else None,
        stacking=Stacking(category=draw.choice("xy"), joint=draw.random() < 0.7, priority=draw.choice((0, 0, 1, 2))),
    )


def oracle(cart: Cart, held: list[Promotion]):
    """Per line what comes off, off delivery, and the ids applied, by trying every allowed set."""
    best = None
    for size in range(len(held) + 1):
        for chosen in combinations(held, size):
            if any(
                a.stacking.category == b.stacking.category and not (a.stacking.joint and b.stacking.joint)
                for a, b in combinations(chosen, 2)
            ):
                continue
            got = _tried(cart, sorted(chosen, key=lambda p: (p.scope == "basket", -p.stacking.priority, p.id)))
            if got is not None and (best is None or got[0] < best[0]):
                best = got
    return best[1:]


def _tried(cart, chosen):
    left = {line.line_id: line.unit_cents * line.quantity for line in cart.lines}
    goods = {line.line_id: line for line in cart.lines}
    budget = cart.most_off_cents if cart.most_off_cents is not None else 10**12
    delivery, worth, gifts, used = cart.shipping_cents, 0, 0, []
    for p in chosen:
        b = p.benefit
        if (p.starts and p.starts > NOW) or (p.expires and p.expires < NOW):
            return None
        part = {key: line.category if p.scope == "category" else line.product_id for key, line in goods.items()}
        on = [key for key in sorted(goods) if p.scope == "basket" or part[key] in p.covers]
        if b.type == "exchange":
            on = [key for key in on if goods[key].product_id != b.product_id]
        if not on or sum(goods[key].unit_cents * goods[key].quantity for key in on) < p.min_spend_cents:
            return None
        units = [(goods[key].unit_cents, key) for key in on for _ in range(goods[key].quantity)]
        dear = sorted(units, key=lambda unit: (-unit[0], unit[1]))
        may = dict.fromkeys(sorted(goods), 0)
        wish = None
        if b.type == "free_shipping":
            if not cart.shipping_cents:
                return None
            off = min(delivery, budget, b.max_discount_cents or delivery)
            delivery, budget = delivery - off, budget - off
            used += [p.id] if off else []
            continue
        if b.type in ("gift", "points"):
            worth, gifts = worth + b.worth_cents, gifts + 1
            used.append(p.id)
            continue
        if p.joined == "together":
            piles = [[unit for unit in dear if part[unit[1]] == name] for name in p.covers]
            if not all(piles):
                return None
            taken = []
            for k in range(min(map(len, piles))):
                one = [pile[k] for pile in piles]
                if b.type == "fixed_price":
                    if sum(unit for unit, _ in one) <= b.price_cents or len(taken) == (b.max_times or 10**9):
                        break
                elif sum(unit for unit, _ in one) <= 0:
                    break
                taken.append(one)
            for unit, key in (unit for one in taken for unit in one):
                may[key] += unit
            wish = {
                "percent_off": None, "amount_off": b.amount_cents,
                "fixed_price": sum(may.values()) - (b.price_cents or 0) * len(taken),
            }[b.type]  # fmt: skip
        elif b.type == "fixed_price":
            for unit, key in dear[: b.max_times]:
                may[key] += max(unit - b.price_cents, 0)
        elif b.type == "buy_x_get_y":
            if len(dear) < b.buy + b.get:
                return None
            free = min(len(dear) // (b.buy + b.get), b.max_times or 10**9) * b.get
            for unit, key in dear[::-1][:free]:
                may[key] += unit
        elif b.type == "exchange":
            extra = [unit for unit in ((line.unit_cents, key) for key, line in goods.items() for _ in range(line.quantity))
                     if goods[unit[1]].product_id == b.product_id]  # fmt: skip
            if not extra:
                return None
            for unit, key in sorted(extra, key=lambda unit: (-unit[0], unit[1]))[: b.quantity]:
                may[key] += max(unit - b.price_cents, 0)
        else:
            for key in on:
                may[key] = goods[key].unit_cents * goods[key].quantity
            wish = b.amount_cents
        room = {key: min(may[key], left[key]) for key in may}
        if b.type in ("percent_off", "buy_x_get_y"):
            base = sum((may if b.base == "list" else room).values())
            exact = Fraction(base * (b.percent or 100), 100)
            wish = int(exact + Fraction(1, 2))
        elif wish is None:
            wish = sum(room.values())
        off = max(0, min(wish, sum(room.values()), budget, b.max_discount_cents or wish))
        shares = {key: Fraction(off * value, sum(room.values()) or 1) for key, value in room.items()}
        less = {key: int(share) for key, share in shares.items()}
        for key in sorted(shares, key=lambda key: (int(shares[key]) - shares[key], key))[: off - sum(less.values())]:
            less[key] += 1
        for key, value in less.items():
            left[key] -= value
        budget -= off
        used += [p.id] if off else []
    off = {key: line.unit_cents * line.quantity - left[key] for key, line in goods.items()}
    gain = sum(off.values()) + cart.shipping_cents - delivery + worth
    return (-gain, -gifts, len(used), used), off, cart.shipping_cents - delivery, used


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    n = 2_000 if given.quick else 100_000
    draw, wrong = random.Random(20), 0
    for _ in range(n):
        cart = drawn_cart(draw)
        held = [drawn_promotion(draw, f"o{k}") for k in range(draw.randint(0, 4))]
        priced = price_cart(cart, held, NOW)
        off, delivery, used = oracle(cart, held)
        full = {line.line_id: line.quantity * line.unit_cents for line in cart.lines}
        mine = {key: full[key] - cents for key, cents in priced.line_cents.items()}
        wrong += (mine, priced.shipping_off_cents, [a.promotion_id for a in priced.applied]) != (off, delivery, used)
    _said("carts that differ from the oracle", wrong, "carts", n)
    lines = [CartLine(str(k), f"p{k}", f"c{k % 3}", 1 + k % 3, 999 + 100 * k) for k in range(5)]
    held = [
        Promotion(id="a", benefit=Benefit(type="percent_off", percent=20), scope="category", covers=("c1",), stacking=Stacking(joint=True)),
        Promotion(id="b", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=5000, stacking=Stacking(joint=True)),
        Promotion(id="c", benefit=Benefit(type="buy_x_get_y", buy=2, get=1), stacking=Stacking(joint=True)),
    ]  # fmt: skip
    cart, m = Cart(lines, 499), 5_000
    started = time.process_time()
    for _ in range(m):
        price_cart(cart, held, NOW)
    _said("CPU of pricing 5 lines under 3 joint promotions", (time.process_time() - started) / m * 1e3, "ms", m)

    a_segment(10_000 if given.quick else 1_000_000)
    if given.work:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(given.work, Path(folder) / "work")
            over_http(Path(folder) / "work")


def a_segment(customers: int) -> None:
    """Decisions for many customers at once, with three offers each, as `promolift decide` makes and writes them."""
    draw = np.random.default_rng(0)
    ids, offers = [f"c{i:07d}" for i in range(customers)], ["o1", "o2", "o3"]
    rows = pl.DataFrame({
        "customer_id": np.repeat(ids, 3), "offer_id": np.tile(offers, customers), "menu_id": "m", "target": "tea",
        "gain_cents": draw.normal(20, 100, 3 * customers), "cost_cents": draw.integers(50, 300, 3 * customers) * 1.0,
    })  # fmt: skip
    consent = pl.DataFrame({"customer_id": ids, "may_send": True, "reason": ""})
    terms = ReleaseTerms(
        campaign_id="c", policy_id="plan", policy_version="1", price=0.1, holdout_share=0.1, explore=0.05
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        found = decide_rows(rows, consent, terms, 1_764_000_000_000)
        found.write_parquet(Path(folder) / "segment.parquet")
        _said("decisions for a segment, to Parquet", time.process_time() - started, "CPU s", customers)
    some, wrong = draw.choice(customers, 200, replace=False), 0
    for who in (ids[i] for i in some):
        own = rows.filter(pl.col("customer_id") == who)
        alone = decide_rows(own, consent.filter(pl.col("customer_id") == who), terms, 1_764_000_000_000)
        wrong += not alone.equals(found.filter(pl.col("customer_id") == who))
    _said("decisions of a segment that differ from those made one by one", wrong, "customers", len(some))


def over_http(work: Path) -> None:
    from starlette.testclient import TestClient

    from promolift.foundation.storage.local_store import Store
    from promolift.server.api.app import create
    from promolift.server.settings import ServeSettings
    from promolift.shop.results.plan import Plan

    with Store(work) as store:
        planned = Plan.load(store).decisions.select("customer_id", "offer_id")
    wanted = dict(planned.iter_rows())
    people = [*wanted, *(f"stranger-{k}" for k in range(10_000 - len(wanted)))]
    app = create(ServeSettings.parse({"work": work, "deadline_ms": 60_000}, "benchmark"))
    with TestClient(app) as client:
        client.headers["authorization"] = f"Bearer {app.server.first_key}"
        made = client.post("/v1/releases").json()["release_id"]
        client.post(f"/v1/releases/{made}:activate")
        campaign = client.get("/v1/campaigns").json()["data"][0]["campaign_id"]
        for words in (False, True):
            started = time.perf_counter()
            body = {"customer_ids": people, "campaign_id": campaign, "words": words}
            found = client.post("/v1/decisions:batch", json=body).json()["data"]
            name = "with offers and messages" if words else "without words"
            _said(f"10,000 decisions in one call, {name}", time.perf_counter() - started, "s", len(found))
        wrong = sum(each["offer_id"] != wanted.get(each["customer_id"], "none") for each in found)
        _said("decisions of the call that differ from the plan", wrong, "customers", len(wanted))


def _said(figure: str, value: float, unit: str, n: int) -> None:
    row = {
        "figure": figure,
        "value": value,
        "se": None,
        "unit": unit,
        "peer": "brute force" if unit == "carts" else None,
    }
    print(
        json.dumps(
            row
            | {
                "peer_value": None,
                "n": n,
                "data": "random" if "segment" in figure or unit == "carts" or unit == "ms" else "the demo",
            }
        )
    )


if __name__ == "__main__":
    main()
