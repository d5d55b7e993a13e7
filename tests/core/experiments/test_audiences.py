"""Who is absent is read from the shop's return curve, who is due from a rhythm that is more than chance."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.audiences import (
    ABSENT,
    ACTIVE,
    DUE,
    EARLY_DAYS,
    LONG_ABSENT,
    NOT_DUE,
    OVERDUE_DAYS,
    assign_audiences,
    fit_return_curve,
    merge_small,
)

DAYS, WINDOW = 364, 28


def sales(day_by_customer: list[np.ndarray]) -> pl.DataFrame:
    rows = [(f"c{n:05d}", int(day), 100.0) for n, days in enumerate(day_by_customer) for day in np.unique(days)]
    schema = {"customer_id": pl.String, "day": pl.Int64, "value_cents": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row")


def lapsing(seed: int, customers: int = 1500) -> pl.DataFrame:
    """Orders at random until a customer leaves for good."""
    rng = np.random.default_rng(seed)
    ends = rng.exponential(150.0, customers)
    return sales([np.flatnonzero(rng.random(DAYS) < 0.04)[: 10**6] for _ in range(customers)]).filter(
        pl.col("day") < pl.col("customer_id").str.slice(1).cast(pl.Int64).map_elements(
            lambda n: float(ends[n]), return_dtype=pl.Float64
        )
    )  # fmt: skip


def cycles(seed: int, customers: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(20, 45, customers)


def cyclic(seed: int, customers: int = 400, elsewhere: float = 0.0) -> pl.DataFrame:
    """Everybody buys again after a number of days of their own, more or less, and a share of purchases elsewhere."""
    rng = np.random.default_rng(seed + 1)
    days = [np.cumsum(rng.normal(each, 2.0, 30).clip(5)).astype(int) + rng.integers(0, 20)
            for each in cycles(seed, customers)]  # fmt: skip
    return sales([each[rng.random(each.size) >= elsewhere] for each in days]).filter(pl.col("day") < DAYS)


def test_the_absent_hardly_come_back_and_the_long_absent_less() -> None:
    some = lapsing(1, 6000)
    curve = fit_return_curve(some, DAYS, WINDOW)
    assert 14 < curve.absent_days < curve.long_absent_days < DAYS
    rows = assign_audiences(some, DAYS, WINDOW, curve)
    assert set(rows["audience"]) == {ACTIVE, ABSENT, LONG_ABSENT, NOT_DUE}
    recency = rows.group_by("audience").agg(pl.col("recency").min().alias("low"), pl.col("recency").max().alias("high"))
    bounds = {name: (low, high) for name, low, high in recency.iter_rows()}
    assert bounds[ACTIVE][1] < bounds[ABSENT][0] <= bounds[ABSENT][1] < bounds[LONG_ABSENT][0]


def test_nobody_is_absent_where_all_come_all_the_time() -> None:
    rng = np.random.default_rng(2)
    some = sales([np.flatnonzero(rng.random(DAYS) < 0.3) for _ in range(300)])
    curve = fit_return_curve(some, DAYS, WINDOW)
    assert np.isinf(curve.long_absent_days)
    assert set(assign_audiences(some, DAYS, WINDOW, curve)["audience"]) == {ACTIVE, NOT_DUE}


def test_a_rhythm_makes_customers_due_on_its_day_and_chance_does_not() -> None:
    some = cyclic(3)
    rows = assign_audiences(some, DAYS, WINDOW, fit_return_curve(some, DAYS, WINDOW))
    due = rows.filter(audience=DUE)
    assert due.height > 100
    assert due["due_day"].min() >= DAYS - OVERDUE_DAYS  # type: ignore[operator]
    assert due["due_day"].max() < DAYS + WINDOW + EARLY_DAYS  # type: ignore[operator]
    by_chance = lapsing(4)
    again = assign_audiences(by_chance, DAYS, WINDOW, fit_return_curve(by_chance, DAYS, WINDOW))
    assert not again.filter(audience=DUE).height


@cases(6)
@given(st.integers(0, 1000))
def test_who_buys_elsewhere_in_between_is_due_by_the_same_rhythm(seed: int) -> None:
    some = cyclic(seed, elsewhere=0.5)
    rows = assign_audiences(some, DAYS, WINDOW, fit_return_curve(some, DAYS, WINDOW))
    rows = rows.drop_nulls("due_day").with_columns(
        cycle=pl.Series(cycles(seed, 400))[rows.drop_nulls("due_day")["customer_id"].str.slice(1).cast(pl.Int64)]
    )
    assert rows.height > 300
    assert rows["due_day"].min() >= DAYS - OVERDUE_DAYS  # type: ignore[operator]
    times = (rows["due_day"] - DAYS + rows["recency"]) / rows["cycle"]
    assert ((times - times.round()).abs() * rows["cycle"] < 6).mean() > 0.8  # type: ignore[operator]
    next_one = rows["due_day"] - DAYS < rows["cycle"] + 6
    assert next_one.mean() > 0.82  # type: ignore[operator]


@pytest.mark.parametrize(("absent", "long_absent", "left"), [
    (300, 300, {ABSENT, LONG_ABSENT}), (300, 90, {ABSENT}), (90, 300, {LONG_ABSENT}), (0, 40, {LONG_ABSENT}),
])  # fmt: skip
def test_two_small_absent_audiences_are_one_that_the_larger_names(
    absent: int, long_absent: int, left: set[str]
) -> None:
    names = [*[ABSENT] * absent, *[LONG_ABSENT] * long_absent, ACTIVE]
    rows = merge_small(pl.DataFrame({"audience": names}))
    assert set(rows["audience"]) == left | {ACTIVE}
    assert rows.filter(audience=ACTIVE).height == 1


@cases(6)
@given(st.integers(0, 1000), st.integers(-2000, 2000))
def test_a_shift_of_all_dates_and_the_order_of_rows_change_nothing(seed: int, shift: int) -> None:
    some = lapsing(seed, 300)
    moved = some.with_columns(day=pl.col("day") + shift).sample(fraction=1.0, shuffle=True, seed=seed)
    curve, again = fit_return_curve(some, DAYS, WINDOW), fit_return_curve(moved, DAYS + shift, WINDOW)
    assert again.share_S == pytest.approx(curve.share_S)
    first = assign_audiences(some, DAYS, WINDOW, curve)
    second = assign_audiences(moved, DAYS + shift, WINDOW, again)
    assert first.drop("due_day").equals(second.drop("due_day"))


def test_a_short_log_and_an_empty_one_have_no_curve() -> None:
    for some in (lapsing(5).filter(pl.col("day") < 20), lapsing(5).clear()):
        curve = fit_return_curve(some, 20, WINDOW)
        assert not curve.share_S.size
        assert set(assign_audiences(some, 20, WINDOW, curve)["audience"]) <= {ACTIVE, NOT_DUE}


@cases(12)
@given(st.integers(0, 1000), st.floats(0.01, 0.2), st.integers(7, 56))
def test_nobody_gets_an_offer_sooner_than_they_usually_come(seed: int, rate: float, window: int) -> None:
    """Whoever was here less long ago than the median of their gaps is due in the window, or not due yet."""
    rng = np.random.default_rng(seed)
    days = [np.flatnonzero(rng.random(DAYS) < rate * rng.uniform(0.2, 2.0)) for _ in range(200)]
    some = sales(days)
    rows = assign_audiences(some, DAYS, window, fit_return_curve(some, DAYS, window))
    audience = dict(rows.select("customer_id", "audience").iter_rows())
    early = 0
    for n, mine in enumerate(days):
        gaps = np.diff(mine)
        if gaps.size >= 3 and DAYS - mine[-1] < np.median(gaps):
            early += 1
            assert audience[f"c{n:05d}"] in (DUE, NOT_DUE)
    assert early


def test_one_wrong_date_in_the_far_past_changes_no_curve() -> None:
    some = lapsing(3, 1500)
    odd = pl.DataFrame([("odd", -800_000, 100.0)], some.schema, orient="row")
    curve, other = fit_return_curve(some, DAYS, WINDOW), fit_return_curve(pl.concat([some, odd]), DAYS, WINDOW)
    assert other.absent_days == pytest.approx(curve.absent_days, abs=7)
