"""Offers on two categories: of what is open on each alone, valued as both, counted against the limits of both."""

import polars as pl
import pytest

from promolift.core.allocation import ShopLimits
from promolift.core.effects import DiscountResponse, ValueSettings, add_effects, simulate_totals
from promolift.core.offers import MenuItem
from promolift.core.offers.menu import list_pairs, pair_menu_item
from promolift.core.offers.terms import Benefit, covered_targets
from promolift.foundation.tables.schemas import CANDIDATES
from promolift.server.decisions.eligibility import KEY_SEPARATOR, Exclusions

LINE = MenuItem(id="pr-category-20-28d", benefit=Benefit(type="percent_off", percent=20), scope="category")
RESPONSE = DiscountResponse(
    "adjusted", "test", beta=3.0, beta_se=0.1, later=-0.25, later_se=0.05, target_sd=0.3,
    targets=pl.DataFrame(
        {"target": ["tea", "milk"], "response": [4.0, 3.5], "response_se": [0.2, 0.15], "cells": [9, 9]}
    ),
)  # fmt: skip
MONEY = ValueSettings(margin_rate=0.3)


def singles(**changes: object) -> pl.DataFrame:
    """20 % off each of four categories for one customer."""
    base = {"tea": 1000.0, "milk": 700.0, "bread": 500.0, "fuel": 90.0}
    rows = [
        {"customer_id": "A", "offer_id": f"off_{target}", "menu_id": LINE.id, "scope": "category", "target": target,
         "kind": "category", "benefit": "percent_off", "depth": 0.2, "activation": "automatic", "supplier_share": 0.5,
         "send_cost_cents": 2.0, "base_cents": cents, "base_se_cents": 10.0, "buy_prob": 0.5, "bought": True,
         "margin_rate": 0.3, "eligible": True} | changes
        for target, cents in base.items()
    ]  # fmt: skip
    return CANDIDATES.conform(pl.DataFrame(rows))


def valued(rows: pl.DataFrame, redeem: pl.DataFrame | None = None) -> pl.DataFrame:
    return add_effects(rows, RESPONSE, redeem, MONEY)


def pairs(rows: pl.DataFrame, price: float = 0.0) -> pl.DataFrame:
    return list_pairs(rows, [LINE], price).select(*CANDIDATES.schema, "parts")


def test_a_customers_three_best_categories_are_paired_with_one_another() -> None:
    made = pairs(valued(singles()))
    CANDIDATES.check(made.drop("parts"))
    assert made["target"].sort().to_list() == ["bread ++ milk", "bread ++ tea", "milk ++ tea"]
    assert set(made["menu_id"]) == {pair_menu_item(LINE).id} == {"pr-pair-20-28d"}
    assert made["offer_id"].n_unique() == 3
    assert pairs(valued(singles()).reverse()).sort("offer_id").equals(made.sort("offer_id"))


def test_what_is_closed_unknown_or_known_less_well_is_in_no_pair() -> None:
    rows = valued(singles())
    closed = rows.with_columns(eligible=pl.col("target") != "tea")
    assert "bread ++ tea" not in set(pairs(closed)["target"])
    dark = rows.with_columns(gain_cents=pl.when(pl.col("target") != "tea").then("gain_cents"))
    assert not any("tea" in target for target in pairs(dark)["target"])
    mixed = rows.with_columns(
        evidence=pl.when(pl.col("target") == "tea").then(pl.lit("assumed")).otherwise(pl.lit("adjusted"))
    )
    assert not any("tea" in target for target in pairs(mixed)["target"])
    assert pairs(rows.clear()).is_empty()


