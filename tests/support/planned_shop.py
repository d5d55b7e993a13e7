"""A shop drawn from a seed, planned by the plan step itself: proposals, pairs, basket offers, coupons, limits, all.

What a customer expects and answers is drawn; the plan, its messages and its release are made by the house's own steps.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sharded import write_shards

from promolift.core import effects
from promolift.core.decisions import ReleaseTerms
from promolift.core.offers import MenuItem
from promolift.core.offers.terms import Benefit
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.steps import message, plan
from promolift.shop.results.work_folder.active_release import save_approved_release
from promolift.shop.results.work_folder.run_context import Job

CAMPAIGN, ASOF_MS, WEEK_MS = "cmp_law", 1_767_571_200_000, 7 * 86_400_000  # 5 January 2026
CATEGORIES = ("tea", "coffee", "bread", "milk", "beef", "cheese")


def percent_line(name: str, percent: int, **more: Any) -> MenuItem:
    return MenuItem(id=name, benefit=Benefit(type="percent_off", percent=percent), scope="category", **more)


def menu(coupon_share: float) -> tuple[MenuItem, ...]:
    """Lines of every kind; suppliers pay `coupon_share` of what the coupon takes off."""
    basket = Benefit(type="amount_off", amount_cents=500)
    delivery = Benefit(type="free_shipping")
    return (
        *(percent_line(f"category-{p}", p, supplier_share=0.5, send_cost_cents=2) for p in (10, 20, 30)),
        percent_line("coupon-25", 25, supplier_share=coupon_share, send_cost_cents=2, activation="code"),
        MenuItem(id="viewed-20", benefit=Benefit(type="percent_off", percent=20), scope="product", valid_days=7),
        MenuItem(id="save-5", benefit=basket, min_spend_cents=4000, supplier_share=0.9),
        MenuItem(id="free-delivery", benefit=delivery, min_spend_cents=3000, online_only=True, supplier_share=0.8),
    )


PLAIN = {"proposals": "grid"}


def shop_config(**parts: Any) -> Config:
    """promolift.toml of the shop; `plan` and the like are laid over what stands here."""
    given = {"campaign": CAMPAIGN, "budget_cents": 3000, "holdout_share": 0.15, "asof": "2026-01-05", "test_share": 0.0}
    values = {
        "shop": {"name": "Shop", "zone": "UTC"}, "data": {"source": "complete-journey"}, "menu": menu(0.5),
        "consent": {"default": True}, "offer": PLAIN, "value": {"margin_rate": 0.4},
    } | parts  # fmt: skip
    return Config(**(values | {"plan": given | parts.get("plan", {})}))


def varied(seed: int) -> Config:
    """A shop's settings for a seed: which limits, which rule of risk, whether assumed offers may be planned."""
    limits = [(), ("count[target=tea] <= 6",), ("return >= 0.5",), ("cost_share[menu_id=coupon-25] <= 40%",)][seed % 4]
    wide = {"min_evidence": "assumed"} if seed % 2 else {}
    given = {
        "limits": limits, "category_share": [1.0, 0.3, 0.5][seed % 3], "seed": seed,
        "risk": {"rule": ["none", "lower"][seed % 2], "z": 0.5}, "budget_cents": 3000 + 1000 * (seed % 5),
    }  # fmt: skip
    return shop_config(plan=given | wide, menu=menu([0.5, 0.5, 0.9][seed % 3]))


