"""A world whose response is known: the fit finds it, its interval is honest, a failed placebo takes the label away."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.effects import (
    DiscountResponse,
    DiscountSettings,
    assumed_response,
    fit_response,
    fit_response_halves,
    in_first_half,
)
from promolift.core.effects.offer_value.discount_response import LARGEST_RESPONSE, WITHIN_WINDOW
from promolift.foundation.errors import SupportError

SETTINGS = DiscountSettings(min_cells=500)
RESPONSE = DiscountResponse("adjusted", "test", beta=1.0, beta_se=0.1)
PEOPLE, TARGETS, WEEKS = 150, 6, 20


def world(
    seed: int, slope_z: float = 0.3, later: float = -0.3, lead: float = 0.0, beta: float = 1.0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Panel and sensitivities; log demand = customer-target + target-week + (beta + slope_z z) depth + later lag."""
    rng = np.random.default_rng(seed)
    i, t, w = (a.ravel() for a in np.meshgrid(range(PEOPLE), range(TARGETS), range(WEEKS), indexing="ij"))
    depth = rng.choice([0, 0, 0, 0.1, 0.2, 0.3, 0.45], size=(PEOPLE, TARGETS, WEEKS + 10))
    now, lag = depth[:, :, 6 : 6 + WEEKS], np.mean([depth[:, :, 6 + k : 6 + k + WEEKS] for k in range(1, 5)], axis=0)
    ahead = np.mean([depth[:, :, 6 - k : 6 - k + WEEKS] for k in range(3, 7)], axis=0)
    z = rng.standard_normal(PEOPLE)
    level = 5 + rng.standard_normal((PEOPLE, TARGETS, 1)) * 0.5 + rng.standard_normal((1, TARGETS, WEEKS)) * 0.3
    demand = np.exp(level + (beta + slope_z * z[:, None, None]) * now + later * lag + lead * ahead)
    bought = rng.poisson(0.7, demand.shape) * demand
    panel = pl.DataFrame(
        {
            "customer_id": [f"c{n}" for n in i], "target": [f"t{n}" for n in t], "week": w,
            "list_cents": bought.ravel().astype(np.int64), "depth": now.ravel(),
            "lag": lag.ravel(), "lead": ahead.ravel(),
        }
    )  # fmt: skip
    return panel, pl.DataFrame({"customer_id": [f"c{n}" for n in range(PEOPLE)], "price_sensitivity": z * 2 + 5})


def test_response_slope_and_pull_forward_are_found_and_labelled_adjusted() -> None:
    response = fit_response(*world(1), SETTINGS)
    assert response.level == "adjusted"
    assert abs(response.beta - 1.0) < 3 * response.beta_se < 0.4
    assert abs(response.beta_z - 0.3) < 3 * response.beta_z_se
    assert response.beta_z > 1.96 * response.beta_z_se
    assert abs(response.later + 0.3) < 3 * response.later_se


def test_future_discounts_that_seem_to_work_take_the_label_away() -> None:
    response = fit_response(*world(2, lead=0.9), SETTINGS)
    assert response.level == "assumed"
    assert "placebo failed: discount 3 to 6 weeks later" in response.why
    assert response.beta == SETTINGS.prior_response
    assert response.placebo.height == 3  # the failed check is shown


def test_demand_that_does_not_rise_is_not_called_an_effect() -> None:
    response = fit_response(*world(3, beta=0.0, slope_z=0.0, later=0.0), SETTINGS)
    assert response.level == "assumed"
    assert "did not rise" in response.why


def test_a_response_that_no_shelf_discount_has_is_not_believed_and_no_target_answers_beyond_it() -> None:
    response = fit_response(*world(4, beta=14.0, slope_z=0.0), SETTINGS)
    assert response.level == "assumed"
    assert "coupons" in response.why
    steep = DiscountResponse("adjusted", "", 9.0, 1.0, targets=pl.DataFrame(
        {"target": ["bags"], "response": [54.0], "response_se": [10.0], "cells": [900]}
    ))  # fmt: skip
    rows = steep.respond(pl.DataFrame({"target": ["bags", "else"], "price_sensitivity": [5.0, 5.0]}))
    assert rows["response_now"].to_list() == [LARGEST_RESPONSE, 9.0]


def test_too_small_a_panel_is_refused_with_the_number_needed() -> None:
    panel, sensitivity = world(1)
    with raises_code("too_few_rows", "500", kind=SupportError):
        fit_response(panel.head(300), sensitivity, SETTINGS)


