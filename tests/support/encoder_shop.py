"""A small shop with known habits: every customer has favourites he buys again and again, at his own pace."""

import numpy as np
import polars as pl

from promolift.extensions.encoder.network.purchase_histories import (
    Catalogue,
    Histories,
    build_catalogue,
    build_histories,
)
from promolift.extensions.encoder.training_data import with_vectors
from promolift.foundation.time.clock import DAY_MS

FIRST = 20_000  # day of the first visit; any number
NAMES = ["customer_id", "order_id", "ts_ms", "item", "revenue_cents", "deal", "channel"]
ITEMS = [f"item {k:02d}" for k in range(24)]


def lines(people: int = 90, days: int = 168, seed: int = 3) -> pl.DataFrame:
    """About one visit a week; three favourites with chances 0.9, 0.6 and 0.4, and now and then something else."""
    rows = []
    for c in range(people):
        rng = np.random.default_rng([seed, c])  # a longer history begins with the shorter one
        favourites = rng.choice(len(ITEMS), 3, replace=False)
        day, order = FIRST + rng.uniform(0, 7), 0
        while day < FIRST + days:
            basket = {int(f) for f, chance in zip(favourites, (0.9, 0.6, 0.4), strict=True) if rng.random() < chance}
            basket |= {int(rng.integers(len(ITEMS)))} if rng.random() < 0.3 or not basket else set()
            for item in sorted(basket):
                deal = bool(rng.random() < 0.3)
                rows.append(
                    (f"c{c:03d}", f"{c}-{order}", int(day * DAY_MS), ITEMS[item], 100 + 10 * item, deal, "store")
                )
            day += rng.gamma(4.0, 1.75)
            order += 1
    return pl.DataFrame(rows, schema=NAMES, orient="row")


def items(extra: int = 0) -> Catalogue:
    """Four categories, prices for all but the last item, and `extra` products nobody ever bought."""
    names = ITEMS + [f"new {k}" for k in range(extra)]
    table = pl.DataFrame(
        {
            "item": names,
            "category": [f"group {k % 4}" for k in range(len(names))],
            "price_cents": [None if k == len(names) - 1 else 100 + 10 * k for k in range(len(names))],
        }
    )
    return build_catalogue(table)


def words(extra: int = 0) -> pl.DataFrame:
    """A vector per item; those of products nobody ever bought are the first items' own."""
    x_ND = np.random.default_rng(0).normal(size=(len(ITEMS), 8)).astype(np.float32)
    x_ND = np.concatenate([x_ND, x_ND[:extra]])
    return pl.DataFrame({"item": items(extra).items, "vector": pl.Series(x_ND, dtype=pl.Array(pl.Float32, 8))})


def shop(people: int = 90, days: int = 168, seed: int = 3, extra: int = 0, vectors: bool = False) -> Histories:
    """The histories of that shop."""
    goods = with_vectors(items(extra), words(extra)) if vectors else items(extra)
    return build_histories(lines(people, days, seed), goods)


SHELF = build_catalogue(pl.DataFrame({"item": ["milk", "bread", "soap"], "category": ["dairy", None, "home"]}))


def small(rows: list[tuple[str, str, float, str, int, bool]]) -> pl.DataFrame:
    full = [(c, o, int(day * DAY_MS), item, cents, deal, "web") for c, o, day, item, cents, deal in rows]
    return pl.DataFrame(full, schema=NAMES, orient="row")
