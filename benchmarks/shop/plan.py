"""Measure what planning, releasing and loading a made-up profiled shop cost: CPU seconds and peak memory.

    python benchmarks/shop/plan.py [--quick] [--customers 100000] [--release 200000] [--rounds 3]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Every measurement is a process of its own over a
copy of the same work folder. CPU is that of all its threads while it does what is measured, without imports; peak memory
is that of the whole process. A small run compiles the kernels first. `se` is over rounds.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from promolift.shop.pipeline import release

ASOF, DAY_MS = "2026-01-05", 86_400_000
CATEGORIES, STRIDE = 41, 40  # prime, so that equal strides never meet the same category twice
GIB = 2**20  # ru_maxrss counts KiB


# the shops


def settings(customers: int, kind: str) -> dict[str, Any]:
    """promolift.toml: `many` has 13 categories a customer and, proposed ones included, 60 offers, `few` has 3 categories and 10 offers."""
    depths, baskets = ((5, 10, 15, 20), 2) if kind == "many" else ((10, 15, 20), 1)
    menu = [
        {"id": f"cut-{p}", "benefit": {"type": "percent_off", "percent": p}, "scope": "category",
         "activation": "code", "supplier_share": 0.2, "send_cost_cents": 2.0}
        for p in depths
    ] + [
        {"id": f"spend-{k}", "benefit": {"type": "amount_off", "amount_cents": 300 * k}, "min_spend_cents": 4000 * k}
        for k in range(1, baskets + 1)
    ]  # fmt: skip
    limits = [f"deepest: count[menu_id=cut-{depths[-1]}] <= {customers // 20}"]
    return {
        "data": {"source": "complete-journey"},
        "shop": {"name": "Shop", "zone": "UTC"},
        "menu": menu,
        "consent": {"default": True},
        "rules": {"top_targets": targets_of(kind)},
        "offer": GRID if kind == "many" else {"proposals": "none"},
        "plan": {
            "campaign": "cmp_bench",
            "asof": ASOF,
            "budget_cents": customers * CENTS[kind],
            "holdout_share": 0.1,
            "category_share": 0.25 if kind == "many" else 1.0,
            "limits": limits if kind == "many" else [],
        },
    }


GRID = {"proposals": "grid", "pairs": True, "least_share": 0.0, "print": {"percents": [5, 10, 15, 20]}}
CENTS = {"many": 9, "few": 10}  # of budget per customer: buys an offer for about one in five


def targets_of(kind: str) -> int:
    """Categories per customer."""
    return 13 if kind == "many" else 3


def make(folder: Path, customers: int, kind: str) -> None:
    """The work folder as ingest, profile and effect leave it: tables and notes, all that the plan step reads."""
    import numpy as np
    import polars as pl

    from promolift.core.effects import DiscountResponse
    from promolift.foundation.tables.schemas import AFFINITIES, CUSTOMERS, EVENTS, PRODUCTS, PROFILES
    from promolift.shop.results.work_folder.run_context import midnight_ms

    rng, n, t = np.random.default_rng(1), customers, targets_of(kind)
    asof = midnight_ms(date.fromisoformat(ASOF), "UTC")
    who = pl.Series("customer_id", np.char.add("u", np.char.zfill(np.arange(n).astype(str), 7)))
    categories = [f"aisle {k:02d}" for k in range(CATEGORIES)]
    names, when = pl.Series(categories), pl.lit(asof, pl.Int64).alias("asof_ms")

    def put(frame: pl.DataFrame, name: str) -> None:
        path = folder / "tables" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)

    def note(name: str, value: Any) -> None:
        path = folder / "notes" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    basket = rng.lognormal(8.0, 0.6, n)
    orders = rng.poisson(16 * rng.gamma(1.5, 0.6, n)) + 1
    profiles = pl.DataFrame({
        "customer_id": who, "orders_total": 2 * orders, "orders_16w": orders, "tenure_days": rng.uniform(20, 700, n),
        "recency_days": rng.exponential(12.0, n), "basket_mean_cents": basket, "basket_sd_cents": 0.5 * basket,
        "price_sensitivity": pl.Series(np.where(rng.random(n) < 0.05, np.nan, rng.normal(0.2, 0.7, n))).fill_nan(None),
        "price_sensitivity_se": rng.uniform(0.1, 0.5, n),
        "top_channel": pl.Series(["store", "web", "app"]).gather(rng.integers(0, 3, n)),
        "consent": pl.Series([None, True, False], dtype=pl.Boolean).gather(rng.choice(3, n, p=[0.8, 0.17, 0.03])),
    }).with_columns(when)  # fmt: skip
    put(PROFILES.conform(profiles), "profiles/shard=0")
    put(CUSTOMERS.conform(profiles.select("customer_id", "consent", language=pl.lit("en"))), "customers")

    first, step = rng.integers(0, CATEGORIES, n), rng.integers(1, STRIDE + 1, n)
    category = ((first[:, None] + step[:, None] * np.arange(t)) % CATEGORIES).ravel()
    many, value = n * t, rng.lognormal(6.0, 0.9, n * t)
    affinities = pl.DataFrame({
        "customer_id": who.gather(np.repeat(np.arange(n), t)), "target": names.gather(category),
        "bought": rng.random(many) < 0.8, "orders": rng.integers(1, 20, many), "list_cents": (9 * value).astype(int),
        "revenue_cents": (8 * value).astype(int), "recent_list_cents": (3 * value).astype(int),
        "recent_revenue_cents": (2 * value).astype(int), "views": np.zeros(many, int), "expected_cents": value,
        "expected_se_cents": value * rng.uniform(0.1, 0.5, many), "buy_prob": rng.beta(2.0, 2.5, many),
    }).with_columns(when, target_kind=pl.lit("category"))  # fmt: skip
    put(AFFINITIES.conform(affinities), "affinities/shard=0")
    odds = affinities.select("customer_id", "target", redeem_prob=pl.col("buy_prob") * rng.uniform(0.3, 0.9, many))
    put(odds, "redemption_odds")

    goods = np.arange(10 * CATEGORIES)
    margin = rng.uniform(0.35, 0.75, CATEGORIES)[goods % CATEGORIES]
    price = rng.integers(150, 1500, len(goods))
    products = pl.DataFrame({
        "product_id": [f"p{k:04d}" for k in goods], "name": [f"article {k:04d}" for k in goods],
        "category": names.gather(goods % CATEGORIES), "price_cents": price,
        "cost_cents": (price * (1 - margin)).astype(int),
    })  # fmt: skip
    put(PRODUCTS.conform(products), "products")
    seen = rng.integers(0, len(goods), n)
    interests = pl.DataFrame({
        "customer_id": who, "product_id": products["product_id"].gather(seen), "views": rng.integers(1, 5, n),
        "last_view_ms": asof - rng.integers(1, 40, n) * DAY_MS, "buy_rate": rng.uniform(0.01, 0.2, n),
    }).select("customer_id", when, "product_id", "views", "last_view_ms", "buy_rate")  # fmt: skip
    put(interests.filter(rng.random(n) < (0.5 if kind == "many" else 0.0)), "interests/shard=0")
    lines = pl.DataFrame({
        "customer_id": who.head(1000), "ts_ms": asof - rng.integers(1, 100, min(n, 1000)) * DAY_MS, "kind": "purchase",
        "product_id": products["product_id"].gather(rng.integers(0, len(goods), min(n, 1000))), "quantity": 1.0,
        "revenue_cents": 700, "list_cents": 800, "shelf_cents": 100, "coupon_cents": 0,
    }).with_columns(order_id=pl.format("o-{}", "customer_id"), channel=pl.lit("store"))  # fmt: skip
    put(EVENTS.conform(lines), "events/shard=0")

    targets = pl.DataFrame({
        "target": categories, "response": rng.normal(2.4, 0.7, CATEGORIES),
        "response_se": rng.uniform(0.3, 0.6, CATEGORIES), "cells": rng.integers(500, 5000, CATEGORIES),
    })  # fmt: skip
    response = DiscountResponse(
        "adjusted", "made up", beta=2.4, beta_se=0.25, beta_z=0.3, beta_z_se=0.1, later=-0.2, later_se=0.1, z_mean=0.2,
        z_sd=0.7, target_sd=0.7, cells=100_000, customers=3000, targets=targets,
    )  # fmt: skip
    note("response", response.to_dict())
    note("span", {"first_ms": asof - 700 * DAY_MS, "last_ms": asof - DAY_MS, "customers": n})
    note("config", settings(customers, kind))


# what is measured, each in a process of its own


def spent() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def child(what: str, folder: Path, release_id: str) -> dict[str, Any]:
    """Plan, plan and release, or load, over the work folder; CPU seconds of each and what came out."""
    from promolift.foundation.storage.local_store import Store
    from promolift.server.decisions import live_release
    from promolift.shop.configuration.configuration import Config
    from promolift.shop.pipeline.steps import plan
    from promolift.shop.results.work_folder.run_context import Job

    if what == "load":
        began = spent()
        loaded = live_release.load_release(folder, release_id)
        return {"load": spent() - began, "people": len(loaded.barred), "peak": peak()}
    values = json.loads((folder / "notes" / "config.json").read_text(encoding="utf-8"))
    with Store(folder) as store:
        job = Job(Config.parse(values, "benchmark"), store, lambda *_: None)
        began = spent()
        plan.run(job)
        done: dict[str, Any] = {"plan": spent() - began} | seen(store)
        done["plan_peak"] = peak()
        if what == "release":
            words(store)
            began = spent()
            done["release_id"] = release.build_release(store)
            done["build"] = spent() - began
    return done | {"peak": peak()}


def peak() -> float:
    """Peak memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB


