"""Each customer's own answer to discounts, from when they bought."""

import numpy as np
import polars as pl
import pytest

from promolift.effect.personal import PersonalSettings, fit_personal, response_scale
from promolift.errors import InputError, SupportError


def shelf(products: int = 4, weeks: int = 30, seed: int = 0) -> pl.DataFrame:
    """Every product is cut by 20 % in a third of the weeks, at random; two groups of products."""
    cut = np.random.default_rng(seed).random((products, weeks)) < 0.35
    return pl.DataFrame(
        {
            "product_id": np.repeat([f"p{k}" for k in range(products)], weeks),
            "group": np.repeat([f"g{k % 2}" for k in range(products)], weeks),
            "week": np.tile(np.arange(weeks), products),
            "depth": np.where(cut, 0.2, 0.0).ravel(),
        }
    )


def sales(prices: pl.DataFrame, response: np.ndarray, rate: float = 2.0, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    season = 1 + 0.5 * np.sin(prices["week"].to_numpy() / 5)  # common to a group: must not be taken for a response
    parts = []
    for i, beta in enumerate(response):
        mean = rate * season * np.exp(beta * prices["depth"].to_numpy())
        parts.append(
            prices.select("product_id", "week").with_columns(customer_id=pl.lit(f"c{i:03d}"), units=rng.poisson(mean))
        )
    return pl.concat(parts).filter(pl.col("units") > 0)


def test_those_who_wait_for_discounts_are_told_from_those_who_do_not() -> None:
    prices, truth = shelf(), np.repeat([1.0, 4.0], 40)
    fitted = fit_personal(sales(prices, truth, rate=12), prices)
    found = fitted.customers.sort("customer_id")["response"].to_numpy()
    assert abs(found[:40].mean() - 1.0) < 0.4
    assert abs(found[40:].mean() - 4.0) < 0.4
    assert ((found - truth) / fitted.customers.sort("customer_id")["response_se"].to_numpy()).std() == pytest.approx(
        1, abs=0.35
    )


def test_a_customer_of_few_units_is_drawn_to_the_others() -> None:
    prices = shelf()
    many = sales(prices, np.full(60, 3.0))
    cut = prices.filter(pl.col("depth") > 0).head(2)
    few = cut.select("product_id", "week").with_columns(customer_id=pl.lit("new"), units=pl.lit(1))
    fitted = fit_personal(pl.concat([many, few.select(many.columns).cast(many.schema)]), prices)
    new = fitted.customers.filter(pl.col("customer_id") == "new").row(0, named=True)
    usual = float(np.exp(fitted.mean_log))
    assert abs(new["response"] - usual) < 0.25 * usual
    assert new["response_se"] > fitted.customers["response_se"].median()


def test_rates_and_shares_give_back_what_was_sold() -> None:
    prices = shelf()
    fitted = fit_personal(sales(prices, np.full(50, 2.0), rate=1.5), prices)
    assert fitted.rates["rate"].mean() == pytest.approx(3.0, rel=0.05)  # two products of a group at 1.5 each
    assert fitted.shares.group_by("group").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1.0, 1.0])
    waves = fitted.season.filter(pl.col("group") == "g0").sort("week")
    true = 1 + 0.5 * np.sin(waves["week"].to_numpy() / 5)
    assert np.corrcoef(waves["factor"], true)[0, 1] > 0.9


def test_row_order_and_split_rows_change_nothing() -> None:
    prices, lines = shelf(), sales(shelf(), np.linspace(1, 4, 30))
    whole = fit_personal(lines, prices).customers
    double = lines.with_columns(units=pl.col("units") / 2)
    again = fit_personal(pl.concat([double, double]).sample(fraction=1, shuffle=True, seed=3), prices).customers
    np.testing.assert_allclose(whole["response"], again["response"], rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.head(s.height - 1), "every product and week"),
        (lambda s: s.with_columns(depth=pl.lit(1.2)), r"\[0, 1\)"),
        (lambda s: s.with_columns(depth=pl.lit(None, pl.Float64)), r"\[0, 1\)"),
    ],
)
def test_a_broken_shelf_is_refused(change, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=text):
        fit_personal(sales(shelf(), np.full(5, 2.0)), change(shelf()))


def test_without_cuts_or_sales_nothing_is_claimed() -> None:
    flat = shelf().with_columns(depth=pl.lit(0.0))
    with pytest.raises(SupportError, match="no price was ever cut"):
        fit_personal(sales(flat, np.full(9, 2.0)), flat)
    with pytest.raises(SupportError, match="units were sold"):
        fit_personal(sales(shelf(), np.full(1, 2.0)), shelf(), PersonalSettings(min_units=10_000))


def test_the_scale_of_recent_answers_is_found_and_blocks_take_the_season() -> None:
    rng = np.random.default_rng(5)
    block = np.repeat(np.arange(6), 500)
    mean, pull = rng.gamma(2, 0.5, block.size), 3 * np.where(rng.random(block.size) < 0.3, 0.2, 0.0)
    level = np.array([0.5, 1, 2, 0.7, 1.4, 3])[block]
    scale, error = response_scale(mean, pull, rng.poisson(mean * level * np.exp(0.6 * pull)).astype(float), block)
    assert abs(scale - 0.6) < 3 * error
    assert error < 0.15
    with pytest.raises(SupportError, match="prices that differ"):
        response_scale(mean, np.zeros_like(pull), np.ones_like(pull), block)
