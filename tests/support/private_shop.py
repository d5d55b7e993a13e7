"""Shops under `privacy.epsilon` whose menu has every kind of offer, and neighbours that lack one customer."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from planned_shop import ASOF_MS, CATEGORIES, WEEK_MS, drawn_shop, shop_config
from sharded import write_shards

from promolift.core.offers import MenuItem
from promolift.core.offers.terms import BenefitType
from promolift.extensions.privacy.synthetic_step import save_synthetic_customers
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.steps import effect, plan
from promolift.shop.results.work_folder.run_context import Job

PRIVATE = {"epsilon": 8.0, "delta": 1e-5}
SEGMENTS = ({"name": "best", "where": "value_decile >= 8"},)
EACH = ("candidates", "chosen", "decisions")
KEYS = ("customer_id", "asof_ms", "target", "product_id", "offer_id")
ITEM = {"zh": "马克杯", "en": "mug"}


def every_kind(category: str, product: str, other: str) -> list[dict[str, Any]]:
    """A menu with every kind of benefit, on everything and on a part, with and without a threshold."""
    part = {"scope": "category", "covers": [category]}
    lines = {
        "percent": {"benefit": {"type": "percent_off", "percent": 10}, "scope": "category"},
        "percent-code": {"benefit": {"type": "percent_off", "percent": 20}, "scope": "category", "activation": "code"},
        "percent-new": {"benefit": {"type": "percent_off", "percent": 20}, "scope": "category", "untried": True},
        "percent-all": {"benefit": {"type": "percent_off", "percent": 10}, "segments": ["best"]},
        "percent-seen": {"benefit": {"type": "percent_off", "percent": 20}, "scope": "product"},
        "percent-of": {"benefit": {"type": "percent_off", "percent": 20}, **part},
        "amount": {"benefit": {"type": "amount_off", "amount_cents": 300}, "min_spend_cents": 1500},
        "amount-of": {"benefit": {"type": "amount_off", "amount_cents": 200}, "min_spend_cents": 500, **part},
        "delivery": {"benefit": {"type": "free_shipping"}, "min_spend_cents": 1500},
        "delivery-of": {"benefit": {"type": "free_shipping"}, "min_spend_cents": 500, **part},
        "price": {"benefit": {"type": "fixed_price", "price_cents": 400}, **part},
        "bundle": {"benefit": {"type": "fixed_price", "price_cents": 800}, "scope": "product",
                   "covers": [product, other], "together": True},
        "third": {"benefit": {"type": "buy_x_get_y", "buy": 2, "get": 1}, **part},
        "gift": {"benefit": {"type": "gift", "product_id": "mug", "item": ITEM}, "min_spend_cents": 1500,
                 "benefit_cost_cents": 50},
        "points": {"benefit": {"type": "points", "points": 100}, "min_spend_cents": 1000, "benefit_cost_cents": 40},
        "exchange": {"benefit": {"type": "exchange", "product_id": product, "item": ITEM, "price_cents": 200},
                     "min_spend_cents": 1000, "benefit_cost_cents": 400},
        "letter": {"benefit": {"type": "reminder"}},
    }  # fmt: skip
    assert {line["benefit"]["type"] for line in lines.values()} == {*get_args(BenefitType)} - {"none"}  # type: ignore[index]
    return [{"id": name, **values} for name, values in lines.items()]


def fix_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every release of the same shape the same numbers, whatever the total: what differs then took a side door."""
    seen: dict[tuple[int, ...], np.ndarray] = {}

    def same(total: np.ndarray, clip: float, noise: float) -> np.ndarray:
        return seen.setdefault(total.shape, total + 1.0)

    monkeypatch.setattr("promolift.extensions.privacy.results.add_noise", same)


