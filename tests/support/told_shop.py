"""A drawn shop, planned, evaluated and told: every kind of offer, with luck to be taken off and suppliers who pay."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from planned_shop import drawn_shop, menu, shop_config
from sharded import write_shards

from promolift.core import effects
from promolift.core.customers import ModelWeight
from promolift.extensions.encoder.results import (
    EpochFigures,
    FigureRange,
    ForecastCheck,
    ForecastNote,
    Ndcg,
    PredictedShare,
)
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.shop.pipeline.steps import evaluate, message, plan
from promolift.shop.results.effects import MissingModels, load_response, save_responses
from promolift.shop.results.ingest import Ability, Counts, Health, UnknownAttributes
from promolift.shop.results.predictions import Predictions, PurchaseMembers, Reliability, ReliabilityBin, Scored
from promolift.shop.results.work_folder.run_context import Job

__all__ = ["SHOPS", "menu", "told_shop"]
HOUR_MS = 3_600_000
SHOPS = {
    "dollars": {
        "shop": {"name": "Shop", "zone": "UTC", "languages": ("en", "zh")},
        "plan": {"budget_cents": 9000},
    },
    "yen, all assumed": {
        "shop": {"name": "Shop", "currency": "JPY"},
        "plan": {"budget_cents": 20_000, "min_evidence": "assumed", "category_share": 0.5},
    },
}


def told_shop(store: Store, seed: int, **parts: Any) -> Job:
    """A job whose work folder holds all that the report tells; `parts` are laid over promolift.toml."""
    job = Job(shop_config(**parts), store, lambda *_: None)
    drawn_shop(store, seed)
    describe(store, seed)
    forecast(store, seed)
    plan.run(job)
    message.run(job)
    evaluate.run(job)
    check(store, seed)
    return job


def describe(store: Store, seed: int) -> None:
    """What ingest, profile and effect keep for the report: drawn figures, and the response of each half."""
    rng = np.random.default_rng([seed, 1])
    profiles, tastes, events = store.frame("profiles"), store.frame("affinities"), store.events().pl()
    n = profiles.height
    gaps = [gap if gap < 28 else None for gap in rng.uniform(1, 30, n)]
    store.save("profiles", profiles.with_columns(
        recency_days=pl.Series(rng.uniform(1, 60, n)), cadence_days=pl.Series(gaps),
        discount_share=pl.Series(rng.uniform(0, 0.5, n)), deal_share=pl.Series(rng.uniform(0, 0.5, n)),
        orders_52w=pl.Series(rng.integers(1, 90, n)), orders_total=pl.Series(rng.integers(90, 190, n)),
        revenue_52w_cents=pl.Series(rng.integers(-900, 90_000, n)),
        revenue_total_cents=pl.Series(rng.integers(1, 9, n)), basket_median_cents=pl.Series(rng.uniform(900, 9_000, n)),
    ))  # fmt: skip
    store.save("affinities", tastes.with_columns(spend_share=pl.Series(rng.uniform(0, 0.3, tastes.height))))
    moved = events.with_columns(
        ts_ms=pl.col("ts_ms") - HOUR_MS * pl.Series(rng.gamma(2.0, 20.0, events.height)).round().cast(pl.Int64)
    )
    write_shards(store, store.connection.from_arrow(moved.to_arrow()), "events", 1)
    Health(
        tables=(
            Counts("events", 1234, 1217, 3, rejected={"impossible price": 11, "duplicate": 6},
                   repaired={"impossible quantity": 3}),
            Counts("products", 63, 63),
        ),
        summary={}, warnings=(), notes=(),
        abilities=(
            Ability(
                "profiles",
                "yes",
                gettext_lazy(
                    "{rows} events of {customers} customers over {days} days; {repeaters} ordered more than once",
                    rows="1,217",
                    customers=110,
                    days=59,
                    repeaters=98,
                ),
            ),
            Ability("messages with real names", "no", "", "names of products and of customers"),
        ),
    ).keep(store)  # fmt: skip
    MissingModels(redemption="no redemption model: too few past campaigns with redemptions").keep(store)
    UnknownAttributes(reasons={"carts_4w": "the data hold no carts"}).keep(store)
    known = {"n": 5000, "alone": 0.44, "lead": 0.01, "lead_low": 0.006, "lead_high": 0.014}
    member = ModelWeight(weight=0.75, why="the trees lose less on the last window", **known)
    PurchaseMembers(at_check=member, at_plan=member).keep(store)
    main = measured(load_response(store), rng)
    save_responses(store, main, [half(main, rng) for _ in range(2)])


def measured(main: effects.DiscountResponse, rng: np.random.Generator) -> effects.DiscountResponse:
    """A response with its curve, and its placebo checks, of which one fails."""
    groups = [
        ("everyone", 1.1, 0.05),
        ("least price-sensitive third", 0.8, 0.07),
        ("most price-sensitive third", 1.7, 0.07),
    ]
    lifts = [
        (name, depth, *(float(np.expm1(slope * depth + off)) for off in (0.0, -wide, wide)), int(rng.integers(99, 999)))
        for name, slope, wide in groups
        for depth in (0.07, 0.18, 0.33)
    ]
    tests = [
        ("discount now", 1.13, 1.02, 1.24, "the response itself"),
        ("discount 3 to 6 weeks later", 0.041, -0.03, 0.112, "must be near zero: the future causes nothing"),
        (
            "another customer's discount, same category and week",
            0.19,
            0.06,
            0.32,
            "must be near zero: they are not this customer's products",
        ),
    ]
    assert main.targets is not None
    return replace(
        main, cells=48_713, customers=97,
        targets=main.targets.with_columns(
            response_se=pl.Series(rng.uniform(0.1, 1.4, main.targets.height)),
            cells=pl.Series(rng.integers(400, 9_000, main.targets.height)),
        ),
        curve=pl.DataFrame(lifts, schema=main.curve.schema, orient="row"),
        placebo=pl.DataFrame(tests, schema=main.placebo.schema, orient="row"),
    )  # fmt: skip


def half(main: effects.DiscountResponse, rng: np.random.Generator) -> effects.DiscountResponse:
    """The response as half of the customers show it: the same with an error."""
    assert main.targets is not None
    error = pl.Series(rng.uniform(0.6, 1.4, main.targets.height))
    return replace(main, targets=main.targets.with_columns(pl.col("response") * error))


def forecast(store: Store, seed: int) -> None:
    """What a learned encoder keeps: everybody's forecast, and how good it was."""
    rng = np.random.default_rng([seed, 2])
    who = store.frame("profiles")["customer_id"].to_list()
    n = len(who)
    store.save("outlook", pl.DataFrame({
        "customer_id": who, "spend_cents": rng.gamma(2.0, 3_000.0, n), "churn_prob": rng.uniform(0, 0.4, n),
        "leans_to": rng.choice(["tea", "coffee", "bread", None], n).tolist(), "embedding": 0,
    }))  # fmt: skip
    epochs = [(5.61, 5.23, 0.291, 0.317), (5.18, 5.09, 0.334, 0.352), (5.02, 5.11, 0.367, 0.349)]
    names = ("train_loss", "valid_loss", "train_ndcg", "valid_ndcg")
    bins = [(0.083, 0.079, 0.061, 0.101, 671), (0.291, 0.337, 0.302, 0.374, 689), (0.644, 0.623, 0.587, 0.657, 683)]
    ForecastNote(
        checked=ForecastCheck(
            epochs=tuple(
                EpochFigures(epoch=n, **dict(zip(names, row, strict=True))) for n, row in enumerate(epochs, start=1)
            ),
            ndcg=Ndcg(value=0.352, low=0.338, high=0.366, habit=0.331, n=103),
            lead=FigureRange(value=0.021, low=0.009, high=0.033),
            basket=ModelWeight(
                weight=0.75, why="they rank the next baskets better", n=103, alone=0.341, lead=0.011, lead_low=0.003,
                lead_high=0.019,
            ),
            reliability=Reliability(
                model="an item in the next basket",
                bins=tuple(ReliabilityBin(**dict(zip(ReliabilityBin.model_fields, row, strict=True))) for row in bins),
            ),
            stays_away=PredictedShare(predicted=0.097, observed=0.104),
        ),
    ).keep(store)  # fmt: skip