def drawn_shop(store: Store, seed: int, customers: int = 110) -> None:
    """Tables and notes that the plan step reads, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    ids = [f"u{n:03d}" for n in range(customers)]
    store.save_json("span", {"first_ms": ASOF_MS - 60 * WEEK_MS, "last_ms": ASOF_MS - 1, "customers": customers})
    people = pl.DataFrame({
        "customer_id": ids, "name": "Ann",
        "consent": rng.choice([True, False, None], customers, p=[0.7, 0.1, 0.2]).tolist(),
        "age": rng.choice(["16", "30", None], customers, p=[0.05, 0.6, 0.35]).tolist(),
    })  # fmt: skip
    store.save("customers", people)
    goods = [f"p-{c}" for c in CATEGORIES]
    store.save("products", pl.DataFrame({
        "product_id": goods, "name": [f"Good {c}" for c in CATEGORIES], "category": CATEGORIES, "type": None,
        "department": None, "brand": None, "price_cents": 500, "cost_cents": 300,
    }, schema_overrides=dict.fromkeys(("type", "department", "brand"), pl.String)))  # fmt: skip
    events = pl.DataFrame({
        "customer_id": ids, "ts_ms": ASOF_MS - 86_400_000, "kind": "purchase",
        "product_id": rng.choice(goods, customers),
        "order_id": [f"o{n}" for n in range(customers)], "store_id": None, "channel": "web", "quantity": 1.0,
        "revenue_cents": 5000, "list_cents": 5000, "shelf_cents": 0, "coupon_cents": 0,
    }, schema_overrides={"store_id": pl.String})  # fmt: skip
    write_shards(store, store.connection.from_arrow(events.to_arrow()), "events", 1)
    store.save("profiles", pl.DataFrame({
        "customer_id": ids, "asof_ms": ASOF_MS, "price_sensitivity": rng.normal(0, 0.5, customers),
        "price_sensitivity_se": 0.1, "tenure_days": 400.0,
        "orders_16w": rng.integers(1, 30, customers),
        "basket_mean_cents": rng.uniform(1500, 9000, customers), "basket_sd_cents": rng.uniform(300, 3000, customers),
        "top_channel": rng.choice(["web", "store"], customers),
        "revenue_52w_cents": 60_000, "revenue_total_cents": 60_000, "recency_days": 9.0, "cadence_days": 14.0,
        "complaint_recency_days": None,
    }))  # fmt: skip
    cells = customers * len(CATEGORIES)
    share = pl.DataFrame({
        "customer_id": np.repeat(ids, len(CATEGORIES)), "asof_ms": ASOF_MS, "target": list(CATEGORIES) * customers,
        "target_kind": "category", "bought": rng.random(cells) < 0.8, "orders": rng.integers(1, 9, cells),
        "gap_days": rng.uniform(3, 40, cells), "due_in_days": rng.uniform(-9, 9, cells), "deal_share": 0.2,
        "expected_cents": rng.gamma(2.0, 900.0, cells), "expected_se_cents": rng.uniform(20, 200, cells),
        "buy_prob": rng.uniform(0.01, 0.9, cells),
    })  # fmt: skip
    store.save("affinities", share.filter(pl.Series(rng.random(cells) < 0.7)))
    looked = rng.random(customers) < 0.3
    store.save("interests", pl.DataFrame({
        "customer_id": ids, "asof_ms": ASOF_MS, "product_id": rng.choice(goods, customers),
        "buy_rate": rng.uniform(0.05, 0.5, customers),
    }).filter(pl.Series(looked)))  # fmt: skip
    targets = {"target": CATEGORIES, "response": rng.uniform(0.5, 3.5, len(CATEGORIES)), "response_se": 0.3,
               "cells": 5000}  # fmt: skip
    response = effects.DiscountResponse(
        "adjusted", "drawn", 2.0, 0.2, beta_z=0.4, beta_z_se=0.1, later=-0.3, later_se=0.1, z_sd=0.5, target_sd=0.5,
        targets=pl.DataFrame(targets),
    )  # fmt: skip
    store.save_json("response", response.to_dict())
    odds = share.select("customer_id", "target", redeem_prob=pl.Series(rng.uniform(0.0, 0.4, cells)))
    store.save("redemption_odds", odds.filter(pl.Series(rng.random(cells) < 0.6)))


def planned_shop(folder: Path, seed: int, config: Config, explore: float = 0.0) -> Config:
    """A work folder with a finished plan and its messages; `explore` comes from an approved release."""
    with Store(folder) as store:
        drawn_shop(store, seed)
        if explore:
            terms = ReleaseTerms(
                campaign_id=config.plan.campaign, policy_id="plan", policy_version="3", price=0.0, seed=seed,
                holdout_share=config.plan.holdout_share, explore=explore,
            )  # fmt: skip
            save_approved_release(store, terms)
        job = Job(config, store, lambda *_: None)
        plan.run(job)
        message.run(job)
    return config