def planned(
    folder: Path, seed: int, without: str = "", shards: int = 1, only: str = "", **parts: Any
) -> dict[str, pl.DataFrame]:
    """Draw a shop of 30 customers with orders of their own, plan it, and return the tables of the plan.

    `without` is the customer who is missing. Profiles are drawn customer by customer, so that all differences come from
    planning. With `only` the catalogue has no categories, and that customer alone is expected to buy tea.
    """
    tea = "p-tea" if only else "tea"
    menu = tuple(MenuItem.parse(line, "menu") for line in every_kind(tea, "p-tea", "p-coffee"))
    config = shop_config(
        **{
            "menu": menu, "privacy": PRIVATE, "offer": {"proposals": "none"}, "segment": SEGMENTS,
            "value": {"margin_rate": 0.7}, "discount": {"prior_response": 2.5}, **parts,
        }
    )  # fmt: skip
    with Store(folder) as store:
        job = Job(config, store, lambda *_: None)
        drawn_shop(store, seed, customers=30)
        everybody = pl.col("customer_id") != without
        spent = pl.Series(np.random.default_rng(seed).integers(1_000, 90_000, 30))
        orders = drawn_orders(seed).filter(everybody)
        if only:
            none, own, tea = pl.lit(None, pl.String), store.frame("affinities"), pl.col("target") == "tea"
            store.save("products", store.frame("products").with_columns(category=none, type=none))
            share = pl.concat([own.filter(~tea), own.filter(tea).head(1).with_columns(customer_id=pl.lit(only))])
            product = {"target": pl.format("p-{}", "target"), "target_kind": pl.lit("product")}
            store.save("affinities", share.with_columns(**product))
        tables = {name: store.frame(name).filter(everybody) for name in ("customers", "affinities", "interests")}
        profiles = store.frame("profiles").with_columns(revenue_52w_cents=spent, revenue_total_cents=spent)
        tables |= {"profiles": profiles.filter(everybody), "events": orders}
        for name in (*tables, "redemption_odds"):
            store.remove(name)
        store.save("customers", tables.pop("customers"))
        for name, rows in tables.items():
            write_shards(store, store.connection.from_arrow(rows.to_arrow()), name, shards)
        store.save_json("span", {"first_ms": int(orders["ts_ms"].min()), "last_ms": ASOF_MS - 1, "customers": 30})  # type: ignore[arg-type]
        if config.privacy.epsilon is not None:
            save_synthetic_customers(job)
        effect.run(job)
        plan.run(job)
        return {name: store.frame(name).filter(pl.col("customer_id") != without) for name in EACH}


def drawn_orders(seed: int) -> pl.DataFrame:
    """EVENTS of 30 customers: baskets of one to four goods, how many and how dear is a matter of the customer."""
    rng, rows = np.random.default_rng(seed + 1), []
    for n in range(30):
        usual = rng.uniform(0.3, 3)
        for k in range(rng.integers(1, 9)):
            at = ASOF_MS - int(rng.integers(1, 50 * WEEK_MS))
            for good in rng.choice(CATEGORIES, rng.integers(1, 5), replace=False):
                units = int(rng.integers(1, 5))
                cents = units * round(usual * rng.integers(200, 900))
                rows.append((f"u{n:03d}", at, f"p-{good}", f"o{n}-{k}", float(units), cents))
    names = ["customer_id", "ts_ms", "product_id", "order_id", "quantity", "list_cents"]
    return pl.DataFrame(rows, names, orient="row").with_columns(
        kind=pl.lit("purchase"), store_id=pl.lit(None, pl.String), channel=pl.lit("web"),
        revenue_cents="list_cents", shelf_cents=pl.lit(0), coupon_cents=pl.lit(0),
    )  # fmt: skip


def differences(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> list[str]:
    """Name each table and column in which two plans are not equal to the bit."""
    found = []
    for name, first in one.items():
        by = [key for key in KEYS if key in first.columns]
        first, second = first.sort(by), other[name].sort(by)
        if first.height != second.height:
            found.append(f"{name}: {first.height} and {second.height} rows")
            continue
        found += [f"{name}.{column}" for column in first.columns if not first[column].equals(second[column])]
    return found


def files_config(folder: Path, privacy: dict[str, Any], budget: dict[str, Any], shards: int | None = None) -> Config:
    """Settings for the files of `write_shop`, the same for all neighbours: nothing is guessed from the data."""
    columns = {"customer_id": "user_id", "time": "event_time", "kind": "event_type", "product_id": "sku",
               "order_id": "order_number", "quantity": "quantity", "amount": "sales_value",
               "shelf_discount": "discount"}  # fmt: skip
    goods = {name: name for name in ("product_id", "name", "category", "type")} | {"cost": "cost_cents"}
    catalogue = pl.read_csv(folder / "products.csv")
    first, second = catalogue["product_id"].sort().head(2)
    data = {
        "events": {"path": str(folder / "events.csv"), "mapping": {"columns": columns}},
        "products": {"path": str(folder / "products.csv"), "mapping": {"columns": goods, "money": "minor"}},
    } | ({"shards": shards} if shards else {})
    return Config.parse(
        {
            "data": data, "consent": {"default": True}, "privacy": privacy, "segment": list(SEGMENTS), "plan": budget,
            "menu": every_kind(str(catalogue["category"].min()), first, second), "offer": {"proposals": "none"},
            "value": {"margin_rate": 0.7}, "discount": {"prior_response": 2.5},
        },
        "test",
    )  # fmt: skip