def test_the_same_rows_give_the_same_bits() -> None:
    panel, sensitivity = world(1)
    own = pl.col("target").str.slice(1).cast(pl.Float64) * pl.col("depth")  # targets that answer differently
    panel = panel.with_columns((pl.col("list_cents") * (1 + own)).cast(pl.Int64))
    found = [fit_response(panel, sensitivity, SETTINGS) for _ in range(4)]
    assert found[0].target_sd > 0
    assert {(each.target_sd, *each.targets["response_se"]) for each in found} == {
        (found[0].target_sd, *found[0].targets["response_se"])
    }


def test_row_order_changes_nothing() -> None:
    panel, sensitivity = world(1)
    shuffled = fit_response(panel.sample(fraction=1, shuffle=True, seed=3), sensitivity.reverse(), SETTINGS)
    assert shuffled.beta == pytest.approx(fit_response(panel, sensitivity, SETTINGS).beta, abs=1e-9)


def test_unknown_sensitivity_counts_as_average_and_unknown_target_carries_the_spread() -> None:
    response = fit_response(*world(1), SETTINGS)
    rows = pl.DataFrame(
        {"target": ["t1", "new"], "price_sensitivity": [None, None]}, schema_overrides={"price_sensitivity": pl.Float64}
    )
    known, unknown = response.respond(rows).sort("target", descending=True).to_dicts()
    assert unknown["response_net"] == pytest.approx(response.beta + response.later)
    assert unknown["response_now"] == pytest.approx(response.beta + WITHIN_WINDOW * response.later)
    assert unknown["response_se"] ** 2 == pytest.approx(response.beta_se**2 + response.target_sd**2)
    assert unknown["pulled_se"] == pytest.approx(response.later_se / response.beta)
    assert known["response_net"] < known["response_now"]


@given(
    beta=st.floats(0.1, 8), later=st.floats(-12, 0), z=st.floats(-3, 3), slope=st.floats(0, 2), d=st.floats(0.01, 0.6)
)
def test_the_same_part_of_every_response_is_pulled_forward(
    beta: float, later: float, z: float, slope: float, d: float
) -> None:
    """Whoever answers more also buys more in advance: no customer loses more sales than the discount brings."""
    response = replace(RESPONSE, beta=beta, later=later, beta_z=slope)
    row = response.respond(pl.DataFrame({"target": ["t1"], "price_sensitivity": [z]})).row(0, named=True)
    first = min(beta + slope * z, LARGEST_RESPONSE)
    assert row["response_net"] == pytest.approx(first * (1 - response.pulled_share))
    assert 0 <= response.pulled_share <= 1
    if first > 0:
        assert 0 <= row["response_net"] * d <= row["response_now"] * d + 1e-12 <= first * d + 2e-12


def test_the_curve_rises_with_depth_and_brackets_the_truth() -> None:
    curve = fit_response(*world(4, slope_z=0.0, later=0.0), SETTINGS).curve.filter(pl.col("group") == "everyone")
    assert curve["lift"].is_sorted()
    inside = (curve["low"] <= curve["depth"].exp() - 1) & (curve["depth"].exp() - 1 <= curve["high"])
    assert inside.sum() >= inside.len() - 1


@pytest.mark.parametrize("short", ["no week without a discount", "few such weeks", "a depth that stays what it was"])
def test_what_cannot_be_told_apart_is_left_out_and_nothing_breaks(short: str) -> None:
    panel, z = world(6)
    depth = pl.col("depth")
    if short == "no week without a discount":  # a shop where something of every target is always reduced
        panel = panel.with_columns(pl.when(depth == 0).then(0.05).otherwise(depth).alias("depth"))
    elif short == "few such weeks":
        kept = (depth > 0) | (pl.int_range(pl.len()) % 200 == 0)
        panel = panel.with_columns(pl.when(kept).then(depth).otherwise(0.05).alias("depth"))
    else:
        panel = panel.with_columns(depth.alias("lag"), depth.alias("lead"))
        with raises_code("discounts_collinear", kind=SupportError):
            fit_response(panel, z, SETTINGS)
        return
    response = fit_response(panel, z, SETTINGS)
    assert response.level == "adjusted"
    assert response.curve.is_empty()


def test_halves_share_no_customer_and_agree_within_their_errors() -> None:
    panel, sensitivity = world(1)
    one, two = fit_response_halves(panel, sensitivity, SETTINGS)
    first = in_first_half(sensitivity["customer_id"], SETTINGS)
    assert 0.3 * PEOPLE < first.sum() == one.customers < 0.7 * PEOPLE
    assert one.customers + two.customers == PEOPLE
    assert abs(one.beta - two.beta) < 4 * (one.beta_se**2 + two.beta_se**2) ** 0.5


