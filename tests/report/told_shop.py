"""A drawn shop, planned, evaluated and told: every kind of offer, with luck to be taken off and suppliers who pay."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from promolift import effect
from promolift.data.counts import Counts
from promolift.results.effects import NoModel, Targeting, keep_responses, response
from promolift.results.shop import Health, Outlook, Unknown
from promolift.steps import evaluate, message, plan
from promolift.steps.job import Job
from promolift.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))  # where the drawn shop lies
from planned_shop import drawn_shop, menu, shop_config

__all__ = ["menu", "told_shop"]


def told_shop(store: Store, seed: int, **parts: Any) -> Job:
    """A job whose work folder holds all that the report tells; `parts` are laid over promolift.toml."""
    job = Job(shop_config(**parts), store, lambda *_: None)
    drawn_shop(store, seed)
    describe(store, seed)
    plan.run(job)
    message.run(job)
    evaluate.run(job)
    return job


def describe(store: Store, seed: int) -> None:
    """What ingest, profile and effect keep for the report: drawn figures, and the response of each half."""
    rng = np.random.default_rng([seed, 1])
    profiles, tastes = store.frame("profiles"), store.frame("affinities")
    n = profiles.height
    store.save("profiles", profiles.with_columns(
        recency_days=pl.Series(rng.uniform(1, 60, n)), cadence_days=pl.Series(rng.uniform(1, 30, n)),
        discount_share=pl.Series(rng.uniform(0, 0.5, n)), deal_share=pl.Series(rng.uniform(0, 0.5, n)),
        orders_52w=pl.Series(rng.integers(1, 90, n)), orders_total=pl.Series(rng.integers(90, 190, n)),
        revenue_52w_cents=pl.Series(rng.integers(100, 90_000, n)), revenue_total_cents=pl.Series(rng.integers(1, 9, n)),
        basket_median_cents=pl.Series(rng.uniform(900, 9_000, n)),
    ))  # fmt: skip
    store.save("affinities", tastes.with_columns(spend_share=pl.lit(0.2)))
    Health(
        tables=(Counts("events", 1234, 1217, 3),),
        summary={}, abilities=(), warnings=(), notes=(),
    ).keep(store)  # fmt: skip
    Targeting().keep(store)
    NoModel().keep(store)
    Unknown(reasons={}).keep(store)
    Outlook(missing="it was not asked for").keep(store)
    main = response(store)
    keep_responses(store, main, [half(main, rng) for _ in range(2)])


def half(main: effect.DiscountResponse, rng: np.random.Generator) -> effect.DiscountResponse:
    """The response as half of the customers show it: the same with an error."""
    assert main.targets is not None
    error = pl.Series(rng.uniform(0.6, 1.4, main.targets.height))
    return replace(main, targets=main.targets.with_columns(pl.col("response") * error))
