"""The projection is legal, idempotent and nearest; `broken` is checked by hand on each rule."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import cases
from promolift.errors import ConfigError
from promolift.offer.proposals import PROPOSALS
from promolift.offer.repair import broken, repair
from promolift.offer.settings import PrintRules

RULES = PrintRules()
TOLD = {"margin_rate": pl.Float64, "supplier_share": pl.Float64, "shelf_depth": pl.Float64}


def draft(**terms: object) -> dict[str, object]:
    return {
        "customer_id": "A", "scope": "category", "target": "tea", "because": None, "benefit": "percent_off",
        "percent": 20, "amount_cents": 0, "min_spend_cents": 0, "valid_days": 14, "channel": "app",
        "hour": 12, "margin_rate": 0.4, "supplier_share": 0.0, "shelf_depth": 0.0,
    } | terms  # fmt: skip


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={**PROPOSALS.schema, **TOLD})


def why(rules: PrintRules = RULES, **terms: object) -> str | None:
    return frame(draft(**terms)).select(broken(rules, 0.1)).item()


def test_each_rule_is_broken_by_its_own_offer() -> None:
    amount = {"scope": "all", "target": None, "benefit": "amount_off", "percent": 0, "amount_cents": 500}
    assert why() is None
    assert why(**amount, min_spend_cents=5000) is None
    assert why(benefit="free_shipping", percent=0) == "offers on a category or product are percent_off"
    assert why(percent=17) == "a percent that is not printed"
    assert why(percent=35) == "deeper than margin, shelf and law leave room for"
    assert why(supplier_share=0.5, percent=35) is None  # the shop pays only half of it
    assert "deeper" in str(why(shelf_depth=0.35))
    assert "deeper" in str(why(PrintRules(stack=False), shelf_depth=0.05))
    assert "deeper" in str(why(margin_rate=None))  # an unknown margin is no margin
    assert why(amount_cents=500) == "an amount beside another benefit"
    assert why(**amount | {"amount_cents": 450}, min_spend_cents=5000) == "an amount that is not printed"
    assert why(**amount, min_spend_cents=1000) == "the amount is too large a share of the spend"
    assert why(**amount, min_spend_cents=5001) == "a threshold that is not printed"
    assert why(**amount, min_spend_cents=900_000) == "a threshold out of reach"
    assert why(valid_days=13) == "a validity that is not printed"
    assert why(hour=3) == "an hour of rest"
    assert why(channel="fax") == "a channel the shop has not"


def test_the_projection_by_hand() -> None:
    amount = draft(scope="all", target=None, benefit="amount_off", percent=0, amount_cents=690, min_spend_cents=1900)
    free = draft(scope="all", target=None, benefit="free_shipping", percent=0, min_spend_cents=2901, hour=23)
    rows = repair(
        frame(draft(percent=17, valid_days=20), draft(percent=48), amount, free, draft(margin_rate=0.12)), RULES, 0.1
    )
    got = rows.select("percent", "amount_cents", "min_spend_cents", "valid_days", "hour").rows()
    # room is 0.3: 48 becomes 30; 690 becomes 800, of which 2,667 is the least spend; 0.02 of room leaves no offer
    assert got == [(15, 0, 0, 14, 12), (30, 0, 0, 14, 12), (0, 800, 3000, 14, 12), (0, 0, 3000, 14, 20)]


def test_of_two_equally_near_the_smaller_is_taken_and_the_night_becomes_morning() -> None:
    row = draft(
        scope="all", target=None, benefit="amount_off", percent=0, amount_cents=250, min_spend_cents=5000, hour=3
    )
    assert repair(frame(row), RULES).select("amount_cents", "hour").rows() == [(200, 8)]


def test_thresholds_end_as_the_shop_prints_them() -> None:
    rules = PrintRules(threshold_step_cents=10_000, threshold_less_cents=100)
    free = draft(scope="all", target=None, benefit="free_shipping", percent=0, min_spend_cents=9901)
    assert repair(frame(free), rules)["min_spend_cents"].to_list() == [19_900]
    assert repair(frame(free | {"min_spend_cents": 9900}), rules)["min_spend_cents"].to_list() == [9900]


def test_steps_must_rise() -> None:
    with pytest.raises(ConfigError, match="rising"):
        PrintRules.parse({"percents": [20, 10]}, "test")


unit = st.floats(0, 1)
drafts = st.lists(
    st.builds(
        draft,
        benefit=st.sampled_from(["percent_off", "amount_off", "free_shipping"]),
        percent=st.integers(0, 100),
        amount_cents=st.integers(0, 20_000),
        min_spend_cents=st.integers(-500, 200_000),
        valid_days=st.integers(1, 400),
        channel=st.sampled_from(["app", "fax", None]),
        hour=st.none() | st.integers(0, 23),
        margin_rate=st.none() | st.floats(-0.5, 1),
        supplier_share=unit,
        shelf_depth=st.none() | unit,
    ).map(lambda d: d if d["benefit"] == "percent_off" else d | {"scope": "all", "target": None}),
    max_size=8,
)
rule_books = st.builds(
    PrintRules,
    stack=st.booleans(),
    max_share=st.floats(0.01, 0.99),
    threshold_step_cents=st.integers(1, 20_000),
    threshold_less_cents=st.integers(0, 300),
)


@cases(60)
@given(drafts, rule_books, st.floats(-0.2, 0.5))
def test_repaired_offers_are_legal_and_repairing_again_changes_nothing(
    rows: list[dict[str, object]], rules: PrintRules, floor: float
) -> None:
    once = repair(frame(*rows), rules, floor)
    assert once.select(broken(rules, floor).is_null().all()).item()
    assert repair(once, rules, floor).equals(once)
    PROPOSALS.check(once.select(list(PROPOSALS.schema)).unique(PROPOSALS.key))


@cases(60)
@given(drafts, rule_books)
def test_a_legal_offer_is_left_as_it_is(rows: list[dict[str, object]], rules: PrintRules) -> None:
    given_rows = frame(*rows)
    legal = given_rows.filter(broken(rules).is_null())
    assert repair(legal, rules).equals(legal)