def seen(store: Any) -> dict[str, Any]:
    """How many candidate rows and chosen offers the plan has, and what they gain: the same work, if these agree."""
    found = store.table("candidates").filter("offer_id <> 'none'").aggregate("count(*)").fetchall()[0][0]
    chosen = store.table("chosen").aggregate("count(*), sum(gain_cents)").fetchall()[0]
    return {"offers": found, "chosen": chosen[0], "gain_cents": chosen[1]}


def words(store: Any) -> None:
    """What the message step leaves for a release: one row per chosen offer, and no printed offers."""
    store.save_json("offers", {"offers": []})
    rows = store.table("chosen").project(
        "customer_id, offer_id, '优惠' as message_zh, 'an offer for you' as message_en"
    )
    store.save("messages", rows)


# the measurements


def call(*command: str) -> dict[str, Any]:
    """One measurement in a fresh process."""
    run = [sys.executable, str(Path(__file__).resolve()), "--child", *command]
    done = subprocess.run(run, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def over_copy(what: str, shop: Path) -> dict[str, Any]:
    """A measurement over a copy of the shop's folder; after `release` its load, too."""
    with tempfile.TemporaryDirectory(dir=shop.parent) as copy:
        folder = Path(copy) / "work"
        shutil.copytree(shop, folder)
        done = call(what, str(folder))
        if what == "release":
            loaded = call("load", str(folder), done["release_id"])
            done |= {"load": loaded["load"], "load_peak": loaded["peak"]}
        return done


def measure(what: str, shop: Path, rounds: int) -> list[dict[str, Any]]:
    """All rounds of a measurement."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        found.append(over_copy(what, shop))
        print(what, found[-1], f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def spread(values: list[float]) -> tuple[float, float | None]:
    """Mean, and its standard error over the rounds; None for one round."""
    mean, n = sum(values) / len(values), len(values)
    return mean, (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5 if n > 1 else None


def show(figure: str, unit: str, found: list[dict[str, Any]], keys: tuple[str, ...], n: int) -> None:
    """Print a figure as a JSON line: its mean over the rounds."""
    value, se = spread([sum(one[k] for k in keys) for one in found])
    last = found[-1]
    data = f"made-up shop, {n:,} customers, {last['offers'] / n:.1f} offers each, {last['chosen'] / n:.0%} given one"
    line = {"figure": figure, "value": value, "se": se, "unit": unit, "peer": None, "peer_value": None, "n": n,
            "data": data, "rounds": len(found)}  # fmt: skip
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}), flush=True)


FIGURES = {
    "plan": (("plan step", "CPU s", ("plan",)), ("plan step, peak memory", "GiB", ("peak",))),
    "release": (
        ("plan and release", "CPU s", ("plan", "build")),
        ("plan and release, peak memory", "GiB", ("peak",)),
        ("building the release", "CPU s", ("build",)),
        ("loading the release", "CPU s", ("load",)),
        ("loading the release, peak memory", "GiB", ("load_peak",)),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 customers, one round")
    parser.add_argument("--customers", type=int, default=100_000, help="of the plan step")
    parser.add_argument("--release", type=int, default=200_000, help="customers of plan and release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=FIGURES)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, folder, *rest = given.child
        done: dict[str, Any] = {}
        if what == "make":
            make(Path(folder), int(rest[0]), rest[1])
        else:
            with suppress(OSError):  # where memory runs out, this process is the one to go
                Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
            done = child(what, Path(folder), rest[0] if rest else "")
        print(json.dumps(done))
        return
    sizes = {"plan": (given.customers, "many", 60), "release": (given.release, "few", 10)}
    if given.quick:
        given.rounds, sizes = 1, {"plan": (2000, "many", 60), "release": (2000, "few", 10)}
    with tempfile.TemporaryDirectory() as folder:
        for what in FIGURES:
            if given.only not in (None, what):
                continue
            n, kind, offers = sizes[what]
            for name, size in (("small", 300), ("shop", n)):
                call("make", str(Path(folder) / what / name), str(size), kind)
            measure("plan", Path(folder) / what / "small", 1)  # compiles the kernels
            found = measure(what, Path(folder) / what / "shop", given.rounds)
            for figure, unit, keys in FIGURES[what]:
                show(f"{figure}, {n:,} customers x {offers} offers", unit, found, keys, n)
            shutil.rmtree(Path(folder) / what)


if __name__ == "__main__":
    main()
