"""What is learned of offers aimed by predictions moves the predictions, and counts what the shop itself pays."""

import polars as pl
import pytest

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.arm_shares import SMALL_SHARE
from promolift.core.offers import MenuItem
from promolift.shop.feedback.next_release import HABITS, learned_effects, subtract_shop_costs
from promolift.shop.pipeline.planning.arms_in_play import CELLS
from promolift.shop.pipeline.planning.predicted_offers import move_predictions

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
    return arm, "active", prior, 100.0, cost, 50, 0.0, True


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


def drawn_rows(cost: float) -> pl.DataFrame:
    """A window in which half of 80 customers drew "own", which cost so much each; nobody drew "theirs"."""
    n = 80
    rows = {"customer_id": [f"{k:02d}" for k in range(n)], "group": "active", "ts_ms": 1, "none_prob": 0.5,
            "sends": 3.0, "refused": 0.0,
            "arms": [[{"arm": "own", "prob": 0.5}]] * n, "arm": ["own", "none"] * (n // 2),
            "cost": [cost, 0.0] * (n // 2), **dict.fromkeys(("past_window", "past", *HABITS), 0.0),
            **{name: [float(k % 7) for k in range(n)] for name in ("value", "window", "visits")}}  # fmt: skip
    return pl.DataFrame(rows)


def test_who_uses_a_third_of_what_was_predicted_is_believed_to_gain_a_third() -> None:
    cells = pl.DataFrame([cell("own", 90.0), cell("theirs", 60.0)], schema=CELLS, orient="row")
    cells = cells.with_columns(prior_se=pl.lit(1e-3))  # so that draws move costs alone
    third = {each.arm: each for each in learned_effects(cells, drawn_rows(30.0), 0.8, "assumed")}
    assert third["own"].cost_cents == pytest.approx(30.0, abs=2.0)
    assert third["theirs"].cost_cents == pytest.approx(20.0)  # it has no draws of its own to tell
    assert third["theirs"].net_cents + third["theirs"].refusal_cents == pytest.approx(200 / 3, abs=0.1)
    assert third["theirs"].cost_ratio == pytest.approx(1 / 3)
    nothing = learned_effects(cells, drawn_rows(0.0), 0.8, "assumed")
    before = [each.net_cents + each.refusal_cents for each in nothing]
    assert before == pytest.approx([200.0] * 2, abs=2.0)  # the log names no coupons


def test_each_prediction_is_moved_and_their_order_stays() -> None:
    rows = pl.DataFrame(
        {"customer_id": list("abcd"), "menu_id": ["own", "own", "theirs", "gift"],
         "gain_cents": [300.0, 100.0, 200.0, 9.0],
         "cost_cents": [50.0, 60.0, 70.0, 8.0], "gain_se_cents": 1.0, "added_cents": 1.0, "evidence": "adjusted",
         "eligible": True, "why_not": pl.Series([None] * 4, dtype=pl.String)}
    )  # fmt: skip
    assert move_predictions(rows, ())["gain_cents"].equals(rows["gain_cents"])
    own = effect("own", gain_ratio=0.5, cost_ratio=0.4, n_arm=30, prob=0.3)
    now = move_predictions(rows, (own, effect("gift", n_arm=0, prob=0.0), effect("own", aimed=False, prob=0.9)))
    assert now["gain_cents"].to_list() == [150.0, 50.0, 100.0, 4.5]  # a line without draws as all others together
    assert now["cost_cents"].to_list() == [20.0, 24.0, 28.0, 3.2]
    assert now["added_cents"].to_list() == [170.0, 74.0, 128.0, 7.7]
    assert now["line_share"].to_list() == [0.3, 0.3, 1.0, 0.0]
    assert now["eligible"].to_list() == [True, True, True, False]  # what came of it did not pay
    within = move_predictions(rows, (own,), draws=False)  # limits leave no draw: few would get it, so nobody does
    assert within["eligible"].to_list() == [False, False, True, True]
    assert move_predictions(rows, (effect("own", n_arm=30, prob=0.9),), draws=False)["eligible"].all()


def effect(arm: str, **changes: object) -> LineEffect:
    known = {"arm": arm, "group": "predicted", "net_cents": 100.0, "net_se_cents": 1.0, "window_cents": 1.0,
             "window_se_cents": 1.0, "cost_cents": 20.0, "pays": 0.9, "state": "give", "aimed": True,
             "evidence": "adjusted"}  # fmt: skip
    return LineEffect.model_validate(known | changes)


def test_the_active_share_a_reminder_as_all_do_and_a_discount_only_where_it_surely_pays() -> None:
    n = 400
    arms = ["reminder", "discount", "none", "none"]
    rows = pl.concat([drawn_rows(0.0)] * (n // 80)).with_columns(
        customer_id=pl.Series([f"{k:03d}" for k in range(n)]), arm=pl.Series(arms * (n // 4)),
        arms=pl.Series([[{"arm": "reminder", "prob": 0.25}, {"arm": "discount", "prob": 0.25}]] * n),
        cost=pl.Series([0.0, 5.0, 0.0, 0.0] * (n // 4)),
    )  # fmt: skip
    rows = rows.with_columns(value=pl.Series([float(k % 7) for k in range(n)]) + 0.3 * (pl.col("arm") == "reminder"))
    cells = pl.DataFrame(
        [(arm, "active", 0.0, 1.0, cost, n, 100.0, False) for arm, cost in (("discount", 5.0), ("reminder", 0.0))],
        schema=CELLS, orient="row",
    )  # fmt: skip
    share = {each.arm: each.prob for each in learned_effects(cells, rows, 0.8, "assumed")}
    assert share["reminder"] > 2 * SMALL_SHARE  # type: ignore[operator]
    assert share["discount"] <= SMALL_SHARE  # type: ignore[operator]
    elsewhere = learned_effects(
        cells.with_columns(group=pl.lit("absent")), rows.with_columns(group=pl.lit("absent")), 0.8, "assumed"
    )
    assert {each.arm: each.prob for each in elsewhere}["reminder"] == pytest.approx(share["reminder"], abs=0.15)
