"""How small an effect a test would show, by the shop's own past."""

import duckdb
import numpy as np
import polars as pl
import pytest
import scipy

from promolift.core.experiments.experiment_design import Design
from promolift.core.experiments.power import PastDays, past_days, power
from promolift.foundation.time.clock import DAY_MS

LAST = 100 * DAY_MS


def spans(rows: list[tuple[str, float, str, int]]) -> tuple[PastDays, ...]:
    """Of events: who, days before the last moment, kind, cents."""
    named = [{"customer_id": who, "ts_ms": LAST - int(ago * DAY_MS), "kind": kind, "revenue_cents": cents}
             for who, ago, kind, cents in rows]  # fmt: skip
    with duckdb.connect() as db:
        return past_days(db.from_arrow(pl.DataFrame(named).to_arrow()), LAST)


def test_each_span_counts_its_customers_and_what_they_spent() -> None:
    found = spans([("a", 1, "purchase", 100), ("a", 10, "purchase", 50), ("b", 2, "view", 0), ("c", 13, "purchase", 30),
                   ("a", 3, "refund", -40), ("d", 500, "purchase", 999)])  # fmt: skip
    week, fortnight = found[:2]
    assert (week.days, week.customers, week.mean_cents, week.bought) == (7, 2, pytest.approx(30), 0.5)
    assert (fortnight.customers, fortnight.bought) == (3, pytest.approx(2 / 3))
    assert found[-1].customers == 3
    assert spans([("a", 1, "purchase", 100)]) == ()


def test_a_test_of_that_size_shows_the_effect_in_four_of_five_cases() -> None:
    past = PastDays(28, 4000, 1000.0, 800.0, 0.4)
    design = Design(name="t", arms={"new": 1.0}, holdout_share=0.5, planned_customers=4000, primary="value_cents",
                    method="fixed")  # fmt: skip
    (found,) = power([past], design)
    rng = np.random.default_rng(3)
    noise = 800.0 * (2 / 2000) ** 0.5
    shown = np.abs(rng.normal(found.smallest, noise, 20_000)) > scipy.stats.norm.ppf(0.975) * noise
    assert shown.mean() == pytest.approx(0.8, abs=0.01)
    assert found.share == pytest.approx(found.smallest / 1000)


def test_more_arms_and_daily_looks_ask_for_a_larger_effect_and_a_rate_has_its_own_spread() -> None:
    past = [PastDays(28, 4000, 1000.0, 800.0, 0.4)]

    def smallest(**more: object) -> float:
        values = {"name": "t", "arms": {"new": 1.0}, "planned_customers": 9, "primary": "value_cents"} | more
        return power(past, Design.parse(values, "test"))[0].smallest

    assert smallest(method="fixed") < smallest() < smallest(arms={"a": 0.5, "b": 0.5})
    assert smallest(holdout_share=0.5) < smallest(holdout_share=0.1)
    assert smallest(primary="bought") < 1
