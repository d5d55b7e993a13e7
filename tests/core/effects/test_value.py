"""Gains and costs against sums done by hand."""

from dataclasses import dataclass, replace
from math import exp
from typing import Literal

import numpy as np
import polars as pl
import pytest

from promolift.core.effects import (
    DiscountResponse,
    DiscountSettings,
    ResponseModel,
    ValueSettings,
    add_effects,
    assumed_response,
    simulate_totals,
)
from promolift.core.effects.offer_value.discount_response import WITHIN_WINDOW
from promolift.foundation.tables.schemas import CANDIDATES

RESPONSE = DiscountResponse(
    "adjusted", "test", beta=1.0, beta_se=0.1, later=-0.25, later_se=0.05,
    targets=pl.DataFrame({"target": ["tea"], "response": [2.0], "response_se": [0.2], "cells": [9]}),
)  # fmt: skip
MONEY = ValueSettings(margin_rate=0.3)


def candidates(**changes: object) -> pl.DataFrame:
    row: dict[str, object] = {
        "customer_id": "A", "offer_id": "off_tea", "menu_id": "tea-20", "scope": "category", "target": "tea",
        "benefit": "percent_off", "depth": 0.2, "activation": "automatic", "supplier_share": 0.5,
        "send_cost_cents": 1.0,
        "base_cents": 1000.0, "base_se_cents": 0.0, "buy_prob": 0.6, "bought": True, "eligible": True,
        "orders_expected": 4.0, "basket_mean_cents": 3000.0, "basket_sd_cents": 1000.0,
    }  # fmt: skip
    return CANDIDATES.conform(pl.DataFrame([row | changes]))


def value(
    frame: pl.DataFrame, response: DiscountResponse = RESPONSE, redeem: pl.DataFrame | None = None
) -> dict[str, float]:
    return add_effects(frame, response, redeem, MONEY).to_dicts()[0]


def test_a_percentage_adds_net_margin_and_costs_the_shops_part_of_all_that_is_sold() -> None:
    got = value(candidates())
    # A quarter of a response of 2.0 is pulled forward, and WITHIN_WINDOW of that is missing in the window itself.
    added, subsidy = 0.3 * 1000 * (exp(1.5 * 0.2) - 1), 0.5 * 0.2 * 1000 * exp(2.0 * (1 - WITHIN_WINDOW * 0.25) * 0.2)
    assert got["added_cents"] == pytest.approx(added)
    assert got["cost_cents"] == pytest.approx(subsidy + 1)
    assert got["gain_cents"] == pytest.approx(added - subsidy - 1)
    assert got["evidence"] == "adjusted"


def test_the_error_is_what_a_small_step_of_the_response_does() -> None:
    step = 1e-4
    moved = replace(RESPONSE, targets=RESPONSE.targets.with_columns(pl.col("response") + step))
    slope = (value(candidates(), moved)["gain_cents"] - value(candidates())["gain_cents"]) / step
    later = replace(RESPONSE, later=RESPONSE.later + step)
    more = (value(candidates(), later)["gain_cents"] - value(candidates())["gain_cents"]) / step
    expected = ((slope * 0.2) ** 2 + (more * 0.05) ** 2) ** 0.5
    assert value(candidates())["gain_se_cents"] == pytest.approx(expected, rel=1e-3)


def test_a_coupon_reaches_only_those_who_redeem_it() -> None:
    redeem = pl.DataFrame({"customer_id": ["A"], "target": ["tea"], "redeem_prob": [0.05]})
    got, automatic = value(candidates(activation="code"), redeem=redeem), value(candidates())
    reach = 0.05 / (1 - 0.4 ** exp(2.0 * (1 - WITHIN_WINDOW * 0.25) * 0.2))
    assert got["added_cents"] == pytest.approx(automatic["added_cents"] * reach)
    assert got["redeem_prob"] == pytest.approx(0.05)
    assert got["evidence"] == "adjusted"
    assert value(candidates(activation="link"))["evidence"] == "assumed"