def test_saving_and_loading_gives_the_same_answers() -> None:
    response = fit_response(*world(1), SETTINGS)
    again = DiscountResponse.from_dict(response.to_dict())
    rows = pl.DataFrame({"target": ["t1"], "price_sensitivity": [5.0]})
    assert again.respond(rows).equals(response.respond(rows))
    assert again.curve.equals(response.curve)


def test_the_prior_is_used_and_said_where_nothing_is_known() -> None:
    prior = assumed_response("no discounts in the data", SETTINGS)
    assert (prior.level, prior.beta, prior.why) == ("assumed", 0.6, "no discounts in the data")


def test_where_all_customers_buy_alike_weeks_are_compared_and_the_answer_is_the_same() -> None:
    panel, sensitivity = world(5, slope_z=0.0, later=0.0)
    weekly = panel.group_by("target", "week").agg(pl.col("depth").first().alias("common"))
    same = panel.join(weekly, on=["target", "week"]).with_columns(
        (pl.col("list_cents") * (pl.col("common") - pl.col("depth")).exp()).round().cast(pl.Int64).alias("list_cents"),
        pl.col("common").alias("depth"),
    )
    response = fit_response(same.drop("common"), sensitivity, SETTINGS)
    assert response.design == "weeks"
    assert abs(response.beta - 1.0) < 3 * response.beta_se
    assert fit_response(panel, sensitivity, SETTINGS).design == "customers"


@pytest.mark.parametrize("seed", range(3))
def test_an_error_in_what_customers_usually_buy_is_no_effect_of_the_weeks_before(seed: int) -> None:
    """Where weeks are compared the market's depths are read: by their own depths, known with an error, customers would
    seem to buy in advance what nobody buys in advance."""
    panel, sensitivity = world(seed, slope_z=0.0, later=0.0, beta=3.0)
    rng = np.random.default_rng(seed)
    market = rng.choice([0, 0, 0, 0.2, 0.4], size=(TARGETS, WEEKS + 10))
    mean = sum(0.5**back * market[:, 6 + back : 6 + back + WEEKS] for back in range(1, 5)) / 0.9375
    seen = market + rng.normal(0, 0.04, (PEOPLE, *market.shape))
    lag = sum(0.5**back * seen[:, :, 6 + back : 6 + back + WEEKS] for back in range(1, 5)) / 0.9375
    now = np.broadcast_to(market[:, 6 : 6 + WEEKS], (PEOPLE, TARGETS, WEEKS))
    bought = rng.poisson(np.exp(4 + 3.0 * now))
    panel = panel.with_columns(
        depth=pl.Series(seen[:, :, 6 : 6 + WEEKS].ravel()), lag=pl.Series(lag.ravel()), lead=pl.lit(None, pl.Float64),
        list_cents=pl.Series(bought.ravel()), market_depth=pl.Series(now.ravel()),
        market_lag=pl.Series(np.broadcast_to(mean, now.shape).ravel()), market_lead=pl.lit(None, pl.Float64),
    )  # fmt: skip
    response = fit_response(panel, sensitivity, SETTINGS)
    assert response.design == "weeks"
    assert response.beta == pytest.approx(3.0, rel=0.05)
    assert response.pulled_share < 0.03
    own = fit_response(panel.drop(pl.selectors.starts_with("market")), sensitivity, SETTINGS)
    assert own.beta < 0.97 * response.beta  # so that the law has something to catch


@given(spread=st.floats(0.1, 10), middle=st.floats(-5, 5), among=st.integers(0, 40))
def test_customers_are_as_sensitive_as_among_themselves(spread: float, middle: float, among: int) -> None:
    """A later reading of all customers with another spread gives each the same response."""
    own = np.linspace(-1.5, 1.5, among)
    known = pl.DataFrame({"target": "t1", "price_sensitivity": own}, schema_overrides={"price_sensitivity": pl.Float64})
    response = replace(RESPONSE, beta_z=0.3).at_sensitivities(known["price_sensitivity"])
    moved = known.with_columns(pl.col("price_sensitivity") * spread + middle)
    again = response.at_sensitivities(moved["price_sensitivity"])
    if among < 10:
        assert again == response == replace(RESPONSE, beta_z=0.3)
    else:
        after = again.respond(moved)["response_now"].to_numpy()
        assert after == pytest.approx(response.respond(known)["response_now"].to_numpy())
