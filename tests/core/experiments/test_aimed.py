"""What is learned of offers aimed by predictions moves the predictions, and counts what the shop itself pays."""

import polars as pl
import pytest

from promolift.core.experiments.line_effects import ArmCell, ArmValue, CellEstimate
from promolift.core.offers import MenuItem
from promolift.shop.feedback.next_release import scale_to_observed_cost, subtract_shop_costs
from promolift.shop.pipeline.planning.line_tests import CELLS, add_learned_effects

MENU = (
    MenuItem.model_validate({"id": "own", "benefit": {"type": "percent_off", "percent": 10}, "send_cost_cents": 5}),
    MenuItem.model_validate({"id": "theirs", "benefit": {"type": "percent_off", "percent": 10}, "supplier_share": 0.9}),
    MenuItem.model_validate(
        {"id": "gift", "benefit": {"type": "gift", "item": {"zh": "杯子", "en": "a cup"}, "product_id": "P1"},
         "benefit_cost_cents": 80,
         "min_spend_cents": 3000}
    ),
)  # fmt: skip


def cell(arm: str, cost: float, prior: float = 200.0) -> tuple[object, ...]:
    return arm, "active", prior, 100.0, 0.0, cost, 50, 400.0, 0.0, True


def test_what_the_supplier_pays_comes_back_and_what_no_receipt_says_is_paid() -> None:
    rows = pl.DataFrame(
        {"customer_id": list("abcd"), "arm": ["own", "theirs", "gift", "none"], "group": "active",
         "value": 1000.0, "window": 900.0, "cost": 100.0}
    )  # fmt: skip
    cells = pl.DataFrame([cell("own", 90.0), cell("theirs", 9.0), cell("gift", 70.0)], schema=CELLS, orient="row")
    paid = subtract_shop_costs(rows, MENU, cells)
    assert paid["cost"].to_list() == [105.0, 10.0, 70.0, 100.0]
    assert paid["value"].to_list() == [995.0, 1090.0, 930.0, 1000.0]
    assert (paid["value"] - paid["window"]).to_list() == [100.0] * 4


def test_who_uses_a_third_of_what_was_predicted_is_believed_to_gain_a_third() -> None:
    cells = pl.DataFrame([cell("own", 90.0), cell("theirs", 60.0)], schema=CELLS, orient="row")
    seen = CellEstimate(10.0, 50.0, 40, 20), CellEstimate(0.0, None, 3, 1)
    found = [
        ArmValue(
            ArmCell(arm, 0, 200.0, 100.0, 0.0, cost, 50, 400.0),
            each,
            200.0,
            100.0,
            200.0,
            100.0,
            now,
            3.0,
            0.0,
            None,
            1.0,
            1.0,
        )
        for arm, (cost, now, each) in enumerate([(90.0, 30.0, seen[0]), (60.0, 60.0, seen[1])])
    ]
    moved = scale_to_observed_cost(cells, found)
    assert moved["cost"].to_list() == pytest.approx([30.0, 20.0])  # the second has no draws of its own to tell
    assert moved["prior"].to_list() == pytest.approx([200 / 3] * 2)
    nothing = [each._replace(cost=0.0) for each in found]
    assert (
        scale_to_observed_cost(cells, nothing)["prior"].to_list() == [200.0] * 2
    )  # a log that names no coupons says nothing


def test_each_prediction_is_moved_and_their_order_stays() -> None:
    arms = pl.DataFrame(
        {"menu_id": "own", "group": "active", "gain_cents": [300.0, 100.0, 200.0], "cost_cents": [50.0, 60.0, 70.0],
         "net_cents": 40.0, "arm_cost": 20.0, "arm_cost_se": 2.0, "gain_ratio": [0.5, 0.5, None],
         "cost_ratio": [0.4, 0.4, None]}
    )  # fmt: skip
    now = add_learned_effects(arms)
    assert now["gain_now"].to_list()[:2] == [150.0, 50.0]
    assert now["cost_now"].to_list()[:2] == [20.0, 24.0]
    assert now["cost_se_now"].to_list()[:2] == pytest.approx([2.0, 2.4])
    assert now["gain_now"][2] == pytest.approx(40 * (0.5 + 0.5 * 70 / 60))  # of a draw among whole groups