@pytest.mark.parametrize("change", [{"bought": False}, {"scope": "product"}, {"scope": "all", "target": None}])
def test_what_no_one_measured_is_called_assumed(change: dict[str, object]) -> None:
    assert value(candidates(**change))["evidence"] == "assumed"
    assert value(candidates(), assumed_response("none", DiscountSettings()))["evidence"] == "assumed"


@dataclass(frozen=True)
class Elasticity:
    """Somebody else's model: demand at a price p is p ** -k, and nothing of ours is inherited."""

    k: float
    level: Literal["randomised", "adjusted", "assumed"] = "adjusted"
    prior_response: float = 0.6
    prior_se: float = 0.4

    def respond(self, candidates: pl.DataFrame) -> pl.DataFrame:
        now = -self.k * (1 - pl.col("depth")).log() / pl.col("depth")
        return candidates.with_columns(response_now=now, response_net=now, response_se=pl.lit(0.0))


def test_a_model_of_ones_own_is_valued_like_ours() -> None:
    model: ResponseModel = Elasticity(2.0)
    got = add_effects(candidates(), model, None, MONEY).to_dicts()[0]
    grow = 0.8**-2.0
    assert got["added_cents"] == pytest.approx(0.3 * 1000 * (grow - 1))
    assert got["subsidy_cents"] == pytest.approx(0.5 * 0.2 * 1000 * grow)
    assert got["evidence"] == "adjusted"
    spend = {"benefit": "amount_off", "amount_cents": 300, "min_spend_cents": 5000, "scope": "all", "target": None}
    ours = assumed_response("none", DiscountSettings())
    by_model, by_us = (
        add_effects(candidates(**spend, depth=None), each, None, MONEY)["gain_cents"].item() for each in (model, ours)
    )
    assert by_model == pytest.approx(by_us)


def test_none_costs_and_adds_nothing_and_the_ineligible_have_no_effect() -> None:
    none = value(candidates(menu_id="none", offer_id="none", benefit=None, depth=None))
    assert (none["gain_cents"], none["cost_cents"]) == (0.0, 0.0)
    assert value(candidates(eligible=False))["gain_cents"] is None


def test_spend_and_save_helps_only_where_a_little_more_reaches_the_goal() -> None:
    change = {
        "benefit": "amount_off",
        "amount_cents": 300,
        "scope": "all",
        "target": None,
        "depth": None,
        "send_cost_cents": 0.0,
    }
    near = value(candidates(min_spend_cents=3300, basket_sd_cents=200.0, supplier_share=0.0, **change))
    always = value(candidates(min_spend_cents=1000, basket_sd_cents=200.0, supplier_share=0.0, **change))
    never = value(candidates(min_spend_cents=90000, basket_sd_cents=200.0, supplier_share=0.0, **change))
    assert always["cost_cents"] == pytest.approx(300, rel=0.02)  # everybody would have spent that anyway
    assert near["added_cents"] / near["cost_cents"] > always["added_cents"] / always["cost_cents"]
    assert never["cost_cents"] == pytest.approx(0, abs=1e-6)
    assert near["evidence"] == "assumed"
    assert near["gain_se_cents"] > 0


def test_free_delivery_without_any_order_is_unknown_not_zero() -> None:
    got = value(
        candidates(
            benefit="free_shipping", scope="all", target=None, depth=None, orders_expected=None, basket_mean_cents=None
        )
    )
    assert got["gain_cents"] is None


def test_common_uncertainty_does_not_average_out_over_customers() -> None:
    many = pl.concat([candidates(customer_id=f"c{n}") for n in range(200)])
    rows = add_effects(many, RESPONSE, None, MONEY)
    draws = simulate_totals(rows, RESPONSE, draws=600)
    assert draws.mean() == pytest.approx(rows["gain_cents"].sum(), rel=0.15)
    assert draws.std() == pytest.approx(rows["gain_se_cents"].sum(), rel=0.15)
    assert np.array_equal(draws, simulate_totals(rows, RESPONSE, draws=600))


def test_a_reminder_is_known_to_cost_its_telling_and_nothing_more() -> None:
    got = value(candidates(benefit="reminder", scope="all", target=None, depth=None))
    assert (got["added_cents"], got["cost_cents"], got["gain_cents"]) == (0.0, 1.0, -1.0)
    assert got["evidence"] == "assumed"
