"""The projection is legal, idempotent and nearest; `broken` is checked by hand on each rule."""

import polars as pl
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.offers.proposals import PROPOSALS
from promolift.core.offers.repair import max_discount_share, repair_offers
from promolift.core.offers.settings import PrintRules

RULES = PrintRules()
TOLD = {"margin_rate": pl.Float64, "supplier_share": pl.Float64}


def draft(**terms: object) -> dict[str, object]:
    return {
        "customer_id": "A", "scope": "category", "target": "tea", "benefit": "percent_off", "percent": 20,
        "amount_cents": 0, "min_spend_cents": 0, "margin_rate": 0.4, "supplier_share": 0.0,
    } | terms  # fmt: skip


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={**PROPOSALS.schema, **TOLD})


def broken(rules: PrintRules, margin_floor: float = 0.0) -> pl.Expr:
    """The first rule that a row breaks, in words; null for a legal offer. It shares nothing with the projection but
    `room`.
    """
    space, spend = max_discount_share(rules, margin_floor), pl.col("min_spend_cents")
    is_percent, is_amount = pl.col("benefit") == "percent_off", pl.col("benefit") == "amount_off"
    reasons = (
        (~is_percent & (pl.col("scope") != "all"), "offers on a category or product are percent_off"),
        (is_percent & ~pl.col("percent").is_in(rules.percents).fill_null(False), "a percent that is not printed"),
        (~is_percent & (pl.col("percent") != 0), "a percent beside another benefit"),
        (is_percent & (pl.col("percent") > 100 * space + 1e-6), "deeper than margin and law leave room for"),
        (is_amount & ~pl.col("amount_cents").is_in(rules.amounts_cents), "an amount that is not printed"),
        (~is_amount & (pl.col("amount_cents") != 0), "an amount beside another benefit"),
        (is_amount & (pl.col("amount_cents") > space * spend + 1e-6), "the amount is too large a share of the spend"),
        (
            (spend != 0) & ((spend + rules.threshold_less_cents) % rules.threshold_step_cents != 0),
            "a threshold that is not printed",
        ),
        ((spend < 0) | (spend > rules.max_threshold_cents), "a threshold out of reach"),
    )
    return pl.coalesce(*(pl.when(bad.fill_null(False)).then(pl.lit(text)) for bad, text in reasons))


def why(rules: PrintRules = RULES, **terms: object) -> str | None:
    return frame(draft(**terms)).select(broken(rules, 0.1)).item()


def test_each_rule_is_broken_by_its_own_offer() -> None:
    amount = {"scope": "all", "target": None, "benefit": "amount_off", "percent": 0, "amount_cents": 500}
    assert why() is None
    assert why(**amount, min_spend_cents=5000) is None
    assert why(benefit="free_shipping", percent=0) == "offers on a category or product are percent_off"
    assert why(percent=17) == "a percent that is not printed"
    assert why(percent=35) == "deeper than margin and law leave room for"
    assert why(supplier_share=0.5, percent=35) is None  # the shop pays only half of it
    assert "deeper" in str(why(margin_rate=None))  # an unknown margin is no margin
    assert why(amount_cents=500) == "an amount beside another benefit"
    assert why(**amount | {"amount_cents": 450}, min_spend_cents=5000) == "an amount that is not printed"
    assert why(**amount, min_spend_cents=1000) == "the amount is too large a share of the spend"
    assert why(**amount, min_spend_cents=5001) == "a threshold that is not printed"
    assert why(**amount, min_spend_cents=900_000) == "a threshold out of reach"


def test_the_projection_by_hand() -> None:
    amount = draft(scope="all", target=None, benefit="amount_off", percent=0, amount_cents=690, min_spend_cents=1900)
    free = draft(scope="all", target=None, benefit="free_shipping", percent=0, min_spend_cents=2901)
    rows = repair_offers(frame(draft(percent=17), draft(percent=48), amount, free, draft(margin_rate=0.12)), RULES, 0.1)
    got = rows.select("percent", "amount_cents", "min_spend_cents").rows()
    # room is 0.3: 48 becomes 30; 690 becomes 800, of which 2,667 is the least spend; 0.02 of room leaves no offer
    assert got == [(15, 0, 0), (30, 0, 0), (0, 800, 3000), (0, 0, 3000)]


def test_of_two_equally_near_the_smaller_is_taken() -> None:
    row = draft(scope="all", target=None, benefit="amount_off", percent=0, amount_cents=250, min_spend_cents=5000)
    assert repair_offers(frame(row), RULES)["amount_cents"].to_list() == [200]


def test_thresholds_end_as_the_shop_prints_them() -> None:
    rules = PrintRules(threshold_step_cents=10_000, threshold_less_cents=100)
    free = draft(scope="all", target=None, benefit="free_shipping", percent=0, min_spend_cents=9901)
    assert repair_offers(frame(free), rules)["min_spend_cents"].to_list() == [19_900]
    assert repair_offers(frame(free | {"min_spend_cents": 9900}), rules)["min_spend_cents"].to_list() == [9900]


def test_steps_must_rise() -> None:
    with raises_code("setting_invalid", "percents", "[20, 10]"):
        PrintRules.parse({"percents": [20, 10]}, "test")


unit = st.floats(0, 1)
drafts = st.lists(
    st.builds(
        draft,
        benefit=st.sampled_from(["percent_off", "amount_off", "free_shipping"]),
        percent=st.integers(0, 100),
        amount_cents=st.integers(0, 20_000),
        min_spend_cents=st.integers(-500, 200_000),
        margin_rate=st.none() | st.floats(-0.5, 1),
        supplier_share=unit,
    ).map(lambda d: d if d["benefit"] == "percent_off" else d | {"scope": "all", "target": None}),
    max_size=8,
)
rule_books = st.builds(
    PrintRules,
    max_share=st.floats(0.01, 0.99),
    threshold_step_cents=st.integers(1, 20_000),
    threshold_less_cents=st.integers(0, 300),
)


@cases(60)
@given(drafts, rule_books, st.floats(-0.2, 0.5))
def test_repaired_offers_are_legal_and_repairing_again_changes_nothing(
    rows: list[dict[str, object]], rules: PrintRules, floor: float
) -> None:
    once = repair_offers(frame(*rows), rules, floor)
    assert once.select(broken(rules, floor).is_null().all()).item()
    assert repair_offers(once, rules, floor).equals(once)
    PROPOSALS.check(once.select(list(PROPOSALS.schema)).unique(PROPOSALS.key))


@cases(60)
@given(drafts, rule_books)
def test_a_legal_offer_is_left_as_it_is(rows: list[dict[str, object]], rules: PrintRules) -> None:
    given_rows = frame(*rows)
    legal = given_rows.filter(broken(rules).is_null())
    assert repair_offers(legal, rules).equals(legal)