def check(store: Store, seed: int) -> None:
    """What the evaluate step finds of predictions where there is past enough to check them."""
    rng = np.random.default_rng([seed, 3])
    scores = [
        ("buying a category in the window", "AUC", 0.851, 0.823, 0.876, 2_053, "their most frequent categories",
         0.809, "higher"),
        ("buying a category in the window", "log loss", 0.289, 0.262, 0.316, 2_053, "the same probability for all",
         0.277, "lower"),
        ("an item in the next basket", "log loss", 107.4, 102.3, 112.5, 2_451, "the same probability for all", 99.7,
         "lower"),
        ("an item in the next basket", "right on average", 1.037, None, None, 2_451, "", None, ""),
    ]  # fmt: skip
    rates = {
        model: [
            ReliabilityBin(predicted=p, observed=r, low=r - 0.043, high=r + 0.039, n=int(rng.integers(90, 400)))
            for p, r in ((0.034, 0.041), (0.187, 0.173), (0.412, 0.486), (0.731, 0.748))
        ]
        for model in ("buying a category in the window", "redeeming a campaign's coupon")
    }
    Predictions(
        scores=tuple(Scored(**dict(zip(Scored.model_fields, row, strict=True))) for row in scores),
        reliability=tuple(Reliability(model=model, bins=tuple(bins)) for model, bins in rates.items()),
    ).keep(store)


if __name__ == "__main__":  # look at it: python tests/pages/told_shop.py > report.html
    from tempfile import TemporaryDirectory

    from promolift.shop.reports.chapters.summary import render
    from promolift.shop.reports.story_builder import build_story

    with TemporaryDirectory() as folder, Store(Path(folder)) as kept:
        print(render(build_story(told_shop(kept, 1, **SHOPS["dollars"]))))
