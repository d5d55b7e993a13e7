"""Gaps at equal baskets: one that is there is found with its feature, one that baskets explain is none."""

import numpy as np
import polars as pl
import pytest

from promolift.core.experiments.group_gaps import GroupGap, adjusted_gap, find_proxies, group_gaps, orthonormal

ALIKE = ["basket_mean_cents", "orders_16w"]


def customers(seed: int, n: int = 6000, planted: float = 0.0) -> pl.DataFrame:
    """Women have smaller baskets, and smaller baskets get less off; a device that 80 % of women have costs `planted`
    of the discount.
    """
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < 0.45
    device = np.where(rng.random(n) < np.where(woman, 0.8, 0.2), "a", "b")
    basket = np.exp(rng.normal(np.where(woman, 7.6, 8.0), 0.5))
    orders = rng.poisson(3 + 2 * woman)
    rate = 0.05 + 0.02 * np.log(basket / 3000) + 0.05 * rng.standard_normal(n) - planted * (device == "a")
    return pl.DataFrame({
        "customer_id": [f"c{i}" for i in range(n)], "sex": np.where(woman, "F", "M"),
        "town": rng.choice(["north", "south", "east"], n), "device": device, "basket_mean_cents": basket,
        "orders_16w": orders, "noise": rng.standard_normal(n), "discount": rate,
        "offers": (rng.random(n) < 0.3).astype(float),
    })  # fmt: skip


def gaps(rows: pl.DataFrame) -> list[GroupGap]:
    return group_gaps(rows, ["sex", "town"], ["discount", "offers"], ALIKE)


def test_a_gap_through_a_feature_is_found_with_its_size_and_named() -> None:
    rows = customers(1, planted=0.02)
    found = gaps(rows)
    first = found[0]
    assert (first.measure, first.group, first.shown, first.worse) == ("discount", "sex=F", True, True)
    assert first.low < -0.012 < first.high  # 0.02 for 60 % more women than men
    assert len([each for each in found if each.shown]) == 1
    whole, device = (each for each in find_proxies(rows, found, ["device", "noise"], ALIKE) if each.group == "sex=F")
    assert whole.feature is None
    assert whole.low > 0.75
    assert (device.feature, device.through) == ("device", True)
    assert device.left == pytest.approx(0.0, abs=0.004)


def test_what_baskets_explain_is_no_gap() -> None:
    rows = customers(2)
    women = rows.filter(pl.col("sex") == "F")["discount"].mean()
    men = rows.filter(pl.col("sex") == "M")["discount"].mean()
    assert men - women > 0.005  # type: ignore[operator]
    assert not any(each.shown for each in gaps(rows))
    assert not any(each.through for each in find_proxies(rows, gaps(rows), ["device"], ALIKE))


def test_few_false_alarms_and_intervals_for_all_at_once() -> None:
    alarms = sum(any(each.shown for each in gaps(customers(seed, 1200))) for seed in range(40))
    assert alarms <= 6  # 5 % of 40 is 2


def test_a_gap_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(4)
    z, group = np.column_stack([np.ones(300), rng.normal(size=(300, 2))]), rng.random(300) < 0.3
    y = z @ [1.0, 2.0, 3.0] + 0.5 * group + rng.normal(size=300)
    found = adjusted_gap(orthonormal(z), y, group)
    beta = np.linalg.lstsq(np.column_stack([z, group]), y, rcond=None)[0]
    assert found is not None
    assert found.gap == pytest.approx(beta[-1])
    twice = adjusted_gap(orthonormal(np.column_stack([z, z[:, 1]])), y, group)
    assert twice is not None
    assert twice.gap == pytest.approx(found.gap)
    assert adjusted_gap(orthonormal(np.column_stack([z, group])), y, group) is None


def test_groups_that_are_small_unknown_or_the_same_are_left_out() -> None:
    rows = customers(5, 400).with_columns(
        town=pl.when(pl.int_range(pl.len()) < 30).then(pl.lit("far")).otherwise("town")
    )
    rows = rows.with_columns(gender=pl.col("sex"), discount=pl.when(pl.col("town") == "far").then("discount"))
    found = group_gaps(rows, ["sex", "gender", "town"], ["discount", "offers"], ALIKE)
    assert {each.measure for each in found} == {"offers"}  # 30 customers with a discount are too few
    assert "far" not in {each.group.partition("=")[2] for each in found}
    assert not any(each.group.startswith("gender") for each in found)
