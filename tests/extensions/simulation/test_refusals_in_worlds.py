"""In drawn shops whose customers unsubscribe, learning sees who left with a message, and takes off what that loses."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import Phase, given
from hypothesis import strategies as st

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.surrogate import Spans, fit_surrogate
from promolift.extensions.simulation.worlds.daily_shop import DAY_MS, START_MS, DailyShop, SentOffers
from promolift.extensions.simulation.worlds.daily_worlds import WorldName, draw_daily_shop
from promolift.shop.feedback.next_release import draw_outcomes, learned_effects
from promolift.shop.feedback.opt_outs import date_refusals
from promolift.shop.pipeline.planning.arms_in_play import CELLS

CUSTOMERS, MONTHS, WINDOW = 1200, 4, 28
CELL = pl.DataFrame([("reminder", "all", 0.0, 1.0, 0.0, CUSTOMERS, 300.0, False)], schema=CELLS, orient="row")
NO_SHRINK = (Phase.explicit, Phase.generate)  # a seed has no smaller one


def sales_of(shop: DailyShop) -> pl.DataFrame:
    value = pl.col("paid_cents") - (1 - shop.traits.margin) * pl.col("list_cents")
    day = (pl.col("ts_ms") - START_MS) // DAY_MS
    rows = shop.log.select("customer_id", "coupon_cents", day=day, value_cents=value)
    return rows.group_by("customer_id", "day").agg(pl.all().sum()).sort("customer_id", "day")


def half_get_a_reminder(world: WorldName, seed: int) -> tuple[DailyShop, LineEffect, LineEffect]:
    """The shop after some months in which half of all who may be written to draw a reminder, and what is believed of
    it with refusals and without."""
    shop, rng, draws = draw_daily_shop(world, seed, CUSTOMERS), np.random.default_rng(seed), []
    ahead = fit_surrogate(sales_of(shop), shop.day, Spans(WINDOW, 84))
    for _ in range(MONTHS):
        may, got = ~shop.unsubscribed_N, rng.random(CUSTOMERS) < 0.5
        rows = pl.DataFrame({"customer_id": shop.customer_ids, "arm": np.where(got, "reminder", "none")}).filter(may)
        draws.append(rows.with_columns(
            group=pl.lit("all"), none_prob=0.5, ts_ms=pl.lit(START_MS + shop.day * DAY_MS),
            window_days=pl.lit(WINDOW, pl.Int64), arms=pl.lit([{"arm": "reminder", "prob": 0.5}]),
        ))  # fmt: skip
        shop.advance(WINDOW, replace(SentOffers.nobody(CUSTOMERS), send_N=np.where(may & got, 0, -1)))
    gone = pl.Series(shop.customer_ids).filter(pl.Series(shop.unsubscribed_N))
    refusals, sales = date_refusals(pl.concat(draws), gone, START_MS + shop.day * DAY_MS), sales_of(shop)
    rows, calm = (
        pl.concat([draw_outcomes(mine, sales, ahead, START_MS, known) for mine in draws])
        for known in (refusals, refusals.clear())
    )
    ((seen,), (unseen,)) = (learned_effects(CELL, each, 0.8, "assumed") for each in (rows, calm))
    return shop, seen, unseen


@cases(24, phases=NO_SHRINK)
@given(st.integers(0, 10_000))
def test_who_unsubscribes_counts_against_the_message_and_lowers_what_it_is_worth(seed: int) -> None:
    shop, seen, unseen = half_get_a_reminder("fatigue", seed)
    assert seen.refused == int(shop.unsubscribed_N.sum())  # nobody leaves without a message in this world
    assert seen.refused_none == 0
    assert seen.refusal_cents > 0
    assert seen.net_cents + seen.refusal_cents == pytest.approx(unseen.net_cents + unseen.refusal_cents)
    if seen.refused > 0.004 * seen.n_arm:
        assert seen.net_cents < unseen.net_cents


@cases(8, phases=NO_SHRINK)
@given(st.integers(0, 10_000))
def test_where_nobody_unsubscribes_messages_lose_less_than_was_believed(seed: int) -> None:
    shop, seen, _ = half_get_a_reminder("everything works", seed)
    assert not shop.unsubscribed_N.any()
    assert (seen.refused, seen.refused_none) == (0, 0)
    assert 0 < seen.refusal_cents < 0.01 * max(abs(seen.net_cents), 300.0)