def test_a_pair_adds_and_costs_what_both_do_and_is_told_once() -> None:
    alone = valued(singles())
    both = valued(pairs(alone)).filter(pl.col("target") == "milk ++ tea").to_dicts()[0]
    two = alone.filter(pl.col("target").is_in(["milk", "tea"])).sum()
    for name in ("added_cents", "subsidy_cents"):
        assert both[name] == pytest.approx(two[name].item())
    assert both["cost_cents"] == pytest.approx(two["cost_cents"].item() - 2)
    assert both["gain_cents"] == pytest.approx(two["gain_cents"].item() + 2)
    assert both["gain_se_cents"] == pytest.approx(two["gain_se_cents"].item())
    assert both["evidence"] == "adjusted"
    assert both["base_cents"] == 1700
    alone_prob = alone.filter(pl.col("target").is_in(["milk", "tea"]))["redeem_prob"]
    assert both["redeem_prob"] == pytest.approx(1 - (1 - alone_prob[0]) * (1 - alone_prob[1]))


def test_singles_are_valued_the_same_beside_pairs_and_pairs_the_same_again() -> None:
    alone = valued(singles())
    listed = pl.concat([singles(), pairs(alone)], how="diagonal")
    together = valued(listed)
    assert together.filter(pl.col("parts").is_null()).select(alone.columns).equals(alone)
    bare = together.drop("gain_cents", "cost_cents", "gain_se_cents", "added_cents", "subsidy_cents", "redeem_prob",
                         "evidence", "response_now", "response_net", "response_se", "reach", "coupon_prob")  # fmt: skip
    assert valued(bare)["gain_cents"].equals(together["gain_cents"])


def test_a_pair_with_a_part_that_is_only_assumed_is_only_assumed() -> None:
    rows = valued(singles(bought=False))
    assert set(valued(pairs(rows))["evidence"]) == {"assumed"}


def test_a_pair_is_known_no_better_than_its_weaker_part() -> None:
    rows = valued(singles()).with_columns(bought=pl.col("target") != "tea")
    made = valued(pairs(rows))
    assert dict(made.select("target", "evidence").iter_rows()) == {
        "bread ++ milk": "adjusted", "bread ++ tea": "assumed", "milk ++ tea": "assumed",
    }  # fmt: skip


def test_a_closed_pair_has_no_effect() -> None:
    closed = pairs(valued(singles())).with_columns(eligible=False)
    assert valued(closed)["gain_cents"].null_count() == closed.height


def test_possible_totals_of_a_pair_are_those_of_both_offers() -> None:
    alone = valued(singles(base_se_cents=0.0, send_cost_cents=0.0))
    both = valued(pairs(alone)).filter(pl.col("target") == "milk ++ tea")
    two = alone.filter(pl.col("target").is_in(["milk", "tea"]))
    assert simulate_totals(both, RESPONSE) == pytest.approx(simulate_totals(two, RESPONSE))


def test_a_pair_counts_in_full_against_the_limit_of_each_category() -> None:
    free = pl.concat([singles(), pairs(valued(singles()))], how="diagonal")
    limits = {limit.name: set(limit.where["target"]) for limit in ShopLimits(0.25, ()).at(free, 1000)}
    assert len(limits) == 4
    assert limits["one category: tea"] == {"tea", "bread ++ tea", "milk ++ tea"}
    assert limits["one category: fuel"] == {"fuel"}


def test_who_just_bought_one_of_both_is_not_given_the_pair() -> None:
    closed = Exclusions(targets={f"A{KEY_SEPARATOR}tea": "bought it lately"})
    assert closed.reason_for("A", "off", "milk ++ tea") == closed.reason_for("A", "off", "tea") == "bought it lately"
    assert closed.reason_for("A", "off", "bread ++ milk") is None
    assert closed.reason_for("B", "off", "milk ++ tea") is None
    assert closed.reason_for("A", "off", None) is None


def test_a_target_names_what_it_covers() -> None:
    assert covered_targets("milk ++ tea") == ("milk", "tea")
    assert covered_targets("MILK+TEA") == ("MILK+TEA",)
    assert covered_targets(None) == covered_targets("") == ()
